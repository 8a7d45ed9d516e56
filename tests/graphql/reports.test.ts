import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ALL_SCOPES } from '#auth/scopes.ts';
import { topicJobs } from '#jobs/index.ts';
import { encodeGlobalId } from '#lib/global-id.ts';
import { newId } from '#lib/ids.ts';
import type { Entry } from '#pubsub/bus.ts';
import { post, until } from '../support/graphql-client.ts';
import { connectTo, countWaiting, mutate } from '../support/mutations.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import {
  addMember,
  addMembers,
  type MadeRoom,
  type Member,
  makeDirectRoom,
  makeRoom,
} from '../support/rooms.ts';

let naru: TestNaru;
beforeAll(async () => {
  naru = await startNaru({ settings: { ROOM_BLOCKED_WORDS: '바보, Spam ,ass' } });
});
afterAll(() => naru?.close());

const REPORT = `id reason note state reportedBody reportedRevision resolvedAt resolution
  room { id } message { id body } author { id } reporter { id } resolvedBy { id }`;

interface People {
  readonly owner: Member;
  readonly moderator: Member;
  readonly author: Member;
  readonly reporter: Member;
  readonly room: MadeRoom;
}
let people: People;

async function makePeople(): Promise<People> {
  const [owner, moderator, author, reporter] = (await addMembers(naru, 4)) as [
    Member,
    Member,
    Member,
    Member,
  ];
  const room = await makeRoom(naru, {
    owner,
    moderators: [moderator],
    members: [author, reporter],
  });
  return { owner, moderator, author, reporter, room };
}
beforeEach(async () => {
  people = await makePeople();
});

async function send(member: Member, body: string, room: MadeRoom = people.room): Promise<string> {
  const input = { roomId: room.id, clientMessageId: randomUUID(), body };
  const selection = 'sent: chatMessage { id }';
  const answer = await mutate(naru.url, 'sendMessage', input, { token: member.token, selection });
  expect(answer.code).toBeUndefined();
  return answer.sent.id;
}

async function edit(member: Member, messageId: string, body: string): Promise<void> {
  const answer = await mutate(naru.url, 'editMessage', { messageId, body }, member);
  expect(answer.code).toBeUndefined();
}

async function remove(member: Member, messageId: string): Promise<void> {
  const answer = await mutate(naru.url, 'deleteMessage', { messageId }, member);
  expect(answer.code).toBeUndefined();
}

function report(member: Member, messageId: string, more: object = {}) {
  const input = { messageId, reason: 'HARASSMENT', ...more };
  return mutate(naru.url, 'reportMessage', input, {
    token: member.token,
    selection: `report { ${REPORT} }`,
  });
}

function settle(member: Member, reportId: string, more: object = {}) {
  const input = { reportId, outcome: 'UPHELD', ...more };
  return mutate(naru.url, 'resolveReport', input, {
    token: member.token,
    selection: `report { ${REPORT} }`,
  });
}

async function ask(member: Member, query: string, variables: object = {}) {
  const { result } = await post(naru.url, { query, variables: { ...variables } }, member.token);
  if (result.errors !== undefined) throw new Error(JSON.stringify(result.errors));
  return result.data;
}

/** Null for who has no queue there. */
async function queueOf(member: Member, page = '', room: MadeRoom = people.room) {
  const query = `query ($id: ID!) { room(id: $id) { reports${page} { nodes { ${REPORT} } } } }`;
  const { reports } = (await ask(member, query, { id: room.id })).room;
  return reports?.nodes ?? null;
}

async function readNode(member: Member, id: string) {
  const query = `query ($id: ID!) { node(id: $id) { ... on MessageReport { ${REPORT} } } }`;
  return (await ask(member, query, { id })).node;
}

describe('a report', () => {
  test('shows moderators the message as it was, whatever its author makes of it', async () => {
    const { owner, author, reporter, moderator } = people;
    const messageId = await send(author, 'awful');
    const answer = await report(reporter, messageId, { note: ' look ' });
    expect(answer.report).toMatchObject({
      reason: 'HARASSMENT',
      note: 'look',
      state: 'OPEN',
      reporter: { id: reporter.id },
      message: { id: messageId, body: 'awful' },
      reportedBody: null,
      author: null,
    });
    await edit(author, messageId, 'nice');
    const shown = { reportedBody: 'awful', reportedRevision: 0, author: { id: author.id } };
    for (const one of [owner, moderator]) {
      expect(await queueOf(one)).toMatchObject([{ ...shown, message: { body: 'nice' } }]);
    }
    await remove(author, messageId);
    expect(await queueOf(owner)).toMatchObject([{ ...shown, message: { body: null } }]);
  });

  test('is of the revision that the reporter has seen', async () => {
    const { author, reporter, owner } = people;
    const messageId = await send(author, 'awful');
    await edit(author, messageId, 'better');
    await edit(author, messageId, 'nice');
    for (const revision of [-1, 3, 2_147_483_647]) {
      expect(await report(reporter, messageId, { revision })).toMatchObject({
        code: 'INVALID_INPUT',
        field: 'input.revision',
      });
    }
    await report(reporter, messageId, { revision: 0 });
    await report(people.moderator, messageId, { revision: 2 });
    expect(await queueOf(owner)).toMatchObject([
      { reportedBody: 'awful', reportedRevision: 0 },
      { reportedBody: 'nice', reportedRevision: 2 },
    ]);
  });

  test('is one an account and message, however often and however many at once', async () => {
    const { author, reporter, owner, moderator } = people;
    const messageId = await send(author, 'awful');
    const reasons = ['SPAM', 'OTHER', 'ILLEGAL', 'SEXUAL', 'VIOLENCE'];
    const answers = await Promise.all(
      reasons.map((reason) => report(reporter, messageId, { reason })),
    );
    expect(new Set(answers.map((answer) => answer.report.id)).size).toBe(1);
    await report(moderator, messageId);
    expect(await queueOf(owner)).toHaveLength(2);
    const [first] = await queueOf(owner);
    await settle(owner, first.id);
    expect((await report(reporter, messageId)).report).toMatchObject({
      id: first.id,
      state: 'UPHELD',
    });
  });

  test('is refused for what is one’s own, deleted, or nothing to read', async () => {
    const { author, reporter, owner, room } = people;
    const messageId = await send(author, 'awful');
    expect(await report(author, messageId)).toMatchObject({ code: 'FORBIDDEN' });
    const stranger = await addMember(naru);
    const unknown = encodeGlobalId('ChatMessage', newId());
    const none = await report(reporter, unknown);
    expect(none).toMatchObject({ code: 'NOT_FOUND' });
    expect(await report(stranger, messageId)).toEqual(none);
    await remove(author, messageId);
    expect(await report(reporter, messageId)).toMatchObject({ code: 'CONFLICT' });
    const last = await send(owner, 'last', room);
    await mutate(naru.url, 'leaveRoom', { roomId: room.id }, reporter);
    expect(await report(reporter, last)).toEqual(none);
  });

  test.each([
    [{ note: 'x'.repeat(1_001) }, 'input.note'],
    [{ note: 'a\u0000b' }, 'input.note'],
    [{ note: '\ud800' }, 'input.note'],
    [{ reason: 'BLOCKED_WORD' }, 'input.reason'],
  ])('with %j is refused with the field', async (more, field) => {
    const messageId = await send(people.author, 'awful');
    expect(await report(people.reporter, messageId, more)).toMatchObject({
      code: 'INVALID_INPUT',
      field,
    });
  });
});

describe('the queue', () => {
  test('is there for moderators only, whether or not anything was reported', async () => {
    const { author, reporter, owner, moderator } = people;
    const empty = await Promise.all(
      [author, reporter, owner, moderator].map((one) => queueOf(one)),
    );
    expect(empty).toEqual([null, null, [], []]);
    const messageId = await send(author, 'awful');
    const { id } = (await report(reporter, messageId)).report;
    expect(await queueOf(author)).toBeNull();
    expect(await queueOf(reporter)).toBeNull();
    expect(await readNode(author, id)).toBeNull();
    expect(await readNode(await addMember(naru), id)).toBeNull();
    expect(await settle(author, id)).toEqual(
      await settle(author, encodeGlobalId('MessageReport', newId())),
    );
    for (const member of [author, reporter]) {
      const { messageReports } = await ask(member, '{ messageReports { nodes { id } } }');
      expect(messageReports.nodes).toEqual([]);
    }
  });

  test('wants its scope, also as a node', async () => {
    const { owner, author, reporter, room } = people;
    const messageId = await send(author, 'awful');
    const { id } = (await report(reporter, messageId)).report;
    const scopes = ALL_SCOPES.filter((scope) => scope !== 'rooms:moderate');
    const token = await naru.tokenFor(owner.username, scopes);
    const script = { ...owner, token };
    expect(await queueOf(script)).toBeNull();
    expect(await readNode(script, id)).toBeNull();
    const query = '{ messageReports { nodes { id } } }';
    expect((await post(naru.url, { query }, token)).result.errors?.[0]?.extensions.code).toBe(
      'FORBIDDEN',
    );
    expect(await queueOf(owner, '', room)).toHaveLength(1);
  });

  test('ends for who is no moderator any more, and for who has left', async () => {
    const { owner, moderator, author, reporter, room } = people;
    const messageId = await send(author, 'awful');
    const { id } = (await report(reporter, messageId)).report;
    expect(await readNode(moderator, id)).not.toBeNull();
    const input = { roomId: room.id, userId: moderator.id, role: 'MEMBER' };
    expect((await mutate(naru.url, 'setParticipantRole', input, owner)).code).toBeUndefined();
    expect(await queueOf(moderator)).toBeNull();
    expect(await readNode(moderator, id)).toBeNull();
    await mutate(naru.url, 'leaveRoom', { roomId: room.id }, owner);
    expect(await readNode(owner, id)).toBeNull();
    const { messageReports } = await ask(owner, '{ messageReports { nodes { id } } }');
    expect(messageReports.nodes).toEqual([]);
  });

  test('keeps from moderators what is about their own messages', async () => {
    const { owner, moderator, reporter } = people;
    const messageId = await send(moderator, 'awful');
    const { id } = (await report(reporter, messageId)).report;
    expect(await queueOf(moderator)).toEqual([]);
    expect(await readNode(moderator, id)).toBeNull();
    expect(await settle(moderator, id, { outcome: 'DISMISSED' })).toMatchObject({
      code: 'NOT_FOUND',
    });
    expect(await queueOf(owner)).toMatchObject([{ id }]);
  });

  test('pages over all rooms of the moderator, both ways and by state', async () => {
    const { owner, author, reporter, moderator, room } = people;
    const other = await makeRoom(naru, { owner, members: [author, reporter] });
    const foreign = await makeRoom(naru, { owner: moderator, members: [author, reporter, owner] });
    const ids: string[] = [];
    for (const [index, where] of [room, other, foreign, room, other].entries()) {
      const messageId = await send(author, `awful ${index}`, where);
      ids.push((await report(reporter, messageId)).report.id);
    }
    const [first, second, , fourth, fifth] = ids as [string, string, string, string, string];
    const page = async (args: string) => {
      const query = `{ messageReports(${args}) {
        nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`;
      const { nodes, pageInfo } = (await ask(owner, query)).messageReports;
      return { ids: nodes.map(({ id }: { id: string }) => id), ...pageInfo };
    };
    const start = await page('first: 2');
    expect(start).toMatchObject({ ids: [first, second], hasNextPage: true });
    expect(await page(`first: 2, after: "${start.endCursor}"`)).toMatchObject({
      ids: [fourth, fifth],
      hasNextPage: false,
    });
    const end = await page('last: 1');
    expect(end).toMatchObject({ ids: [fifth], hasPreviousPage: true });
    expect(await page(`last: 5, before: "${end.startCursor}"`)).toMatchObject({
      ids: [first, second, fourth],
    });
    await settle(owner, second, { outcome: 'DISMISSED' });
    expect((await page('state: OPEN')).ids).toEqual([first, fourth, fifth]);
    expect((await page('state: DISMISSED')).ids).toEqual([second]);
    expect(await queueOf(owner, '(state: OPEN, last: 1)', other)).toMatchObject([{ id: fifth }]);
    const query = '{ messageReports(after: "nothing of ours") { nodes { id } } }';
    const { result } = await post(naru.url, { query }, owner.token);
    expect(result.errors?.[0]?.extensions.code).toBe('CURSOR_INVALID');
  });
});

describe('a report is settled', () => {
  test('once, by one of two moderators at once, and the other is told the outcome', async () => {
    const { owner, moderator, author, reporter } = people;
    const messageId = await send(author, 'awful');
    const { id } = (await report(reporter, messageId)).report;
    const answers = await Promise.all([
      settle(owner, id, { outcome: 'UPHELD', resolution: 'so it is' }),
      settle(moderator, id, { outcome: 'DISMISSED', resolution: 'harmless' }),
    ]);
    const [won] = answers.filter(({ code }) => code === undefined);
    const [lost] = answers.filter(({ code }) => code !== undefined);
    expect(lost).toMatchObject({ code: 'CONFLICT' });
    expect(lost.message).toContain(won.report.state);
    expect(await queueOf(owner)).toEqual([won.report]);
    const entries = await naru.app.prisma.auditEntry.findMany({
      where: { action: 'REPORT_RESOLVED', actorId: { in: [owner.userId, moderator.userId] } },
    });
    expect(entries).toMatchObject([
      {
        subjectType: 'MessageReport',
        details: { outcome: won.report.state, deletes: false },
      },
    ]);
  });

  test('again by the same moderator, as the first time', async () => {
    const { owner, author, reporter } = people;
    const messageId = await send(author, 'awful');
    const { id } = (await report(reporter, messageId)).report;
    const answers = [];
    for (let time = 0; time < 3; time += 1) answers.push(await settle(owner, id));
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
    expect(await settle(owner, id, { outcome: 'DISMISSED' })).toMatchObject({ code: 'CONFLICT' });
    const count = await naru.app.prisma.auditEntry.count({
      where: { action: 'REPORT_RESOLVED', actorId: owner.userId },
    });
    expect(count).toBe(1);
  });

  test('and its reporter learns what became of it, and no more', async () => {
    const { owner, author, reporter } = people;
    const messageId = await send(author, 'awful');
    const { id } = (await report(reporter, messageId)).report;
    await settle(owner, id, { outcome: 'DISMISSED', resolution: 'they always report' });
    expect(await readNode(reporter, id)).toMatchObject({
      state: 'DISMISSED',
      resolvedAt: expect.any(String),
      resolution: null,
      resolvedBy: null,
      reportedBody: null,
    });
    expect(await readNode(owner, id)).toMatchObject({
      resolution: 'they always report',
      resolvedBy: { id: owner.id },
    });
  });

  test('by nobody who lost the role while they waited for their turn', async () => {
    const { moderator, author, reporter, owner, room } = people;
    const messageId = await send(author, 'awful');
    const { id } = (await report(reporter, messageId)).report;
    const client = await connectTo(naru.database);
    await client.query('BEGIN');
    await client.query('SELECT FROM room WHERE id = $1 FOR UPDATE', [room.roomId]);
    const settling = settle(moderator, id, { deleteMessage: true });
    await until(async () => (await countWaiting(client)) > 0);
    await client.query(
      `UPDATE room_participant SET role = 'MEMBER' WHERE room_id = $1 AND user_id = $2`,
      [room.roomId, moderator.userId],
    );
    await client.query('COMMIT');
    await client.end();
    expect(await settling).toMatchObject({ code: 'NOT_FOUND' });
    expect(await queueOf(owner)).toMatchObject([{ state: 'OPEN', message: { body: 'awful' } }]);
  });

  test('with the deletion of the message, or not at all', async () => {
    const { owner, moderator, author, reporter } = people;
    const messageId = await send(author, 'awful');
    const { id } = (await report(reporter, messageId)).report;
    expect(await settle(owner, id, { outcome: 'DISMISSED', deleteMessage: true })).toMatchObject({
      code: 'INVALID_INPUT',
      field: 'input.deleteMessage',
    });
    const done = await settle(moderator, id, { deleteMessage: true });
    expect(done.report).toMatchObject({
      state: 'UPHELD',
      message: { body: null },
      reportedBody: 'awful',
    });
    const above = await send(owner, 'awful too');
    const other = (await report(reporter, above)).report.id;
    expect(await settle(moderator, other, { deleteMessage: true })).toMatchObject({
      code: 'FORBIDDEN',
    });
    expect(await readNode(moderator, other)).toMatchObject({
      state: 'OPEN',
      message: { body: 'awful too' },
    });
  });
});

describe('what nobody in the room can settle', () => {
  async function makeOperator(role: 'OPERATOR' | 'ADMIN' = 'OPERATOR'): Promise<Member> {
    const member = await addMember(naru);
    await setRoles(member, [role]);
    return member;
  }

  async function setRoles({ userId }: Member, roles: readonly string[]): Promise<void> {
    await naru.app.database.query('UPDATE users SET roles = $2::role[] WHERE id = $1', [
      userId,
      roles,
    ]);
  }

  /** Ids of all that the member finds, of these. */
  async function found(member: Member, ids: readonly string[], args = ''): Promise<string[]> {
    const query = `{ messageReports(last: 100${args}) { nodes { id } } }`;
    const { nodes } = (await ask(member, query)).messageReports;
    return nodes.map(({ id }: { id: string }) => id).filter((id: string) => ids.includes(id));
  }

  async function reportIn(where: MadeRoom, author: Member, reporter: Member) {
    const messageId = await send(author, 'awful', where);
    const answer = await report(reporter, messageId);
    expect(answer.code).toBeUndefined();
    return { messageId, id: answer.report.id as string };
  }

  const whisper = async () => {
    const [author, reporter] = (await addMembers(naru, 2)) as [Member, Member];
    const room = await makeDirectRoom(naru, [author, reporter]);
    return { author, reporter, room, ...(await reportIn(room, author, reporter)) };
  };

  const alone = async () => {
    const [owner, reporter] = (await addMembers(naru, 2)) as [Member, Member];
    const room = await makeRoom(naru, { owner, members: [reporter] });
    return { author: owner, reporter, room, ...(await reportIn(room, owner, reporter)) };
  };

  test.each([
    ['between two', 'OPERATOR', whisper],
    ['between two', 'ADMIN', whisper],
    ['by the only owner of a group', 'OPERATOR', alone],
    ['by the only owner of a group', 'ADMIN', alone],
  ] as const)('said %s, is found and settled by the role %s', async (_where, role, make) => {
    const { author, reporter, room, messageId, id } = await make();
    const operator = await makeOperator(role);
    expect(await found(operator, [id])).toEqual([id]);
    expect(await found(operator, [id], ', state: OPEN')).toEqual([id]);
    const shown = {
      id,
      reportedBody: 'awful',
      author: { id: author.id },
      reporter: { id: reporter.id },
      room: null,
      message: null,
    };
    expect(await readNode(operator, id)).toMatchObject({ ...shown, state: 'OPEN' });
    for (const one of [author, reporter]) expect(await found(one, [id])).toEqual([]);
    const query =
      'query ($room: ID!, $message: ID!) { room(id: $room) { id } node(id: $message) { id } }';
    const read = await ask(operator, query, { room: room.id, message: messageId });
    expect(read).toEqual({ room: null, node: null });
    expect(await mutate(naru.url, 'deleteMessage', { messageId }, operator)).toMatchObject({
      code: 'NOT_FOUND',
    });
    for (let time = 0; time < 2; time += 1) {
      const done = await settle(operator, id, { deleteMessage: true, resolution: 'so it is' });
      expect(done.report).toMatchObject({ ...shown, state: 'UPHELD', resolution: 'so it is' });
    }
    expect(await readNode(reporter, id)).toMatchObject({
      state: 'UPHELD',
      message: { body: null },
      reportedBody: null,
    });
    const entries = await naru.app.prisma.auditEntry.findMany({
      where: { actorId: operator.userId },
      orderBy: { action: 'asc' },
    });
    expect(entries).toMatchObject([
      { action: 'MESSAGE_DELETED', details: { authority: 'OPERATOR', reason: 'HARASSMENT' } },
      { action: 'REPORT_RESOLVED', details: { authority: 'OPERATOR', deletes: true } },
    ]);
    const [last] = await naru.app.database.query(
      `SELECT e.kind FROM room_event e JOIN room r ON r.id = e.room_id
       WHERE r.id = $1 AND e.position = r.last_position`,
      [room.roomId],
    );
    expect(last).toEqual({ kind: 'MESSAGE_DELETED' });
  });

  test('is all that operators read: not what a moderator can, nor without the scopes or the role', async () => {
    const { author, reporter } = people;
    const { id: moderated } = await reportIn(people.room, author, reporter);
    const { id } = await whisper();
    const operator = await makeOperator();
    expect(await found(operator, [moderated, id])).toEqual([id]);
    expect(await readNode(operator, moderated)).toBeNull();
    const none = await settle(operator, encodeGlobalId('MessageReport', newId()));
    expect(none).toMatchObject({ code: 'NOT_FOUND' });
    expect(await settle(operator, moderated)).toEqual(none);
    for (const missing of ['rooms:read', 'rooms:moderate']) {
      const scopes = ALL_SCOPES.filter((scope) => scope !== missing);
      const token = await naru.tokenFor(operator.username, scopes);
      expect(await readNode({ ...operator, token }, id)).toBeNull();
    }
    for (const roles of [['USER'], ['AUDITOR'], []]) {
      await setRoles(operator, roles);
      expect(await found(operator, [id])).toEqual([]);
      expect(await readNode(operator, id)).toBeNull();
      expect(await settle(operator, id)).toEqual(none);
    }
  });

  test('is of what is, and not of what was: with every moderator who comes, goes or is disabled', async () => {
    const { author, reporter, room, id } = await alone();
    const operator = await makeOperator();
    const setRole = (role: string) =>
      mutate(
        naru.url,
        'setParticipantRole',
        { roomId: room.id, userId: reporter.id, role },
        author,
      );
    await setRole('MODERATOR');
    expect(await found(operator, [id])).toEqual([]);
    expect(await found(reporter, [id])).toEqual([id]);
    await setRole('MEMBER');
    expect(await found(operator, [id])).toEqual([id]);
    await setRole('OWNER');
    expect(await readNode(operator, id)).toBeNull();
    await naru.app.database.query('UPDATE users SET disabled_at = naru_now() WHERE id = $1', [
      reporter.userId,
    ]);
    expect(await found(operator, [id])).toEqual([id]);
    await mutate(naru.url, 'leaveRoom', { roomId: room.id }, author);
    expect((await settle(operator, id, { deleteMessage: true })).report).toMatchObject({
      state: 'UPHELD',
    });
  });

  test('is in the room’s own queue for operators who are there, and nothing else is', async () => {
    const [author, reporter] = (await addMembers(naru, 2)) as [Member, Member];
    const operator = await makeOperator();
    const room = await makeRoom(naru, { owner: author, members: [reporter, operator] });
    expect(await queueOf(operator, '', room)).toEqual([]);
    const { id, messageId } = await reportIn(room, author, reporter);
    await reportIn(room, reporter, operator);
    expect(await queueOf(operator, '', room)).toMatchObject([
      { id, room: { id: room.id }, message: { id: messageId, body: 'awful' } },
    ]);
    expect(await queueOf(reporter, '', room)).toBeNull();
    await mutate(naru.url, 'leaveRoom', { roomId: room.id }, operator);
    expect(await readNode(operator, id)).toMatchObject({ room: null, message: null });
  });

  test('is nothing to operators who wrote it', async () => {
    const operator = await makeOperator();
    const reporter = await addMember(naru);
    const other = await makeOperator();
    const room = await makeDirectRoom(naru, [operator, reporter]);
    const { id } = await reportIn(room, operator, reporter);
    expect(await found(operator, [id])).toEqual([]);
    expect(await queueOf(operator, '', room)).toEqual([]);
    expect(await readNode(operator, id)).toBeNull();
    expect(await settle(operator, id)).toMatchObject({ code: 'NOT_FOUND' });
    expect(await found(other, [id])).toEqual([id]);
  });

  test('is paged with what the operator moderates, in one order and without repeats', async () => {
    const operator = await makeOperator();
    const own = await makeRoom(naru, {
      owner: operator,
      members: [people.author, people.reporter],
    });
    const mine = await reportIn(own, people.author, people.reporter);
    const theirs = await alone();
    const later = await reportIn(own, people.author, people.reporter);
    const ids = [mine.id, theirs.id, later.id];
    expect(await found(operator, ids)).toEqual(ids);
    const query = `query ($after: String) { messageReports(first: 1, after: $after, state: OPEN) {
      nodes { id } pageInfo { hasNextPage endCursor } } }`;
    interface Page {
      readonly nodes: readonly { readonly id: string }[];
      readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string };
    }
    const walked: string[] = [];
    let after: string | null = null;
    for (let hasNext = true; hasNext; ) {
      const page: Page = (await ask(operator, query, { after })).messageReports;
      walked.push(...page.nodes.map(({ id }) => id));
      hasNext = page.pageInfo.hasNextPage;
      after = page.pageInfo.endCursor;
    }
    expect(walked.filter((id) => ids.includes(id))).toEqual(ids);
    expect(new Set(walked).size).toBe(walked.length);
  });

  test.each([
    [
      'once a moderator came while they waited for their turn',
      `UPDATE room_participant SET role = 'MODERATOR' WHERE room_id = $1 AND user_id = $2`,
    ],
    [
      'once they lost the role while they waited for their turn',
      `UPDATE users SET roles = '{USER}' WHERE id = $3 AND $1::uuid <> $2::uuid`,
    ],
  ])('is not settled by operators %s', async (_when, text) => {
    const { reporter, room, id, messageId } = await alone();
    const operator = await makeOperator();
    const client = await connectTo(naru.database);
    await client.query('BEGIN');
    await client.query('SELECT FROM room WHERE id = $1 FOR UPDATE', [room.roomId]);
    const settling = settle(operator, id, { deleteMessage: true });
    await until(async () => (await countWaiting(client)) > 0);
    const values = [room.roomId, reporter.userId, operator.userId];
    await client.query(text, text.includes('$3') ? values : values.slice(0, 2));
    await client.query('COMMIT');
    await client.end();
    expect(await settling).toMatchObject({ code: 'NOT_FOUND' });
    expect(await readNode(reporter, id)).toMatchObject({
      state: 'OPEN',
      message: { id: messageId, body: 'awful' },
    });
  });

  test('is settled once, by an operator or by the moderator who is just made', async () => {
    const operator = await makeOperator();
    for (let time = 0; time < 8; time += 1) {
      const { author, reporter, room, id } = await alone();
      const input = { roomId: room.id, userId: reporter.id, role: 'MODERATOR' };
      const [made, byOperator] = await Promise.all([
        mutate(naru.url, 'setParticipantRole', input, author),
        settle(operator, id),
      ]);
      expect(made.code).toBeUndefined();
      const isFirst = byOperator.code === undefined;
      if (isFirst) expect(byOperator.report).toMatchObject({ state: 'UPHELD', room: null });
      else expect(byOperator).toMatchObject({ code: 'NOT_FOUND' });
      const byModerator = await settle(reporter, id, { outcome: 'DISMISSED' });
      expect(byModerator.code).toBe(isFirst ? 'CONFLICT' : undefined);
    }
  });
});

describe('the word filter', () => {
  /** When the filter has looked at all that was logged in the room. */
  async function looked(room: MadeRoom = people.room): Promise<void> {
    await until(async () => {
      const [row] = await naru.app.database.query<{ isDone: boolean }>(
        `SELECT p.position = r.last_position AS "isDone"
         FROM room_check_place p JOIN room r ON r.id = p.room_id
         WHERE p.name = 'room-word-filter' AND p.room_id = $1`,
        [room.roomId],
      );
      return row?.isDone === true;
    });
  }

  /** What it would be handed: announcements of these positions. */
  async function handOver(positions: readonly bigint[]): Promise<void> {
    const job = topicJobs.find(({ name }) => name === 'room-word-filter');
    const batch = positions.map((position) => ({
      id: newId(),
      key: people.room.roomId,
      payload: { position: position.toString() },
      attachment: null,
      place: { incarnation: 'x', sequence: position },
      publishedAt: new Date(),
    }));
    await job?.run(naru.app, batch satisfies readonly Entry<unknown>[]);
  }

  test('reports what it finds to moderators, in any case and with any particle', async () => {
    const { owner, author } = people;
    for (const body of ['이런 바보야', 'ｓＰＡＭ!', 'a class of its own', 'fine']) {
      await send(author, body);
    }
    await looked();
    expect(await queueOf(owner)).toMatchObject([
      {
        reason: 'BLOCKED_WORD',
        reporter: null,
        reportedBody: '이런 바보야',
        note: 'Blocked word: 바보',
      },
      {
        reason: 'BLOCKED_WORD',
        reporter: null,
        reportedBody: 'ｓＰＡＭ!',
        note: 'Blocked word: Spam',
      },
    ]);
  });

  test('looks at every edit, also at what another has replaced since', async () => {
    const { owner, author, room } = people;
    const messageId = await send(author, 'fine');
    await edit(author, messageId, 'you 바보');
    await edit(author, messageId, 'fine again');
    await looked();
    const found = {
      reportedBody: 'you 바보',
      reportedRevision: 1,
      message: { body: 'fine again' },
    };
    expect(await queueOf(owner)).toMatchObject([found]);
    // As if it had only now come to it.
    await naru.app.database.query('DELETE FROM message_report WHERE room_id = $1', [room.roomId]);
    const first = BigInt(room.head) + 1n;
    await handOver([first, first + 1n, first + 2n]);
    expect(await queueOf(owner)).toMatchObject([found]);
  });

  test('finds nothing new in what it has seen, whatever comes again and in whatever order', async () => {
    const { owner, author, room } = people;
    const messageId = await send(author, '바보');
    await edit(author, messageId, '바보 spam');
    await looked();
    const found = await queueOf(owner);
    expect(found).toHaveLength(2);
    const first = BigInt(room.head) + 1n;
    await handOver([first + 1n, first]);
    await Promise.all([handOver([first]), handOver([first, first + 1n])]);
    expect(await queueOf(owner)).toEqual(found);
  });

  test('does not look into direct rooms: private talk is reported by who it is said to', async () => {
    const { author, reporter } = people;
    const room = await makeDirectRoom(naru, [author, reporter]);
    await send(author, '바보', room);
    await looked(room);
    const reports = await naru.app.database.query(
      'SELECT id FROM message_report WHERE room_id = $1',
      [room.roomId],
    );
    expect(reports).toEqual([]);
  });

  test('passes over what was deleted, and makes up for what the bus has lost', async () => {
    const { owner, author, room } = people;
    await send(author, 'fine');
    await looked();
    // Rows only: as if their announcements had got lost.
    const lost = [];
    for (const body of ['바보 one', '바보 two', 'fine']) lost.push(await send(author, body));
    await looked();
    await naru.app.database.query('DELETE FROM message_report WHERE room_id = $1', [room.roomId]);
    await naru.app.database.query(
      `UPDATE room_check_place SET position = $2 WHERE name = 'room-word-filter' AND room_id = $1`,
      [room.roomId, room.head + 1],
    );
    await remove(author, lost[1] ?? '');
    await looked();
    expect(await queueOf(owner)).toMatchObject([{ reportedBody: '바보 one' }]);
  });
});
