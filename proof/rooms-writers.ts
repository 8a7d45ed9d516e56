// Who keeps a room busy while things are killed: says, edits, deletes, reacts, and lets guests out and in again. Each
// does one thing after another, and does it again, the same, until it is told what came of it.
import { setTimeout as delay } from 'node:timers/promises';
import { newId } from '#lib/ids.ts';
import type { AcknowledgedMessage } from '../tests/support/room-log.ts';
import type { Chance } from './random.ts';
import { type CallAnswer, callRooms, succeeded } from './rooms-calls.ts';
import type { ChaosRoom, Outing } from './rooms-clients.ts';
import type { RoomAccount } from './rooms-scene.ts';

export interface WriterOptions {
  readonly nodeUrls: readonly [string, string];
  readonly place: ChaosRoom;
  readonly account: RoomAccount;
  /** By their id in the database; only owners are given some, and only one writer each of them. */
  readonly guests: readonly RoomAccount[];
  readonly chance: Chance;
  readonly pauseMs: readonly [number, number];
  readonly acknowledged: AcknowledgedMessage[];
  /** Told when what was acknowledged was first asked for. */
  readonly onAcknowledged: (askedAtMs: number) => void;
  readonly onFault: (fault: string) => void;
  readonly signal: AbortSignal;
}

const AGAIN_MS = 40;
const LIMITED_MS = 500;
const EMOJI: readonly [string, ...string[]] = ['👍', '🎉', '👀', '❤️'];
const MESSAGES_KEPT = 8;
/** What has no answer after this long is given up as a fault: nothing is killed for so long. */
const ANSWERED_MS_MAX = 120_000;

/** Resolves, with how much it did, once it was told to stop and its last thing is answered. */
export async function write(options: WriterOptions): Promise<number> {
  const { chance, guests, pauseMs, signal } = options;
  const own: string[] = [];
  let done = 0;
  for (; !signal.aborted; done += 1) {
    const [first] = own;
    const kind = chance.next();
    if (guests.length > 0 && kind < 0.12) await moveGuest(options);
    else if (first === undefined || kind < 0.65) await say(options, own);
    else if (kind < 0.78) await edit(options, chance.pick([first, ...own]));
    else if (kind < 0.96) await react(options, chance.pick([first, ...own]));
    else {
      own.shift();
      await ask(options, 'deleteMessage', { messageId: first });
    }
    const [least, most] = pauseMs;
    await delay(chance.between(least, most), undefined, { signal }).catch(() => {});
  }
  return done;
}

async function say(options: WriterOptions, own: string[]): Promise<void> {
  const { place, acknowledged, onAcknowledged } = options;
  const clientMessageId = newId();
  const body = `Message ${clientMessageId}`;
  const askedAtMs = performance.now();
  const answer = await ask(options, 'sendMessage', {
    roomId: place.room.id,
    clientMessageId,
    body,
  });
  if (answer === null) return;
  const { id } = answer.result['chatMessage'] as { readonly id: string };
  acknowledged.push({ clientMessageId, messageId: id });
  onAcknowledged(askedAtMs);
  own.push(id);
  if (own.length > MESSAGES_KEPT) own.shift();
}

async function edit(options: WriterOptions, messageId: string): Promise<void> {
  await ask(options, 'editMessage', { messageId, body: `Edited ${newId()}` });
}

async function react(options: WriterOptions, messageId: string): Promise<void> {
  const name = options.chance.happens(0.7) ? 'addReaction' : 'removeReaction';
  await ask(options, name, { messageId, emoji: options.chance.pick(EMOJI) });
}

/** Out when it is in, in when it is out. */
async function moveGuest(options: WriterOptions): Promise<void> {
  const { place, guests, chance } = options;
  const [first, ...others] = guests;
  if (first === undefined) return;
  const guest = chance.pick([first, ...others]);
  const outings = place.outings.get(guest.userId);
  if (outings === undefined) throw new Error('Not a guest of this room');
  const last = outings.at(-1);
  const roomId = place.room.id;
  const askedAtMs = performance.now();
  if (last === undefined || last.addAskedAtMs !== null) {
    const outing: Outing = { removeAskedAtMs: askedAtMs, addAskedAtMs: null };
    outings.push(outing);
    await ask(options, 'removeParticipant', { roomId, userId: guest.id }, 'NotFoundError');
  } else {
    last.addAskedAtMs = askedAtMs;
    await ask(options, 'addParticipants', { roomId, userIds: [guest.id] });
  }
}

/** The same until it is answered; null for `doneBefore`, which says that an earlier one of these came through. */
async function ask(
  options: WriterOptions,
  name: string,
  input: Readonly<Record<string, unknown>>,
  doneBefore: string | null = null,
): Promise<CallAnswer | null> {
  const { nodeUrls, account, chance, onFault } = options;
  const { token } = account;
  const deadline = performance.now() + ANSWERED_MS_MAX;
  for (let attempt = 1; ; attempt += 1) {
    const answer = await callRooms({ nodeUrl: chance.pick(nodeUrls), token, name, input });
    if (answer.type === succeeded(name)) return answer;
    const isPassing = answer.type === null || answer.type.endsWith('InProgressError');
    const isLimited = answer.type === 'RateLimitedError';
    if (attempt > 1 && answer.type !== null && answer.type === doneBefore) return null;
    if (!isPassing && !isLimited) {
      onFault(`${name} was refused: ${answer.type} ${answer.message}`);
      return null;
    }
    if (performance.now() > deadline) {
      onFault(`${name} has no answer after ${ANSWERED_MS_MAX} ms`);
      return null;
    }
    await delay(isLimited ? LIMITED_MS : AGAIN_MS);
  }
}
