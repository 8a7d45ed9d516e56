import { hash } from 'node:crypto';
import { type JSONWebKeySet, jwtVerify, SignJWT } from 'jose';
import { LRUCache } from 'lru-cache';
import { UnauthenticatedError, UnavailableError } from '#lib/errors.ts';
import { isUuid, newId } from '#lib/ids.ts';
import { ALGORITHM, type SigningKey } from './signing-key.ts';

export const ACCESS_TOKEN_SECONDS = 15 * 60;
const TYPE = 'at+jwt';
const CHARACTERS_MAX = 2_048;
const REMEMBERED = 10_000;
/** A token with a key that we do not know asks for the keys again, at most this often. */
const RELOAD_EVERY_MS = 1_000;

export interface AccessClaims {
  readonly sessionId: string;
  readonly expiresAt: Date;
}

/** JWTs of RFC 9068, signed with Ed25519, for clients that keep tokens rather than a cookie. */
export interface AccessTokens {
  /** `now`: the database's, which decides what has expired. */
  sign(input: {
    readonly userId: string;
    readonly sessionId: string;
    readonly now: Date;
  }): Promise<{ readonly token: string; readonly expiresAt: Date }>;
  /**
   * Signature, type, issuer and audience; not the time, nor whether the session stands, which the
   * database is asked each time. Throws `UnauthenticatedError`.
   */
  verify(token: string): Promise<AccessClaims>;
  /** What `/.well-known/jwks.json` publishes. */
  keySet(): JSONWebKeySet;
  /** Reads the keys again: another node may have replaced them. */
  reload(): Promise<void>;
}

/** `loadKeys`: all that still verify, the one that signs first. */
export async function createAccessTokens(options: {
  readonly issuer: string;
  readonly loadKeys: () => Promise<readonly SigningKey[]>;
}): Promise<AccessTokens> {
  const { issuer, loadKeys } = options;
  let keys = await loadKeys();
  let reloadedAt = performance.now();
  let reloading = Promise.resolve();
  // Of tokens whose signature was good, by the hash of exactly these bytes: another encoding of the same
  // token is simply verified. What a session or the time has to say is never remembered.
  const verified = new LRUCache<string, AccessClaims>({ max: REMEMBERED });

  const reload = () => {
    reloadedAt = performance.now();
    reloading = (async () => {
      const known = keys;
      keys = await loadKeys();
      if (known.some(({ id }) => !keys.some((key) => key.id === id))) verified.clear();
    })();
    return reloading;
  };

  const findKey = async (keyId: string | undefined): Promise<SigningKey> => {
    const known = () => keys.find(({ id }) => id === keyId);
    if (known() === undefined) {
      // Whoever comes while the keys are read, or soon after, shares what came of it: also that
      // PostgreSQL was away, which says nothing of the token.
      await (performance.now() - reloadedAt > RELOAD_EVERY_MS ? reload() : reloading);
    }
    const key = known();
    if (key === undefined) throw refused();
    return key;
  };

  return {
    async sign({ userId, sessionId, now }) {
      const [key] = keys;
      if (key === undefined) throw new Error('There is no signing key');
      const issuedAt = Math.floor(now.getTime() / 1000);
      const expiresAt = issuedAt + ACCESS_TOKEN_SECONDS;
      const token = await new SignJWT({ sid: sessionId })
        .setProtectedHeader({ alg: ALGORITHM, typ: TYPE, kid: key.id })
        .setIssuer(issuer)
        .setAudience(issuer)
        .setSubject(userId)
        .setJti(newId())
        .setIssuedAt(issuedAt)
        .setExpirationTime(expiresAt)
        .sign(key.privateKey);
      return { token, expiresAt: new Date(expiresAt * 1000) };
    },

    async verify(token) {
      if (token.length > CHARACTERS_MAX || !isCanonical(token)) throw refused();
      const place = hash('sha256', token);
      const known = verified.get(place);
      if (known !== undefined) return known;
      try {
        const { payload } = await jwtVerify(
          token,
          async ({ kid }) => (await findKey(kid)).publicKey,
          {
            algorithms: [ALGORITHM],
            typ: TYPE,
            issuer,
            audience: issuer,
            requiredClaims: ['sub', 'sid', 'jti', 'iat', 'exp'],
            // The database's clock decides, when it is asked for the session.
            currentDate: new Date(0),
          },
        );
        const { sid, iat, exp } = payload;
        if (typeof sid !== 'string' || !isUuid(sid)) throw refused();
        if (iat === undefined || exp !== iat + ACCESS_TOKEN_SECONDS) throw refused();
        const claims = { sessionId: sid, expiresAt: new Date(exp * 1000) };
        verified.set(place, claims);
        return claims;
      } catch (error) {
        // PostgreSQL was away when the keys were asked for: that says nothing of the token.
        if (error instanceof UnavailableError) throw error;
        throw refused();
      }
    },

    keySet: () => ({ keys: keys.map(({ publicJwk }) => publicJwk) }),
    reload,
  };
}

/** The one base64url text of its bytes: libraries also take padding, spaces and stray bits at the end. */
function isCanonical(token: string): boolean {
  const parts = token.split('.');
  return (
    parts.length === 3 &&
    parts.every((part) => Buffer.from(part, 'base64url').toString('base64url') === part)
  );
}

function refused(): UnauthenticatedError {
  return new UnauthenticatedError('The access token is not one of ours, or no longer counts');
}
