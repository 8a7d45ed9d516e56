import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Sql } from '#database/client.ts';
import { encodeGlobalId } from '#lib/global-id.ts';
import { newId } from '#lib/ids.ts';
import {
  AUDIT_ACTIONS,
  type AuditActor,
  recordAudit,
  SYSTEM_ACTOR,
} from '#resolvers/users/audit.ts';
import { sealAuditEntries, verifyAuditChain } from '#resolvers/users/audit-chain.ts';
import { post, until } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';

let naru: TestNaru;
let audrey: string;
const users = new Map<string, string>();

beforeAll(async () => {
  // Entries are sealed when a test says so.
  naru = await startNaru({ runsJobs: false });
  audrey = await naru.tokenFor('audrey');
  for (const { id, username } of await naru.app.prisma.user.findMany()) users.set(username, id);
});
afterAll(() => naru?.close());

const LOG = `query Log($filter: AuditFilter, $first: Int, $after: String, $last: Int, $before: String) {
  auditLog(filter: $filter, first: $first, after: $after, last: $last, before: $before) {
    nodes { id at action actorId actor { username } sessionId ipAddress subjectType subjectId details position hash }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}`;

async function readLog(variables: Record<string, unknown> = {}, token: string | null = audrey) {
  const { result } = await post(naru.url, { query: LOG, variables }, token);
  return result;
}

async function nodesOf(filter: Record<string, unknown>) {
  const { data, errors } = await readLog({ filter });
  expect(errors).toBeUndefined();
  return data.auditLog.nodes;
}

function actor(username: string): AuditActor {
  return { userId: users.get(username) ?? null, sessionId: newId(), ipAddress: '192.0.2.7' };
}

const globalId = (username: string) => encodeGlobalId('User', users.get(username) ?? '');

/** One entry about somebody nobody else's test asks for. */
async function record(
  by: AuditActor,
  subjectId: string = newId(),
  sql: Sql = naru.app.database,
): Promise<string> {
  await recordAudit(sql, by, {
    action: 'ACCOUNT_DISABLED',
    subject: { type: 'User', id: subjectId },
    details: { sessions: 2 },
  });
  return encodeGlobalId('User', subjectId);
}

describe('an entry', () => {
  test('says who did what, when, where and to whom', async () => {
    const by = actor('admin');
    const subjectId = users.get('bob') ?? '';
    const before = Date.now();
    await recordAudit(naru.app.database, by, {
      action: 'ROLES_CHANGED',
      subject: { type: 'User', id: subjectId },
      details: { before: ['USER'], after: ['USER', 'OPERATOR'] },
    });
    const [entry, ...more] = await nodesOf({ subjectId: globalId('bob') });
    expect(more).toEqual([]);
    expect(entry).toEqual({
      id: expect.any(String),
      at: expect.any(String),
      action: 'ROLES_CHANGED',
      actorId: globalId('admin'),
      actor: { username: 'admin' },
      sessionId: encodeGlobalId('Session', by.sessionId ?? ''),
      ipAddress: '192.0.2.7',
      subjectType: 'User',
      subjectId: globalId('bob'),
      details: { before: ['USER'], after: ['USER', 'OPERATOR'] },
      position: null,
      hash: null,
    });
    expect(Math.abs(Date.parse(entry.at) - before)).toBeLessThan(30_000);

    const node =
      '... on AuditEntry { action actor { username personalAccessTokens { nodes { id } } } }';
    const { result } = await post(
      naru.url,
      { query: `query ($id: ID!) { node(id: $id) { id ${node} } }`, variables: { id: entry.id } },
      await naru.tokenFor('admin', ['audit:read', 'viewer:read']),
    );
    expect(result.data.node).toMatchObject({
      id: entry.id,
      action: 'ROLES_CHANGED',
      actor: { username: 'admin', personalAccessTokens: { nodes: expect.any(Array) } },
    });
  });

  test('has its place and hash once it is sealed', async () => {
    const subjectId = await record(actor('admin'));
    await sealAuditEntries(naru.app);
    const { sealed, unsealed, head, fault } = await verifyAuditChain(naru.app.database);
    expect({ unsealed, fault }).toEqual({ unsealed: 0n, fault: null });
    const [entry] = await nodesOf({ subjectId });
    expect(entry).toMatchObject({ position: String(sealed), hash: head });
  });

  test('is there with its effect, and not when that is taken back', async () => {
    const subjectId = newId();
    const rename = (displayName: string, fails: boolean) =>
      naru.app.database.transaction(async (sql) => {
        await sql.query('UPDATE users SET display_name = $1 WHERE username = $2', [
          displayName,
          'oscar',
        ]);
        await record(actor('admin'), subjectId, sql);
        if (fails) throw new Error('taken back');
      });
    await expect(rename('Not he', true)).rejects.toThrow('taken back');
    expect(await nodesOf({ subjectId: encodeGlobalId('User', subjectId) })).toEqual([]);
    await rename('Oscar the second', false);
    expect(await nodesOf({ subjectId: encodeGlobalId('User', subjectId) })).toHaveLength(1);
    const oscar = await naru.app.prisma.user.findUnique({ where: { username: 'oscar' } });
    expect(oscar?.displayName).toBe('Oscar the second');
  });

  test('of the server names nobody, nor does one of an account that is gone or deleted', async () => {
    const subjectId = newId();
    const gone = newId();
    const deleted = newId();
    await naru.app.prisma.user.create({
      data: {
        id: deleted,
        username: deleted,
        displayName: '',
        roles: [],
        deletedAt: new Date(),
      },
    });
    await record(SYSTEM_ACTOR, subjectId);
    for (const userId of [gone, deleted]) {
      await record({ userId, sessionId: null, ipAddress: null }, subjectId);
    }
    const nodes = await nodesOf({ subjectId: encodeGlobalId('User', subjectId) });
    const nobody = { actor: null, sessionId: null, ipAddress: null };
    expect(nodes).toMatchObject([
      { ...nobody, actorId: null },
      { ...nobody, actorId: encodeGlobalId('User', gone) },
      { ...nobody, actorId: encodeGlobalId('User', deleted) },
    ]);
  });

  test('of an action that only a newer version knows does not spoil the page', async () => {
    const subjectId = await record(SYSTEM_ACTOR);
    await naru.app.database.query(
      "UPDATE audit_entry SET action = 'toString' WHERE position IS NULL",
    );
    expect(await nodesOf({ subjectId })).toMatchObject([{ action: null }]);
  });

  test.each(Object.keys(AUDIT_ACTIONS))('may be of %s', async (action) => {
    const subjectId = newId();
    await recordAudit(naru.app.database, SYSTEM_ACTOR, {
      action: action as keyof typeof AUDIT_ACTIONS,
      subject: { type: 'PersonalAccessToken', id: subjectId },
    });
    const nodes = await nodesOf({ subjectId: encodeGlobalId('PersonalAccessToken', subjectId) });
    expect(nodes).toMatchObject([{ action, details: {} }]);
  });
});

describe('the audit log', () => {
  test.each([
    ['a guest', null, undefined, 'UNAUTHENTICATED'],
    ['USER', 'alice', undefined, 'FORBIDDEN'],
    ['OPERATOR', 'oscar', undefined, 'FORBIDDEN'],
    ['AUDITOR without the scope', 'audrey', ['viewer:read'], 'FORBIDDEN'],
    ['ADMIN without the scope', 'admin', ['viewer:read', 'tokens:write'], 'FORBIDDEN'],
  ] as const)('is closed to %s, page and node alike', async (_who, username, scopes, code) => {
    await record(actor('alice'), users.get('alice'));
    const token = username === null ? null : await naru.tokenFor(username, scopes);
    const { data, errors } = await readLog({}, token);
    expect(data?.auditLog ?? null).toBeNull();
    expect(errors?.map(({ extensions }) => extensions.code)).toEqual([code]);

    const [entry] = await nodesOf({ subjectId: globalId('alice') });
    const { result } = await post(
      naru.url,
      {
        query:
          'query ($id: ID!, $ids: [ID!]!) { node(id: $id) { id } nodes(ids: $ids) { id ... on AuditEntry { action } } }',
        variables: { id: entry.id, ids: [entry.id] },
      },
      token,
    );
    expect(result).toEqual({ data: { node: null, nodes: [null] } });
  });

  test.each(['audrey', 'admin'])('is open to %s', async (username) => {
    await record(SYSTEM_ACTOR);
    const token = await naru.tokenFor(username, ['audit:read']);
    expect((await readLog({}, token)).data.auditLog.nodes.length).toBeGreaterThan(0);
  });

  test('closes with the role, on the next call', async () => {
    const token = await naru.tokenFor('bob');
    const setRoles = (roles: string) =>
      naru.app.database.query(`UPDATE users SET roles = '${roles}' WHERE username = 'bob'`);
    await setRoles('{USER,AUDITOR}');
    expect((await readLog({}, token)).errors).toBeUndefined();
    await setRoles('{USER}');
    expect((await readLog({}, token)).errors?.[0]?.extensions.code).toBe('FORBIDDEN');
  });

  test('pages from both ends, oldest first, each entry once', async () => {
    const subjectId = newId();
    for (let index = 0; index < 25; index += 1) await record(actor('admin'), subjectId);
    const filter = { subjectId: encodeGlobalId('User', subjectId) };
    const page = async (window: Record<string, unknown>) => {
      const { data } = await readLog({ filter, ...window });
      const ids: string[] = data.auditLog.nodes.map(({ id }: { id: string }) => id);
      return { ids, ...data.auditLog.pageInfo };
    };
    const all = await page({ first: 100 });
    expect(all).toMatchObject({ hasNextPage: false, hasPreviousPage: false });
    expect(new Set(all.ids).size).toBe(25);

    const oldest = await page({});
    expect(oldest).toMatchObject({ ids: all.ids.slice(0, 20), hasNextPage: true });
    const rest = await page({ after: oldest.endCursor });
    expect(rest).toMatchObject({ ids: all.ids.slice(20), hasNextPage: false });

    const newest = await page({ last: 20 });
    expect(newest).toMatchObject({ ids: all.ids.slice(5), hasPreviousPage: true });
    const earlier = await page({ last: 4, before: newest.startCursor });
    expect(earlier).toMatchObject({ ids: all.ids.slice(1, 5), hasPreviousPage: true });
    const first = await page({ last: 4, before: earlier.startCursor });
    expect(first).toMatchObject({ ids: all.ids.slice(0, 1), hasPreviousPage: false });

    // A cursor is a place, whether or not the filter has an entry there.
    const elsewhere = await readLog({
      filter: { ...filter, actions: ['SIGNED_UP'] },
      after: oldest.endCursor,
    });
    expect(elsewhere.data.auditLog.nodes).toEqual([]);
    const { data } = await readLog({ last: 1 });
    expect(await page({ before: data.auditLog.pageInfo.endCursor, last: 100 })).toMatchObject({
      ids: data.auditLog.nodes[0].id === all.ids[24] ? all.ids.slice(0, 24) : all.ids,
    });
  });

  test('filters by who, whom, what and when', async () => {
    const [who, whom, other] = [newId(), newId(), newId()];
    const by = (userId: string) => ({ userId, sessionId: null, ipAddress: null });
    await recordAudit(naru.app.database, by(who), {
      action: 'TOKEN_CREATED',
      subject: { type: 'PersonalAccessToken', id: whom },
    });
    await recordAudit(naru.app.database, by(who), {
      action: 'SIGNED_IN',
      subject: { type: 'User', id: whom },
    });
    await recordAudit(naru.app.database, by(other), {
      action: 'SIGNED_IN',
      subject: { type: 'User', id: whom },
    });
    await naru.app.database.query(
      "UPDATE audit_entry SET at = '2020-02-02T02:02:02.002Z' WHERE actor_id = $1",
      [other],
    );
    const found = async (filter: Record<string, unknown>) =>
      (await nodesOf(filter)).map(
        ({ actorId, action }: { actorId: string; action: string }) =>
          `${actorId === encodeGlobalId('User', who) ? 'who' : 'other'} ${action}`,
      );
    const whoId = encodeGlobalId('User', who);
    const userId = encodeGlobalId('User', whom);
    expect(await found({ actorId: whoId })).toEqual(['who TOKEN_CREATED', 'who SIGNED_IN']);
    // The type is part of what a thing is.
    expect(await found({ subjectId: userId })).toEqual(['who SIGNED_IN', 'other SIGNED_IN']);
    expect(await found({ subjectId: userId, actorId: whoId })).toEqual(['who SIGNED_IN']);
    expect(await found({ actorId: whoId, actions: ['TOKEN_CREATED', 'SIGNED_OUT'] })).toEqual([
      'who TOKEN_CREATED',
    ]);
    expect(await found({ actorId: whoId, actions: [] })).toEqual([]);
    const at = '2020-02-02T02:02:02.002Z';
    const later = '2020-02-02T02:02:02.003Z';
    expect(await found({ from: at, to: later })).toEqual(['other SIGNED_IN']);
    expect(await found({ subjectId: userId, from: later })).toEqual(['who SIGNED_IN']);
    expect(await found({ subjectId: userId, to: at })).toEqual([]);
  });

  const foreign = Buffer.from('GPC:S:nobody').toString('base64');
  test.each([
    ['a page of 101', { first: 101 }],
    ['a cursor that is none', { after: '🦄' }],
    ['a cursor of another list', { after: foreign }],
    ['an actor that is no account', { filter: { actorId: encodeGlobalId('Session', newId()) } }],
    ['a subject that is no id', { filter: { subjectId: 'x' } }],
    ['an action that is none', { filter: { actions: ['BORED'] } }],
    ['a time before all time', { filter: { from: '0000-01-01T00:00:00Z' } }],
  ])('refuses %s', async (_name, variables) => {
    const { errors } = await readLog(variables);
    expect(errors?.map(({ extensions }) => extensions.code)).toEqual(['INVALID_INPUT']);
  });
});

test('a running node seals what is recorded', async () => {
  const node = await startNaru();
  try {
    await recordAudit(node.app.database, SYSTEM_ACTOR, {
      action: 'SIGNING_KEY_ROTATED',
      subject: { type: 'SigningKey', id: null },
      details: { keyId: 'new' },
    });
    await until(async () => (await verifyAuditChain(node.app.database)).unsealed === 0n);
    expect(await verifyAuditChain(node.app.database)).toMatchObject({ fault: null });
  } finally {
    await node.close();
  }
});
