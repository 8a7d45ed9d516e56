// How much ingress takes of a network and of a source.
import { afterEach, expect, test } from 'vitest';
import { post } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import {
  requireServer,
  startTestNats,
  startTestPostgres,
  startTestRedis,
} from '../support/servers.ts';
import { addSource, postRaw, postSigned, type WebhookAnswer } from '../support/webhooks.ts';

const OPERATIONS_TOKEN = 'operations-token-of-tests';
const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function start(
  limits: { readonly network?: number; readonly source?: number },
  settings: Readonly<Record<string, string>> = {},
  overrides: Parameters<typeof startNaru>[0] = {},
): Promise<TestNaru> {
  const naru = await startNaru({
    ...overrides,
    settings: {
      OPERATIONS_TOKEN,
      WEBHOOKS_PER_MINUTE_NETWORK: String(limits.network ?? 0),
      WEBHOOKS_PER_MINUTE_SOURCE: String(limits.source ?? 0),
      ...settings,
    },
  });
  undo.push(() => naru.close());
  return naru;
}

const BEHIND_PROXY = { TRUSTED_PROXIES: '127.0.0.1' };
const from = (address: string) => ({ 'x-forwarded-for': address });

const signed = (naru: TestNaru, headers = {}) => postSigned(naru.url, '{}', headers);
const forged = (naru: TestNaru, headers = {}) =>
  signed(naru, { 'x-hub-signature-256': `sha256=${'0'.repeat(64)}`, ...headers });

async function statuses(answers: readonly Promise<WebhookAnswer>[]): Promise<number[]> {
  return (await Promise.all(answers)).map(({ status }) => status).sort((one, other) => one - other);
}

function times<Value>(count: number, make: () => Value): Value[] {
  return Array.from({ length: count }, make);
}

function expectLimited(answer: WebhookAnswer, state: RegExp, policy: string): void {
  expect(answer.status, JSON.stringify(answer.json)).toBe(429);
  const seconds = answer.json.error.retryAfterSeconds;
  expect(answer.json.error).toEqual({
    code: 'RATE_LIMITED',
    message: `Too many webhooks: try again in ${seconds} s`,
    retryAfterSeconds: expect.any(Number),
    requestId: answer.headers['x-request-id'],
  });
  expect(seconds).toBeGreaterThan(0);
  expect(seconds).toBeLessThanOrEqual(20);
  expect(answer.headers['retry-after']).toBe(String(seconds));
  expect(answer.headers['ratelimit']).toMatch(state);
  expect(answer.headers['ratelimit-policy']).toBe(policy);
}

async function metric(naru: TestNaru, line: string): Promise<string | undefined> {
  const headers = { authorization: `Bearer ${OPERATIONS_TOKEN}` };
  const text = await (await fetch(`${naru.url}/metrics`, { headers })).text();
  return text
    .split('\n')
    .find((each) => each.startsWith(line))
    ?.split(' ')
    .at(-1);
}

test('429: a network over its limit is told when to come again, whatever it sends', async () => {
  const naru = await start({ network: 3 });
  await addSource(naru.app, 'open');
  const policy = '"webhook-network";q=3;w=60';
  const first = await signed(naru);
  expect(first.status).toBe(202);
  expect(first.headers['ratelimit']).toBe('"webhook-network";r=2;t=20');
  expect(first.headers['ratelimit-policy']).toBe(policy);
  expect((await forged(naru)).headers['ratelimit']).toMatch(/^"webhook-network";r=1;t=(39|40)$/);
  const malformed = await postRaw(naru.url, { path: `/webhook/${'a'.repeat(1_100)}` });
  expect([malformed.status, malformed.headers['ratelimit-policy']]).toEqual([400, policy]);

  const entries = () =>
    naru.app.database.query(`SELECT id FROM bus_entry WHERE topic = 'webhooks.received'`);
  const before = await entries();
  expect(before).toHaveLength(1);
  const state = /^"webhook-network";r=0;t=(59|60)$/;
  expectLimited(await signed(naru), state, policy);
  expectLimited(await forged(naru), state, policy);
  expectLimited(await postRaw(naru.url, { path: '/webhook/open' }), state, policy);
  expectLimited(await postRaw(naru.url, { path: '/webhook/nobody' }), state, policy);
  expect(await entries()).toEqual(before);
  const counted = 'naru_webhook_requests_total{provider="UNKNOWN",outcome="rate_limited"}';
  expect(await metric(naru, counted)).toBe('4');
  expect(await metric(naru, 'naru_rate_limited_total{limit="webhook-network"}')).toBe('4');
});

test('a network over its limit is refused before its body is read, and refused bodies count', async () => {
  const naru = await start({ network: 1 });
  // Announced and not sent: what is refused unread may be cut off while its sender still writes.
  const big = { path: '/webhook/github', headers: { 'content-length': String(25 * 2 ** 20 + 1) } };
  const first = await postRaw(naru.url, big);
  expect([first.status, first.headers['ratelimit']]).toEqual([413, '"webhook-network";r=0;t=60']);
  expect((await postRaw(naru.url, big)).status).toBe(429);
});

test('429: a source over its limit refuses whoever sends, and the other sources go on', async () => {
  const naru = await start({ network: 1_000, source: 3 }, BEHIND_PROXY);
  await addSource(naru.app, 'open');
  await addSource(naru.app, 'other');
  const answers = times(20, () => signed(naru));
  expect(await statuses(answers)).toEqual([...times(3, () => 202), ...times(17, () => 429)]);
  const policy = '"webhook-network";q=1000;w=60, "webhook-source";q=3;w=60';
  const state = /^"webhook-network";r=999;t=1, "webhook-source";r=0;t=(59|60)$/;
  expectLimited(await signed(naru, from('198.51.100.7')), state, policy);
  expect((await postRaw(naru.url, { path: '/webhook/open', body: 'x' })).status).toBe(202);
  const other = await postRaw(naru.url, { path: '/webhook/other', body: 'x' });
  expect(other.headers['ratelimit']).toMatch(/, "webhook-source";r=2;t=20$/);
  const counted = 'naru_webhook_requests_total{provider="GITHUB",outcome="rate_limited"}';
  expect(await metric(naru, counted)).toBe('18');
});

test('a flood of forged webhooks uses up nothing of what the honest sender has', async () => {
  const naru = await start({ source: 3 });
  expect(new Set(await statuses(times(50, () => forged(naru))))).toEqual(new Set([401]));
  expect((await forged(naru)).headers['ratelimit']).toBeUndefined();
  expect(await statuses(times(4, () => signed(naru)))).toEqual([202, 202, 202, 429]);
});

test('200 webhooks at once are let in up to the limit, exactly, also by two nodes', async () => {
  const settings = { ...BEHIND_PROXY, REDIS_KEY_PREFIX: `two-nodes-${process.pid}-${Date.now()}:` };
  const one = await start({ network: 50, source: 5 }, settings);
  const two = await start({ network: 50, source: 5 }, settings, { database: one.database });
  const answers = times(100, () => [signed(one), signed(two)]).flat();
  const given = await Promise.all(answers);
  const passed = given.filter(({ headers }) => headers['ratelimit']?.includes('webhook-source'));
  expect(passed).toHaveLength(50);
  expect(given.filter(({ status }) => status === 202)).toHaveLength(5);
  expect(given.filter(({ status }) => status === 429)).toHaveLength(195);
});

test('an IPv4-mapped IPv6 address is its IPv4 address, and a /64 is one network', async () => {
  const naru = await start({ network: 2 }, BEHIND_PROXY);
  const send = async (address: string) => (await signed(naru, from(address))).status;
  for (const [addresses, another] of [
    [
      ['203.0.113.9', '::ffff:203.0.113.9', '::FFFF:CB00:7109', '0:0:0:0:0:ffff:cb00:7109'],
      '203.0.113.8',
    ],
    [['2001:db8:1:2::1', '2001:db8:1:2:ffff::9', '2001:0DB8:0001:0002::1'], '2001:db8:1:3::1'],
    // What a proxy passes on and is no address has one budget for all of it.
    [['unknown', 'x.example', '999.1.1.1'], '203.0.113.7'],
  ] as const) {
    const answers = [];
    for (const address of addresses) answers.push(await send(address));
    expect(answers).toEqual(addresses.map((_, index) => (index < 2 ? 202 : 429)));
    expect(await send(another)).toBe(202);
  }
});

test('a forwarded header of a peer that is no proxy of ours escapes nothing', async () => {
  const naru = await start({ network: 3 }, { TRUSTED_PROXIES: '192.0.2.1' });
  const answers = [];
  for (let index = 0; index < 6; index += 1) {
    const headers = {
      ...from(`203.0.113.${index}`),
      forwarded: `for=203.0.113.${index}`,
      'x-real-ip': `203.0.113.${index}`,
      'client-ip': `203.0.113.${index}`,
      'true-client-ip': `203.0.113.${index}`,
      'cf-connecting-ip': `203.0.113.${index}`,
    };
    answers.push((await signed(naru, headers)).status);
  }
  expect(answers).toEqual([202, 202, 202, 429, 429, 429]);
});

test('behind a proxy of ours only the address that it adds counts, not those that a client wrote', async () => {
  const naru = await start({ network: 3 }, BEHIND_PROXY);
  const answers = [];
  for (let index = 0; index < 6; index += 1) {
    answers.push((await signed(naru, from(`198.51.100.${index}, 203.0.113.5`))).status);
  }
  expect(answers).toEqual([202, 202, 202, 429, 429, 429]);
});

test('without limits nothing is counted and no header is sent', async () => {
  const naru = await start({});
  const answers = await Promise.all(times(20, () => signed(naru)));
  for (const { status, headers } of answers) {
    expect([status, headers['ratelimit'], headers['ratelimit-policy']]).toEqual([
      202,
      undefined,
      undefined,
    ]);
  }
});

test('without Redis ingress goes on, and its limits hold', async () => {
  const redis = await startTestRedis();
  undo.push(() => redis.stop());
  const naru = await start({ network: 100, source: 3 }, { REDIS_URL: redis.url });
  expect((await signed(naru)).status).toBe(202);
  await redis.kill();
  const given = await statuses(times(40, () => signed(naru)));
  // What was under way when it went may have been counted there or here.
  const taken = given.filter((status) => status === 202).length;
  expect(taken).toBeGreaterThanOrEqual(3);
  expect(taken).toBeLessThanOrEqual(5);
  expect(given.filter((status) => status === 429)).toHaveLength(40 - taken);
  expectLimited(
    await signed(naru),
    /^"webhook-network";r=\d+;t=\d+, "webhook-source";r=0;t=(5\d|60)$/,
    '"webhook-network";q=100;w=60, "webhook-source";q=3;w=60',
  );
});

test('without PostgreSQL a webhook is refused by its limit before anything needs the database', async () => {
  const postgres = await startTestPostgres();
  undo.push(() => postgres.stop());
  const database = { url: postgres.url, drop: async () => {} };
  const naru = await start({ network: 100, source: 2 }, {}, { database });
  expect((await signed(naru)).status).toBe(202);
  await postgres.kill();
  // On this bus, which is PostgreSQL, a webhook that is let in cannot be stored.
  const unstored = await signed(naru);
  expect(unstored.status).toBe(503);
  expect(unstored.headers['ratelimit']).toContain('"webhook-source";r=0;');
  expect((await signed(naru)).status).toBe(429);
});

test('what ingress counts is not counted against the same network elsewhere', async () => {
  const naru = await start({ network: 1 });
  expect(await statuses(times(3, () => signed(naru)))).toEqual([202, 429, 429]);
  expect((await post(naru.url, { query: '{ __typename }' })).status).toBe(200);
});

test.skipIf(!requireServer('nats-server'))(
  'without PostgreSQL ingress goes on, and its limits hold',
  async () => {
    const [postgres, nats] = await Promise.all([startTestPostgres(), startTestNats()]);
    undo.push(
      () => postgres.stop(),
      () => nats.stop(),
    );
    const database = { url: postgres.url, drop: async () => {} };
    const settings = { NATS_URL: nats.url };
    const naru = await start({ network: 100, source: 5 }, settings, { database });
    expect((await signed(naru)).status).toBe(202);
    await postgres.kill();
    expect(await statuses(times(40, () => signed(naru)))).toEqual([
      ...times(4, () => 202),
      ...times(36, () => 429),
    ]);
  },
);
