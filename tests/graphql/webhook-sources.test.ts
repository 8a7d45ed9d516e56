// Making and changing sources: what is shown to whom, what is refused, and what many at once come to.
import { createHmac, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createApp } from '#app.ts';
import { ALL_SCOPES } from '#auth/scopes.ts';
import { parseConfig } from '#config.ts';
import { encodeGlobalId } from '#lib/global-id.ts';
import { newId } from '#lib/ids.ts';
import { createLog } from '#log.ts';
import { addAccount, passTime } from '../support/accounts.ts';
import { post, until } from '../support/graphql-client.ts';
import { connectTo, countWaiting, mutate, outcomesOf } from '../support/mutations.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { dataOf, postRaw, readNode, untilStored } from '../support/webhooks.ts';

let naru: TestNaru;
let oscar: string;
const lines: Record<string, unknown>[] = [];

beforeAll(async () => {
  naru = await startNaru({
    settings: { WEBHOOK_BODY_BYTES_MAX: String(2 ** 20) },
    logTo: (line) => lines.push(line),
  });
  oscar = await naru.tokenFor('oscar');
});
afterAll(() => naru.close());

const SECRETS = 'secrets { id createdAt endsAt }';
const GRANTS = 'grants { userId role user { username } }';
const SOURCE = `id path provider verification bodyBytesMax messagesPerMinute toleranceSeconds secretSetting
  deletedAt webhookUrl settings { header algorithm encoding prefix publicUrl } ${SECRETS} ${GRANTS}`;

const call = (field: string, input: object, token = oscar, selection = `source { ${SOURCE} }`) =>
  mutate(naru.url, field, { ...input }, { token, selection });

const create = (input: object = {}, token = oscar) =>
  call(
    'createWebhookSource',
    { path: `s-${randomUUID()}`, provider: 'HMAC', ...input },
    token,
    `secret source { ${SOURCE} }`,
  );

async function readSource(id: string, selection = SOURCE, token = oscar) {
  const query = `query ($id: ID!) { node(id: $id) { ... on WebhookSource { ${selection} } } }`;
  return (await post(naru.url, { query, variables: { id } }, token)).result;
}

const uuidOf = (id: string) => Buffer.from(id, 'base64url').toString().split(':')[1] ?? '';

async function actionsOf(id: string): Promise<string[]> {
  const entries = await naru.app.prisma.auditEntry.findMany({
    where: { subjectType: 'WebhookSource', subjectId: uuidOf(id) },
    orderBy: { id: 'asc' },
  });
  return entries.map(({ action }) => action);
}

describe('a source', () => {
  test('is made, changed, granted and deleted, and every step is in the audit log', async () => {
    const made = await create({
      provider: 'HMAC',
      settings: { header: 'X-Sign', algorithm: 'SHA512', encoding: 'BASE64' },
      bodyBytesMax: 1_000,
      grants: [{ role: 'AUDITOR' }],
    });
    expect(made).toMatchObject({ __typename: 'WebhookSourceCreated', secret: expect.any(String) });
    const { id } = made.source;
    expect(made.source).toMatchObject({
      provider: 'HMAC',
      verification: 'ENFORCE',
      bodyBytesMax: 1_000,
      messagesPerMinute: null,
      toleranceSeconds: 300,
      secretSetting: null,
      deletedAt: null,
      webhookUrl: `${naru.app.config.publicUrl}/webhook/${made.source.path}`,
      settings: { header: 'x-sign', algorithm: 'SHA512', encoding: 'BASE64', prefix: null },
      secrets: [{ id: expect.any(String), createdAt: expect.any(String), endsAt: null }],
      grants: [{ userId: null, role: 'AUDITOR', user: null }],
    });
    const updated = await call('updateWebhookSource', {
      sourceId: id,
      verification: 'MONITOR',
      messagesPerMinute: 5,
      bodyBytesMax: null,
    });
    expect(updated.source).toMatchObject({
      verification: 'MONITOR',
      messagesPerMinute: 5,
      bodyBytesMax: null,
      settings: { header: 'x-sign' },
    });
    const alice = await naru.app.prisma.user.findUniqueOrThrow({ where: { username: 'alice' } });
    const grantee = { userId: encodeGlobalId('User', alice.id) };
    const granted = await call('grantWebhookSource', { sourceId: id, grantee });
    expect(granted.source.grants).toHaveLength(2);
    await call('grantWebhookSource', { sourceId: id, grantee });
    const revoked = await call('revokeWebhookSourceGrant', {
      sourceId: id,
      grantee: { role: 'AUDITOR' },
    });
    expect(revoked.source.grants).toMatchObject([{ userId: grantee.userId, role: null }]);
    await call('rotateWebhookSecret', { sourceId: id });
    const deleted = await call('deleteWebhookSource', { sourceId: id });
    expect(deleted.source).toMatchObject({ deletedAt: expect.any(String), secrets: [] });
    expect((await call('deleteWebhookSource', { sourceId: id })).source.deletedAt).toBe(
      deleted.source.deletedAt,
    );
    expect(await actionsOf(id)).toEqual([
      'WEBHOOK_SOURCE_CREATED',
      'WEBHOOK_SOURCE_GRANTED',
      'WEBHOOK_SOURCE_UPDATED',
      'WEBHOOK_SOURCE_GRANTED',
      'WEBHOOK_SOURCE_GRANT_REVOKED',
      'WEBHOOK_SECRET_ROTATED',
      'WEBHOOK_SOURCE_DELETED',
    ]);
  });

  test('shows its path and provider to those it is granted to, and the rest to nobody but operators', async () => {
    const made = await create({ grants: [{ role: 'USER' }] });
    const { id, path } = made.source;
    const alice = await naru.tokenFor('alice');
    const { data } = await readSource(id, 'id path provider createdAt', alice);
    expect(data.node).toMatchObject({ id, path, provider: 'HMAC' });
    const query = '{ __type(name: "WebhookSource") { fields { name } } }';
    const fields = dataOf((await post(naru.url, { query }, alice)).result).__type.fields;
    const rest = fields
      .map(({ name }: { name: string }) => name)
      .filter((name: string) => !['id', 'path', 'provider', 'createdAt'].includes(name));
    expect(rest.length).toBeGreaterThan(9);
    for (const name of rest) {
      const selection =
        { settings: 'settings { header }', secrets: SECRETS, grants: GRANTS }[name as 'secrets'] ??
        name;
      const { errors } = await readSource(id, selection, alice);
      expect(errors?.[0]?.extensions.code, name).toBe('FORBIDDEN');
    }
  });

  test('is not known to an operator’s script that may not manage sources', async () => {
    const { source } = await create();
    const narrow = await naru.tokenFor(
      'oscar',
      ALL_SCOPES.filter((scope) => scope !== 'webhooks:manage'),
    );
    expect((await readSource(source.id, 'id', narrow)).data.node).toBeNull();
    expect((await readSource(source.id, 'id')).data.node).toEqual({ id: source.id });
  });

  test('is listed oldest first, page by page, without those that were deleted unless asked for', async () => {
    const [first, second] = [await create(), await create()];
    await call('deleteWebhookSource', { sourceId: first.source.id });
    const list = async (args: string) => {
      const ids: string[] = [];
      let after: string | null = null;
      do {
        const query: string = `query ($after: String) { webhookSources(first: 3, after: $after${args}) {
          nodes { id deletedAt } pageInfo { hasNextPage endCursor } } }`;
        const page = dataOf((await post(naru.url, { query, variables: { after } }, oscar)).result);
        const { nodes, pageInfo } = page.webhookSources;
        ids.push(...nodes.map((node: { id: string }) => node.id));
        after = pageInfo.hasNextPage ? pageInfo.endCursor : null;
      } while (after !== null);
      return ids;
    };
    const live = await list('');
    expect(live).toContain(second.source.id);
    expect(live).not.toContain(first.source.id);
    const all = await list(', includeDeleted: true');
    expect(all.indexOf(first.source.id)).toBe(all.indexOf(second.source.id) - 1);
  });
});

describe('a secret', () => {
  test('is shown once, and stands in no table, no log and no answer afterwards', async () => {
    const brought = `whsec_${randomUUID()}`;
    const made = await create();
    const stripe = await create({ provider: 'STRIPE', secret: brought, idempotencyKey: 'b' });
    expect(stripe.secret).toBeNull();
    const rotated = await call(
      'rotateWebhookSecret',
      { sourceId: made.source.id },
      oscar,
      `secret source { ${SOURCE} }`,
    );
    expect(made.secret).not.toBe(rotated.secret);
    const told = JSON.stringify([(await readSource(made.source.id)).data, lines]);
    const tables = ['webhook_source', 'webhook_source_secret', 'audit_entry', 'idempotency_key'];
    const rows = await Promise.all(
      tables.map((table) => naru.app.database.query(`SELECT t::text AS row FROM ${table} t`)),
    );
    const stored = JSON.stringify(rows);
    const hex = (text: string) => Buffer.from(text).toString('hex');
    for (const secret of [brought, made.secret, rotated.secret]) {
      expect(told).not.toContain(secret);
      expect(stored).not.toContain(secret);
      expect(stored).not.toContain(hex(secret));
    }
  });

  test.each([
    ['STRIPE', null],
    ['SLACK', null],
    ['TWILIO', null],
    ['SHOPIFY', null],
    ['STRIPE', ''],
    ['HMAC', 'x'.repeat(1_025)],
    ['STANDARD_WEBHOOKS', 'whsec_not base64'],
    ['NONE', 'anything'],
  ])('of %s is refused as %j', async (provider, secret) => {
    expect(await create({ provider, secret })).toMatchObject({
      __typename: 'InvalidInputError',
      field: 'input.secret',
    });
  });
});

test.each([
  '',
  '/a',
  'a/',
  'a//b',
  '.',
  'a/..',
  '../a',
  'a b',
  'é',
  'a%2Fb',
  'x'.repeat(65),
  'a/b/c/d/e/f',
  'a\\b',
  'a\u0000',
])('no source has the path %j', async (path) => {
  expect(await create({ path })).toMatchObject({
    __typename: 'InvalidInputError',
    field: 'input.path',
  });
});

test.each([
  [{ bodyBytesMax: 0 }, 'input.bodyBytesMax'],
  [{ bodyBytesMax: 2 ** 20 + 1 }, 'input.bodyBytesMax'],
  [{ messagesPerMinute: 0 }, 'input.messagesPerMinute'],
  [{ messagesPerMinute: -1 }, 'input.messagesPerMinute'],
  [{ toleranceSeconds: 0 }, 'input.toleranceSeconds'],
  [{ toleranceSeconds: 86_401 }, 'input.toleranceSeconds'],
  [{ settings: { header: 'a b' } }, 'input.settings.header'],
  [{ settings: { eventNameHeader: '' } }, 'input.settings.eventNameHeader'],
  [{ settings: { prefix: 'x'.repeat(101) } }, 'input.settings.prefix'],
  [{ settings: { publicUrl: 'no url' } }, 'input.settings.publicUrl'],
])('%j is refused, also in a change', async (input, field) => {
  expect(await create(input)).toMatchObject({ __typename: 'InvalidInputError', field });
  const { source } = await create();
  const changed = await call('updateWebhookSource', { sourceId: source.id, ...input });
  expect(changed).toMatchObject({ __typename: 'InvalidInputError', field });
});

test('a grant to nobody makes no source', async () => {
  const path = `s-${randomUUID()}`;
  const grants = [{ userId: encodeGlobalId('User', newId()) }];
  expect((await create({ path, grants })).__typename).toBe('NotFoundError');
  expect((await create({ path })).__typename).toBe('WebhookSourceCreated');
});

describe('the same call again', () => {
  test('makes one source, whose secret was shown the first time', async () => {
    const input = { path: `s-${randomUUID()}`, idempotencyKey: randomUUID() };
    const first = await create(input);
    const again = await create(input);
    expect(again.source.id).toBe(first.source.id);
    expect([typeof first.secret, again.secret]).toEqual(['string', null]);
    expect(again.source.secrets).toHaveLength(1);
  });

  test('is another one with another secret', async () => {
    const input = { path: `s-${randomUUID()}`, idempotencyKey: randomUUID() };
    await create({ ...input, secret: 'one' });
    expect((await create({ ...input, secret: 'one' })).__typename).toBe('WebhookSourceCreated');
    expect((await create({ ...input, secret: 'two' })).__typename).toBe('IdempotencyMismatchError');
  });

  test('rotates once', async () => {
    const { source } = await create();
    const input = { sourceId: source.id, idempotencyKey: randomUUID() };
    const first = await call('rotateWebhookSecret', input, oscar, `secret source { ${SECRETS} }`);
    const again = await call('rotateWebhookSecret', input, oscar, `secret source { ${SECRETS} }`);
    expect([typeof first.secret, again.secret]).toEqual(['string', null]);
    expect(again.source.secrets).toEqual(first.source.secrets);
  });
});

describe('at once', () => {
  test('ten who take one path are one source and nine conflicts', async () => {
    const path = `s-${randomUUID()}`;
    const outcomes = await outcomesOf(Array.from({ length: 10 }, () => create({ path })));
    expect(outcomes.toSorted()).toEqual([
      ...Array.from({ length: 9 }, () => 'ConflictError'),
      'WebhookSourceCreated',
    ]);
  });

  test('changes of different fields all stay', async () => {
    const { source } = await create();
    const changes = [
      { bodyBytesMax: 10 },
      { messagesPerMinute: 20 },
      { toleranceSeconds: 30 },
      { verification: 'MONITOR' },
      { settings: { header: 'x-a' } },
    ];
    const blocker = await connectTo(naru.database);
    try {
      // All of them have begun before any of them can write.
      await blocker.query('BEGIN');
      await blocker.query('SELECT id FROM webhook_source WHERE id = $1 FOR UPDATE', [
        uuidOf(source.id),
      ]);
      const done = changes.map((input) =>
        call('updateWebhookSource', { sourceId: source.id, ...input }),
      );
      await until(async () => (await countWaiting(blocker)) === changes.length);
      await blocker.query('COMMIT');
      await Promise.all(done);
    } finally {
      await blocker.end();
    }
    expect((await readSource(source.id)).data.node).toMatchObject({
      bodyBytesMax: 10,
      messagesPerMinute: 20,
      toleranceSeconds: 30,
      verification: 'MONITOR',
      settings: { header: 'x-a' },
    });
  });

  test('rotations never leave more than five secrets', async () => {
    const { source } = await create();
    const outcomes = await outcomesOf(
      Array.from({ length: 8 }, () => call('rotateWebhookSecret', { sourceId: source.id })),
    );
    expect(outcomes.filter((outcome) => outcome === 'WebhookSecretRotated')).toHaveLength(4);
    expect((await readSource(source.id)).data.node.secrets).toHaveLength(5);
  });
});

test('an operator who is demoted while they wait changes nothing', async () => {
  const { source } = await create();
  const { userId, login } = await addAccount(naru.app.database.query, ['USER', 'OPERATOR']);
  const token = await naru.tokenFor(login);
  const blocker = await connectTo(naru.database);
  try {
    await blocker.query('BEGIN');
    await blocker.query(`UPDATE users SET roles = '{USER}' WHERE id = $1`, [userId]);
    await blocker.query('SELECT id FROM users WHERE id = $1 FOR UPDATE', [userId]);
    const rotated = call('rotateWebhookSecret', { sourceId: source.id }, token);
    await until(async () => (await countWaiting(blocker)) === 1);
    await blocker.query('COMMIT');
    expect((await rotated).__typename).toBe('ForbiddenError');
  } finally {
    await blocker.end();
  }
  expect((await readSource(source.id)).data.node.secrets).toHaveLength(1);
});

test('what is granted is read with all that came before, and what is revoked is gone at once', async () => {
  const { source } = await create({ provider: 'NONE' });
  const answer = await postRaw(naru.url, { path: `/webhook/${source.path}`, body: 'x' });
  expect(answer.status).toBe(202);
  await untilStored(naru, 1);
  const bob = await naru.tokenFor('bob');
  const read = () => readNode(naru.url, bob, answer.json.id, 'rawBody');
  expect(await read()).toBeNull();
  const input = { sourceId: source.id, grantee: { role: 'USER' } };
  await call('grantWebhookSource', input);
  expect(await read()).toMatchObject({ rawBody: 'x' });
  await call('deleteWebhookSource', { sourceId: source.id });
  expect(await read()).toMatchObject({ rawBody: 'x' });
  await call('revokeWebhookSourceGrant', input);
  expect(await read()).toBeNull();
  await call('revokeWebhookSourceGrant', input);
  // Of the operator’s own reading nothing was said: managing a source shows none of its messages.
  expect(await readNode(naru.url, oscar, answer.json.id, 'rawBody')).toBeNull();
});

describe('the source that a setting made', () => {
  const github = async () => {
    const { id } = await naru.app.prisma.webhookSource.findFirstOrThrow({
      where: { path: 'github' },
    });
    return encodeGlobalId('WebhookSource', id);
  };

  test('is changed like any other, names its setting, and cannot be deleted while that is set', async () => {
    const sourceId = await github();
    const updated = await call('updateWebhookSource', { sourceId, toleranceSeconds: 60 });
    expect(updated.source).toMatchObject({
      toleranceSeconds: 60,
      secretSetting: 'GITHUB_WEBHOOK_SECRET',
      secrets: [],
    });
    const enforced = await call('updateWebhookSource', { sourceId, verification: 'ENFORCE' });
    expect(enforced.__typename).toBe('WebhookSourceUpdated');
    const deleted = await call('deleteWebhookSource', { sourceId }, oscar, 'source { id }');
    expect(deleted).toMatchObject({
      __typename: 'ConflictError',
      message: expect.stringContaining('GITHUB_WEBHOOK_SECRET'),
    });
  });

  test('stays as it was changed when the server starts again', async () => {
    const sourceId = await github();
    await call('updateWebhookSource', { sourceId, verification: 'MONITOR' });
    const { databaseUrl, redisUrl, redisKeyPrefix } = naru.app.config;
    const config = parseConfig({
      NODE_ENV: 'test',
      DATABASE_URL: databaseUrl,
      REDIS_URL: redisUrl,
      REDIS_KEY_PREFIX: redisKeyPrefix,
      LOG_LEVEL: 'silent',
    });
    const app = await createApp(config, { log: createLog('silent'), runsJobs: false });
    try {
      expect(app.webhookSources.find(['github'])?.mode).toBe('MONITOR');
    } finally {
      await app.close();
    }
    expect(await github()).toBe(sourceId);
    await call('updateWebhookSource', { sourceId, verification: 'ENFORCE' });
  });
});

test('another node learns of a new secret and of a deletion from the job that reads the sources', async () => {
  const { databaseUrl, redisUrl, redisKeyPrefix } = naru.app.config;
  const config = parseConfig({
    NODE_ENV: 'test',
    DATABASE_URL: databaseUrl,
    REDIS_URL: redisUrl,
    REDIS_KEY_PREFIX: redisKeyPrefix,
    LOG_LEVEL: 'silent',
  });
  const other = await createApp(config, { log: createLog('silent'), runsJobs: false });
  try {
    const made = await create();
    const find = () => other.webhookSources.find([made.source.path]);
    expect(find()).toBeNull();
    await other.webhookSources.refresh();
    expect(find()?.secrets()).toEqual([made.secret]);
    const rotated = await call(
      'rotateWebhookSecret',
      { sourceId: made.source.id, overlapSeconds: 60 },
      oscar,
      'secret',
    );
    await other.webhookSources.refresh();
    expect(find()?.secrets()).toEqual([rotated.secret, made.secret]);
    await passTime(naru.app.database.query, 61);
    await other.webhookSources.refresh();
    expect(find()?.secrets()).toEqual([rotated.secret]);
    await call('deleteWebhookSource', { sourceId: made.source.id });
    await other.webhookSources.refresh();
    expect(find()).toBeNull();
  } finally {
    await other.close();
    await naru.app.database.query('DELETE FROM clock_offset');
  }
});

test('a source begins to take webhooks before the answer that made it', async () => {
  const made = await create();
  const digest = createHmac('sha256', made.secret).update('{}').digest('hex');
  const answer = await postRaw(naru.url, {
    path: `/webhook/${made.source.path}`,
    body: '{}',
    headers: { 'x-signature': digest },
  });
  expect(answer.status).toBe(202);
});
