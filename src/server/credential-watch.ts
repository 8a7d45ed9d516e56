import type { Credential } from '#auth/credential.ts';
import type { Services } from '#context.ts';
import { UnauthenticatedError, UnavailableError } from '#lib/errors.ts';

/** Twice a second and a little more, so that what was revoked is closed within one, however busy it is. */
const LOOK_MS = 400;

type OnRefused = (error: UnauthenticatedError) => void;

/**
 * Closes what is live when the credentials behind it no longer count: revoked, expired, or their
 * account disabled, by whatever node or command. It asks PostgreSQL, once for everybody, rather than
 * wait for news: news can be late, and time passing is none.
 */
export interface CredentialWatch {
  /** Calls `onRefused` once, unless the returned function was called before. */
  watch(credential: Credential | null, onRefused: OnRefused): () => void;
  close(): void;
}

export function createCredentialWatch(
  app: Pick<Services, 'authenticate' | 'findEnded' | 'log'>,
): CredentialWatch {
  const watched = new Map<string, { credential: Credential; readonly listeners: Set<OnRefused> }>();
  let timer: NodeJS.Timeout | null = null;

  const look = async () => {
    try {
      const ended = await app.findEnded([...watched.values()].map(({ credential }) => credential));
      await Promise.all(ended.map(refuse));
    } catch (error) {
      // What cannot be asked now is asked again; meanwhile nothing is handed out unasked either.
      if (!(error instanceof UnavailableError)) app.log.error({ err: error }, 'A watch failed');
    }
  };

  /** Asks once more for it alone, because only that says why it counts no more. */
  const refuse = async (credential: Credential) => {
    const refusal = await app.authenticate(credential).then(
      () => null,
      (error: unknown) => error,
    );
    if (refusal === null) return;
    if (!(refusal instanceof UnauthenticatedError)) throw refusal;
    const listeners = watched.get(keyOf(credential))?.listeners ?? [];
    for (const listener of [...listeners]) listener(refusal);
  };

  const lookAgain = () => {
    if (watched.size === 0) {
      timer = null;
      return;
    }
    timer = setTimeout(() => void look().finally(lookAgain), LOOK_MS);
  };

  return {
    watch(credential, onRefused) {
      if (credential === null) return () => {};
      const key = keyOf(credential);
      const entry = watched.get(key) ?? { credential, listeners: new Set() };
      watched.set(key, entry);
      const listener: OnRefused = (error) => {
        stop();
        onRefused(error);
      };
      const stop = () => {
        entry.listeners.delete(listener);
        if (entry.listeners.size === 0 && watched.get(key) === entry) watched.delete(key);
      };
      entry.listeners.add(listener);
      if (timer === null) lookAgain();
      return stop;
    },
    close() {
      watched.clear();
      if (timer !== null) clearTimeout(timer);
    },
  };
}

function keyOf(credential: Credential): string {
  return credential.kind === 'access'
    ? `access ${credential.sessionId} ${credential.expiresAt.getTime()}`
    : `${credential.kind} ${credential.hash}`;
}
