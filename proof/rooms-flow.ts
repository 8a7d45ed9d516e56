// Messages that flow into rooms at a steady rate, by many authors: each may say so much and no more.
import { setTimeout as delay } from 'node:timers/promises';
import { newId } from '#lib/ids.ts';
import type { AcknowledgedMessage } from '../tests/support/room-log.ts';
import type { Chance } from './random.ts';
import { callRooms, succeeded } from './rooms-calls.ts';
import type { RoomAccount, StoredRoom } from './rooms-scene.ts';

export interface FlowOptions {
  readonly nodeUrls: readonly [string, string];
  readonly rooms: readonly {
    readonly room: StoredRoom;
    readonly authors: readonly RoomAccount[];
  }[];
  /** At most. */
  readonly perSecond: number;
  /** Whether those who follow are so far behind that nothing more is to come for now. */
  readonly isBehind: () => boolean;
  readonly chance: Chance;
  readonly onFault: (fault: string) => void;
}

export interface Flow {
  readonly acknowledged: AcknowledgedMessage[];
  /** Acknowledged since it began. */
  perSecond(): number;
  /** Resolves when all that was sent is answered. */
  stop(): Promise<void>;
}

/** An author says at most 20 things in 10 seconds; never two within this is less. */
export const AUTHOR_PAUSE_MS = 550;
/** More on their way than this, and the machine is what bounds the rate. */
const ON_THEIR_WAY_MAX = 128;
const TURN_MS = 5;

/** How many authors a rate takes. */
export function authorsFor(perSecond: number): number {
  return Math.ceil((perSecond * AUTHOR_PAUSE_MS) / 1_000) + 1;
}

export function startFlow(options: FlowOptions): Flow {
  const { nodeUrls, rooms, perSecond, isBehind, chance, onFault } = options;
  const acknowledged: AcknowledgedMessage[] = [];
  const onTheirWay = new Set<Promise<void>>();
  const ready = rooms.flatMap(({ room, authors }) =>
    authors.map((author) => ({ room, author, at: 0 })),
  );
  // Rooms by turns, else one room after the other would have them all.
  ready.sort((one, other) => one.author.userId.localeCompare(other.author.userId));
  for (let index = ready.length - 1; index > 0; index -= 1) {
    const other = chance.between(0, index);
    const [left, right] = [ready[index], ready[other]];
    if (left && right) [ready[index], ready[other]] = [right, left];
  }
  let stopped = false;
  const startedAt = performance.now();
  let endedAt: number | null = null;

  const sendOne = async (room: StoredRoom, author: RoomAccount) => {
    const clientMessageId = newId();
    const input = { roomId: room.id, clientMessageId, body: `Message ${clientMessageId}` };
    const nodeUrl = chance.pick(nodeUrls);
    for (;;) {
      const answer = await callRooms({ nodeUrl, token: author.token, name: 'sendMessage', input });
      if (answer.type === succeeded('sendMessage')) {
        const { id } = answer.result['chatMessage'] as { readonly id: string };
        acknowledged.push({ clientMessageId, messageId: id });
        return;
      }
      if (answer.type !== null && answer.type !== 'RateLimitedError') {
        return onFault(`A message was refused: ${answer.type} ${answer.message}`);
      }
      await delay(answer.type === null ? 50 : 1_000);
      if (stopped) return;
    }
  };

  const run = async () => {
    let [due, lookedAt] = [0, performance.now()];
    while (!stopped) {
      const now = performance.now();
      // What was not sent in its time is not made up for.
      due = isBehind() ? 0 : Math.min(due + ((now - lookedAt) * perSecond) / 1_000, perSecond);
      lookedAt = now;
      while (due >= 1 && onTheirWay.size < ON_THEIR_WAY_MAX) {
        const next = ready[0];
        if (next === undefined || next.at > performance.now()) break;
        ready.push(...ready.splice(0, 1));
        next.at = performance.now() + AUTHOR_PAUSE_MS;
        due -= 1;
        const sending: Promise<void> = sendOne(next.room, next.author).finally(() =>
          onTheirWay.delete(sending),
        );
        onTheirWay.add(sending);
      }
      await delay(TURN_MS);
    }
  };
  const running = run();
  return {
    acknowledged,
    perSecond: () => acknowledged.length / (((endedAt ?? performance.now()) - startedAt) / 1_000),
    async stop() {
      endedAt ??= performance.now();
      stopped = true;
      await running;
      await Promise.all(onTheirWay);
    },
  };
}
