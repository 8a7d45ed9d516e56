import { randomInt } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { deriveKey } from '#lib/derive-key.ts';
import { decodeGlobalId } from '#lib/global-id.ts';
import { seal } from '#lib/seal.ts';
import { reportRefusedGitHubToken, useGitHubToken } from '#resolvers/users/github-link.ts';
import { openSession } from '#resolvers/users/session.ts';
import { type GitHubStandIn, type Person, startGitHub } from '../support/github.ts';
import { post, type Result, until } from '../support/graphql-client.ts';
import { passTime } from '../support/inbox.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';

const PUBLIC_URL = 'https://naru.test';
const APP_ORIGIN = 'https://app.naru.test';
const SESSION = '__Host-naru';
const BINDING = '__Host-naru-oauth';

let standIn: GitHubStandIn;
let naru: TestNaru;
const lines: string[] = [];
/** What Naru itself gave out to browsers. */
const given = new Set<string>();

beforeAll(async () => {
  standIn = await startGitHub({ publicUrl: PUBLIC_URL });
  naru = await open(standIn);
});
afterAll(async () => {
  await naru.close();
  await standIn.close();
});
afterEach(async () => {
  standIn.trouble = null;
  standIn.meanwhile = null;
  expect(standIn.faults.splice(0)).toEqual([]);
  await naru.app.database.query('DELETE FROM clock_offset');
});

function open(github: GitHubStandIn, settings: Readonly<Record<string, string>> = {}) {
  return startNaru({
    runsJobs: false,
    logTo: (line) => lines.push(JSON.stringify(line)),
    settings: {
      ...github.settings,
      ALLOWED_ORIGINS: APP_ORIGIN,
      // So that each browser has an address, and limits, of its own.
      TRUSTED_PROXIES: '127.0.0.1',
      ...settings,
    },
  });
}

/** A browser as far as it matters here: it keeps cookies, and says where it comes from. */
function openBrowser(to: TestNaru = naru) {
  const cookies = new Map<string, string>();
  const lastSet: string[] = [];
  const address = `10.${randomInt(256)}.${randomInt(256)}.${randomInt(256)}`;
  const send = async (path: string, init: RequestInit = {}) => {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(`${to.url}${path}`, {
      ...init,
      redirect: 'manual',
      headers: {
        'x-forwarded-for': address,
        ...(cookie !== '' && { cookie }),
        ...(init.headers as Record<string, string>),
      },
    });
    lastSet.splice(0, lastSet.length, ...response.headers.getSetCookie());
    for (const line of lastSet) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (line.includes('Max-Age=0')) cookies.delete(name);
      else cookies.set(name, value);
      if (value !== '') given.add(value);
    }
    return response;
  };
  const browser = {
    cookies,
    lastSet,
    visit: (path: string, headers: Record<string, string> = {}) => send(path, { headers }),
    /** Off to GitHub: where it sends us. */
    async start(query = '', headers: Record<string, string> = {}): Promise<string> {
      const response = await browser.visit(`/auth/github${query}`, headers);
      expect([response.status, await response.text()]).toEqual([302, '']);
      const location = response.headers.get('location') ?? '';
      given.add(new URL(location).searchParams.get('state') ?? 'none');
      return location;
    },
    /** Back from GitHub, which names our public address. */
    arrive: (back: URL) => browser.visit(back.pathname + back.search),
    /** There and back: where it ends. */
    async signIn(id: number, query = '', github = standIn): Promise<string | null> {
      const back = await github.authorize(await browser.start(query), id);
      const response = await browser.arrive(back);
      expect([response.status, await response.text()]).toEqual([303, '']);
      return response.headers.get('location');
    },
    /** As a page of ours links, which is to be trusted. */
    async link(id: number, query = ''): Promise<string | null> {
      const location = await browser.start(`?link=1&returnTo=/account${query}`, FROM_OUR_PAGE);
      const response = await browser.arrive(await standIn.authorize(location, id));
      return response.headers.get('location');
    },
    async query(query: string): Promise<Result> {
      const response = await send('/graphql', {
        method: 'POST',
        body: JSON.stringify({ query }),
        headers: {
          'content-type': 'application/json',
          origin: PUBLIC_URL,
          'x-naru-csrf': '1',
        },
      });
      return (await response.json()) as Result;
    },
    async viewer() {
      const { data, errors } = await browser.query(
        `{ viewer { id username displayName avatarUrl email roles
             githubAccount { login githubId state linkedAt } } }`,
      );
      expect(errors).toBeUndefined();
      return data.viewer;
    },
  };
  return browser;
}

const FROM_OUR_PAGE = { 'sec-fetch-site': 'same-origin' };

let people = 0;
/** Somebody at GitHub whom no test has met. */
function newPerson(changes: Partial<Person> = {}): Person {
  people += 1;
  const person = { id: 1_000 + people, login: `Person-${people}`, ...changes };
  standIn.put(person);
  return person;
}

/** A browser in which an account that exists already has signed in, with its password. */
async function signedInBrowser(username: string, to: TestNaru = naru) {
  const [user] = await to.app.database.query<{ id: string }>(
    'SELECT id FROM users WHERE username = $1',
    [username],
  );
  const userId = user?.id ?? '';
  const client = { ipAddress: '127.0.0.1', userAgent: null };
  const { secret } = await to.app.database.transaction((sql) =>
    openSession(sql, to.app.config, { userId, transport: 'COOKIE', client }),
  );
  const browser = openBrowser(to);
  browser.cookies.set(SESSION, secret ?? '');
  return { browser, userId };
}

async function newAccount(username: string, columns: Readonly<Record<string, unknown>> = {}) {
  await naru.app.prisma.user.create({
    data: {
      id: crypto.randomUUID(),
      username,
      displayName: username,
      roles: ['USER'],
      ...columns,
    },
  });
  return signedInBrowser(username);
}

async function countUsers(): Promise<number> {
  return naru.app.prisma.user.count();
}

async function auditOf(userId: string): Promise<string[]> {
  const rows = await naru.app.database.query<{ action: string }>(
    'SELECT action FROM audit_entry WHERE actor_id = $1 ORDER BY id',
    [userId],
  );
  return rows.map(({ action }) => action);
}

async function problemOf(response: Response) {
  const { error } = (await response.json()) as { error: Record<string, unknown> };
  return { status: response.status, code: error['code'], field: error['field'] };
}

test('somebody new gets an account, a session by cookie, and nothing in the URL', async () => {
  const emails = [{ email: 'New.Person@Example.com', primary: true, verified: true }];
  const person = newPerson({ login: 'New-Person', name: 'New Person', emails });
  const browser = openBrowser();
  expect(await browser.signIn(person.id, '?returnTo=/welcome?a=1')).toBe('/welcome?a=1');
  expect(await browser.viewer()).toMatchObject({
    username: 'new-person',
    displayName: 'New Person',
    avatarUrl: `https://avatars.test/u/${person.id}`,
    email: 'new.person@example.com',
    roles: ['USER'],
    githubAccount: { login: 'New-Person', githubId: String(person.id), state: 'LINKED' },
  });
  const user = await naru.app.prisma.user.findUniqueOrThrow({ where: { username: 'new-person' } });
  expect(user.emailVerifiedAt).not.toBeNull();
  expect(await auditOf(user.id)).toEqual(['ACCOUNT_CREATED', 'GITHUB_LINKED', 'SIGNED_IN']);
});

test('the cookies are for this host, over TLS, and for no script', async () => {
  const person = newPerson();
  const browser = openBrowser();
  const location = await browser.start('?returnTo=/');
  const attributes = 'Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure';
  expect(browser.lastSet).toEqual([`${BINDING}=${browser.cookies.get(BINDING)}; ${attributes}`]);
  await browser.arrive(await standIn.authorize(location, person.id));
  expect([...browser.cookies.keys()]).toEqual([SESSION]);
  expect(browser.lastSet.find((line) => line.startsWith(`${SESSION}=`))).toMatch(
    /; Path=\/; Max-Age=604800; HttpOnly; SameSite=Lax; Secure$/,
  );
});

test('state, challenge and cookie are 256 bits each, and PostgreSQL holds none of them', async () => {
  const browser = openBrowser();
  const { searchParams } = new URL(await browser.start('?returnTo=/'));
  const state = searchParams.get('state') ?? '';
  const binding = browser.cookies.get(BINDING) ?? '';
  for (const secret of [state, binding]) {
    expect(Buffer.from(secret, 'base64url')).toHaveLength(32);
    const found = await naru.app.database.query(
      'SELECT id FROM one_time_token WHERE one_time_token::text LIKE $1',
      [`%${secret}%`],
    );
    expect(found).toEqual([]);
  }
});

test('who is known by GitHub’s number gets into the same account again', async () => {
  const person = newPerson();
  const first = openBrowser();
  await first.signIn(person.id);
  const second = openBrowser();
  await second.signIn(person.id);
  const { id } = await first.viewer();
  expect((await second.viewer()).id).toBe(id);
});

test('whoever once agreed to show private repositories goes on showing them after a plain sign-in', async () => {
  const person = newPerson();
  const browser = openBrowser();
  await browser.signIn(person.id, '?repositories=private');
  const id = decodeGlobalId((await browser.viewer()).id).id;
  const shown = await useGitHubToken(naru.app, id);
  await openBrowser().signIn(person.id);
  expect(await useGitHubToken(naru.app, id)).toBe(shown);
  // And whoever agrees later shows them from then on.
  const other = newPerson();
  const plain = openBrowser();
  await plain.signIn(other.id);
  const otherId = decodeGlobalId((await plain.viewer()).id).id;
  const before = await useGitHubToken(naru.app, otherId);
  await openBrowser().signIn(other.id, '?repositories=private');
  expect(await useGitHubToken(naru.app, otherId)).not.toBe(before);
});

test('session fixation: a session id that the browser came with is not taken on', async () => {
  const browser = openBrowser();
  const planted = 'A'.repeat(43);
  browser.cookies.set(SESSION, planted);
  await browser.signIn(newPerson().id);
  expect(browser.cookies.get(SESSION)).not.toBe(planted);
});

test.each([
  ['missing', (back: URL) => back.searchParams.delete('state')],
  ['foreign', (back: URL) => back.searchParams.set('state', 'B'.repeat(43))],
  ['cut', (back: URL) => back.searchParams.set('state', 'short')],
])('a %s state is refused', async (_name, spoil) => {
  const person = newPerson();
  const browser = openBrowser();
  const back = await standIn.authorize(await browser.start(), person.id);
  const spoiled = new URL(back);
  spoil(spoiled);
  const refused = { status: 400, code: 'INVALID_INPUT', field: 'state' };
  expect(await problemOf(await browser.arrive(spoiled))).toEqual(refused);
  expect(browser.cookies.has(SESSION)).toBe(false);
  // Who sends nonsense to somebody’s browser does not even interrupt them.
  expect((await browser.arrive(back)).status).toBe(303);
});

test('a state that was used is refused', async () => {
  const person = newPerson();
  const browser = openBrowser();
  const back = await standIn.authorize(await browser.start(), person.id);
  const binding = browser.cookies.get(BINDING) ?? '';
  expect((await browser.arrive(back)).status).toBe(303);
  browser.cookies.set(BINDING, binding);
  expect(await problemOf(await browser.arrive(back))).toMatchObject({
    status: 400,
    field: 'state',
  });
});

test('20 callbacks of one state at once: one signs in', async () => {
  const person = newPerson();
  const browser = openBrowser();
  const back = await standIn.authorize(await browser.start(), person.id);
  const before = await countUsers();
  const cookie = `${BINDING}=${browser.cookies.get(BINDING)}`;
  const answers = await Promise.all(
    Array.from({ length: 20 }, () =>
      fetch(naru.url + back.pathname + back.search, { headers: { cookie }, redirect: 'manual' }),
    ),
  );
  const statuses = answers.map(({ status }) => status).toSorted((left, right) => left - right);
  expect(statuses).toEqual([303, ...Array.from({ length: 19 }, () => 400)]);
  expect(await countUsers()).toBe(before + 1);
});

test('two browsers of one new person at once: one account', async () => {
  const person = newPerson();
  const browsers = Array.from({ length: 8 }, () => openBrowser());
  await Promise.all(browsers.map((browser) => browser.signIn(person.id)));
  const viewers = await Promise.all(browsers.map((browser) => browser.viewer()));
  expect(new Set(viewers.map(({ id }) => id)).size).toBe(1);
});

test('a state is over after ten minutes', async () => {
  const person = newPerson();
  const browser = openBrowser();
  const back = await standIn.authorize(await browser.start(), person.id);
  await passTime(naru, 601);
  expect(await problemOf(await browser.arrive(back))).toMatchObject({
    status: 400,
    field: 'state',
  });
});

test('login CSRF: a state counts only in the browser that it was given to', async () => {
  const attacker = openBrowser();
  const back = await standIn.authorize(await attacker.start(), newPerson().id);
  const victim = openBrowser();
  expect(await problemOf(await victim.arrive(back))).toMatchObject({ status: 400, field: 'state' });
  // Not even where the victim is on its own way to GitHub.
  await victim.start();
  expect(await problemOf(await victim.arrive(back))).toMatchObject({ status: 400, field: 'state' });
  expect(victim.cookies.has(SESSION)).toBe(false);
  expect((await attacker.arrive(back)).status).toBe(303);
});

test('cookie tossing: of two binding cookies none counts', async () => {
  const browser = openBrowser();
  const back = await standIn.authorize(await browser.start(), newPerson().id);
  const binding = browser.cookies.get(BINDING);
  const response = await fetch(naru.url + back.pathname + back.search, {
    headers: { cookie: `${BINDING}=${'C'.repeat(43)}; ${BINDING}=${binding}` },
    redirect: 'manual',
  });
  expect(await problemOf(response)).toMatchObject({ status: 400, field: 'state' });
});

test('code replay: a code that was exchanged once signs nobody in again', async () => {
  const person = newPerson();
  const first = openBrowser();
  const used = await standIn.authorize(await first.start(), person.id);
  await first.arrive(used);
  const second = openBrowser();
  const back = await standIn.authorize(await second.start(), person.id);
  back.searchParams.set('code', used.searchParams.get('code') ?? '');
  const response = await second.arrive(back);
  expect(response.headers.get('location')).toBe('/?error=github_refused');
  expect(second.cookies.has(SESSION)).toBe(false);
});

test('PKCE downgrade: a code that was asked for without our challenge is refused', async () => {
  const browser = openBrowser();
  const location = new URL(await browser.start());
  location.searchParams.delete('code_challenge');
  location.searchParams.delete('code_challenge_method');
  const back = await standIn.authorize(location.href, newPerson().id);
  const response = await browser.arrive(back);
  expect(response.headers.get('location')).toBe('/?error=github_refused');
  expect(standIn.faults.splice(0)).toEqual(['the challenge is not S256', 'there is no challenge']);
});

test('code injection: another’s code does not fit our verifier', async () => {
  const [attacker, victim] = [openBrowser(), openBrowser()];
  const stolen = await standIn.authorize(await attacker.start(), newPerson().id);
  const back = await standIn.authorize(await victim.start(), newPerson().id);
  back.searchParams.set('code', stolen.searchParams.get('code') ?? '');
  expect((await victim.arrive(back)).headers.get('location')).toBe('/?error=github_refused');
  expect(victim.cookies.has(SESSION)).toBe(false);
});

test('mix-up: an answer that another authorization server signs with its name is refused', async () => {
  const browser = openBrowser();
  const back = await standIn.authorize(await browser.start(), newPerson().id);
  back.searchParams.set('iss', 'https://evil.example/login/oauth');
  const exchanges = standIn.calls.filter((call) => call.startsWith('POST')).length;
  expect((await browser.arrive(back)).headers.get('location')).toBe('/?error=github_refused');
  // The code did not leave us.
  expect(standIn.calls.filter((call) => call.startsWith('POST'))).toHaveLength(exchanges);
});

test('a code or token of another OAuth application signs nobody in', async () => {
  const person = newPerson();
  const browser = openBrowser();
  const location = new URL(await browser.start());
  location.searchParams.set('client_id', 'Iv1.another');
  const back = await standIn.authorize(location.href, person.id);
  expect((await browser.arrive(back)).headers.get('location')).toBe('/?error=github_refused');

  const other = openBrowser();
  const withToken = await standIn.authorize(await other.start(), person.id);
  withToken.searchParams.delete('code');
  withToken.searchParams.set('access_token', 'gho_of_another');
  expect((await other.arrive(withToken)).headers.get('location')).toBe('/?error=github_refused');
  expect(other.cookies.has(SESSION)).toBe(false);
});

test('who says no at GitHub is sent back with access_denied', async () => {
  const browser = openBrowser();
  const location = await browser.start('?returnTo=/sign-in?tab=1');
  const response = await browser.arrive(await standIn.authorize(location, newPerson().id, 'deny'));
  expect([response.status, response.headers.get('location')]).toEqual([
    303,
    '/sign-in?tab=1&error=access_denied',
  ]);
  expect(browser.cookies.size).toBe(0);
});

test.each([
  '//evil.example',
  '/\\evil.example',
  '\\\\evil.example',
  '/%2f/evil.example',
  '/%5cevil.example',
  '/%252fevil.example',
  '/\t/evil.example',
  '/a\r\nset-cookie: a=b',
  'https://evil.example/',
  `${APP_ORIGIN}@evil.example/`,
  `https://user@app.naru.test/`,
  `${APP_ORIGIN}.evil.example/`,
  'javascript:alert(1)',
])('open redirect: returnTo=%j is refused before anything begins', async (returnTo) => {
  const response = await openBrowser().visit(
    `/auth/github?returnTo=${encodeURIComponent(returnTo)}`,
  );
  expect(await problemOf(response)).toEqual({
    status: 400,
    code: 'INVALID_INPUT',
    field: 'returnTo',
  });
  expect(response.headers.getSetCookie()).toEqual([]);
});

test('two returnTo are none; a page of an allowed origin is one', async () => {
  const twice = await openBrowser().visit('/auth/github?returnTo=/a&returnTo=/b');
  expect(await problemOf(twice)).toMatchObject({ status: 400, field: 'returnTo' });
  const query = `?returnTo=${encodeURIComponent(`${APP_ORIGIN}/done?x=1`)}`;
  expect(await openBrowser().signIn(newPerson().id, query)).toBe(`${APP_ORIGIN}/done?x=1`);
});

test('account takeover by e-mail: an address that an account has is never a way into it', async () => {
  const username = `owner-${randomInt(1e9)}`;
  const email = `${username}@example.com`;
  await newAccount(username, { email, emailVerifiedAt: new Date() });
  for (const verified of [false, true]) {
    const person = newPerson({ emails: [{ email, primary: true, verified }] });
    const browser = openBrowser();
    await browser.signIn(person.id);
    const viewer = await browser.viewer();
    expect(viewer.username).not.toBe(username);
    expect(viewer.email).toBeNull();
  }
});

test('an address that GitHub has not verified is left out', async () => {
  const emails = [{ email: 'unverified@example.com', primary: true, verified: false }];
  const browser = openBrowser();
  await browser.signIn(newPerson({ emails }).id);
  expect((await browser.viewer()).email).toBeNull();
});

test('a login that was renamed is the same account, and who takes it over is another', async () => {
  const person = newPerson({ login: 'renamed-one' });
  const before = openBrowser();
  await before.signIn(person.id);
  const { id } = await before.viewer();
  standIn.put({ ...person, login: 'renamed-two' });
  const recycler = newPerson({ login: 'renamed-one' });
  const after = openBrowser();
  await after.signIn(person.id);
  expect(await after.viewer()).toMatchObject({ id, githubAccount: { login: 'renamed-two' } });
  const other = openBrowser();
  await other.signIn(recycler.id);
  const stranger = await other.viewer();
  expect(stranger.id).not.toBe(id);
  expect(stranger.username).toMatch(/^renamed-one-[0-9a-f]{6}$/);
});

test('a login of other characters becomes a username of ours', async () => {
  for (const login of ['x', '_', 'Ann_corp', 'a'.repeat(39)]) {
    const browser = openBrowser();
    await browser.signIn(newPerson({ login, name: '\u202e' }).id);
    expect(await browser.viewer()).toMatchObject({
      username: expect.stringMatching(/^[a-z0-9][a-z0-9._-]{1,30}[a-z0-9]$/),
      displayName: login,
    });
  }
});

test('a disabled account gets no session, and what GitHub gave is given back', async () => {
  const person = newPerson();
  const browser = openBrowser();
  await browser.signIn(person.id);
  const { username } = await browser.viewer();
  const kept = standIn.liveTokens(person.id);
  await naru.app.prisma.user.update({ where: { username }, data: { disabledAt: new Date() } });
  const again = openBrowser();
  expect(await again.signIn(person.id)).toBe('/?error=account_disabled');
  expect(again.cookies.has(SESSION)).toBe(false);
  expect(standIn.liveTokens(person.id)).toEqual(kept);
});

test.each(['closed', 'invite'])('with SIGNUP=%s nobody new gets in', async (policy) => {
  const shut = await open(standIn, { SIGNUP: policy });
  const person = newPerson();
  const before = await shut.app.prisma.user.count();
  expect(await openBrowser(shut).signIn(person.id)).toBe('/?error=signup_closed');
  expect(await shut.app.prisma.user.count()).toBe(before);
  expect(standIn.liveTokens(person.id)).toEqual([]);
  await shut.close();
});

test('an account with a fresh session links its GitHub account, and signs in with it', async () => {
  const person = newPerson();
  const { browser, userId } = await newAccount(`linker-${randomInt(1e9)}`);
  const { id } = await browser.viewer();
  const session = browser.cookies.get(SESSION);
  expect(await browser.link(person.id)).toBe('/account');
  expect(browser.cookies.get(SESSION)).toBe(session);
  expect((await browser.viewer()).githubAccount).toMatchObject({ githubId: String(person.id) });
  expect(await auditOf(userId)).toEqual(['GITHUB_LINKED']);
  const elsewhere = openBrowser();
  await elsewhere.signIn(person.id);
  expect((await elsewhere.viewer()).id).toBe(id);
});

test.each([
  ['a page of somebody else', { 'sec-fetch-site': 'cross-site' }],
  [
    'a page of a sibling host',
    { 'sec-fetch-site': 'same-site', referer: 'https://evil.naru.test/' },
  ],
  ['a page that hides', {}],
  ['a page that names itself alike', { referer: `${PUBLIC_URL}.evil.example/` }],
])('linking attacker’s GitHub to victim: %s cannot begin it', async (_name, headers) => {
  const { browser } = await newAccount(`victim-${randomInt(1e9)}`);
  const response = await browser.visit('/auth/github?link=1&returnTo=/', headers);
  expect(await problemOf(response)).toMatchObject({ status: 403, code: 'FORBIDDEN' });
  expect(browser.cookies.has(BINDING)).toBe(false);
});

test('linking attacker’s GitHub to victim: a page of an allowed origin may begin it', async () => {
  const { browser } = await newAccount(`victim-${randomInt(1e9)}`);
  const headers = { 'sec-fetch-site': 'same-site', referer: `${APP_ORIGIN}/` };
  await browser.start('?link=1&returnTo=/', headers);
});

test('linking attacker’s GitHub to victim: the attacker’s way back counts in no other browser', async () => {
  const { browser: attacker } = await newAccount(`attacker-${randomInt(1e9)}`);
  const { browser: victim } = await newAccount(`victim-${randomInt(1e9)}`);
  const location = await attacker.start('?link=1&returnTo=/', FROM_OUR_PAGE);
  const back = await standIn.authorize(location, newPerson().id);
  expect(await problemOf(await victim.arrive(back))).toMatchObject({ status: 400 });
  // And were the cookie planted as well, the session would be another.
  victim.cookies.set(BINDING, attacker.cookies.get(BINDING) ?? '');
  expect((await victim.arrive(back)).headers.get('location')).toBe('/?error=session_ended');
  expect((await victim.viewer()).githubAccount).toBeNull();
});

test('linking needs a session by cookie that is fresh', async () => {
  const guest = await openBrowser().visit('/auth/github?link=1', FROM_OUR_PAGE);
  expect(await problemOf(guest)).toMatchObject({ status: 401, code: 'UNAUTHENTICATED' });
  const token = await naru.tokenFor('alice');
  const byToken = await openBrowser().visit('/auth/github?link=1', {
    ...FROM_OUR_PAGE,
    authorization: `Bearer ${token}`,
  });
  expect(await problemOf(byToken)).toMatchObject({ status: 401 });
  const { browser } = await newAccount(`stale-${randomInt(1e9)}`);
  await passTime(naru, 16 * 60);
  const stale = await browser.visit('/auth/github?link=1', FROM_OUR_PAGE);
  expect(await problemOf(stale)).toMatchObject({ status: 403, code: 'FORBIDDEN' });
});

test('a session that ended on the way links nothing', async () => {
  const person = newPerson();
  const { browser, userId } = await newAccount(`leaver-${randomInt(1e9)}`);
  const location = await browser.start('?link=1&returnTo=/', FROM_OUR_PAGE);
  const back = await standIn.authorize(location, person.id);
  await naru.app.database.query('UPDATE session SET ended_at = naru_now() WHERE user_id = $1', [
    userId,
  ]);
  expect((await browser.arrive(back)).headers.get('location')).toBe('/?error=session_ended');
  expect(await naru.app.prisma.gitHubAccount.count({ where: { userId } })).toBe(0);
  expect(standIn.liveTokens(person.id)).toEqual([]);
});

test('a session that ends while GitHub is asked links nothing', async () => {
  const person = newPerson();
  const { browser, userId } = await newAccount(`leaver-${randomInt(1e9)}`);
  const end = 'UPDATE session SET ended_at = naru_now() WHERE user_id = $1';
  standIn.meanwhile = { path: '/user', run: () => naru.app.database.query(end, [userId]) };
  expect(await browser.link(person.id)).toBe('/account?error=session_ended');
  expect(await naru.app.prisma.gitHubAccount.count({ where: { userId } })).toBe(0);
});

test('an account that is disabled while GitHub is asked gets no session', async () => {
  const person = newPerson();
  const browser = openBrowser();
  await browser.signIn(person.id);
  const { username } = await browser.viewer();
  const disable = 'UPDATE users SET disabled_at = naru_now() WHERE username = $1';
  standIn.meanwhile = { path: '/user', run: () => naru.app.database.query(disable, [username]) };
  expect(await openBrowser().signIn(person.id)).toBe('/?error=account_disabled');
});

test('a GitHub account belongs to one account, and an account has one', async () => {
  const [mine, taken] = [newPerson(), newPerson()];
  await openBrowser().signIn(taken.id);
  const kept = standIn.liveTokens(taken.id);
  const { browser } = await newAccount(`greedy-${randomInt(1e9)}`);
  expect(await browser.link(taken.id)).toBe('/account?error=already_linked');
  expect(standIn.liveTokens(taken.id)).toEqual(kept);
  expect(await browser.link(mine.id)).toBe('/account');
  expect(await browser.link(newPerson().id)).toBe('/account?error=unlink_first');
  // The same again renews the link.
  expect(await browser.link(mine.id)).toBe('/account');
});

const UNLINK = `mutation { unlinkGitHub { __typename ... on Error { code }
  ... on GitHubUnlinked { user { githubAccount { login } } } } }`;

test('unlinking takes every token at GitHub along, and needs another way in', async () => {
  const person = newPerson();
  const browser = openBrowser();
  await browser.signIn(person.id);
  const { username } = await browser.viewer();
  expect((await browser.query(UNLINK)).data.unlinkGitHub).toMatchObject({ code: 'CONFLICT' });
  const { id } = await naru.app.prisma.user.findUniqueOrThrow({ where: { username } });
  await naru.app.prisma.password.create({ data: { userId: id, hash: 'no password' } });
  expect((await browser.query(UNLINK)).data.unlinkGitHub).toEqual({
    __typename: 'GitHubUnlinked',
    user: { githubAccount: null },
  });
  expect(standIn.liveTokens(person.id)).toEqual([]);
  expect((await browser.query(UNLINK)).data.unlinkGitHub).toMatchObject({ code: 'NOT_FOUND' });
  expect((await auditOf(id)).at(-1)).toBe('GITHUB_UNLINKED');
});

test('unlinking works while GitHub is away', async () => {
  const person = newPerson();
  const { browser, userId } = await newAccount(`unlinker-${randomInt(1e9)}`);
  await naru.app.prisma.password.create({ data: { userId, hash: 'no password' } });
  await browser.link(person.id);
  standIn.trouble = { path: '', kind: 'error' };
  expect((await browser.query(UNLINK)).data.unlinkGitHub.__typename).toBe('GitHubUnlinked');
});

test('a personal access token unlinks nothing, and sees the link of its own account', async () => {
  const token = await naru.tokenFor('alice');
  const { result } = await post(naru.url, { query: UNLINK }, token);
  const refused = result.data?.unlinkGitHub?.code ?? result.errors?.[0]?.extensions.code;
  expect(refused).toBe('FORBIDDEN');
  const own = await post(naru.url, { query: '{ viewer { githubAccount { login } } }' }, token);
  expect(own.result).toEqual({ data: { viewer: { githubAccount: null } } });
});

test('GitHub is away on the way back: UNAVAILABLE, and no half-made account', async () => {
  for (const path of ['/access_token', '/user', '/emails']) {
    const person = newPerson();
    const browser = openBrowser();
    const back = await standIn.authorize(await browser.start(), person.id);
    const before = await countUsers();
    standIn.trouble = { path, kind: 'error' };
    const response = await browser.arrive(back);
    expect(response.headers.get('retry-after')).not.toBeNull();
    expect(await problemOf(response)).toMatchObject({ status: 503, code: 'UNAVAILABLE' });
    expect(await countUsers()).toBe(before);
    expect(browser.cookies.has(SESSION)).toBe(false);
    standIn.trouble = null;
    expect(await browser.signIn(person.id)).toBe('/');
  }
});

test('nobody begins without end: the 101st start of a network in ten minutes waits', async () => {
  const browser = openBrowser();
  for (let start = 0; start < 100; start += 1) await browser.start();
  const response = await browser.visit('/auth/github');
  expect(await problemOf(response)).toMatchObject({ status: 429, code: 'RATE_LIMITED' });
  await openBrowser().start();
});

test('an OAuth App’s token is used as long as GitHub takes it; refused, the link is BROKEN', async () => {
  const person = newPerson();
  const browser = openBrowser();
  await browser.signIn(person.id);
  const { username } = await browser.viewer();
  const { id: userId } = await naru.app.prisma.user.findUniqueOrThrow({ where: { username } });
  const accessToken = (await useGitHubToken(naru.app, userId)) ?? '';
  expect(standIn.liveTokens(person.id)).toEqual([accessToken]);
  await reportRefusedGitHubToken(naru.app, { userId, accessToken: 'gho_an_earlier_one' });
  expect(await useGitHubToken(naru.app, userId)).toBe(accessToken);
  await reportRefusedGitHubToken(naru.app, { userId, accessToken });
  expect(await useGitHubToken(naru.app, userId)).toBeNull();
  expect((await browser.viewer()).githubAccount.state).toBe('BROKEN');
  await openBrowser().signIn(person.id);
  expect((await browser.viewer()).githubAccount.state).toBe('LINKED');
});

test('tokens are sealed, each for its own row', async () => {
  const [one, two] = [newPerson(), newPerson()];
  for (const { id } of [one, two]) await openBrowser().signIn(id);
  const rows = await naru.app.prisma.gitHubAccount.findMany({
    where: { githubId: { in: [BigInt(one.id), BigInt(two.id)] } },
  });
  const [mine, theirs] = rows;
  if (mine === undefined || theirs === undefined) throw new Error('Both are linked');
  const token = standIn.liveTokens(Number(mine.githubId))[0] ?? '';
  expect(Buffer.from(mine.accessTokenSealed).includes(token)).toBe(false);
  expect(await useGitHubToken(naru.app, mine.userId)).toBe(token);
  // Somebody with write access to the table moves a token to another account.
  await naru.app.prisma.gitHubAccount.update({
    where: { id: theirs.id },
    data: { accessTokenSealed: mine.accessTokenSealed },
  });
  expect(await useGitHubToken(naru.app, theirs.userId)).toBeNull();
});

test('tokens sealed under another SECRET_KEY: the link is BROKEN', async () => {
  const person = newPerson();
  await openBrowser().signIn(person.id);
  const link = await naru.app.prisma.gitHubAccount.findUniqueOrThrow({
    where: { githubId: BigInt(person.id) },
  });
  const key = deriveKey('another key, of thirty-two characters', 'github');
  await naru.app.prisma.gitHubAccount.update({
    where: { id: link.id },
    data: { accessTokenSealed: seal(key, 'gho_x', link.id) },
  });
  expect(await useGitHubToken(naru.app, link.userId)).toBeNull();
  const { state } = await naru.app.prisma.gitHubAccount.findUniqueOrThrow({
    where: { id: link.id },
  });
  expect(state).toBe('BROKEN');
});

test('refreshes that GitHub keeps waiting leave PostgreSQL to everybody else', async () => {
  const { app } = naru;
  const ids = Array.from({ length: 14 }, () => newPerson().id);
  for (const id of ids) await openBrowser().signIn(id);
  const links = await app.prisma.gitHubAccount.findMany({
    where: { githubId: { in: ids.map(BigInt) } },
  });
  for (const { id, userId } of links) {
    const refreshTokenSealed = seal(deriveKey(app.config.secretKey, 'github'), 'ghr_x', id);
    const data = { refreshTokenSealed, accessTokenExpiresAt: new Date(0) };
    await app.prisma.gitHubAccount.update({ where: { userId }, data });
  }
  standIn.trouble = { path: '/access_token', kind: 'silence' };
  const asked = () => standIn.calls.filter((call) => call.endsWith('/access_token')).length;
  const before = asked();
  const waiting = Promise.allSettled(links.map(({ userId }) => useGitHubToken(app, userId)));
  await until(() => asked() > before && app.database.pool.waitingCount === 0);
  await app.database.query('SELECT 1');
  expect(asked() - before).toBeLessThanOrEqual(2);
  standIn.trouble = { path: '/access_token', kind: 'error' };
  standIn.hangUp();
  expect((await waiting).every(({ status }) => status === 'rejected')).toBe(true);
});

test('without a client there is no GitHub', async () => {
  const without = await startNaru({ runsJobs: false });
  const browser = openBrowser(without);
  for (const path of ['/auth/github', `/auth/github/callback?state=${'D'.repeat(43)}`]) {
    expect(await problemOf(await browser.visit(path))).toMatchObject({ status: 404 });
  }
  await without.close();
});

test('a GitHub App on an Enterprise Server: tokens are refreshed once, and BROKEN when refused', async () => {
  const enterprise = await startGitHub({
    publicUrl: PUBLIC_URL,
    clientType: 'app',
    enterprise: true,
    namesIssuer: false,
  });
  const other = await open(enterprise, { COOKIE_SECURE: 'false' });
  enterprise.put({ id: 5, login: 'ghe_corp' });
  const browser = openBrowser(other);
  expect(await browser.signIn(5, '?returnTo=/', enterprise)).toBe('/');
  expect([...browser.cookies.keys()]).toEqual(['naru']);
  const { userId } = await other.app.prisma.gitHubAccount.findUniqueOrThrow({
    where: { githubId: 5n },
  });
  const refreshes = () => enterprise.calls.filter((call) => call.endsWith('/access_token')).length;
  const first = await useGitHubToken(other.app, userId);
  expect(enterprise.liveTokens(5)).toEqual([first]);

  await passTime(other, 28_800 - 200);
  const before = refreshes();
  const used = await Promise.all(
    Array.from({ length: 20 }, () => useGitHubToken(other.app, userId)),
  );
  expect(new Set(used)).toEqual(new Set(enterprise.liveTokens(5)));
  expect(used[0]).not.toBe(first);
  expect(refreshes()).toBe(before + 1);

  // Still good for minutes: GitHub’s being away hurts nobody yet.
  await passTime(other, 28_800 - 200);
  enterprise.trouble = { path: '/access_token', kind: 'error' };
  expect(await useGitHubToken(other.app, userId)).toBe(used[0]);
  await passTime(other, 300);
  await expect(useGitHubToken(other.app, userId)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  enterprise.trouble = null;

  enterprise.revokeAll(5);
  expect(await useGitHubToken(other.app, userId)).toBeNull();
  expect(await useGitHubToken(other.app, userId)).toBeNull();
  const link = await other.app.prisma.gitHubAccount.findUniqueOrThrow({ where: { userId } });
  expect(link.state).toBe('BROKEN');
  const audit = await other.app.database.query(
    `SELECT id FROM audit_entry WHERE action = 'GITHUB_LINK_BROKEN' AND subject_id = $1`,
    [link.id],
  );
  expect(audit).toHaveLength(1);
  expect(enterprise.faults).toEqual([]);
  await other.close();
  await enterprise.close();
});

test('no secret is in a log line', async () => {
  const told = lines.join('\n');
  expect(told).not.toBe('');
  for (const secret of [...standIn.secrets, ...given]) expect(told).not.toContain(secret);
  expect(told).not.toMatch(/state=|code=|code_verifier/);
});
