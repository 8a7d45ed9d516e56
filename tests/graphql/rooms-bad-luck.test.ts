// What no client can help: everybody back at once, and clocks that are wrong.
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { passTime } from '../support/inbox.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { type Acts, createActs } from '../support/room-acts.ts';
import { watchRoom } from '../support/room-watch.ts';
import { addMember, addMembers, makeRoom } from '../support/rooms.ts';

const DAY_MS = 86_400_000;
const RECONNECTING = 60;
const MISSED = 40;

let naru: TestNaru;
let acts: Acts;

beforeAll(async () => {
  naru = await startNaru();
  acts = createActs(() => naru.url);
});
afterAll(() => naru.close());
afterEach(() => {
  vi.restoreAllMocks();
});

test(`${RECONNECTING} who come back at once miss nothing, and cost a page of the log each at most`, async () => {
  const [owner] = await addMembers(naru, 1);
  const members = await addMembers(naru, RECONNECTING);
  if (owner === undefined) throw new Error('Nobody is there');
  const room = await makeRoom(naru, { owner, members });
  const before = await watchRoom(naru.url, owner.token, { roomId: room.id });
  await before.close();
  // Two authors, as the limit of one account asks for.
  const authors = members.slice(0, MISSED / 20);
  const sent: string[] = [];
  for (let index = 0; index < MISSED; index += 1) {
    const author = authors[index % authors.length] ?? owner;
    sent.push(await acts.say(author, room, `${index}`));
  }
  const query = vi.spyOn(naru.app.database, 'query');
  const after = before.startCursor;
  const watches = await Promise.all(
    members.map(({ token }) => watchRoom(naru.url, token, { roomId: room.id, after })),
  );
  const received = await Promise.all(
    watches.map(async (watch) => {
      const ids: string[] = [];
      while (ids.length < MISSED) ids.push((await watch.nextEvent())['message'].id);
      return ids;
    }),
  );
  expect(received).toEqual(members.map(() => sent));
  const reads = query.mock.calls.filter(([, , name]) => name === 'read-room-feed');
  expect(reads.length).toBeGreaterThan(0);
  // Those of one moment share a page.
  expect(reads.length).toBeLessThanOrEqual(RECONNECTING);
  await Promise.all(watches.map((watch) => watch.close()));
});

test('a node whose clock is a day ahead ends no mute and no ban, and one that is behind lengthens none', async () => {
  const [owner, muted, banned] = [
    await addMember(naru),
    await addMember(naru),
    await addMember(naru),
  ];
  const room = await makeRoom(naru, { owner, members: [muted, banned] });
  const until = new Date(Date.now() + 3_600_000).toISOString();
  const input = { roomId: room.id, until };
  await acts.act(owner, 'muteParticipant', { ...input, userId: muted.id });
  await acts.act(owner, 'banParticipant', { ...input, userId: banned.id });
  const trySend = async () => {
    const message = { roomId: room.id, clientMessageId: `${Math.random()}`, body: 'hello' };
    return (await acts.act(muted, 'sendMessage', message)).__typename;
  };
  const tryAdd = async () => {
    const added = { roomId: room.id, userIds: [banned.id] };
    return (await acts.act(owner, 'addParticipants', added)).__typename;
  };
  const clock = vi.spyOn(Date, 'now');
  const now = Date.now();
  clock.mockReturnValue(now + DAY_MS);
  expect([await trySend(), await tryAdd()]).toEqual(['ForbiddenError', 'ConflictError']);
  clock.mockReturnValue(now - DAY_MS);
  await passTime(naru, 3_601);
  expect([await trySend(), await tryAdd()]).toEqual([
    'SendMessageSucceeded',
    'AddParticipantsSucceeded',
  ]);
});
