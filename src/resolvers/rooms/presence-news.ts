import { userChannel } from './channel.ts';
import type { RoomSignals } from './signals.ts';

export interface PresenceState {
  readonly isOnline: boolean;
  /** When that began, as far as it is known. */
  readonly changedAt: Date | null;
}

/** Tells all nodes who came and who went, a few at once: the latest of each account. */
export interface PresenceNews {
  tell(userId: string, state: PresenceState): void;
  /** It may be another by now, and nobody was told: what it is then is told once that can be known. */
  doubt(userId: string): void;
  /** Waits for what can be told now. */
  close(): Promise<void>;
}

/** There is one key an account, so many at once are many publishes. */
const TOLD_AT_ONCE = 16;

export function createPresenceNews({
  find,
  isSteady,
  signals,
  onError,
  retryMs,
}: {
  readonly find: (userIds: readonly string[]) => Promise<ReadonlyMap<string, PresenceState>>;
  /** Whether what is found can be believed. */
  readonly isSteady: () => boolean;
  readonly signals: Pick<RoomSignals, 'send'>;
  readonly onError: (error: unknown) => void;
  readonly retryMs: number;
}): PresenceNews {
  const waiting = new Map<string, PresenceState>();
  const doubted = new Set<string>();
  let telling: Promise<void> | null = null;
  let retry: NodeJS.Timeout | null = null;
  let isClosed = false;

  async function send(userId: string, { isOnline, changedAt }: PresenceState): Promise<void> {
    const at = (changedAt ?? new Date()).toISOString();
    try {
      const signal = { type: 'PRESENCE', userId, isOnline, changedAt: at } as const;
      await signals.send(userChannel(userId), signal);
    } catch (error) {
      // Told later it could come after what another node tells meanwhile.
      doubt(userId);
      onError(error);
    }
  }

  async function tellAll(): Promise<void> {
    while (waiting.size > 0) {
      const some = [...waiting].slice(0, TOLD_AT_ONCE);
      for (const [userId] of some) waiting.delete(userId);
      await Promise.all(some.map(([userId, state]) => send(userId, state)));
    }
  }

  function wake(): void {
    telling ??= tellAll().finally(() => {
      telling = null;
      if (waiting.size > 0) wake();
    });
  }

  async function settleDoubts(): Promise<void> {
    retry = null;
    if (isClosed) return;
    const userIds = [...doubted].filter((userId) => !waiting.has(userId));
    if (!isSteady()) return lookLater();
    doubted.clear();
    try {
      for (const [userId, state] of await find(userIds)) {
        if (!waiting.has(userId)) waiting.set(userId, state);
      }
      wake();
    } catch {
      for (const userId of userIds) doubted.add(userId);
      lookLater();
    }
  }

  function lookLater(): void {
    if (!isClosed) retry ??= setTimeout(() => void settleDoubts(), retryMs).unref();
  }

  function doubt(userId: string): void {
    doubted.add(userId);
    lookLater();
  }

  return {
    tell(userId, state) {
      doubted.delete(userId);
      waiting.set(userId, state);
      wake();
    },
    doubt,
    async close() {
      isClosed = true;
      if (retry !== null) clearTimeout(retry);
      await telling;
    },
  };
}
