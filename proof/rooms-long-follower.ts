// Follows a stream of rooms for as long as a proof lasts: whenever it is lost it goes on, on either node, behind the
// last item that it has, and writes down what it is told.
import { setTimeout as delay } from 'node:timers/promises';
import type { ReceivedEvent } from '../tests/support/room-log.ts';
import type { Chance } from './random.ts';
import {
  eventOf,
  listen,
  positionOf,
  ROOM_EVENTS,
  type StreamItem,
  type Way,
} from './rooms-listener.ts';
import type { RoomAccount } from './rooms-scene.ts';

export interface LongFollowerOptions {
  readonly name: string;
  readonly account: RoomAccount;
  readonly nodeUrls: readonly [string, string];
  readonly way: Way;
  readonly chance: Chance;
  /** At most so long without a cut of its own; null: only others cut it. */
  readonly cutAfterMs: number | null;
  /** Follows this room; all rooms of the account without it. */
  readonly roomId?: string;
  /** Another stream than that of one room. */
  readonly stream?: {
    readonly query: string;
    readonly eventOf: (item: StreamItem) => ReceivedEvent | null;
  };
  /** It may be out of the room, and is then refused until it is in it again. */
  readonly mayBeOut?: boolean;
  readonly onFault: (fault: string) => void;
}

export interface LongFollower {
  readonly name: string;
  readonly received: readonly ReceivedEvent[];
  /** Resolves when nothing that happens from then on can be missed. */
  readonly begun: Promise<void>;
  /** Where it began to follow, without what is there. */
  from(): bigint;
  /** Where it got to, items and checkpoints. */
  position(): bigint;
  connections(): number;
  stop(): Promise<void>;
}

const PASSING: ReadonlySet<string> = new Set(['UNAVAILABLE', 'RATE_LIMITED']);

export function followForEver(options: LongFollowerOptions): LongFollower {
  const { name, account, nodeUrls, way, chance, cutAfterMs, mayBeOut = false, onFault } = options;
  const { query, eventOf: read } = options.stream ?? { query: ROOM_EVENTS, eventOf };
  const received: ReceivedEvent[] = [];
  const stopping = new AbortController();
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  let cursor: string | null = null;
  let from = 0n;
  let connections = 0;

  const onItem = (item: StreamItem) => {
    // Cut by us, and its last bytes were on their way.
    if (stopping.signal.aborted) return;
    const event = read(item);
    if (event !== null) received.push(event);
    if (cursor === null) {
      from = positionOf(item.cursor);
      begin();
    }
    cursor = item.cursor;
  };

  const run = async () => {
    for (; !stopping.signal.aborted; connections += 1) {
      const after: string | null = cursor;
      let isCurrent = true;
      const listening = listen({
        // The preferred one at first: half of all start on each.
        nodeUrl: connections === 0 ? nodeUrls[0] : chance.pick(nodeUrls),
        token: account.token,
        way,
        query,
        variables: { after, ...(options.roomId !== undefined && { roomId: options.roomId }) },
        onItem: (item) => {
          if (isCurrent) onItem(item);
        },
      });
      stopping.signal.addEventListener('abort', listening.close);
      const timer = cutAfterMs && setTimeout(listening.close, chance.between(200, cutAfterMs));
      const ending = await listening.ended;
      isCurrent = false;
      if (timer) clearTimeout(timer);
      stopping.signal.removeEventListener('abort', listening.close);
      listening.close();
      const isRefused = ending.why === 'refused' && !PASSING.has(ending.code);
      if (isRefused && !(mayBeOut && ending.code === 'NOT_FOUND')) {
        onFault(`${name} was refused: ${ending.code} ${ending.message}`);
        return;
      }
      const waitMs = isRefused ? chance.between(300, 900) : chance.between(20, 250);
      await delay(waitMs, undefined, { signal: stopping.signal }).catch(() => {});
    }
  };
  const running = run();
  return {
    name,
    received,
    begun,
    from: () => from,
    position: () => (cursor === null ? 0n : positionOf(cursor)),
    connections: () => connections,
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
