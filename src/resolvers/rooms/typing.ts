/** Who is typing in a channel; each says so again at least every 6 seconds. */
export interface Typing {
  /** Tells the channel's followers, unless they were told the same within 3 seconds. */
  set(
    channel: string,
    typist: { readonly userId: string; readonly connectionId: string | null },
    isTyping: boolean,
  ): Promise<void>;
  /** Ids of the accounts. Throws `UnavailableError` while Redis is away. */
  find(channel: string): Promise<readonly string[]>;
}

export function createTyping(): Typing {
  return { set: async () => {}, find: async () => [] };
}
