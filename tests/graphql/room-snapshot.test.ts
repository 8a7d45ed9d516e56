// An old snapshot and what happened since are the new snapshot, for everything that has a place in a room's log.
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { type Acts, createActs, SENT } from '../support/room-acts.ts';
import { bringUpToDate, readSnapshot, shownBy } from '../support/room-snapshot.ts';
import { addMembers, type MadeRoom, type Member, makeRoom } from '../support/rooms.ts';

let naru: TestNaru;
let acts: Acts;
beforeAll(async () => {
  naru = await startNaru();
  acts = createActs(() => naru.url);
});
afterAll(() => naru.close());

const KINDS = [
  'send',
  'send',
  'reply',
  'edit',
  'edit',
  'delete',
  'react',
  'react',
  'unreact',
  'add',
  'add',
  'add',
  'remove',
  'leave',
  'ban',
  'unban',
  'mute',
  'unmute',
  'promote',
  'demote',
  'rename',
  'hide',
  'archive',
  'unarchive',
] as const;

interface Step {
  readonly kind: (typeof KINDS)[number];
  readonly actor: number;
  readonly target: number;
  readonly text: string;
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom(...KINDS),
  actor: fc.nat(3),
  target: fc.nat(20),
  text: fc.constantFrom('가나다', 'one', 'two', 'three 👍'),
});

interface World {
  readonly room: MadeRoom;
  /** The first two are its owners; the first one is never removed, since it is who looks. */
  readonly people: readonly Member[];
  readonly sent: string[];
  /** What was refused, and what was done. */
  readonly results: Map<string, Set<string>>;
}

async function createWorld(): Promise<World> {
  const people = await addMembers(naru, 5);
  const [looker, owner, moderator, ...members] = people;
  if (looker === undefined || owner === undefined || moderator === undefined) throw new Error();
  const room = await makeRoom(naru, { owner: looker, moderators: [owner, moderator], members });
  const roles = { roomId: room.id, userId: owner.id, role: 'OWNER' };
  await acts.act(looker, 'setParticipantRole', roles);
  return { room, people, sent: [], results: new Map() };
}

/** Does it, or is refused: both leave a room that must be read alike. */
async function take(world: World, { kind, actor, target, text }: Step): Promise<void> {
  const { room, people, sent, results } = world;
  // Mostly one who may, or nothing would ever happen.
  const who = people[kind === 'leave' ? 1 + (actor % 4) : actor];
  const whom = people[1 + (target % 4)];
  const messageId = sent[target % Math.max(sent.length, 1)];
  if (who === undefined || whom === undefined) throw new Error();
  const roomId = room.id;
  const userId = whom.id;
  const sending = { roomId, clientMessageId: randomUUID(), body: text };
  const [name, input, selection] = ((): [string, object | null, string?] => {
    const message = messageId === undefined ? null : { messageId };
    const emoji = text === 'one' ? '👍' : '🎉';
    switch (kind) {
      case 'send':
        return ['sendMessage', { ...sending, mentionIds: [people[0]?.id] }, SENT];
      case 'reply':
        return ['sendMessage', { ...sending, replyToId: messageId ?? null }, SENT];
      case 'edit':
        return ['editMessage', message && { ...message, body: `${text}, edited` }];
      case 'delete':
        return ['deleteMessage', message];
      case 'react':
        return ['addReaction', message && { ...message, emoji }];
      case 'unreact':
        return ['removeReaction', message && { ...message, emoji }];
      case 'add':
        return ['addParticipants', { roomId, userIds: [userId] }];
      case 'remove':
        return ['removeParticipant', { roomId, userId }];
      case 'leave':
        return ['leaveRoom', { roomId }];
      case 'ban':
        return ['banParticipant', { roomId, userId }];
      case 'unban':
        return ['unbanParticipant', { roomId, userId }];
      case 'mute':
        return ['muteParticipant', { roomId, userId }];
      case 'unmute':
        return ['unmuteParticipant', { roomId, userId }];
      case 'promote':
        return ['setParticipantRole', { roomId, userId, role: 'MODERATOR' }];
      case 'demote':
        return ['setParticipantRole', { roomId, userId, role: 'MEMBER' }];
      case 'rename':
        return ['updateRoom', { roomId, name: text }];
      case 'hide':
        return ['updateRoom', { roomId, historyVisibility: target % 2 === 0 ? 'SHARED' : 'KEPT' }];
      case 'archive':
        return ['archiveRoom', { roomId }];
      case 'unarchive':
        return ['unarchiveRoom', { roomId }];
    }
  })();
  if (input === null) return;
  const result = await acts.act(who, name, input, selection);
  if (result.sent !== undefined) sent.push(result.sent.id);
  const known = results.get(name) ?? new Set();
  results.set(name, known.add(result.__typename));
  // What is archived for long would hide all else.
  if (kind === 'archive') await acts.act(people[0] ?? who, 'unarchiveRoom', { roomId });
}

/** Each kind once, and none refused. */
const OF_EACH_KIND: readonly Step[] = (
  [
    ['send', 0],
    ['send', 0],
    ['reply', 0],
    ['edit', 0],
    ['react', 0],
    ['unreact', 0],
    ['delete', 1],
    ['mute', 2],
    ['unmute', 2],
    ['promote', 2],
    ['demote', 2],
    ['remove', 2],
    ['add', 2],
    ['ban', 3],
    ['unban', 3],
    ['add', 3],
    ['leave', 0],
    ['add', 0],
    ['rename', 0],
    ['hide', 1],
    ['archive', 0],
    ['unarchive', 0],
  ] as const
).map(([kind, target]) => ({ kind, actor: 0, target, text: 'one' }));

const SUCCESSES = [
  ...['SendMessage', 'EditMessage', 'DeleteMessage', 'AddReaction', 'RemoveReaction'],
  ...['AddParticipants', 'RemoveParticipant', 'LeaveRoom', 'BanParticipant', 'UnbanParticipant'],
  ...['MuteParticipant', 'UnmuteParticipant', 'SetParticipantRole'],
  ...['UpdateRoom', 'ArchiveRoom', 'UnarchiveRoom'],
].map((name) => `${name}Succeeded`);

test('an old snapshot and the events since its cursor are the new snapshot, whatever is written meanwhile', async () => {
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 12 }),
      fc.array(step, { minLength: 10, maxLength: 20 }),
      fc.array(step, { minLength: 10, maxLength: 20 }),
      async (before, one, other) => {
        const world = await createWorld();
        const { room, people, results } = world;
        const [looker] = people;
        if (looker === undefined) throw new Error();
        for (const each of before) await take(world, each);

        const look = () => readSnapshot(naru.url, looker.token, room.id);
        const last = Promise.withResolvers<string>();
        const upToDate = (snapshot: Awaited<ReturnType<typeof look>>) =>
          bringUpToDate(naru.url, looker.token, room.id, snapshot, last.promise);
        const first = await look();
        // Followed all along; the others are resumed from when all is over.
        const live = upToDate(first);
        const writing = Promise.all(
          [one, other].map(async (steps) => {
            for (const each of steps) await take(world, each);
          }),
        );
        const snapshots = [first];
        let isRunning = true;
        void writing.finally(() => {
          isRunning = false;
        });
        while (isRunning) snapshots.push(await look());
        await writing;
        last.resolve(await acts.say(looker, room, 'The last'));

        const fresh = shownBy(await look());
        expect(shownBy(await live)).toEqual(fresh);
        for (const snapshot of snapshots) {
          expect(shownBy(await upToDate(snapshot))).toEqual(fresh);
        }
        for (const types of results.values()) for (const type of types) seen.add(type);
      },
    ),
    { numRuns: 3, endOnFailure: true, examples: [[OF_EACH_KIND.slice(0, 2), OF_EACH_KIND, []]] },
  );
  // Else the property would hold of nothing.
  for (const success of SUCCESSES) expect(seen).toContain(success);
}, 120_000);
