import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeGlobalId } from '#lib/global-id.ts';
import { newId } from '#lib/ids.ts';
import { post } from '../support/graphql-client.ts';
import { change, readMessage, readRoom, send } from '../support/messages.ts';
import { mutate } from '../support/mutations.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { addMember, addMembers, type MadeRoom, type Member, makeRoom } from '../support/rooms.ts';

let naru: TestNaru;
beforeAll(async () => {
  naru = await startNaru({ runsJobs: false });
});
afterAll(() => naru?.close());

type Answer = Awaited<ReturnType<typeof send>>;

/** A room of an owner, a moderator, two members, and somebody who is not in it. */
async function createChat() {
  const [owner, moderator, author, reader, stranger] = (await addMembers(naru, 5)) as [
    Member,
    Member,
    Member,
    Member,
    Member,
  ];
  const room = await makeRoom(naru, { owner, moderators: [moderator], members: [author, reader] });
  const events = () => eventsOf(room);
  const say = async (body: string, more: object = {}) =>
    (await send(naru.url, author, room, { body, ...more })).message;
  return { owner, moderator, author, reader, stranger, room, events, say };
}

/** The kinds of what is in the room's log behind its beginning. */
async function eventsOf({ roomId, head }: MadeRoom): Promise<string[]> {
  const rows = await naru.app.database.query<{ kind: string }>(
    'SELECT kind FROM room_event WHERE room_id = $1 AND position > $2 ORDER BY position',
    [roomId, head],
  );
  return rows.map(({ kind }) => kind);
}

const archive = (room: MadeRoom, { token }: Member) =>
  mutate(naru.url, 'archiveRoom', { roomId: room.id }, { token });
const mute = (room: MadeRoom, by: Member, { id: userId }: Member, until: string | null) =>
  mutate(naru.url, 'muteParticipant', { roomId: room.id, userId, until }, by);
const remove = (room: MadeRoom, by: Member, { id: userId }: Member) =>
  mutate(naru.url, 'removeParticipant', { roomId: room.id, userId }, by);
const kindOf = ({ __typename, field }: Answer) =>
  field === undefined ? __typename : `${__typename} ${field}`;

async function mentionsOf({ roomId }: MadeRoom, { userId }: Member): Promise<number[]> {
  const rows = await naru.app.database.query<{ sequence: string }>(
    'SELECT sequence FROM chat_mention WHERE room_id = $1 AND user_id = $2 ORDER BY sequence',
    [roomId, userId],
  );
  return rows.map(({ sequence }) => Number(sequence));
}

const PICTURE = {
  url: 'https://files.example/고양이.png',
  mediaType: 'image/png',
  byteSize: 1_024,
  name: '고양이.png',
  width: 640,
  height: 480,
};

describe('a message that is sent', () => {
  test('is read by everybody in the room, and its own id by its author only', async () => {
    const { author, reader, room, say, events } = await createChat();
    const first = await say('안녕하세요');
    const sent = await say('  보세요 👋', {
      replyToId: first.id,
      mentionIds: [reader.id, reader.id],
      attachments: [PICTURE],
    });
    expect(sent).toMatchObject({
      sequence: 2,
      body: '  보세요 👋',
      author: { id: author.id },
      replyTo: { id: first.id, body: '안녕하세요' },
      mentions: [{ id: reader.id }],
      attachments: [{ ...PICTURE, url: 'https://files.example/%EA%B3%A0%EC%96%91%EC%9D%B4.png' }],
      reactions: [],
      edits: [],
      revision: 0,
      editedAt: null,
      deletedAt: null,
    });
    expect(sent.clientMessageId).not.toBeNull();
    expect(await readMessage(naru.url, author, sent.id)).toEqual(sent);
    expect(await readMessage(naru.url, reader, sent.id)).toEqual({
      ...sent,
      clientMessageId: null,
      edits: null,
    });
    expect(await events()).toEqual(['MESSAGE_SENT', 'MESSAGE_SENT']);
    expect(await mentionsOf(room, reader)).toEqual([2]);
  });

  test('moves its author’s read marker, and nobody else’s', async () => {
    const { author, reader, room, say } = await createChat();
    await say('one');
    await say('two');
    const selection = 'viewerParticipant { readSequence }';
    const readBy = async (member: Member) =>
      (await readRoom(naru.url, member, room, selection)).viewerParticipant.readSequence;
    expect([await readBy(author), await readBy(reader)]).toEqual([2, 0]);
  });

  test('is for others as if it were not there', async () => {
    const { stranger, room, say } = await createChat();
    const { id } = await say('ours');
    expect(await readMessage(naru.url, stranger, id)).toBeNull();
    const into = (to: Pick<MadeRoom, 'id'>) => send(naru.url, stranger, to, 'hello');
    const nowhere = await into({ id: encodeGlobalId('Room', newId()) });
    expect(nowhere).toEqual({
      __typename: 'NotFoundError',
      code: 'NOT_FOUND',
      message: 'There is no such room for you',
    });
    expect(await into(room)).toEqual(nowhere);
    for (const field of [
      'editMessage',
      'deleteMessage',
      'addReaction',
      'removeReaction',
    ] as const) {
      const more = { editMessage: { body: 'x' }, deleteMessage: {} }[field as string] ?? {
        emoji: '👍',
      };
      const none = encodeGlobalId('ChatMessage', newId());
      const [theirs, missing] = await Promise.all(
        [id, none].map((messageId) => change(naru.url, stranger, field, { messageId, ...more })),
      );
      expect(theirs).toMatchObject({ __typename: 'NotFoundError' });
      expect(theirs).toEqual(missing);
    }
  });

  test('with the same clientMessageId is the same message, whatever became of the room', async () => {
    const { owner, author, reader, room, events } = await createChat();
    const clientMessageId = randomUUID();
    const once = { clientMessageId, body: 'once', mentionIds: [reader.id, owner.id] };
    const { message } = await send(naru.url, author, room, once);
    const again = { ...once, mentionIds: [owner.id, reader.id, owner.id] };
    expect((await send(naru.url, author, room, again)).message).toEqual(message);
    const other = await send(naru.url, author, room, { ...once, body: 'another' });
    expect(other).toMatchObject({ __typename: 'IdempotencyMismatchError' });
    // It is the author's own: somebody else may use the same.
    const theirs = await send(naru.url, reader, room, { clientMessageId, body: 'mine' });
    expect(theirs.message.id).not.toBe(message.id);
    await mute(room, owner, author, null);
    await archive(room, owner);
    expect((await send(naru.url, author, room, once)).message).toEqual(message);
    await change(naru.url, author, 'deleteMessage', { messageId: message.id });
    const tombstone = await send(naru.url, author, room, once);
    expect(tombstone.message).toMatchObject({ id: message.id, body: null });
    const sent = (await events()).filter((kind) => kind === 'MESSAGE_SENT');
    expect(sent).toHaveLength(2);
  });

  test('is refused in an archived room, from who is muted until then, and from who was removed', async () => {
    const { owner, author, reader, room } = await createChat();
    const until = new Date(Date.now() + 3_600_000).toISOString();
    await mute(room, owner, author, until);
    expect(await send(naru.url, author, room, 'psst')).toEqual({
      __typename: 'ForbiddenError',
      code: 'FORBIDDEN',
      message: `You are muted in this room until ${until}`,
    });
    await remove(room, owner, author);
    expect(kindOf(await send(naru.url, author, room, 'hello?'))).toBe('NotFoundError');
    await archive(room, owner);
    expect(kindOf(await send(naru.url, reader, room, 'too late'))).toBe('ConflictError');
  });

  test('answers only what its author may read in the same room, and names only who is there', async () => {
    const { owner, author, stranger, room, say } = await createChat();
    const elsewhere = await makeRoom(naru, { owner, members: [author] });
    const { message: other } = await send(naru.url, author, elsewhere, 'elsewhere');
    const reply = await send(naru.url, author, room, { body: 're', replyToId: other.id });
    expect(reply).toMatchObject({ message: 'There is no such message for you' });
    const named = await send(naru.url, author, room, { body: 'hi', mentionIds: [stranger.id] });
    expect(kindOf(named)).toBe('InvalidInputError input.mentionIds');
    const since = await makeRoom(naru, { owner, historyVisibility: 'SINCE_JOINED' });
    const { message: old } = await send(naru.url, owner, since, 'old');
    const add = { roomId: since.id, userIds: [author.id] };
    await mutate(naru.url, 'addParticipants', add, { token: owner.token });
    const unseen = await send(naru.url, author, since, { body: 're', replyToId: old.id });
    expect(kindOf(unseen)).toBe('NotFoundError');
    // And who may not read what is answered sees an answer to nothing.
    const { message: seen } = await send(naru.url, owner, since, { body: 're', replyToId: old.id });
    expect((await readMessage(naru.url, author, seen.id)).replyTo).toBeNull();
    expect((await readMessage(naru.url, owner, seen.id)).replyTo.id).toBe(old.id);
    expect((await say('still here')).sequence).toBe(1);
  });

  test('has 8,000 characters by code points, one of which can be seen', async () => {
    const { author, room } = await createChat();
    const bodies: [string, string][] = [
      ['가'.repeat(8_000), 'SendMessageSucceeded'],
      ['👋'.repeat(8_000), 'SendMessageSucceeded'],
      [`${'👋'.repeat(8_000)}a`, 'InvalidInputError input.body'],
      ['a'.repeat(8_001), 'InvalidInputError input.body'],
      ['', 'InvalidInputError input.body'],
      [' \n\t\u3164\u200b', 'InvalidInputError input.body'],
      ['a\u0000b', 'InvalidInputError input.body'],
      ['a\ud800', 'InvalidInputError input.body'],
    ];
    for (const [body, kind] of bodies) {
      expect(kindOf(await send(naru.url, author, room, body)), body.slice(0, 4)).toBe(kind);
    }
    const only = await send(naru.url, author, room, { body: '', attachments: [PICTURE] });
    expect(only.message.body).toBe('');
  });

  test('has input whose faults are named', async () => {
    const { author, room, owner } = await createChat();
    const picture = (more: object) => ({ attachments: [{ ...PICTURE, ...more }] });
    const faults: [object, string][] = [
      [{ clientMessageId: '' }, 'clientMessageId'],
      [{ clientMessageId: 'a b' }, 'clientMessageId'],
      [{ clientMessageId: 'x'.repeat(65) }, 'clientMessageId'],
      [
        { mentionIds: Array.from({ length: 51 }, () => encodeGlobalId('User', newId())) },
        'mentionIds',
      ],
      [{ attachments: Array.from({ length: 11 }, () => PICTURE) }, 'attachments'],
      [picture({ url: 'http://files.example/a.png' }), 'attachments.0.url'],
      [picture({ url: 'javascript:alert(1)' }), 'attachments.0.url'],
      [picture({ url: 'https://me:secret@files.example/' }), 'attachments.0.url'],
      [picture({ url: `https://files.example/${'a'.repeat(2_048)}` }), 'attachments.0.url'],
      [picture({ mediaType: 'image/svg+xml' }), 'attachments.0.mediaType'],
      [picture({ mediaType: 'text/html' }), 'attachments.0.mediaType'],
      [picture({ mediaType: 'image/png; charset=x' }), 'attachments.0.mediaType'],
      [picture({ byteSize: 0 }), 'attachments.0.byteSize'],
      [picture({ byteSize: 100 * 2 ** 20 + 1 }), 'attachments.0.byteSize'],
      [picture({ name: 'exe.\u202egpj' }), 'attachments.0.name'],
      [picture({ name: 'a\u0000' }), 'attachments.0.name'],
      [picture({ width: -1 }), 'attachments.0.width'],
    ];
    for (const [index, [input, field]] of faults.entries()) {
      // Two accounts, so that neither meets the limit.
      const by = index % 2 === 0 ? author : owner;
      const answer = await send(naru.url, by, room, { body: 'x', ...input });
      expect(kindOf(answer), JSON.stringify(input).slice(0, 80)).toBe(
        `InvalidInputError input.${field}`,
      );
    }
  });

  test('is one of 20 in 10 seconds, by whatever tokens of the account', async () => {
    const { author, room } = await createChat();
    const other = await naru.tokenFor(author.username);
    const kinds = await Promise.all(
      Array.from({ length: 60 }, async (_, index) => {
        const token = index % 2 === 0 ? author.token : other;
        return (await send(naru.url, { token }, room, `${index}`)).__typename;
      }),
    );
    const refused = kinds.filter((kind) => kind === 'RateLimitedError').length;
    // Two come back each second that this takes.
    expect(refused).toBeGreaterThan(20);
    expect(refused).toBeLessThanOrEqual(40);
  });
});

describe('an edit', () => {
  test('keeps what the message said for its author, owners and moderators', async () => {
    const { author, moderator, owner, reader, say, events } = await createChat();
    const { id: messageId } = await say('one');
    await change(naru.url, author, 'editMessage', { messageId, body: 'two' });
    const { message } = await change(naru.url, author, 'editMessage', { messageId, body: 'three' });
    expect(message).toMatchObject({ body: 'three', revision: 2 });
    expect(message.editedAt).not.toBeNull();
    const edits = [
      { revision: 2, body: 'two' },
      { revision: 1, body: 'one' },
    ];
    for (const member of [author, moderator, owner]) {
      expect((await readMessage(naru.url, member, messageId)).edits).toEqual(edits);
    }
    expect((await readMessage(naru.url, reader, messageId)).edits).toBeNull();
    expect(await events()).toEqual(['MESSAGE_SENT', 'MESSAGE_EDITED', 'MESSAGE_EDITED']);
  });

  test('that changes nothing is nothing, and one of the mentions alone is one', async () => {
    const { author, owner, reader, moderator, room, say, events } = await createChat();
    const { id: messageId } = await say('hi', { mentionIds: [reader.id, owner.id] });
    const edit = (input: object) =>
      change(naru.url, author, 'editMessage', { messageId, body: 'hi', ...input });
    const same = await edit({});
    expect(same.message).toMatchObject({ revision: 0, editedAt: null });
    await edit({ mentionIds: [owner.id, reader.id] });
    expect(await events()).toEqual(['MESSAGE_SENT']);
    const changed = await edit({ mentionIds: [owner.id, moderator.id] });
    expect(changed.message.revision).toBe(1);
    const marked = await Promise.all(
      [reader, owner, moderator].map((member) => mentionsOf(room, member)),
    );
    expect(marked).toEqual([[], [1], [1]]);
    // Whom it named before stays named after they left; nobody else who is not there can be.
    await remove(room, owner, moderator);
    const kept = await edit({ body: 'hi!', mentionIds: [moderator.id] });
    expect(kept.message.mentions).toEqual([{ id: moderator.id }]);
    await remove(room, owner, reader);
    expect(kindOf(await edit({ mentionIds: [reader.id] }))).toBe(
      'InvalidInputError input.mentionIds',
    );
  });

  test('is refused to others, to who is muted, of what is deleted, and in an archived room', async () => {
    const { author, moderator, owner, room, say } = await createChat();
    const { id: messageId } = await say('mine');
    const { id: gone } = await say('gone');
    const edit = (by: Member, input: object = {}) =>
      change(naru.url, by, 'editMessage', { messageId, body: 'yours', ...input });
    expect(kindOf(await edit(moderator))).toBe('ForbiddenError');
    await change(naru.url, author, 'deleteMessage', { messageId: gone });
    expect(kindOf(await edit(author, { messageId: gone }))).toBe('ConflictError');
    expect(kindOf(await edit(author, { body: ' ' }))).toBe('InvalidInputError input.body');
    await mute(room, owner, author, null);
    expect(kindOf(await edit(author))).toBe('ForbiddenError');
    await mutate(naru.url, 'unmuteParticipant', { roomId: room.id, userId: author.id }, owner);
    await archive(room, owner);
    expect(kindOf(await edit(author))).toBe('ConflictError');
  });
});

describe('a deletion', () => {
  test('leaves a tombstone and nothing of what was said', async () => {
    const { author, owner, reader, room, say, events } = await createChat();
    const { id: messageId } = await say('geheim one', {
      mentionIds: [reader.id],
      attachments: [PICTURE],
    });
    await change(naru.url, author, 'editMessage', { messageId, body: 'geheim two' });
    await change(naru.url, reader, 'addReaction', { messageId, emoji: '👍' });
    const { id: replyId } = await say('re', { replyToId: messageId });
    const { message } = await change(naru.url, author, 'deleteMessage', { messageId });
    const tombstone = { body: null, attachments: [], mentions: [], reactions: [], edits: [] };
    expect(message).toMatchObject(tombstone);
    expect(message.deletedAt).not.toBeNull();
    expect(await readMessage(naru.url, owner, messageId)).toMatchObject(tombstone);
    expect((await readMessage(naru.url, owner, replyId)).replyTo).toEqual({
      id: messageId,
      body: null,
    });
    const found = await readRoom(
      naru.url,
      owner,
      room,
      'searchMessages(query: "geheim") { nodes { id } }',
    );
    expect(found.searchMessages.nodes).toEqual([]);
    // Again is the same as once.
    const again = await change(naru.url, author, 'deleteMessage', { messageId });
    expect(again.message).toEqual(message);
    expect((await events()).filter((kind) => kind === 'MESSAGE_DELETED')).toHaveLength(1);
    const [kept] = await naru.app.database.query<{ row: object }>(
      `SELECT to_jsonb(m) AS row,
         (SELECT count(*) FROM chat_message_edit x WHERE x.message_id = m.id) AS edits,
         (SELECT count(*) FROM chat_mention x WHERE x.message_id = m.id) AS mentions,
         (SELECT count(*) FROM chat_reaction x WHERE x.message_id = m.id) AS reactions
       FROM chat_message m WHERE m.room_id = $1 AND m.sequence = 1`,
      [room.roomId],
    );
    expect(kept).toMatchObject({ edits: '0', mentions: '0', reactions: '0' });
    expect(kept?.row).toMatchObject({
      body: null,
      fingerprint: '\\x',
      attachments: [],
      mention_ids: [],
    });
    const news = await naru.app.database.query('SELECT payload FROM outbox WHERE key = $1', [
      room.roomId,
    ]);
    expect(JSON.stringify([kept, news])).not.toMatch(/geheim|files\.example/);
    expect(await mentionsOf(room, reader)).toEqual([]);
  });

  test('is for the author, and for who stands over the author, which is audited', async () => {
    const { author, moderator, owner, reader, room, say } = await createChat();
    const del = (by: Member, messageId: string, more: object = {}) =>
      change(naru.url, by, 'deleteMessage', { messageId, ...more });
    const { id } = await say('rude');
    expect(kindOf(await del(reader, id))).toBe('ForbiddenError');
    expect(kindOf(await del(moderator, id, { reason: 'SPAM' }))).toBe('DeleteMessageSucceeded');
    const { message: ofOwner } = await send(naru.url, owner, room, 'the owner speaks');
    const { message: ofModerator } = await send(naru.url, moderator, room, 'I moderate');
    expect(kindOf(await del(moderator, ofOwner.id))).toBe('ForbiddenError');
    expect(kindOf(await del(owner, ofModerator.id))).toBe('DeleteMessageSucceeded');
    // In an archived room still, and of who has left.
    const { id: last } = await say('bye');
    const { id: own } = await say('mine');
    await archive(room, owner);
    expect(kindOf(await del(author, own))).toBe('DeleteMessageSucceeded');
    await naru.app.database.query(
      'UPDATE chat_message SET author_id = NULL WHERE sequence = $2 AND room_id = $1',
      [room.roomId, 4],
    );
    expect(kindOf(await del(moderator, last))).toBe('DeleteMessageSucceeded');
    const entries = await naru.app.database.query(
      `SELECT actor_id, details->>'reason' AS reason FROM audit_entry
       WHERE action = 'MESSAGE_DELETED' AND details->>'roomId' = $1 ORDER BY id`,
      [room.roomId],
    );
    expect(entries).toEqual([
      { actor_id: moderator.userId, reason: 'SPAM' },
      { actor_id: owner.userId, reason: null },
      { actor_id: moderator.userId, reason: null },
    ]);
  });
});

describe('a reaction', () => {
  test('is there once, whoever repeats it, and tells only of changes', async () => {
    const { author, owner, reader, say, events } = await createChat();
    const { id: messageId } = await say('look');
    const add = (by: Member, emoji: string) =>
      change(naru.url, by, 'addReaction', { messageId, emoji });
    await add(reader, '❤');
    await add(reader, '❤️');
    await add(author, ':ship_it:');
    const { message } = await add(owner, '❤️');
    expect(message.reactions).toEqual([
      {
        emoji: '❤️',
        count: 2,
        viewerHasReacted: true,
        users: [{ id: reader.id }, { id: owner.id }],
      },
      { emoji: ':ship_it:', count: 1, viewerHasReacted: false, users: [{ id: author.id }] },
    ]);
    const take = (by: Member) => change(naru.url, by, 'removeReaction', { messageId, emoji: '❤️' });
    await take(reader);
    const after = await take(reader);
    expect(after.message.reactions).toMatchObject([
      { emoji: ':ship_it:' },
      { emoji: '❤️', count: 1 },
    ]);
    expect(await events()).toEqual(['MESSAGE_SENT', ...Array(4).fill('REACTIONS_CHANGED')]);
  });

  test('is one emoji or shortcode', async () => {
    const { reader, owner, say } = await createChat();
    const { id: messageId } = await say('look');
    const add = async (by: Member, emoji: string) =>
      kindOf(await change(naru.url, by, 'addReaction', { messageId, emoji }));
    for (const emoji of ['👩‍👩‍👧‍👦', '🇰🇷', '👍🏽', '3️⃣', ':+1:']) {
      expect(await add(reader, emoji), emoji).toBe('AddReactionSucceeded');
    }
    const bad = ['', 'a', '3', '👍👍', '👍 ', '👍\u0301', ':A:', '::', `:${'a'.repeat(63)}:`];
    for (const emoji of bad) {
      expect(await add(owner, emoji), emoji).toBe('InvalidInputError input.emoji');
    }
  });

  test('is one of 20 emoji, and of 30 in 10 seconds', async () => {
    const { reader, owner, say } = await createChat();
    const { id: messageId } = await say('look');
    const add = (by: Member, emoji: string) =>
      change(naru.url, by, 'addReaction', { messageId, emoji });
    for (let index = 0; index < 20; index += 1) await add(reader, `:e${index}:`);
    expect(kindOf(await add(reader, ':one_more:'))).toBe('ConflictError');
    expect(kindOf(await add(owner, ':e7:'))).toBe('AddReactionSucceeded');
    const flood = await Promise.all(Array.from({ length: 60 }, () => add(reader, ':e1:')));
    expect(flood.map(kindOf)).toContain('RateLimitedError');
  });

  test('is refused of what is deleted, in an archived room, and to who is muted', async () => {
    const { author, reader, owner, room, say, events } = await createChat();
    const { id: messageId } = await say('look');
    const { id: gone } = await say('gone');
    const react = async (field: 'addReaction' | 'removeReaction', input: object = {}) =>
      kindOf(await change(naru.url, reader, field, { messageId, emoji: '👍', ...input }));
    await react('addReaction');
    await change(naru.url, author, 'deleteMessage', { messageId: gone });
    expect(await react('addReaction', { messageId: gone })).toBe('ConflictError');
    expect(await react('removeReaction', { messageId: gone })).toBe('RemoveReactionSucceeded');
    await mute(room, owner, reader, null);
    expect(await react('addReaction', { emoji: '👎' })).toBe('ForbiddenError');
    await archive(room, owner);
    expect(await react('removeReaction')).toBe('ConflictError');
    expect((await events()).filter((kind) => kind === 'REACTIONS_CHANGED')).toHaveLength(1);
  });
});

test.each(['edits(limit: 0) { revision }', 'edits(limit: 51) { revision }'])(
  'a list is as long as is asked for, or refused: %s',
  async (field) => {
    const { author, say } = await createChat();
    const { id } = await say('hello');
    await expectLimit(author, id, field);
  },
);

test.each(['reactions { users(limit: 0) { id } }', 'reactions { users(limit: 51) { id } }'])(
  'who reacted is as many as are asked for, or refused: %s',
  async (field) => {
    const { author, reader, say } = await createChat();
    const { id } = await say('hello');
    await change(naru.url, reader, 'addReaction', { messageId: id, emoji: '👍' });
    await expectLimit(author, id, field);
  },
);

async function expectLimit({ token }: Member, id: string, field: string): Promise<void> {
  const query = `query ($id: ID!) { node(id: $id) { ... on ChatMessage { ${field} } } }`;
  const { errors } = (await post(naru.url, { query, variables: { id } }, token)).result;
  expect(errors).toMatchObject([{ extensions: { code: 'INVALID_INPUT', field: 'limit' } }]);
}

test('a token that may not read rooms reads no message, by any way', async () => {
  const { author, say } = await createChat();
  const { id } = await say('ours');
  const token = await naru.tokenFor(author.username, ['rooms:write', 'viewer:read']);
  expect(await readMessage(naru.url, { token }, id)).toBeNull();
  const { token: other } = await addMember(naru, ['rooms:read']);
  expect(await readMessage(naru.url, { token: other }, id)).toBeNull();
});
