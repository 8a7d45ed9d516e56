import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { SEARCH_MS_MAX } from '#resolvers/rooms/bound-search.ts';
import { post, until } from '../support/graphql-client.ts';
import { change, readMessage, readRoom, send } from '../support/messages.ts';
import { connectTo, mutate } from '../support/mutations.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { addMember, addMembers, type MadeRoom, type Member, makeRoom } from '../support/rooms.ts';

let naru: TestNaru;
beforeAll(async () => {
  naru = await startNaru({ runsJobs: false });
});
afterAll(() => naru?.close());

async function people(count: number): Promise<[Member, Member, Member]> {
  return (await addMembers(naru, Math.max(count, 3))) as [Member, Member, Member];
}

/** So many messages of this author, each a few places behind the one before. */
async function fill(
  room: MadeRoom,
  { userId }: Member,
  count: number,
  { step = 1, body = `'message ' || n` }: { step?: number; body?: string } = {},
): Promise<void> {
  await naru.app.database.query(
    `INSERT INTO chat_message (id, room_id, sequence, position, author_id, client_message_id, fingerprint, body)
     SELECT gen_random_uuid(), $1, r.last_sequence + n, r.last_position + n * $4::int, $2, 'filled ' || n, '', ${body}
     FROM room r, generate_series(1, $3::int) AS n WHERE r.id = $1`,
    [room.roomId, userId, count, step],
  );
  await naru.app.database.query(
    `UPDATE room SET last_position = last_position + $2::int * $3::int, last_sequence = last_sequence + $2 WHERE id = $1`,
    [room.roomId, count, step],
  );
}

const PAGE =
  'nodes { sequence body } followCursor pageInfo { hasNextPage hasPreviousPage startCursor endCursor }';
const DECLARED = '$first: Int, $after: String, $last: Int, $before: String';
const GIVEN = 'first: $first, after: $after, last: $last, before: $before';

interface Bounds {
  readonly first?: number;
  readonly after?: string;
  readonly last?: number;
  readonly before?: string;
}

async function page({ token }: Member, { id }: MadeRoom, bounds: Bounds = {}, selection = PAGE) {
  const query = `query ($id: ID!, ${DECLARED}) { room(id: $id) { messages(${GIVEN}) { ${selection} } } }`;
  const { result } = await post(naru.url, { query, variables: { id, ...bounds } }, token);
  if (result.errors) throw new Error(JSON.stringify(result.errors));
  return result.data.room.messages;
}

const sequencesOf = ({ nodes }: { nodes: readonly { sequence: number }[] }) =>
  nodes.map(({ sequence }) => sequence);
const count = (from: number, to: number) =>
  Array.from({ length: Math.max(to - from + 1, 0) }, (_, index) => from + index);

describe('a page of messages', () => {
  test('without bounds is the newest 20, ascending', async () => {
    const [owner] = await people(1);
    const room = await makeRoom(naru, { owner });
    await fill(room, owner, 30);
    const newest = await page(owner, room);
    expect(sequencesOf(newest)).toEqual(count(11, 30));
    expect(newest.pageInfo).toMatchObject({ hasNextPage: false, hasPreviousPage: true });
  });

  test('walked from any place in any direction is all that lies there, once and in order', async () => {
    const [owner] = await people(1);
    const room = await makeRoom(naru, { owner });
    await fill(room, owner, 40, { step: 3 });
    const all = await page(owner, room, { first: 100 }, 'edges { cursor node { sequence } }');
    const cursors: string[] = all.edges.map(({ cursor }: { cursor: string }) => cursor);
    const place = fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined });
    const given = fc.record({
      after: place,
      before: place,
      size: fc.integer({ min: 3, max: 30 }),
      isForward: fc.boolean(),
    });
    const walk = async ({
      after,
      before,
      size,
      isForward,
    }: typeof given extends fc.Arbitrary<infer T> ? T : never) => {
      const ends: { after?: string; before?: string } = {
        ...(after !== undefined && { after: cursors[after - 1] ?? '' }),
        ...(before !== undefined && { before: cursors[before - 1] ?? '' }),
      };
      const walked: number[] = [];
      for (;;) {
        const bounds = isForward ? { first: size, ...ends } : { last: size, ...ends };
        const { pageInfo, ...found } = await page(owner, room, bounds);
        const sequences = sequencesOf(found);
        if (isForward) walked.push(...sequences);
        else walked.unshift(...sequences);
        const hasMore = isForward ? pageInfo.hasNextPage : pageInfo.hasPreviousPage;
        if (!hasMore) return walked;
        if (isForward) ends.after = pageInfo.endCursor;
        else ends.before = pageInfo.startCursor;
      }
    };
    await fc.assert(
      fc.asyncProperty(given, async (bounds) => {
        const expected = count((bounds.after ?? 0) + 1, (bounds.before ?? 41) - 1);
        expect(await walk(bounds)).toEqual(expected);
      }),
      { numRuns: 25 },
    );
  });

  test('walked while others write has no gap and nothing twice', async () => {
    const [owner, author] = await people(2);
    const room = await makeRoom(naru, { owner, members: [author] });
    await fill(room, owner, 5);
    const start = await page(owner, room);
    const writing = Promise.all(
      [owner, author].map(async (member) => {
        for (let index = 0; index < 15; index += 1) await send(naru.url, member, room, 'more');
      }),
    );
    const walked: number[] = [];
    let after: string = start.followCursor;
    while (walked.length < 30) {
      const { pageInfo, ...next } = await page(owner, room, { first: 4, after });
      walked.push(...sequencesOf(next));
      after = pageInfo.endCursor ?? after;
    }
    await writing;
    expect(walked).toEqual(count(6, 35));
  });

  test('costs about as many statements as any other, however much is on it', async () => {
    const [owner, author, reader] = await people(3);
    const room = await makeRoom(naru, { owner, moderators: [reader], members: [author] });
    const authors = [owner, author, reader];
    let replyToId: string | undefined;
    for (let index = 0; index < 12; index += 1) {
      const by = authors[index % 3] ?? owner;
      const mentionIds = [authors[(index + 1) % 3]?.id];
      const { message } = await send(naru.url, by, room, {
        body: `${index}`,
        mentionIds,
        replyToId,
      });
      const messageId = message.id;
      await change(naru.url, reader, 'addReaction', { messageId, emoji: '👍' });
      await change(naru.url, by, 'editMessage', { messageId, body: 'edited' });
      replyToId = messageId;
    }
    const everything = `edges { cursor node { id author { displayName } replyTo { body author { username } }
      mentions { displayName } reactions { emoji users { displayName } } edits { body } room { name } cursor } }`;
    const counted = async (last: number) => {
      const { pool } = naru.app.database;
      const query = pool.query.bind(pool);
      let statements = 0;
      Object.assign(pool, {
        query: (...given: Parameters<typeof query>) => {
          statements += 1;
          return query(...given);
        },
      });
      try {
        const { edges } = await page(owner, room, { last }, everything);
        expect(edges).toHaveLength(last);
      } finally {
        Object.assign(pool, { query });
      }
      return statements;
    };
    const few = await counted(3);
    // Answers may come in another order and share statements otherwise, by one or two.
    expect(Math.abs((await counted(12)) - few)).toBeLessThan(4);
    expect(few).toBeLessThan(25);
  });

  test('takes cursors of this room only', async () => {
    const [owner] = await people(1);
    const rooms = [await makeRoom(naru, { owner }), await makeRoom(naru, { owner })] as const;
    await fill(rooms[0], owner, 3);
    const { pageInfo } = await page(owner, rooms[0]);
    await expect(page(owner, rooms[1], { after: pageInfo.endCursor })).rejects.toThrow(
      'CURSOR_INVALID',
    );
    await expect(page(owner, rooms[0], { after: 'nonsense' })).rejects.toThrow('CURSOR_INVALID');
  });
});

describe('who may read what of it', () => {
  test('who left a KEPT room reads it as it was when they left', async () => {
    const [owner, gone, author] = await people(3);
    const room = await makeRoom(naru, {
      owner,
      members: [gone, author],
      historyVisibility: 'KEPT',
    });
    const say = async (body: string, more: object = {}) =>
      (await send(naru.url, author, room, { body, ...more })).message.id as string;
    const ids = [await say('first words'), await say('second words'), await say('third words')];
    const [first, second, third] = ids;
    const reply = await say('an answer', { replyToId: first });
    const edit = (messageId: string | undefined, body: string) =>
      change(naru.url, author, 'editMessage', { messageId, body });
    await edit(first, 'words edited before');
    await change(naru.url, owner, 'addReaction', { messageId: first, emoji: '👍' });
    await mutate(naru.url, 'leaveRoom', { roomId: room.id }, { token: gone.token });
    await edit(first, 'secret now');
    await edit(second, 'secret too');
    await edit(second, 'most secret');
    await change(naru.url, owner, 'addReaction', { messageId: first, emoji: '🔥' });
    await change(naru.url, author, 'deleteMessage', { messageId: third });
    const later = await say('secret later');

    const selection = `messages { nodes { id body reactions { emoji } } followCursor }
      lastMessage { id body } found: searchMessages(query: "WORDS") { nodes { id } }
      hidden: searchMessages(query: "secret") { nodes { id } pageInfo { hasNextPage } }`;
    const seen = await readRoom(naru.url, gone, room, selection);
    expect(seen.messages.nodes).toEqual([
      { id: first, body: 'words edited before', reactions: [{ emoji: '👍' }] },
      { id: second, body: 'second words', reactions: [] },
      { id: third, body: null, reactions: [] },
      { id: reply, body: 'an answer', reactions: [] },
    ]);
    expect(seen.lastMessage).toEqual({ id: reply, body: 'an answer' });
    expect(seen.found.nodes).toEqual([{ id: second }, { id: first }]);
    expect(seen.hidden).toEqual({ nodes: [], pageInfo: { hasNextPage: false } });
    expect(await readMessage(naru.url, gone, later)).toBeNull();
    expect((await readMessage(naru.url, gone, reply)).replyTo.body).toBe('words edited before');
    // Nothing more can be done there.
    const react = { messageId: first, emoji: '👍' };
    const refused = await change(naru.url, gone, 'addReaction', react);
    expect(refused.__typename).toBe('NotFoundError');
    // And who is banned reads nothing.
    const ban = { roomId: room.id, userId: gone.id };
    await mutate(naru.url, 'banParticipant', ban, { token: owner.token });
    expect(await readMessage(naru.url, gone, reply)).toBeNull();
    expect(await readRoom(naru.url, gone, room, 'id')).toBeNull();
  });

  test('who joins a SINCE_JOINED room reads what came since', async () => {
    const [owner, late] = await people(2);
    const room = await makeRoom(naru, { owner, historyVisibility: 'SINCE_JOINED' });
    await send(naru.url, owner, room, 'before you');
    const add = { roomId: room.id, userIds: [late.id] };
    await mutate(naru.url, 'addParticipants', add, { token: owner.token });
    const selection = `lastMessage { body } messages { nodes { body } pageInfo { hasPreviousPage } }
      searchMessages(query: "you") { nodes { body } }`;
    expect(await readRoom(naru.url, late, room, selection)).toEqual({
      lastMessage: null,
      messages: { nodes: [], pageInfo: { hasPreviousPage: false } },
      searchMessages: { nodes: [] },
    });
    await send(naru.url, owner, room, 'after you');
    expect(await readRoom(naru.url, late, room, selection)).toEqual({
      lastMessage: { body: 'after you' },
      messages: { nodes: [{ body: 'after you' }], pageInfo: { hasPreviousPage: false } },
      searchMessages: { nodes: [{ body: 'after you' }] },
    });
  });

  test('each of several rooms shows its own last message', async () => {
    const [owner] = await people(1);
    const rooms = await Promise.all([0, 1, 2].map(() => makeRoom(naru, { owner })));
    for (const [index, room] of rooms.entries()) await fill(room, owner, index);
    const asked = rooms.map(
      ({ id }, index) => `r${index}: room(id: "${id}") { lastMessage { body } }`,
    );
    const { result } = await post(naru.url, { query: `{ ${asked.join(' ')} }` }, owner.token);
    expect(result.data).toEqual({
      r0: { lastMessage: null },
      r1: { lastMessage: { body: 'message 1' } },
      r2: { lastMessage: { body: 'message 2' } },
    });
  });
});

describe('a search', () => {
  const FOUND = 'nodes { body } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }';
  const search = async (
    member: Member,
    { id }: MadeRoom,
    given: Bounds & Record<string, unknown>,
  ) => {
    const declared = `$query: String!, $authorId: ID, $from: DateTime, $to: DateTime, ${DECLARED}`;
    const query = `query ($id: ID!, ${declared}) { room(id: $id) { searchMessages(
      query: $query, authorId: $authorId, from: $from, to: $to, ${GIVEN}) { ${FOUND} } } }`;
    const { result } = await post(naru.url, { query, variables: { id, ...given } }, member.token);
    if (result.errors) throw new Error(JSON.stringify(result.errors));
    return result.data.room.searchMessages;
  };
  const bodies = ({ nodes }: { nodes: readonly { body: string }[] }) =>
    nodes.map(({ body }) => body);

  test('finds Korean words of two syllables, any case, and signs as they are', async () => {
    const [owner, author, stranger] = await people(3);
    const room = await makeRoom(naru, { owner, members: [author] });
    const other = await makeRoom(naru, { owner });
    await send(naru.url, owner, other, '회의 elsewhere');
    const said = [
      '내일 회의 있어요',
      'Meeting MOVED',
      '100% sure',
      'a_b',
      'back\\slash',
      '회의 취소',
    ];
    for (const [index, body] of said.entries()) {
      await send(naru.url, index === 1 ? author : owner, room, body);
    }
    const found = async (query: string, more: object = {}) =>
      bodies(await search(owner, room, { query, ...more }));
    expect(await found('회의')).toEqual(['회의 취소', '내일 회의 있어요']);
    expect(await found(' mEETing ')).toEqual(['Meeting MOVED']);
    expect(await found('0%')).toEqual(['100% sure']);
    expect(await found('%%')).toEqual([]);
    expect(await found('a_b')).toEqual(['a_b']);
    expect(await found('___')).toEqual([]);
    expect(await found('k\\s')).toEqual(['back\\slash']);
    expect(await found('회의'.normalize('NFD'))).toHaveLength(2);
    expect(await found('eet', { authorId: owner.id })).toEqual([]);
    expect(await found('eet', { authorId: author.id })).toEqual(['Meeting MOVED']);
    const soon = new Date(Date.now() + 60_000).toISOString();
    expect(await found('eet', { from: soon })).toEqual([]);
    expect(await found('eet', { to: soon })).toEqual(['Meeting MOVED']);
    for (const query of ['a', ' a ', '', 'a\u0000b', 'x'.repeat(101)]) {
      await expect(search(owner, room, { query }), query).rejects.toThrow('INVALID_INPUT');
    }
    expect(await readRoom(naru.url, stranger, room, 'id')).toBeNull();
  });

  test('looks at a bounded part of the room for a page, and goes on from there', async () => {
    const [owner] = await people(1);
    const room = await makeRoom(naru, { owner });
    const rare =
      "CASE WHEN n IN (1, 100, 12000) THEN '드문 단어 rare' ELSE 'common words ' || n END";
    await fill(room, owner, 12_000, { body: rare });
    await naru.app.database.query('ANALYZE chat_message');
    // Two characters: 5,000 places a page, newest first.
    const walked: number[] = [];
    let after: string | undefined;
    for (;;) {
      const found = await search(owner, room, { query: '단어', ...(after && { after }) });
      walked.push(found.nodes.length);
      if (!found.pageInfo.hasNextPage) break;
      after = found.pageInfo.endCursor;
    }
    expect(walked).toEqual([1, 0, 2]);
    // And up again, from the oldest.
    const up: number[] = [];
    let before: string | undefined;
    for (;;) {
      const found = await search(owner, room, {
        query: '단어',
        last: 20,
        ...(before && { before }),
      });
      up.push(found.nodes.length);
      if (!found.pageInfo.hasPreviousPage) break;
      before = found.pageInfo.startCursor;
    }
    expect(up).toEqual([2, 0, 1]);
    // Three find them all at once, by the index; and what is everywhere is read from the end.
    const plans = await plansOf(async () => {
      const found = await search(owner, room, { query: 'rare' });
      expect(found).toMatchObject({ nodes: { length: 3 }, pageInfo: { hasNextPage: false } });
    });
    expect(plans.join()).toContain('chat_message_body_idx');
    const common = await plansOf(async () => {
      const found = await search(owner, room, { query: 'common', first: 2 });
      expect(bodies(found)).toEqual(['common words 11999', 'common words 11998']);
      expect(found.pageInfo.hasNextPage).toBe(true);
    });
    expect(common.join()).not.toContain('chat_message_body_idx');
  });

  describe('is bounded', () => {
    /** Made so that no index helps, and each comparison takes milliseconds. */
    const HOSTILE = { body: "'aab' || repeat('a', 7900)" };
    const LONG = `${'a'.repeat(98)}b`;

    /** What came of it: what was found, or the code and message of the error. */
    const outcome = async (member: Member, { id }: MadeRoom, text: string) => {
      const query = `query ($id: ID!, $text: String!) {
        room(id: $id) { searchMessages(query: $text) { nodes { body } } } }`;
      const { result } = await post(naru.url, { query, variables: { id, text } }, member.token);
      const [error] = result.errors ?? [];
      if (error) return { code: error.extensions.code, message: error.message };
      return bodies(result.data.room.searchMessages);
    };

    async function countSearching(): Promise<number> {
      const [row] = await naru.app.database.query<{ count: number }>(
        `SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database()
           AND state = 'active' AND query LIKE '%readable.as_of%' AND pid <> pg_backend_pid()`,
      );
      return row?.count ?? 0;
    }

    /** Nobody reads a message until the lock is let go. */
    async function lockMessages(): Promise<() => Promise<void>> {
      const client = await connectTo(naru.database);
      await client.query('BEGIN');
      await client.query('LOCK chat_message IN ACCESS EXCLUSIVE MODE');
      return async () => {
        await client.query('COMMIT');
        await client.end();
      };
    }

    test('in time: what takes longer says so, and holds up its own account and nobody else', async () => {
      const [attacker, accomplice, other] = await people(3);
      const room = await makeRoom(naru, { owner: attacker, members: [accomplice] });
      await fill(room, attacker, 5_000, HOSTILE);
      const quiet = await makeRoom(naru, { owner: other });
      await send(naru.url, other, quiet, 'hello there');
      const startedAt = performance.now();
      let ended = 0;
      const hostile = [0, 1].map(async () => {
        const answer = await outcome(attacker, room, LONG);
        ended += 1;
        return answer;
      });
      await until(async () => (await countSearching()) === 1);
      expect(await outcome(other, quiet, 'hello')).toEqual(['hello there']);
      expect(ended).toBe(0);
      const stopped = { code: 'UNAVAILABLE', message: expect.stringContaining('more specific') };
      expect(await hostile[0]).toEqual(stopped);
      expect(performance.now() - startedAt).toBeLessThan(SEARCH_MS_MAX * 2);
      // One after another of an account, two at once of them all.
      await until(async () => (await countSearching()) === 1);
      const second = outcome(accomplice, room, LONG);
      await until(async () => (await countSearching()) === 2);
      const third = outcome(other, quiet, 'hello');
      expect(await countSearching()).toBeLessThanOrEqual(2);
      expect(await Promise.all([...hostile, second, third])).toEqual([
        stopped,
        stopped,
        stopped,
        ['hello there'],
      ]);
    });

    test('in number: of an account ten may wait', async () => {
      const [owner] = await people(1);
      const room = await makeRoom(naru, { owner });
      await send(naru.url, owner, room, 'hello there');
      const unlock = await lockMessages();
      const refused: unknown[] = [];
      const asked = Array.from({ length: 12 }, async () => {
        const answer = await outcome(owner, room, 'hello');
        if (!Array.isArray(answer)) refused.push(answer);
        return answer;
      });
      await until(() => refused.length === 2);
      await unlock();
      await Promise.all(asked);
      expect(refused).toMatchObject([{ code: 'RATE_LIMITED' }, { code: 'RATE_LIMITED' }]);
      expect(await outcome(owner, room, 'hello')).toEqual(['hello there']);
    });

    test('in waiting: whose turn comes too late is told so', async () => {
      const [first, second, late] = await people(3);
      const room = await makeRoom(naru, { owner: first, members: [second, late] });
      await send(naru.url, first, room, 'hello there');
      const unlock = await lockMessages();
      const ahead = [first, second].map((one) => outcome(one, room, 'hello'));
      await until(async () => (await countSearching()) === 2);
      const answers: unknown[] = [];
      const asked = Array.from({ length: 11 }, async () => {
        answers.push(await outcome(late, room, 'hello'));
      });
      // One is refused: the others wait.
      await until(() => answers.length === 1);
      const later = performance.now() + 10_001;
      const clock = vi.spyOn(performance, 'now').mockReturnValue(later);
      try {
        await unlock();
        await Promise.all([...ahead, ...asked]);
      } finally {
        clock.mockRestore();
      }
      const waited = Array.from({ length: 10 }, () => ({ code: 'UNAVAILABLE' }));
      expect(answers).toMatchObject([{ code: 'RATE_LIMITED' }, ...waited]);
      expect(await outcome(late, room, 'hello')).toEqual(['hello there']);
    });
  });

  /** How PostgreSQL goes about the searches among what is asked meanwhile. */
  async function plansOf(ask: () => Promise<void>): Promise<string[]> {
    const { database } = naru.app;
    const { transaction } = database;
    const asked: { text: string; values: readonly unknown[] }[] = [];
    const transact: typeof transaction = (work) =>
      transaction((sql) =>
        work({
          query: (text, values = [], name) => {
            asked.push({ text, values });
            return sql.query(text, values, name);
          },
        }),
      );
    Object.assign(database, { transaction: transact });
    try {
      await ask();
    } finally {
      Object.assign(database, { transaction });
    }
    const searches = asked.filter(({ text }) => text.includes('ILIKE'));
    const plans = await Promise.all(
      searches.map(({ text, values }) =>
        naru.app.database.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${text}`, values),
      ),
    );
    return plans.map((lines) => lines.map((line) => line['QUERY PLAN']).join('\n'));
  }
});

test('a room without a message has an empty page and a place to follow from', async () => {
  const owner = await addMember(naru);
  const room = await makeRoom(naru, { owner });
  const empty = await page(owner, room);
  expect(empty).toMatchObject({ nodes: [], pageInfo: { startCursor: null, endCursor: null } });
  await send(naru.url, owner, room, 'first');
  expect(sequencesOf(await page(owner, room, { after: empty.followCursor }))).toEqual([1]);
});
