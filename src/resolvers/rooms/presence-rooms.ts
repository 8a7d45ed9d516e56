// Presence is told under the account; which of the followed rooms it is in is asked here, for many at once.
import type { Sql } from '#database/client.ts';
import type { RoomSignal } from '#pubsub/topics/rooms.ts';
import { userChannel } from './channel.ts';

export type PresenceSignal = Extract<RoomSignal, { type: 'PRESENCE' }>;

export interface PresenceRooms {
  take(signal: PresenceSignal): void;
  close(): void;
}

export const USER_CHANNEL_PREFIX = userChannel('');

const ACCOUNTS_MAX = 1_000;
const ROOM_ID = /^[0-9a-f-]{36}$/;

const FIND_ROOMS = `
  SELECT user_id AS "userId", room_id AS "roomId" FROM room_participant
  WHERE user_id = ANY($1) AND room_id = ANY($2) AND left_position IS NULL`;

/** Of each account the latest waits, also while PostgreSQL is away. */
export function createPresenceRooms({
  sql,
  followed,
  tell,
  onError,
  retryMs,
}: {
  readonly sql: Sql;
  /** The channels that somebody on this node follows now. */
  readonly followed: () => readonly string[];
  readonly tell: (channel: string, signal: PresenceSignal) => void;
  readonly onError: (error: unknown) => void;
  readonly retryMs: number;
}): PresenceRooms {
  const waiting = new Map<string, PresenceSignal>();
  let isAsking = false;
  let retry: NodeJS.Timeout | null = null;
  let isClosed = false;

  const put = (signal: PresenceSignal) => {
    const known = waiting.get(signal.userId);
    if (known === undefined || known.changedAt <= signal.changedAt) {
      waiting.set(signal.userId, signal);
    }
  };

  async function ask(): Promise<void> {
    const some = [...waiting.values()].slice(0, ACCOUNTS_MAX);
    for (const { userId } of some) waiting.delete(userId);
    const rooms = followed().filter((channel) => ROOM_ID.test(channel));
    if (rooms.length === 0) return;
    try {
      const rows = await sql.query<{ userId: string; roomId: string }>(
        FIND_ROOMS,
        [some.map(({ userId }) => userId), rooms],
        'find-presence-rooms',
      );
      const signals = new Map(some.map((signal) => [signal.userId, signal]));
      for (const { userId, roomId } of rows) {
        const signal = signals.get(userId);
        if (signal !== undefined && !isClosed) tell(roomId, signal);
      }
    } catch (error) {
      for (const signal of some) put(signal);
      throw error;
    }
  }

  function wake(): void {
    if (isAsking || retry !== null || isClosed || waiting.size === 0) return;
    isAsking = true;
    // After the others of this turn, so that they go along.
    setImmediate(() => {
      ask()
        .catch((error: unknown) => {
          if (isClosed) return;
          onError(error);
          retry = setTimeout(() => {
            retry = null;
            wake();
          }, retryMs).unref();
        })
        .finally(() => {
          isAsking = false;
          wake();
        });
    });
  }

  return {
    take(signal) {
      put(signal);
      wake();
    },
    close() {
      isClosed = true;
      if (retry !== null) clearTimeout(retry);
      waiting.clear();
    },
  };
}
