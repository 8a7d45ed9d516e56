// Tells rooms of read markers. Who reads on fast would else tell everybody in the room of every message.
import type { RoomSignal } from '#pubsub/topics/rooms.ts';

export type ReadMarkerSignal = Extract<RoomSignal, { type: 'READ_MARKER' }>;

export interface MarkerNews {
  tell(roomId: string, marker: ReadMarkerSignal): void;
  close(): void;
}

const AGAIN_MS = 1_000;

/** Of each room and account the first at once, and what comes within `againMs` of it as one, the latest. */
export function createMarkerNews({
  send,
  onError,
  againMs = AGAIN_MS,
}: {
  readonly send: (roomId: string, marker: ReadMarkerSignal) => Promise<void>;
  readonly onError: (error: unknown) => void;
  readonly againMs?: number;
}): MarkerNews {
  /** Who was told of just now, and what came since. */
  const recent = new Map<string, { timer: NodeJS.Timeout; waiting: ReadMarkerSignal | null }>();

  function tellNow(name: string, roomId: string, marker: ReadMarkerSignal): void {
    const timer = setTimeout(() => {
      const waiting = recent.get(name)?.waiting ?? null;
      recent.delete(name);
      if (waiting !== null) tellNow(name, roomId, waiting);
    }, againMs).unref();
    recent.set(name, { timer, waiting: null });
    send(roomId, marker).catch(onError);
  }

  return {
    tell(roomId, marker) {
      const name = `${roomId} ${marker.userId}`;
      const told = recent.get(name);
      if (told === undefined) return tellNow(name, roomId, marker);
      // Two of its tabs may be answered in any order.
      const isFurther =
        told.waiting === null || BigInt(marker.sequence) > BigInt(told.waiting.sequence);
      if (isFurther) told.waiting = marker;
    },
    close() {
      for (const { timer } of recent.values()) clearTimeout(timer);
      recent.clear();
    },
  };
}
