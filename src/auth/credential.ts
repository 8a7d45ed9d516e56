import { UnauthenticatedError } from '#lib/errors.ts';
import type { AccessTokens } from './access-tokens.ts';
import { hashToken, isToken } from './tokens.ts';

/**
 * What a request proves itself with. Never the secret itself: what is kept for the length of a stream
 * is of no use to anybody who reads it.
 */
export type Credential =
  /** SHA-256 of a personal access token, in hex. */
  | { readonly kind: 'token'; readonly hash: string }
  /** SHA-256 of the session cookie's value, in hex. */
  | { readonly kind: 'cookie'; readonly hash: string }
  /** An access token with a good signature; whether its session stands and its time is not over is asked each time. */
  | { readonly kind: 'access'; readonly sessionId: string; readonly expiresAt: Date };

/** Of an `Authorization` value. Throws `UnauthenticatedError` for what cannot be one of ours. */
export async function readAuthorization(
  authorization: string,
  accessTokens: AccessTokens,
): Promise<Credential> {
  const token = /^bearer +(\S+)$/i.exec(authorization.trim())?.[1];
  if (token !== undefined && isToken('personalAccessToken', token)) {
    return { kind: 'token', hash: hashToken(token).toString('hex') };
  }
  if (token === undefined || !token.includes('.')) {
    throw new UnauthenticatedError(
      'Send `Authorization: Bearer` with an access token or `naru_pat_…`',
    );
  }
  const { sessionId, expiresAt } = await accessTokens.verify(token);
  return { kind: 'access', sessionId, expiresAt };
}

/** Of the session cookie's value. */
export function cookieCredential(value: string): Credential {
  return { kind: 'cookie', hash: hashToken(value).toString('hex') };
}
