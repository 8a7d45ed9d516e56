// The chat worker's question to its backend: who, if anybody, does this token let into that room?
import { UnavailableError } from '#lib/errors.ts';
import { storableText } from '#lib/storable-text.ts';
import { USER_AGENT } from './github-api.ts';
import { ForbiddenTargetError, type Guard } from './guard.ts';

export interface ParticipantCheck {
  /**
   * Null where the backend does not let them in: exactly 200 does. `userId` is the backend's own name for them,
   * where it gives one. Throws `UnavailableError` while it is away, fails, or limits us.
   */
  ask(room: string, token: string): Promise<{ readonly userId: string | null } | null>;
}

const TIMEOUT_MS = 5_000;
const BYTES_MAX = 64 * 1_024;
const USER_ID_LENGTH_MAX = 200;
/** What a header can carry: another token is none of the backend's. */
const TOKEN = /^[\x21-\x7e]{1,8192}$/;

export function createParticipantCheck(
  origin: string,
  { guard, timeoutMs = TIMEOUT_MS }: { readonly guard: Guard; readonly timeoutMs?: number },
): ParticipantCheck {
  return {
    async ask(room, token) {
      // As a part of a path, dots mean another path.
      if (!TOKEN.test(token) || room === '.' || room === '..') return null;
      const path = `/api/v1/message-rooms/${encodeURIComponent(room)}/participants/check`;
      const response = await call(guard, `${origin}${path}`, token, timeoutMs);
      const { status } = response;
      if (status >= 500 || status === 429) {
        throw new UnavailableError('The backend cannot say who takes part now', {
          cause: new Error(`The backend answered ${status} to a participant check`),
        });
      }
      return status === 200 ? { userId: await userIdOf(response) } : null;
    },
  };
}

async function call(guard: Guard, url: string, token: string, timeoutMs: number) {
  try {
    return await guard.fetchGuarded(
      'The backend',
      url,
      {
        method: 'POST',
        headers: {
          accept: 'application/json',
          authorization: `Bearer ${token}`,
          'content-type': 'application/json',
          'user-agent': USER_AGENT,
        },
        body: '{}',
      },
      {
        timeoutMs,
        bytesMax: BYTES_MAX,
        configuredOrigins: [new URL(url).origin],
        // Whoever names odd rooms must not keep everybody else out.
        toleratesErrors: true,
      },
    );
  } catch (error) {
    // Only an operator or a resolver names this target.
    if (!(error instanceof ForbiddenTargetError)) throw error;
    throw new UnavailableError('The backend cannot be reached now', { cause: error });
  }
}

/** An answer without one, or that is no JSON, lets in all the same. */
async function userIdOf(response: Response): Promise<string | null> {
  const body: unknown = await response.json().catch(() => null);
  const given = typeof body === 'object' && body !== null && 'userId' in body ? body.userId : null;
  const text = storableText(typeof given === 'number' ? String(given) : given);
  return text === null || text.length > USER_ID_LENGTH_MAX ? null : text;
}
