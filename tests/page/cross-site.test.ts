// What a page of another origin can do in a real browser while its visitor is signed in here: nothing.
// What counts is what Naru did, not only what the page saw.
import type { IncomingMessage } from 'node:http';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { SEED_PASSWORD } from '../../prisma/seed.ts';
import { launchChromium, requireChromium } from '../support/chromium.ts';
import { type ForeignSite, startForeignSite } from '../support/foreign-site.ts';
import { until } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';

const STEAL = 'mutation { updateProfile(input: { displayName: "Stolen" }) { __typename } }';
const SIGN_OUT = 'mutation { signOut(input: { everywhere: true }) { __typename } }';
const SIGN_IN = `mutation { signIn(input: { login: "bob", password: "${SEED_PASSWORD}", transport: COOKIE }) {
  __typename } }`;
const VIEWER = '{ viewer { username } }';
const LIVE = 'subscription { webhookMessageReceived { ... on StreamItem { cursor } } }';

/** As the server's log has it. */
interface Answered {
  readonly method: string;
  readonly route: string;
  readonly statusCode: number;
}

describe.skipIf(!requireChromium())('a page of another origin', () => {
  let naru: TestNaru;
  let browser: Browser;
  let evil: ForeignSite;
  let friend: ForeignSite;
  /** Of the victim: signed in once, and after every attack still, as the same and by the same session. */
  let victim: BrowserContext;
  let secret: string;
  let page: Page;
  const answered: Answered[] = [];
  /** The cookies that came along, whatever a page asked for. */
  const cookiesCame: string[] = [];

  beforeAll(async () => {
    [evil, friend, browser] = await Promise.all([
      startForeignSite(),
      startForeignSite(),
      launchChromium(),
    ]);
    naru = await startNaru({
      settings: {
        ACCESS_LOG_SAMPLE: '1',
        ALLOWED_ORIGINS: `${friend.sameSite},${friend.crossSite}`,
      },
      logTo: (line) => {
        if (line['msg'] === 'answered') answered.push(line as unknown as Answered);
      },
    });
    for (const event of ['request', 'upgrade'] as const) {
      naru.server.fastify.server.on(event, ({ headers }: IncomingMessage) => {
        cookiesCame.push(headers.cookie ?? '');
      });
    }
    victim = await browser.newContext();
    const own = await victim.newPage();
    await own.goto(`${naru.url}/account`);
    await own.getByLabel('Username or e-mail').fill('alice');
    await own.getByLabel('Password').first().fill(SEED_PASSWORD);
    await own.keyboard.press('Enter');
    await own.getByRole('heading', { name: 'Alice' }).waitFor();
    await own.close();
    secret = await secretOf(victim);
  });
  afterAll(async () => {
    await browser?.close();
    await naru?.close();
    await evil?.close();
    await friend?.close();
  });

  beforeEach(async () => {
    page = await victim.newPage();
    answered.length = 0;
    cookiesCame.length = 0;
  });

  afterEach(async () => {
    await page.close();
    expect(await secretOf(victim)).toBe(secret);
    const users = await naru.app.database.query(
      `SELECT display_name AS name, (SELECT count(*)::int FROM session s
         WHERE s.user_id = u.id AND s.ended_at IS NULL) AS sessions
       FROM users u WHERE username IN ('alice', 'bob') ORDER BY username`,
    );
    expect(users).toEqual([
      { name: 'Alice', sessions: 1 },
      { name: 'Bob', sessions: 0 },
    ]);
    expect((await naru.app.metrics.websocketConnections.get()).values[0]?.value).toBe(0);
    expect((await naru.app.metrics.subscriptions.get()).values[0]?.value ?? 0).toBe(0);
  });

  async function secretOf(context: BrowserContext): Promise<string> {
    const cookies = await context.cookies(naru.url);
    expect(cookies.length).toBeLessThanOrEqual(1);
    return cookies[0]?.value ?? '';
  }

  /** Lets the script of the page run, with `url` for where Naru is. */
  const run = (script: string, within = page): Promise<unknown> =>
    within.evaluate(`(async () => { const url = '${naru.url}'; ${script} })()`);

  /** By what the server answered to `/graphql`. */
  const statuses = (method: string) =>
    answered
      .filter((line) => line.method === method && line.route === '/graphql')
      .map(({ statusCode }) => statusCode);
  const hasAnswered = (method: string, count = 1) => until(() => statuses(method).length >= count);
  const cookieCame = () => cookiesCame.some((cookie) => cookie.includes(secret));

  /** A form that sends itself; resolves with what the browser then shows. */
  async function submitForm(
    enctype: string,
    fields: Readonly<Record<string, string>>,
    within = page,
  ): Promise<string> {
    const arrival = within.waitForURL(`${naru.url}/**`);
    await run(
      `const form = document.body.appendChild(document.createElement('form'));
       Object.assign(form, { method: 'POST', enctype: '${enctype}', action: url + '/graphql' });
       for (const [name, value] of ${JSON.stringify(Object.entries(fields))}) {
         form.appendChild(Object.assign(document.createElement('input'), { name, value }));
       }
       setTimeout(() => form.submit())`,
      within,
    );
    await arrival;
    return within.locator('body').innerText();
  }

  /** A field whose name and value make one JSON, once a form is sent as plain text. */
  function jsonField(query: string): Record<string, string> {
    return { [`${JSON.stringify({ query }).slice(0, -1)},"x":"`]: '"}' };
  }

  const FORMS: readonly (readonly [string, (query: string) => Record<string, string>])[] = [
    ['application/x-www-form-urlencoded', (query) => ({ query })],
    ['text/plain', jsonField],
    [
      'multipart/form-data',
      (query) => ({ operations: JSON.stringify({ query }), map: '{}', query }),
    ],
  ];

  describe.each([
    ['of the same site', (site: ForeignSite) => site.sameSite, true],
    ['of another site', (site: ForeignSite) => site.crossSite, false],
  ] as const)('%s', (_name, originOf, isSameSite) => {
    beforeEach(() => page.goto(originOf(evil)));

    test.each(FORMS)('cannot act by a form of type %s', async (enctype, fieldsOf) => {
      for (const query of [STEAL, SIGN_OUT]) {
        await page.goto(originOf(evil));
        expect(await submitForm(enctype, fieldsOf(query))).not.toContain('data');
      }
      await hasAnswered('POST', 2);
      expect(statuses('POST')).toEqual([415, 415]);
      // The attack is a real one: what the browser sends along, it sent.
      expect(cookieCame()).toBe(isSameSite);
    });

    test.each(FORMS)(
      'cannot sign its visitor in by a form of type %s',
      async (enctype, fieldsOf) => {
        const guest = await browser.newContext();
        for (const context of [victim, guest]) {
          const opened = await context.newPage();
          await opened.goto(originOf(evil));
          await submitForm(enctype, fieldsOf(SIGN_IN), opened);
          await opened.close();
        }
        await hasAnswered('POST', 2);
        expect(statuses('POST')).toEqual([415, 415]);
        expect(await secretOf(guest)).toBe('');
        await guest.close();
      },
    );

    test('cannot act by fetch that asks for no leave', async () => {
      for (const mode of ['cors', 'no-cors']) {
        const seen = await run(
          `return fetch(url + '/graphql', { method: 'POST', mode: '${mode}', credentials: 'include',
             headers: { 'content-type': 'text/plain' }, body: ${JSON.stringify(JSON.stringify({ query: STEAL }))} })
             .then((answer) => answer.text(), () => 'refused')`,
        );
        expect(seen).toBe('refused');
      }
      await hasAnswered('POST', 2);
      expect(statuses('POST')).toEqual([415, 415]);
      expect(cookieCame()).toBe(isSameSite);
    });

    test('is not given leave to fetch with JSON, so nothing arrives', async () => {
      for (const headers of [
        { 'content-type': 'application/json' },
        { 'content-type': 'application/json', 'x-naru-csrf': '1' },
        { 'content-type': 'text/plain', authorization: 'Bearer x' },
      ]) {
        const seen = await run(
          `return fetch(url + '/graphql', { method: 'POST', credentials: 'include',
             headers: ${JSON.stringify(headers)}, body: ${JSON.stringify(JSON.stringify({ query: STEAL }))} })
             .then((answer) => answer.text(), () => 'refused')`,
        );
        expect(seen).toBe('refused');
      }
      expect(answered.map(({ method, statusCode }) => [method, statusCode])).toEqual(
        [1, 2, 3].map(() => ['OPTIONS', 404]),
      );
    });

    test('cannot read by fetch, image or script', async () => {
      const place = `/graphql?query=${encodeURIComponent(VIEWER)}`;
      const seen = await run(
        `const place = url + ${JSON.stringify(place)};
         const read = await fetch(place, { credentials: 'include' }).then((answer) => answer.text(), () => 'refused');
         const load = (tag) => new Promise((resolve) => {
           const element = document.createElement(tag);
           element.onload = () => resolve('loaded');
           element.onerror = () => resolve('refused');
           element.src = place;
           document.body.append(element);
         });
         return [read, await load('img'), await load('script')]`,
      );
      expect(seen).toEqual(['refused', 'refused', 'refused']);
      await hasAnswered('GET', 3);
      // Without the cookie it is a guest’s question, whose answer the page is not shown either.
      const refused = statuses('GET').filter((status) => status !== 200);
      expect(refused.every((status) => status === 403)).toBe(true);
      expect(refused).toHaveLength(isSameSite ? 3 : refused.length);
      expect(cookieCame()).toBe(isSameSite);
    });

    test('cannot listen by EventSource', async () => {
      const place = `/graphql?query=${encodeURIComponent(LIVE)}`;
      const seen = await run(
        `const source = new EventSource(url + ${JSON.stringify(place)}, { withCredentials: true });
         return new Promise((resolve) => {
           source.onopen = () => resolve('open');
           source.onerror = () => { source.close(); resolve('refused'); };
         })`,
      );
      expect(seen).toBe('refused');
      await until(() => statuses('GET').length === 1);
      expect(statuses('GET')).toEqual([403]);
      expect(cookieCame()).toBe(isSameSite);
    });

    test('gets no socket', async () => {
      const seen = await run(
        `const socket = new WebSocket(url.replace('http', 'ws') + '/graphql', 'graphql-transport-ws');
         return new Promise((resolve) => {
           socket.onopen = () => resolve('open');
           socket.onclose = ({ code }) => resolve(code);
         })`,
      );
      expect(seen).toBe(1006);
      expect(cookieCame()).toBe(isSameSite);
    });

    test('cannot act by sending its visitor to an address', async () => {
      for (const query of [STEAL, SIGN_OUT, VIEWER]) {
        await page.goto(originOf(evil));
        const arrival = page.waitForURL(`${naru.url}/**`);
        const place = `/graphql?query=${encodeURIComponent(query)}`;
        await run(`setTimeout(() => { location.href = url + ${JSON.stringify(place)} })`);
        await arrival;
        expect(await page.locator('body').innerText()).not.toMatch(/alice|"data"/);
      }
      await hasAnswered('GET', 3);
      expect(statuses('GET')).toEqual([403, 403, 403]);
      // Such a visit carries the cookie from everywhere: that is what Lax means.
      expect(cookieCame()).toBe(true);
    });

    test.each(['/account', '/graphql', '/auth/github'])('cannot frame %s', async (path) => {
      await run(
        `const frame = document.createElement('iframe');
         frame.src = url + '${path}';
         document.body.append(frame);
         return new Promise((resolve) => { frame.onload = resolve; })`,
      );
      await until(
        () => page.mainFrame().childFrames()[0]?.url() === 'chrome-error://chromewebdata/',
      );
      // The page in it has not run: it would ask who is signed in.
      expect(statuses('POST')).toEqual([]);
    });

    test('keeps no hold of the account page that it opens', async () => {
      const popup = page.waitForEvent('popup');
      const held = await run(
        `window.opened = window.open(url + '/account');
         return new Promise((resolve) => {
           const look = () => (window.opened.closed ? resolve('nothing') : setTimeout(look, 5));
           look();
         })`,
      );
      expect(held).toBe('nothing');
      const opened = await popup;
      await opened.getByRole('heading', { name: 'Alice' }).waitFor();
      expect(await opened.evaluate('window.opener')).toBeNull();
      await opened.close();
    });

    test('cannot write the cookie by script', async () => {
      const planted = `__Host-naru=${'a'.repeat(43)}; Path=/; Secure`;
      expect(await run(`document.cookie = '${planted}'; return document.cookie`)).not.toContain(
        secret,
      );
      expect(await secretOf(victim)).toBe(secret);
      await victim.clearCookies({ domain: 'localhost' });
    });
  });

  describe('that is allowed', () => {
    const ask = (query: string) =>
      run(
        `return fetch(url + '/graphql', { method: 'POST', credentials: 'include',
           headers: { 'content-type': 'application/json', 'x-naru-csrf': '1' },
           body: ${JSON.stringify(JSON.stringify({ query }))} }).then((answer) => answer.json())`,
      );

    test('and of the same site, asks by fetch as who is signed in', async () => {
      await page.goto(friend.sameSite);
      expect(await ask(VIEWER)).toEqual({ data: { viewer: { username: 'alice' } } });
    });

    test('and of the same site, has a socket and event streams as who is signed in', async () => {
      await page.goto(friend.sameSite);
      const seen = await run(
        `const socket = new WebSocket(url.replace('http', 'ws') + '/graphql', 'graphql-transport-ws');
         const frames = [];
         await new Promise((resolve) => {
           socket.onopen = () => socket.send(JSON.stringify({ type: 'connection_init' }));
           socket.onclose = resolve;
           socket.onmessage = ({ data }) => {
             const frame = JSON.parse(data);
             frames.push(frame.payload?.data ?? frame.type);
             if (frame.type === 'connection_ack') {
               socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: '${VIEWER}' } }));
             }
             if (frame.type === 'complete') socket.close();
           };
         });
         return frames`,
      );
      expect(seen).toEqual(['connection_ack', { viewer: { username: 'alice' } }, 'complete']);
      const place = `/graphql?query=${encodeURIComponent(VIEWER)}`;
      const event = await run(
        `const source = new EventSource(url + ${JSON.stringify(place)}, { withCredentials: true });
         return new Promise((resolve) => {
           source.addEventListener('next', ({ data }) => { source.close(); resolve(JSON.parse(data)); });
           source.onerror = () => { source.close(); resolve('refused'); };
         })`,
      );
      expect(event).toEqual({ data: { viewer: { username: 'alice' } } });
      await until(
        async () => (await naru.app.metrics.websocketConnections.get()).values[0]?.value === 0,
      );
    });

    test('and of another site, may ask, but the browser keeps the cookie to itself', async () => {
      await page.goto(friend.crossSite);
      expect(await ask(VIEWER)).toEqual({ data: { viewer: null } });
    });
  });
});
