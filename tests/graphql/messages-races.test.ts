// Two nodes on one database, and everybody at once.
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../support/graphql-client.ts';
import { change, readMessage, send } from '../support/messages.ts';
import { connectTo, countWaiting, mutate } from '../support/mutations.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { addMember, addMembers, type MadeRoom, makeRoom } from '../support/rooms.ts';

let naru: TestNaru;
let nodes: readonly TestNaru[];
beforeAll(async () => {
  naru = await startNaru({ runsJobs: false });
  const { database } = naru;
  // Each counts by itself how often somebody asks: three take 50 of one account at once.
  const others = [0, 1].map(() => startNaru({ database, runsJobs: false }));
  nodes = [naru, ...(await Promise.all(others))];
});
afterAll(async () => {
  for (const node of nodes?.toReversed() ?? []) await node.close();
});

const urlOf = (index: number) => nodes[index % nodes.length]?.url ?? naru.url;

async function logOf({ roomId, head }: MadeRoom) {
  return naru.app.database.query<{ position: string; kind: string; message_id: string }>(
    `SELECT position, kind, message_id FROM room_event
     WHERE room_id = $1 AND position > $2 ORDER BY position`,
    [roomId, head],
  );
}

test('the same message sent 50 times at once by several nodes is one message and one event', async () => {
  const author = await addMember(naru);
  const room = await makeRoom(naru, { owner: author });
  const input = { clientMessageId: randomUUID(), body: 'once' };
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, index) => send(urlOf(index), author, room, input)),
  );
  expect(new Set(answers.map(({ __typename }) => __typename))).toEqual(
    new Set(['SendMessageSucceeded']),
  );
  expect(new Set(answers.map(({ message }) => JSON.stringify(message))).size).toBe(1);
  expect(await logOf(room)).toHaveLength(1);
  const [row] = await naru.app.database.query(
    `SELECT last_position - $2 AS written, last_sequence AS sequence,
       (SELECT count(*) FROM outbox WHERE key = room.id::text) AS announced
     FROM room WHERE id = $1`,
    [room.roomId, room.head],
  );
  expect(row).toEqual({ written: '1', sequence: '1', announced: '1' });
});

test('200 messages of 20 authors at once have places without a gap, in the order of their commits', async () => {
  const authors = await addMembers(naru, 20);
  const [owner] = authors;
  if (owner === undefined) throw new Error('Nobody is there');
  const room = await makeRoom(naru, { owner, members: authors.slice(1) });
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, index) =>
      send(urlOf(index), authors[index % 20] ?? owner, room, `${index}`),
    ),
  );
  const sequences = answers.map(({ message }) => message.sequence).toSorted((a, b) => a - b);
  expect(sequences).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
  const log = await logOf(room);
  expect(log.map(({ position }) => Number(position))).toEqual(
    sequences.map((sequence) => sequence + room.head),
  );
  const announced = await naru.app.database.query<{ position: string }>(
    `SELECT payload->>'position' AS position FROM outbox WHERE key = $1 ORDER BY sequence`,
    [room.roomId],
  );
  expect(announced.map(({ position }) => position)).toEqual(log.map(({ position }) => position));
  const [disordered] = await naru.app.database.query(
    `SELECT count(*) FROM chat_message a JOIN chat_message b USING (room_id)
     WHERE room_id = $1 AND (a.sequence < b.sequence) <> (a.position < b.position)`,
    [room.roomId],
  );
  expect(disordered).toEqual({ count: '0' });
});

test('an edit and a deletion at once end in a tombstone without a history', async () => {
  const author = await addMember(naru);
  const room = await makeRoom(naru, { owner: author });
  for (let round = 0; round < 8; round += 1) {
    const { message } = await send(urlOf(round), author, room, 'first');
    const messageId = message.id;
    const [edited, deleted] = await Promise.all([
      change(urlOf(0), author, 'editMessage', { messageId, body: 'second' }),
      change(urlOf(1), author, 'deleteMessage', { messageId }),
    ]);
    expect(deleted.__typename).toBe('DeleteMessageSucceeded');
    expect(['EditMessageSucceeded', 'ConflictError']).toContain(edited.__typename);
    const after = await readMessage(naru.url, author, messageId);
    expect(after).toMatchObject({ body: null, edits: [] });
    expect(after.revision).toBe(edited.__typename === 'EditMessageSucceeded' ? 1 : 0);
  }
  const [left] = await naru.app.database.query(
    `SELECT count(*) FROM chat_message_edit e JOIN chat_message m ON m.id = e.message_id
     WHERE m.room_id = $1`,
    [room.roomId],
  );
  expect(left).toEqual({ count: '0' });
});

test('50 reactions at once of ten accounts are ten, with an event each', async () => {
  const members = await addMembers(naru, 10);
  const [owner] = members;
  if (owner === undefined) throw new Error('Nobody is there');
  const room = await makeRoom(naru, { owner, members: members.slice(1) });
  const { message } = await send(naru.url, owner, room, 'look');
  await Promise.all(
    Array.from({ length: 50 }, (_, index) =>
      change(urlOf(index), members[index % 10] ?? owner, 'addReaction', {
        messageId: message.id,
        emoji: '👍',
      }),
    ),
  );
  const { reactions } = await readMessage(naru.url, owner, message.id);
  expect(reactions).toMatchObject([{ emoji: '👍', count: 10, viewerHasReacted: true }]);
  expect(new Set(reactions[0].users.map(({ id }: { id: string }) => id)).size).toBe(10);
  expect(await logOf(room)).toHaveLength(11);
});

test('who is removed while their message waits has sent nothing', async () => {
  const [owner, author] = await addMembers(naru, 2);
  if (owner === undefined || author === undefined) throw new Error('Nobody is there');
  const room = await makeRoom(naru, { owner, members: [author] });
  const holder = await connectTo(naru.database);
  const watcher = await connectTo(naru.database);
  try {
    await holder.query('BEGIN');
    await holder.query('SELECT FROM room WHERE id = $1 FOR UPDATE', [room.roomId]);
    const removal = mutate(
      urlOf(1),
      'removeParticipant',
      { roomId: room.id, userId: author.id },
      { token: owner.token },
    );
    await until(async () => (await countWaiting(watcher)) === 1);
    const sending = send(urlOf(0), author, room, 'too late');
    await until(async () => (await countWaiting(watcher)) === 2);
    await holder.query('COMMIT');
    expect((await removal).__typename).toBe('RemoveParticipantSucceeded');
    expect(await sending).toEqual({
      __typename: 'NotFoundError',
      code: 'NOT_FOUND',
      message: 'There is no such room for you',
    });
  } finally {
    await holder.end();
    await watcher.end();
  }
  const kinds = (await logOf(room)).map(({ kind }) => kind);
  expect(kinds).toEqual(['PARTICIPANT_LEFT']);
  const [stored] = await naru.app.database.query(
    'SELECT count(*) FROM chat_message WHERE room_id = $1',
    [room.roomId],
  );
  expect(stored).toEqual({ count: '0' });
});
