// GraphiQL in a real browser: it works whole, with nothing from anywhere else.
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXAMPLES } from '#server/examples.ts';
import { get, post, until } from '../support/graphql-client.ts';
import { postGitHubWebhook, startNaru, type TestNaru } from '../support/naru.ts';
import { testFolder } from '../support/servers.ts';

const CHROMIUM = process.env['NARU_CHROMIUM'] ?? '/usr/bin/chromium';

function requireChromium(): boolean {
  const found = existsSync(CHROMIUM);
  if (!found && process.env['CI']) throw new Error(`CI needs a chromium at ${CHROMIUM}.`);
  return found;
}

let naru: TestNaru;
beforeAll(async () => {
  naru = await startNaru();
});
afterAll(() => naru?.close());

test('the page is for browsers, whole, compressed, and allows nothing from elsewhere', async () => {
  const answer = await fetch(`${naru.url}/graphql`, { headers: { accept: 'text/html' } });
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-encoding')).toBe('gzip');
  expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'");
  expect(answer.headers.get('x-frame-options')).toBe('DENY');
  const html = await answer.text();
  expect(html).toContain('<title>Naru');
  expect(html).not.toMatch(/<(script|link|img)[^>]+(src|href)="(https?:)?\/\//);
  const plain = await get(naru.url, { query: '{ serverInfo { version } }' }, null, {
    accept: 'text/html,application/json',
  });
  expect(plain.result.data.serverInfo).toBeDefined();
});

test('each example is valid', async () => {
  const token = await naru.tokenFor('alice');
  for (const query of EXAMPLES.filter((text) => !text.includes('subscription'))) {
    expect((await post(naru.url, { query }, token)).result.errors).toBeUndefined();
  }
});

describe.skipIf(!requireChromium())('in a browser', () => {
  let browser: Browser;
  let page: Page;
  const elsewhere: string[] = [];
  const complaints: string[] = [];

  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    });
    page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
    page.on('request', (request) => {
      const url = request.url();
      if (!/^(data|blob):/.test(url) && !url.startsWith(`${naru.url}/`)) elsewhere.push(url);
    });
    page.on('websocket', (socket) => {
      if (!socket.url().startsWith(naru.url.replace('http', 'ws'))) elsewhere.push(socket.url());
    });
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
  });
  afterAll(() => browser?.close());

  test('the examples run by the cookie of the first, and a webhook posted meanwhile appears live', async () => {
    const posted = await postGitHubWebhook(naru.url, {
      action: 'before-the-page',
      repository: { id: 7, full_name: 'octocat/Hello.World' },
    });
    expect(posted.status).toBe(202);
    await page.goto(`${naru.url}/graphql`);
    const tab = (name: string) => page.locator('.graphiql-tab-button', { hasText: name });
    // By keyboard: tabs that still slide into place take a click for the start of a drag.
    const open = async (name: string) => {
      // Each in a page of its own: GraphiQL keeps the last tab's operation in mind when the next is run at once.
      await page.evaluate(() => localStorage.clear());
      await page.goto(`${naru.url}/graphql`);
      await tab(name).press('Enter');
      await page.locator('[role=tab][aria-selected=true]', { hasText: name }).waitFor();
      await page.waitForFunction((operationName) => {
        const stored = localStorage.getItem('graphiql:tabState') ?? '{"tabs":[]}';
        const { tabs } = JSON.parse(stored) as { tabs: { operationName: string }[] };
        return tabs.some((each) => each.operationName === operationName);
      }, name);
    };
    const result = page.locator('.result-window');
    const run = page.locator('.graphiql-execute-button');
    await run.click();
    await until(async () => (await result.innerText()).includes('expiresAt'));
    await screenshot('sign-in');

    await open('NewestWebhooks');
    await run.click();
    await until(async () => (await result.innerText()).includes('octocat/Hello.World'));
    expect(await result.innerText()).toContain('alice');
    await screenshot('query');

    await open('Sessions');
    await run.click();
    await until(async () => /isCurrent":\s*true/.test(await result.innerText()));

    await open('LiveWebhooks');
    await run.click();
    await until(async () => naru.app.webhookFeed.size === 1);
    await until(async () => (await result.innerText()).includes('cursor'));
    await postGitHubWebhook(naru.url, {
      action: 'while-watching',
      repository: { id: 7, full_name: 'octocat/Hello.World' },
    });
    await until(async () => (await result.innerText()).includes('while-watching'));
    expect(await tab('NewestWebhooks').count()).toBe(1);
    await screenshot('subscription');
    await run.click();
    await until(() => naru.app.webhookFeed.size === 0);

    expect(elsewhere).toEqual([]);
    expect(complaints).toEqual([]);
  }, 60_000);

  test('a token in the headers wins over the cookie', async () => {
    const token = await naru.tokenFor('bob');
    await page.goto(`${naru.url}/graphql`);
    await page.locator('.graphiql-tab-button', { hasText: 'NewestWebhooks' }).press('Enter');
    await page.locator('[role=tab][aria-selected=true]', { hasText: 'Newest' }).waitFor();
    await page.getByRole('button', { name: 'Headers' }).click();
    await typeHeaders(token);
    await page.locator('.graphiql-execute-button').click();
    const result = page.locator('.result-window');
    await until(async () => (await result.innerText()).includes('bob'));
  });

  async function typeHeaders(token: string): Promise<void> {
    await page.locator('.graphiql-editor-tool .monaco-editor:visible').first().click();
    await page.keyboard.press('ControlOrMeta+A');
    await page.keyboard.press('Delete');
    // The editor closes quotes and brackets by itself.
    await page.keyboard.insertText(`{"Authorization":"Bearer ${token}`);
  }

  async function screenshot(name: string): Promise<void> {
    const folder = testFolder();
    mkdirSync(folder, { recursive: true });
    await page.screenshot({ path: path.join(folder, `graphiql-${name}.png`) });
  }
});
