export interface PresenceState {
  readonly isOnline: boolean;
  /** When that began, as far as it is known. */
  readonly changedAt: Date | null;
}

/** Who is there: an account with at least one live connection, on any node. */
export interface Presence {
  /** A live connection of the account: it is online until the returned function is called, or this node dies. */
  attend(userId: string): () => void;
  /** Throws `UnavailableError` while Redis is away. */
  find(userIds: readonly string[]): Promise<ReadonlyMap<string, PresenceState>>;
  close(): Promise<void>;
}

export function createPresence(): Presence {
  return { attend: () => () => {}, find: async () => new Map(), close: async () => {} };
}
