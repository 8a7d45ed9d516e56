// Sources that operators make, as those who send to them see it: each kind of sender, believed or not.
import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { passTime } from '../support/accounts.ts';
import { mutate } from '../support/mutations.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import {
  type GivenHeaders,
  postRaw,
  postSigned,
  readAll,
  readNode,
  untilStored,
  type WebhookAnswer,
} from '../support/webhooks.ts';

const PUBLIC_URL = 'https://hooks.example.com';
const JSON_TYPE = { 'content-type': 'application/json' };
const MIB = 2 ** 20;
const DAY = 86_400;

let naru: TestNaru;
let oscar: string;
let alice: string;
let stored = 0;

beforeAll(async () => {
  naru = await startNaru({
    settings: {
      PUBLIC_URL,
      WEBHOOK_BODY_BYTES_MAX: String(25 * MIB),
      WEBHOOK_UNKNOWN_BYTES_PER_DAY: '10000',
    },
  });
  oscar = await naru.tokenFor('oscar');
  alice = await naru.tokenFor('alice');
});
afterAll(() => naru.close());

const MADE = 'secret source { id path webhookUrl }';

interface Made {
  readonly id: string;
  readonly path: string;
  readonly secret: string;
}

/** A source that everybody with the role USER may read. */
async function make(input: Readonly<Record<string, unknown>>): Promise<Made> {
  const path = `s-${randomUUID()}`;
  const given = { path, grants: [{ role: 'USER' }], ...input };
  const made = await mutate(naru.url, 'createWebhookSource', given, {
    token: oscar,
    selection: MADE,
  });
  expect(made.__typename, JSON.stringify(made)).toBe('WebhookSourceCreated');
  expect(made.source).toMatchObject({ path: given.path });
  expect(made.source.webhookUrl).toBe(`${PUBLIC_URL}/webhook/${given.path}`);
  return { ...made.source, secret: made.secret ?? input['secret'] };
}

const change = (field: string, input: object, selection = 'source { id }') =>
  mutate(naru.url, field, { ...input }, { token: oscar, selection });

async function send(
  path: string,
  body: string | Uint8Array,
  headers: GivenHeaders = {},
): Promise<WebhookAnswer> {
  const answer = await postRaw(naru.url, {
    path: `/webhook/${path}`,
    body,
    headers: { ...JSON_TYPE, ...headers },
  });
  const id = answer.headers['x-naru-message-id'];
  if (answer.status === 202 || id !== undefined) stored += 1;
  return id === undefined ? answer : { ...answer, json: { id } };
}

async function readBack(answer: WebhookAnswer, selection: string, token = alice) {
  await untilStored(naru, stored);
  return readNode(naru.url, token, answer.json.id, selection);
}

const seconds = () => Math.floor(Date.now() / 1_000);
const hmac = (hash: string, secret: string, text: string) => createHmac(hash, secret).update(text);

interface Sender {
  readonly input: Readonly<Record<string, unknown>>;
  /** What goes along with the body, for the URL at which it is received. */
  readonly sign: (body: string, secret: string, path: string) => GivenHeaders;
  readonly query?: string;
  /** Another secret of the same form. */
  readonly other?: () => string;
  readonly body?: string;
  /** Of the answer; 202 unless it acts on what it is answered. */
  readonly status?: number;
}

const brought = () => randomBytes(24).toString('hex');
const hub = (body: string, secret: string) =>
  `sha256=${hmac('sha256', secret, body).digest('hex')}`;

function otherKey(): string {
  return `whsec_${randomBytes(32).toString('base64')}`;
}

const SENDERS: Readonly<Record<string, Sender>> = {
  GITHUB: {
    input: {},
    sign: (body, secret) => ({
      'x-hub-signature-256': hub(body, secret),
      'x-github-event': 'ping',
    }),
  },
  BITBUCKET: { input: {}, sign: (body, secret) => ({ 'x-hub-signature': hub(body, secret) }) },
  JIRA: { input: {}, sign: (body, secret) => ({ 'x-hub-signature': hub(body, secret) }) },
  GITEA: {
    input: {},
    sign: (body, secret) => ({ 'x-gitea-signature': hmac('sha256', secret, body).digest('hex') }),
  },
  GITLAB: {
    input: {},
    other: otherKey,
    sign: (body, secret) => {
      const id = randomUUID();
      const at = new Date();
      return {
        'webhook-id': id,
        'webhook-timestamp': String(Math.floor(at.getTime() / 1_000)),
        'webhook-signature': new Webhook(secret).sign(id, at, body),
      };
    },
  },
  STRIPE: {
    input: { secret: `whsec_${brought()}` },
    body: '{"id":"evt_1","type":"charge.succeeded"}',
    sign: (body, secret) => {
      const at = seconds();
      const digest = hmac('sha256', secret, `${at}.${body}`).digest('hex');
      return { 'stripe-signature': `t=${at},v1=${digest}` };
    },
  },
  SLACK: {
    input: { secret: brought() },
    sign: (body, secret) => slackHeaders(body, secret),
    status: 200,
  },
  SHOPIFY: {
    input: { secret: brought() },
    sign: (body, secret) => ({
      'x-shopify-hmac-sha256': hmac('sha256', secret, body).digest('base64'),
    }),
  },
  TWILIO: {
    status: 200,
    input: { secret: brought() },
    query: '?tenant=7',
    body: 'From=%2B1&Body=hi',
    sign: (_body, secret, path) => ({
      'content-type': 'application/x-www-form-urlencoded',
      'x-twilio-signature': hmac('sha1', secret, `${PUBLIC_URL}${path}BodyhiFrom+1`).digest(
        'base64',
      ),
    }),
  },
  STANDARD_WEBHOOKS: {
    input: {},
    other: otherKey,
    sign: (body, secret) => {
      const id = randomUUID();
      const at = new Date();
      return {
        'webhook-id': id,
        'webhook-timestamp': String(Math.floor(at.getTime() / 1_000)),
        'webhook-signature': new Webhook(secret).sign(id, at, body),
      };
    },
  },
  HMAC: {
    input: {
      settings: { header: 'X-Acme-Sign', algorithm: 'SHA512', encoding: 'BASE64', prefix: 'v1 ' },
    },
    sign: (body, secret) => ({
      'x-acme-sign': `v1 ${hmac('sha512', secret, body).digest('base64')}`,
    }),
  },
  TOKEN: {
    input: { settings: { header: 'X-Acme-Token', eventNameHeader: 'X-Acme-Event' } },
    sign: (_body, secret) => ({ 'x-acme-token': secret, 'x-acme-event': 'build' }),
  },
};

function slackHeaders(body: string, secret: string): GivenHeaders {
  const at = seconds();
  const digest = hmac('sha256', secret, `v0:${at}:${body}`).digest('hex');
  return { 'x-slack-request-timestamp': String(at), 'x-slack-signature': `v0=${digest}` };
}

describe.each(Object.entries(SENDERS))('a source of %s', (provider, sender) => {
  test('takes what is signed with its secret, and nothing else', async () => {
    const { path, secret } = await make({ provider, ...sender.input });
    const body = sender.body ?? '{"hello":1}';
    const target = `${path}${sender.query ?? ''}`;
    const right = sender.sign(body, secret, `/webhook/${target}`);
    const answer = await send(target, body, right);
    expect(answer.status, JSON.stringify(answer.json)).toBe(sender.status ?? 202);
    const message = await readBack(answer, 'verification rawBody source { path provider } path');
    expect(message).toMatchObject({
      verification: 'VERIFIED',
      rawBody: body,
      source: { path, provider },
      path: `/webhook/${path}`,
    });

    const wrong = await send(
      target,
      body,
      sender.sign(body, sender.other?.() ?? `${secret}x`, `/webhook/${target}`),
    );
    const unsigned = await send(target, body, {
      'content-type': right['content-type'] ?? 'application/json',
    });
    for (const refused of [wrong, unsigned]) {
      expect(refused.status, JSON.stringify(refused.json)).toBe(401);
      expect(refused.json.error.code).toBe('UNAUTHENTICATED');
      expect(JSON.stringify(refused.json)).not.toContain(secret);
    }
    expect(unsigned.json.error.message).toBe('The signature is missing');
  });
});

test('a source of NONE takes everything, as signed by nobody', async () => {
  const { path } = await make({ provider: 'NONE' });
  const answer = await send(path, 'anything');
  expect(await readBack(answer, 'verification')).toMatchObject({ verification: 'UNSIGNED' });
});

test('a token that proves the sender is stored in no header, and its event’s name is read', async () => {
  const settings = { header: 'X-Acme-Token', eventNameHeader: 'X-Acme-Event' };
  const { path, secret } = await make({ provider: 'TOKEN', settings });
  const headers = { 'x-acme-token': secret, 'x-acme-event': 'build' };
  const answer = await send(path, '{}', headers);
  const message = await readBack(answer, 'eventName headers { name value }');
  expect(message.eventName).toBe('build');
  expect(message.headers).toContainEqual({ name: 'x-acme-token', value: '[REDACTED]' });
  expect(JSON.stringify(message)).not.toContain(secret);
  // Nor in the log that it is stored from.
  const [entry] = await naru.app.database.query<{ found: number; all: number }>(
    `SELECT count(*) FILTER (WHERE position($1::bytea IN frame) > 0)::int AS found, count(*)::int AS all
     FROM bus_entry WHERE topic = 'webhooks.received'`,
    [Buffer.from(secret)],
  );
  expect(entry?.all).toBeGreaterThan(0);
  expect(entry?.found).toBe(0);
});

describe('Slack’s challenge', () => {
  const body = JSON.stringify({ type: 'url_verification', challenge: '3eZbrw1a' });
  const ask = (path: string, headers: GivenHeaders) =>
    fetch(`${naru.url}/webhook/${path}`, {
      method: 'POST',
      body,
      headers: { ...JSON_TYPE, ...(headers as Record<string, string>) },
    });

  test('is answered when it is signed, and is no message', async () => {
    const { path, secret } = await make({ provider: 'SLACK', secret: brought() });
    const before = (await readAll(naru.url, alice)).length;
    const answer = await ask(path, slackHeaders(body, secret));
    expect([answer.status, await answer.text()]).toEqual([200, '3eZbrw1a']);
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain/);
    await readBack(await send(path, '{"type":"x"}', slackHeaders('{"type":"x"}', secret)), 'id');
    expect((await readAll(naru.url, alice)).length).toBe(before + 1);
  });

  test('is refused when it is not', async () => {
    const { path, secret } = await make({ provider: 'SLACK', secret: brought() });
    expect((await ask(path, slackHeaders(body, `${secret}x`))).status).toBe(401);
  });
});

describe('a rotation', () => {
  const sign = SENDERS['HMAC']?.sign ?? (() => ({}));
  const makeHmac = () => make({ provider: 'HMAC', ...SENDERS['HMAC']?.input });
  const rotate = async (sourceId: string, input: object = {}) => {
    const rotated = await change(
      'rotateWebhookSecret',
      { sourceId, ...input },
      'secret source { secrets { id createdAt endsAt } }',
    );
    expect(rotated.__typename, JSON.stringify(rotated)).toBe('WebhookSecretRotated');
    return rotated;
  };
  const statusOf = async (path: string, secret: string) =>
    (await send(path, '{}', sign('{}', secret, ''))).status;

  test('that ends all others at once never meets the limit of five', async () => {
    for (let round = 0; round < 8; round += 1) {
      const { id } = await makeHmac();
      for (let more = 0; more < 4; more += 1) await rotate(id, { overlapSeconds: DAY });
      expect((await rotate(id, { overlapSeconds: 0 })).source.secrets).toHaveLength(1);
    }
  });

  test('leaves the old secret until its end, and not a moment longer', async () => {
    const { id, path, secret } = await makeHmac();
    const rotated = await rotate(id, { overlapSeconds: DAY });
    expect(rotated.source.secrets).toHaveLength(2);
    expect(rotated.source.secrets[0].endsAt).toBeNull();
    expect([await statusOf(path, secret), await statusOf(path, rotated.secret)]).toEqual([
      202, 202,
    ]);
    await passTime(naru.app.database.query, DAY - 60);
    await naru.app.webhookSources.refresh();
    expect(await statusOf(path, secret)).toBe(202);
    await passTime(naru.app.database.query, 61);
    await naru.app.webhookSources.refresh();
    expect([await statusOf(path, secret), await statusOf(path, rotated.secret)]).toEqual([
      401, 202,
    ]);
  });

  test('without an overlap ends the old one at once', async () => {
    const { id, path, secret } = await makeHmac();
    const rotated = await rotate(id, { overlapSeconds: 0 });
    expect(rotated.source.secrets).toHaveLength(1);
    expect([await statusOf(path, secret), await statusOf(path, rotated.secret)]).toEqual([
      401, 202,
    ]);
  });

  test('during a rotation ends none later than it was to end', async () => {
    const { id, path, secret } = await makeHmac();
    const second = await rotate(id, { overlapSeconds: 3_600 });
    const third = await rotate(id, { overlapSeconds: 7 * DAY });
    const ends = third.source.secrets.map(({ endsAt }: { endsAt: string | null }) => endsAt);
    expect(ends[0]).toBeNull();
    expect(Date.parse(ends[1]) - Date.parse(ends[2])).toBeGreaterThan(6 * DAY * 1_000);
    const all = [secret, second.secret, third.secret];
    expect(await Promise.all(all.map((each) => statusOf(path, each)))).toEqual([202, 202, 202]);
  });

  test('goes no further than five secrets at once', async () => {
    const { id } = await makeHmac();
    for (let index = 0; index < 4; index += 1) await rotate(id);
    const sixth = await change('rotateWebhookSecret', { sourceId: id });
    expect(sixth.__typename).toBe('ConflictError');
    expect((await rotate(id, { overlapSeconds: 0 })).source.secrets).toHaveLength(1);
  });

  test('of the source that a setting made leaves the setting’s secret counting', async () => {
    const { id } = await naru.app.prisma.webhookSource.findFirstOrThrow({
      where: { path: 'github' },
    });
    const sourceId = Buffer.from(`WebhookSource:${id}`).toString('base64url');
    const rotated = await rotate(sourceId, { overlapSeconds: 0 });
    const answers = [
      await postSigned(naru.url, '{}'),
      await postSigned(naru.url, '{}', { 'x-hub-signature-256': hub('{}', rotated.secret) }),
    ];
    stored += 2;
    expect(answers.map(({ status }) => status)).toEqual([202, 202]);
  });
});

test('a token that comes in another header than the agreed one is stored in none', async () => {
  const input = { provider: 'TOKEN', verification: 'MONITOR' };
  const { path, secret } = await make(input);
  const answer = await send(path, '{}', { 'x-other': `Bearer ${secret}` });
  const { headers } = await readBack(answer, 'headers { name value }', oscar);
  expect(headers).toContainEqual({ name: 'x-other', value: '[REDACTED]' });
  expect(JSON.stringify(headers)).not.toContain(secret);
});

describe('MONITOR', () => {
  const input = { provider: 'GITHUB', verification: 'MONITOR' };

  test('keeps what fails for operators, with the reason, and hands it to nobody else', async () => {
    const { path, secret } = await make(input);
    const delivery = { 'x-github-delivery': randomUUID() };
    const forged = await send(path, '{"a":1}', {
      ...delivery,
      'x-hub-signature-256': hub('', secret),
    });
    const again = await send(path, '{"a":1}', {
      ...delivery,
      'x-hub-signature-256': hub('', secret),
    });
    stored -= 1;
    expect(again.json.id).toBe(forged.json.id);
    const real = await send(path, '{"a":1}', {
      ...delivery,
      'x-hub-signature-256': hub('{"a":1}', secret),
    });
    // Its id is its own, whatever was forged before it.
    expect(real.json.id).not.toBe(forged.json.id);
    expect(await readBack(real, 'verification')).toMatchObject({ verification: 'VERIFIED' });
    expect(await readBack(forged, 'verification', oscar)).toMatchObject({
      verification: 'UNVERIFIED',
    });
    expect(await readBack(forged, 'verification', alice)).toBeNull();
  });

  test('says why', async () => {
    const { path } = await make(input);
    const answer = await send(path, '{}');
    expect(await readBack(answer, 'verificationFailure', oscar)).toMatchObject({
      verificationFailure: 'SIGNATURE_MISSING',
    });
  });

  test('takes webhooks before there is a secret, and ENFORCE wants one', async () => {
    const { id, path } = await make({ provider: 'STRIPE', verification: 'MONITOR' });
    expect((await send(path, '{}')).status).toBe(202);
    const enforce = { sourceId: id, verification: 'ENFORCE' };
    expect((await change('updateWebhookSource', enforce)).__typename).toBe('ConflictError');
    const secret = `whsec_${brought()}`;
    const rotated = await change('rotateWebhookSecret', { sourceId: id, secret }, 'secret');
    expect(rotated).toMatchObject({ __typename: 'WebhookSecretRotated', secret: null });
    expect((await change('updateWebhookSource', enforce)).__typename).toBe('WebhookSourceUpdated');
    expect((await send(path, '{}')).status).toBe(401);
    const signed = SENDERS['STRIPE']?.sign('{"id":"evt_2"}', secret, '') ?? {};
    expect((await send(path, '{"id":"evt_2"}', signed)).status).toBe(202);
  });

  test('has a daily budget of its own, which the honest sender does not need', async () => {
    const { path, secret } = await make(input);
    const other = await make(input);
    expect((await send(path, 'x'.repeat(10_000))).status).toBe(429);
    const statuses = [];
    for (let index = 0; index < 10; index += 1) statuses.push((await send(path, 'x')).status);
    expect(statuses[0]).toBe(202);
    expect(statuses.at(-1)).toBe(429);
    const right = { 'x-hub-signature-256': hub('{}', secret) };
    expect((await send(path, '{}', right)).status).toBe(202);
    expect((await send(other.path, 'x')).status).toBe(202);
  });
});

describe('a limit of a source', () => {
  test('413 names its bytes, and takes exactly so many', async () => {
    const { id, path } = await make({ provider: 'NONE', bodyBytesMax: 100 });
    expect((await send(path, 'x'.repeat(100))).status).toBe(202);
    const over = await send(path, 'x'.repeat(101));
    expect(over.status).toBe(413);
    expect(over.json.error).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', limitBytes: 100 });
    await change('updateWebhookSource', { sourceId: id, bodyBytesMax: null });
    expect((await send(path, 'x'.repeat(101))).status).toBe(202);
  });

  test('429 says when to come again, and counts only what is verified', async () => {
    const { path, secret } = await make({ provider: 'GITHUB', messagesPerMinute: 2 });
    const right = () => ({ 'x-hub-signature-256': hub('{}', secret) });
    for (let index = 0; index < 5; index += 1) expect((await send(path, '{}')).status).toBe(401);
    const answers = [];
    for (let index = 0; index < 3; index += 1) answers.push(await send(path, '{}', right()));
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 429]);
    expect(Number(answers[2]?.headers['retry-after'])).toBeGreaterThan(0);
  });

  test('of tolerance refuses what is signed too long ago, or too far ahead', async () => {
    const secret = `whsec_${brought()}`;
    const { id, path } = await make({ provider: 'STRIPE', secret });
    const sentAt = (at: number) => {
      const digest = hmac('sha256', secret, `${at}.{}`).digest('hex');
      return send(path, '{}', { 'stripe-signature': `t=${at},v1=${digest}` });
    };
    const old = await sentAt(seconds() - 400);
    const ahead = await sentAt(seconds() + 400);
    expect([old.status, old.json.error.message]).toEqual([401, 'The timestamp is too old']);
    expect([ahead.status, ahead.json.error.message]).toEqual([
      401,
      'The timestamp is in the future',
    ]);
    await change('updateWebhookSource', { sourceId: id, toleranceSeconds: 600 });
    expect((await sentAt(seconds() - 400)).status).toBe(202);
  });

  test('is at most the server’s: 25 MB are taken and read back, 26 are not', async () => {
    const { path } = await make({ provider: 'NONE' });
    const body = Buffer.alloc(25 * MIB, 0x61);
    const answer = await send(path, body);
    expect(answer.status).toBe(202);
    expect(await readBack(answer, 'byteSize')).toMatchObject({ byteSize: 25 * MIB });
    const over = await send(path, Buffer.alloc(26 * MIB, 0x61));
    expect(over.status).toBe(413);
    expect(over.json.error.limitBytes).toBe(25 * MIB);
  });
});

test('415: a provider that sends JSON is not believed in anything else', async () => {
  const { path, secret } = await make({ provider: 'BITBUCKET' });
  const headers = { 'content-type': 'text/plain', 'x-hub-signature': hub('{}', secret) };
  expect((await send(path, '{}', headers)).status).toBe(415);
});

test('404: a path that no source has, also when one lies above or beside it', async () => {
  const { path } = await make({ provider: 'NONE', path: 'ci/jenkins' });
  const deeper = await make({ provider: 'NONE', path: 'ci/jenkins/nightly' });
  const sourceOf = async (target: string) => (await send(target, 'x')).json.source;
  expect(await sourceOf('ci/jenkins/any')).toBe(path);
  expect(await sourceOf('ci/jenkins/nightly/1')).toBe(deeper.path);
  for (const target of ['ci', 'ci/Jenkins', 'ci/jenkinsx', 'jenkins']) {
    expect((await send(target, 'x')).status, target).toBe(404);
  }
});

test('a deleted source answers as if there had never been one; its path is free, its history stays', async () => {
  const first = await make({ provider: 'NONE', path: 'reborn' });
  const old = await send('reborn', 'old', { 'x-id': '1' });
  await readBack(old, 'id');
  expect((await change('deleteWebhookSource', { sourceId: first.id })).__typename).toBe(
    'WebhookSourceDeleted',
  );
  expect((await send('reborn', 'x')).status).toBe(404);
  expect(await readBack(old, 'rawBody source { path }')).toMatchObject({
    rawBody: 'old',
    source: { path: 'reborn' },
  });
  const second = await make({ provider: 'NONE', path: 'reborn', grants: [] });
  expect(second.id).not.toBe(first.id);
  const fresh = await send('reborn', 'new');
  expect(fresh.status).toBe(202);
  // What was granted was the other one.
  expect(await readBack(fresh, 'id')).toBeNull();
  expect(await readBack(old, 'rawBody')).toMatchObject({ rawBody: 'old' });
});

describe('a source whose store was tampered with', () => {
  test('is 503 where a secret does not open, unless another one agrees', async () => {
    const { id, path, secret } = await make({ provider: 'GITHUB' });
    const right = { 'x-hub-signature-256': hub('{}', secret) };
    const uuid = Buffer.from(id, 'base64url').toString().split(':')[1];
    await naru.app.database.query(
      `INSERT INTO webhook_source_secret (id, source_id, sealed)
       SELECT gen_random_uuid(), source_id, sealed FROM webhook_source_secret WHERE source_id = $1`,
      [uuid],
    );
    await naru.app.webhookSources.refresh();
    expect((await send(path, '{}', right)).status).toBe(202);
    const other = await send(path, '{}', { 'x-hub-signature-256': hub('{}', 'other') });
    expect([other.status, other.json.error.code]).toEqual([503, 'UNAVAILABLE']);
    // No secret would have signed this.
    expect((await send(path, '{}')).status).toBe(401);
  });

  test('is 503 where its settings are none, and is never verified by nothing', async () => {
    const { id, path, secret } = await make({ provider: 'HMAC' });
    const uuid = Buffer.from(id, 'base64url').toString().split(':')[1];
    await naru.app.database.query(
      `UPDATE webhook_source SET settings = '{"header": ["x"], "__proto__": {"header": "y"}}' WHERE id = $1`,
      [uuid],
    );
    await naru.app.webhookSources.refresh();
    const signed = { 'x-signature': hmac('sha256', secret, '{}').digest('hex') };
    expect((await send(path, '{}', signed)).status).toBe(503);
    expect((await send(path, '{}')).status).toBe(503);
  });
});
