// The account page in a real browser: signing in by cookie, and what an account's owner does there.
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { anyPorts } from '../../embedded/ports.ts';
import { SEED_PASSWORD } from '../../prisma/seed.ts';
import { launchChromium, requireChromium } from '../support/chromium.ts';
import { startGitHub } from '../support/github.ts';
import { post, until } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { testFolder } from '../support/servers.ts';
import { cookieOf, pageHeaders, signIn as signInByRequest } from '../support/sessions.ts';

const NEW_PASSWORD = 'seven herons over the ferry';
const VIEWER = { query: '{ viewer { username } }' };

describe.skipIf(!requireChromium())('the account page', () => {
  // Set it to look at them: the other folder goes with the run.
  const folder = process.env['NARU_SCREENSHOTS'] ?? testFolder();
  let naru: TestNaru;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let complaints: string[];
  let elsewhere: string[];

  beforeAll(async () => {
    [naru, browser] = await Promise.all([startNaru(), launchChromium()]);
    mkdirSync(folder, { recursive: true });
  });
  afterAll(async () => {
    await browser?.close();
    await naru?.close();
  });

  beforeEach(async () => {
    context = await browser.newContext({ viewport: { width: 1200, height: 900 } });
    page = await context.newPage();
    complaints = [];
    elsewhere = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    page.on('request', (request) => {
      const url = request.url();
      if (!url.startsWith('data:') && !url.startsWith(`${naru.url}/`)) elsewhere.push(url);
    });
  });
  afterEach(async () => {
    await context.close();
    expect(elsewhere).toEqual([]);
    expect(complaints).toEqual([]);
  });

  const open = (fragment = '') => page.goto(`${naru.url}/account${fragment}`);
  const heading = (name: string) => page.getByRole('heading', { name, exact: true });
  const press = (name: string) => page.getByRole('button', { name, exact: true }).click();
  const cookies = () => context.cookies(naru.url);
  const noteSays = (text: string) =>
    until(async () => (await page.getByRole('status').innerText()).includes(text));

  async function signIn(login = 'alice', password = SEED_PASSWORD): Promise<void> {
    await page.getByLabel('Username or e-mail').fill(login);
    await page.getByLabel('Password').first().fill(password);
    await page.keyboard.press('Enter');
  }

  async function screenshots(name: string): Promise<void> {
    for (const colorScheme of ['light', 'dark'] as const) {
      for (const width of [1200, 360]) {
        await page.emulateMedia({ colorScheme });
        await page.setViewportSize({ width, height: 800 });
        const file = `account-${name}-${colorScheme}-${width}.png`;
        await page.screenshot({ path: path.join(folder, file), fullPage: true });
        // Nothing is cut off or has to be moved sideways.
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
      }
    }
    await page.setViewportSize({ width: 1200, height: 900 });
  }

  test('signs in by a cookie that no script reads, over http on 127.0.0.1, and survives a reload', async () => {
    await open();
    await screenshots('sign-in');
    await signIn();
    await heading('Alice').waitFor();
    const [cookie, ...others] = await cookies();
    expect(others).toEqual([]);
    expect(cookie).toMatchObject({
      name: '__Host-naru',
      domain: '127.0.0.1',
      path: '/',
      httpOnly: true,
      secure: true,
      sameSite: 'Lax',
    });
    const days = ((cookie?.expires ?? 0) - Date.now() / 1000) / 86_400;
    expect(days).toBeCloseTo(7, 1);
    expect(await page.evaluate('document.cookie')).toBe('');
    expect(await page.evaluate('localStorage.length + sessionStorage.length')).toBe(0);

    await page.reload();
    await heading('Alice').waitFor();
    expect(await page.locator('#profile').innerText()).toContain('alice@example.com');
    expect(await page.locator('#profile').innerText()).toContain('USER');
    await screenshots('account');

    await press('Sign out');
    await noteSays('You are signed out.');
    expect(await cookies()).toEqual([]);
    const headers = pageHeaders(`__Host-naru=${cookie?.value}`);
    expect((await post(naru.url, VIEWER, null, headers)).result.data).toEqual({ viewer: null });
    await page.reload();
    await heading('Sign in').waitFor();
  }, 60_000);

  test('replaces a cookie that was planted before', async () => {
    const planted = 'a'.repeat(43);
    await context.addCookies([
      {
        name: '__Host-naru',
        value: planted,
        domain: '127.0.0.1',
        path: '/',
        secure: true,
        httpOnly: true,
        sameSite: 'Lax',
      },
    ]);
    await open();
    await signIn();
    await heading('Alice').waitFor();
    const [cookie, ...others] = await cookies();
    expect(others).toEqual([]);
    expect(cookie?.value).toMatch(/^[\w-]{43}$/);
    expect(cookie?.value).not.toBe(planted);
    const headers = pageHeaders(`__Host-naru=${planted}`);
    expect((await post(naru.url, VIEWER, null, headers)).result.data).toEqual({ viewer: null });
  });

  test('says in words what is wrong, and keeps what was typed', async () => {
    await open();
    await signIn('alice', 'not this one at all');
    const alert = page.getByRole('alert').filter({ hasText: 'do not match' });
    await alert.waitFor();
    expect(await page.getByLabel('Username or e-mail').inputValue()).toBe('alice');
    expect(await cookies()).toEqual([]);
    await screenshots('refused');

    await page.route('**/graphql', (route) => route.abort());
    await press('Sign in');
    await page.getByRole('alert').filter({ hasText: 'cannot be reached' }).waitFor();
    await page.unroute('**/graphql');
    // The browser's own word on the request that went nowhere.
    expect(complaints.splice(0)).toHaveLength(1);
    await signIn();
    await heading('Alice').waitFor();
  });

  test('shows the sessions, as text whatever they call themselves, and ends one', async () => {
    const hostile = '<img src=x onerror=alert(1)> Firefox';
    const others = await Promise.all(
      [hostile, 'curl/8.5.0'].map(async (userAgent) => {
        const { headers } = await signInByRequest(
          naru.url,
          { login: 'oscar', transport: 'COOKIE' },
          { ...pageHeaders(), 'user-agent': userAgent },
        );
        return headers.getSetCookie()[0]?.split(';', 1)[0] ?? '';
      }),
    );
    await open();
    await signIn('oscar');
    const sessions = page.locator('#sessions li');
    await until(async () => (await sessions.count()) === 3);
    expect(await sessions.first().innerText()).toContain('this one');
    await sessions.filter({ hasText: hostile }).waitFor();
    await screenshots('sessions');

    await sessions.filter({ hasText: 'curl' }).getByRole('button').click();
    await noteSays('That session has ended.');
    await until(async () => (await sessions.count()) === 2);
    const viewers = await Promise.all(
      others.map((cookie) => post(naru.url, VIEWER, null, pageHeaders(cookie))),
    );
    expect(viewers.map(({ result }) => result.data.viewer)).toEqual([{ username: 'oscar' }, null]);

    await press('Sign out everywhere');
    await noteSays('You are signed out everywhere.');
    expect(await cookies()).toEqual([]);
    const [first = ''] = others;
    expect((await post(naru.url, VIEWER, null, pageHeaders(first))).result.data.viewer).toBeNull();
  });

  test('notices that its session was ended elsewhere', async () => {
    await open();
    await signIn();
    await heading('Alice').waitFor();
    await naru.app.database.query(
      `UPDATE session SET ended_at = naru_now(), end_reason = 'REVOKED' WHERE ended_at IS NULL`,
    );
    await page.getByLabel('Current password').fill(SEED_PASSWORD);
    await page.getByLabel('New password').last().fill(NEW_PASSWORD);
    await press('Change password');
    await noteSays('Your session has ended.');
    await heading('Sign in').waitFor();
  });

  test('changes the password; what is wrong is said at its field', async () => {
    const other = await cookieOf(naru.url, { login: 'audrey' });
    await open();
    await signIn('audrey');
    await heading('Audrey').waitFor();
    const current = page.getByLabel('Current password');
    const wanted = page.locator('[data-action=changePassword] [name=newPassword]');
    const change = async (from: string, to: string) => {
      await current.fill(from);
      await wanted.fill(to);
      await press('Change password');
    };
    const isFaulty = (field: typeof current) =>
      until(async () => (await field.getAttribute('aria-invalid')) === 'true');

    await change('not this one at all', NEW_PASSWORD);
    await isFaulty(current);
    expect(await wanted.getAttribute('aria-invalid')).toBeNull();
    await change(SEED_PASSWORD, 'password123');
    await isFaulty(wanted);
    expect(await current.getAttribute('aria-invalid')).toBeNull();
    const described = await wanted.getAttribute('aria-describedby');
    expect(described).toBe('fault-changePassword-newPassword change-rule');
    expect(await page.locator('#fault-changePassword-newPassword').innerText()).toContain(
      'guessed first',
    );
    expect(await page.evaluate('document.activeElement.name')).toBe('newPassword');
    await screenshots('faults');

    await change(SEED_PASSWORD, NEW_PASSWORD);
    await noteSays('Your password is changed. 1 other session ended.');
    expect([await current.inputValue(), await wanted.inputValue()]).toEqual(['', '']);
    expect((await post(naru.url, VIEWER, null, pageHeaders(other))).result.data.viewer).toBeNull();
  });

  test('makes an account by mail, and a new password by mail; the token leaves the address bar', async () => {
    await open();
    await press('Create an account');
    const form = page.locator('[data-action=signUp]');
    await form.getByLabel('E-mail').fill('wanda@example.com');
    await form.getByLabel('Username').fill('a');
    await form.getByLabel('Name', { exact: true }).fill('Wanda');
    await form.getByLabel('Password', { exact: true }).fill(SEED_PASSWORD);
    await screenshots('sign-up');
    await press('Create account');
    const username = form.locator('[name=username]');
    await until(async () => (await username.getAttribute('aria-invalid')) === 'true');
    await username.fill('wanda');
    await press('Create account');
    await noteSays('A mail is on its way.');
    await screenshots('code');

    await open(`#verify=${await mailedToken('wanda@example.com', 'verify')}`);
    await heading('Confirm your e-mail address').waitFor();
    expect(page.url()).toBe(`${naru.url}/account`);
    const verify = page.locator('[data-action=verifyEmail]');
    await verify.getByLabel('Password').fill('not this one at all');
    await press('Confirm');
    await verify.getByRole('alert').filter({ hasText: 'do not match' }).waitFor();
    await verify.getByLabel('Password').fill(SEED_PASSWORD);
    await press('Confirm');
    await heading('Wanda').waitFor();
    expect(await page.locator('#profile').innerText()).toContain('verified');

    await press('Sign out');
    await press('Forgot password?');
    await page.locator('[data-action=requestPasswordReset] input').fill('wanda@example.com');
    await press('Send the mail');
    await noteSays('A mail is on its way, if it can be.');
    await open(`#reset=${await mailedToken('wanda@example.com', 'reset')}`);
    await heading('Choose a new password').waitFor();
    expect(page.url()).toBe(`${naru.url}/account`);
    await page.locator('[data-action=resetPassword] [name=newPassword]').fill(NEW_PASSWORD);
    await screenshots('reset');
    await press('Set the password');
    await noteSays('Your new password counts.');
    await signIn('wanda', NEW_PASSWORD);
    await heading('Wanda').waitFor();
  }, 60_000);

  test('confirms another address for who signs in first', async () => {
    await post(
      naru.url,
      {
        query: `mutation ($input: ChangeEmailInput!) { changeEmail(input: $input) { __typename } }`,
        variables: { input: { email: 'robert@example.com', password: SEED_PASSWORD } },
      },
      null,
      pageHeaders(await cookieOf(naru.url, { login: 'bob' })),
    );
    const token = await mailedToken('robert@example.com', 'verify');
    await open();
    // Also where the page is open already.
    await page.evaluate(`location.hash = 'verify=${token}'`);
    await heading('Confirm your e-mail address').waitFor();
    expect(page.url()).toBe(`${naru.url}/account`);
    await press('Confirm');
    await noteSays('Sign in to the account that gets this address.');
    await signIn('bob');
    await heading('Confirm your e-mail address').waitFor();
    await press('Confirm');
    await heading('Bob').waitFor();
    expect(await page.locator('#profile').innerText()).toContain('robert@example.com');
  });

  test('tells what came of GitHub, and offers it only where it is', async () => {
    await open('?error=access_denied');
    await noteSays('GitHub was told not to sign you in.');
    expect(page.url()).toBe(`${naru.url}/account`);
    await open('?error=%3Cb%3E');
    await noteSays('The sign-in with GitHub did not succeed.');
    const link = page.getByRole('link', { name: 'Sign in with GitHub' });
    expect(await link.count()).toBe(0);

    const settings = { GITHUB_CLIENT_ID: 'x', GITHUB_CLIENT_SECRET: 'y', SIGNUP: 'closed' };
    const other = await startNaru({ settings, runsJobs: false });
    try {
      await page.goto(`${other.url}/account`);
      await link.waitFor();
      expect(await link.getAttribute('href')).toBe('/auth/github?returnTo=/account');
      expect(await page.getByRole('button', { name: 'Create an account' }).count()).toBe(0);
      await screenshots('github');
      elsewhere = elsewhere.filter((url) => !url.startsWith(`${other.url}/`));
    } finally {
      await other.close();
    }
  });

  test('signs in with GitHub, links it and unlinks it', async () => {
    const port = await anyPorts.choose('naru', 0);
    const publicUrl = `http://127.0.0.1:${port}`;
    const github = await startGitHub({ publicUrl });
    const settings = { ...github.settings, PORT: String(port), PUBLIC_URL: publicUrl };
    const other = await startNaru({ settings, runsJobs: false });
    try {
      github.put({ id: 7, login: 'octavia', name: 'Octavia' });
      github.put({ id: 8, login: 'alice-at-github' });
      // Which person the browser is at GitHub; headers of redirects are only set for all requests.
      await context.setExtraHTTPHeaders({ 'x-person': '7', 'x-answer': 'agree' });
      await page.goto(`${publicUrl}/account`);
      await page.getByRole('link', { name: 'Sign in with GitHub' }).click();
      await heading('Octavia').waitFor();
      expect(page.url()).toBe(`${publicUrl}/account`);
      expect((await context.cookies(publicUrl)).map(({ name }) => name)).toEqual(['__Host-naru']);
      await press('Sign out');
      await noteSays('You are signed out.');

      await signIn();
      await heading('Alice').waitFor();
      await context.setExtraHTTPHeaders({ 'x-person': '8', 'x-answer': 'deny' });
      await page.getByRole('link', { name: 'Link GitHub' }).click();
      await noteSays('GitHub was told not to sign you in.');
      await context.setExtraHTTPHeaders({ 'x-person': '8', 'x-answer': 'agree' });
      await page.getByRole('link', { name: 'Link GitHub' }).click();
      await page.getByText('Linked to alice-at-github.').waitFor();
      await screenshots('linked');
      await press('Unlink');
      await noteSays('GitHub is unlinked.');
      await page.getByRole('link', { name: 'Link GitHub' }).waitFor();
      expect(github.faults).toEqual([]);
      const expected = [`${publicUrl}/`, `${github.url}/`];
      elsewhere = elsewhere.filter((url) => !expected.some((start) => url.startsWith(start)));
    } finally {
      await other.close();
      await github.close();
    }
  }, 60_000);

  test('has a label and a purpose at every field', async () => {
    await open();
    const unlabelled = await page.evaluate(
      `[...document.querySelectorAll('input:not([hidden])')]
         .filter((input) => input.labels.length === 0 || (input.name !== '' && !input.autocomplete))
         .map((input) => input.outerHTML)`,
    );
    expect(unlabelled).toEqual([]);
  });

  /** Of the newest mail to the address. */
  async function mailedToken(to: string, purpose: string): Promise<string> {
    const pattern = new RegExp(`/account#${purpose}=([\\w-]+)`);
    const find = () =>
      naru.app.mailer.recent
        .filter((mail) => mail.to === to)
        .map(({ text }) => pattern.exec(text)?.[1])
        .findLast((token) => token !== undefined);
    await until(() => find() !== undefined);
    return find() ?? '';
  }
});
