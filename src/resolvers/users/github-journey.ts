// Out to GitHub and back: what a browser takes along, and what of it is stored meanwhile.
import { hash } from 'node:crypto';
import { createToken, hashToken } from '#auth/tokens.ts';
import type { Viewer } from '#auth/viewer.ts';
import type { Client, Services } from '#context.ts';
import { deriveKey } from '#lib/derive-key.ts';
import { ForbiddenError, InvalidInputError, UnauthenticatedError } from '#lib/errors.ts';
import { newId } from '#lib/ids.ts';
import { networkOf } from '#lib/network.ts';
import { parseReturnTo } from '#lib/return-to.ts';
import { seal, unseal } from '#lib/seal.ts';
import { clientOf } from './github-link.ts';
import { ONE_TIME_MINUTES } from './one-time-token.ts';

type App = Pick<Services, 'config' | 'database' | 'github' | 'credentialLimiter'>;

/** What was begun in a browser, and is done once it comes back. */
export interface Journey {
  readonly returnTo: string;
  readonly verifier: string;
  readonly link: { readonly userId: string; readonly sessionId: string } | null;
}

interface Payload {
  readonly returnTo: string;
  readonly verifierSealed: string;
  readonly sessionId: string | null;
}

/**
 * Sends a browser to GitHub. `browserSecret` is for its cookie: without it the way back does not count.
 * To link, `viewer` must have a fresh session by cookie. Throws `NotFoundError` where there is no GitHub,
 * `InvalidInputError` for `returnTo`, `UnauthenticatedError`, `ForbiddenError`, `RateLimitedError`.
 */
export async function startGitHub(
  app: App,
  input: {
    readonly returnTo: string;
    readonly isLink: boolean;
    readonly wantsPrivateRepositories: boolean;
    readonly viewer: Viewer | null;
    readonly client: Client;
  },
): Promise<{ readonly location: string; readonly browserSecret: string }> {
  const github = clientOf(app);
  const returnTo = parseReturnTo(input.returnTo, app.config.allowedOrigins);
  if (returnTo === null) {
    throw new InvalidInputError(
      'returnTo is a path here, or a URL of an allowed origin',
      'returnTo',
    );
  }
  const link = input.isLink ? requireFreshCookie(input.viewer) : null;
  // Each start leaves a row for ten minutes: nobody may leave as many as they like.
  await app.credentialLimiter.take([
    { name: 'github-network', key: networkOf(input.client.ipAddress) },
  ]);
  const [state, browserSecret, verifier] = [
    createToken('sessionSecret'),
    createToken('sessionSecret'),
    createToken('sessionSecret'),
  ];
  const id = newId();
  const payload: Payload = {
    returnTo,
    verifierSealed: seal(keyOf(app), verifier, id).toString('base64'),
    sessionId: link?.sessionId ?? null,
  };
  await app.database.query(
    `INSERT INTO one_time_token (id, purpose, token_hash, user_id, payload, expires_at)
     VALUES ($1, 'GITHUB_STATE', $2, $3, $4, naru_now() + $5 * interval '1 minute')`,
    [
      id,
      bindingOf(state, browserSecret),
      link?.userId ?? null,
      JSON.stringify(payload),
      ONE_TIME_MINUTES.GITHUB_STATE,
    ],
    'start-github',
  );
  const codeChallenge = hash('sha256', verifier, 'base64url');
  const redirectUri = redirectUriOf(app);
  const { wantsPrivateRepositories } = input;
  const location = github.authorizeUrl({
    state,
    codeChallenge,
    redirectUri,
    wantsPrivateRepositories,
  });
  return { location, browserSecret };
}

/** One of many who come back with the same state gets the journey; the others get null. */
export async function arrive(
  app: Pick<Services, 'config' | 'database'>,
  state: string,
  browserSecret: string,
): Promise<Journey | null> {
  const [row] = await app.database.query<{ id: string; userId: string | null; payload: Payload }>(
    `DELETE FROM one_time_token
     WHERE purpose = 'GITHUB_STATE' AND token_hash = $1 AND expires_at > naru_now()
     RETURNING id, user_id AS "userId", payload`,
    [bindingOf(state, browserSecret)],
    'finish-github',
  );
  if (row === undefined) return null;
  const { returnTo, verifierSealed, sessionId } = row.payload;
  const verifier = unseal(keyOf(app), Buffer.from(verifierSealed, 'base64'), row.id);
  // Begun under another SECRET_KEY.
  if (verifier === null) return null;
  const { userId } = row;
  const link = userId === null || sessionId === null ? null : { userId, sessionId };
  return { returnTo, verifier, link };
}

/** What is stored of a journey: found by whoever has both halves, and by nobody else. */
function bindingOf(state: string, browserSecret: string): Buffer<ArrayBuffer> {
  return hashToken(`${state} ${browserSecret}`);
}

function requireFreshCookie(viewer: Viewer | null): { userId: string; sessionId: string } {
  if (viewer === null) throw new UnauthenticatedError('Sign in before you link a GitHub account');
  const { userId, proof } = viewer;
  if (proof.kind !== 'session' || proof.transport !== 'COOKIE' || !proof.isFresh) {
    throw new ForbiddenError('Sign in again first: linking needs a session of the last 15 minutes');
  }
  return { userId, sessionId: proof.id };
}

/** As GitHub's settings of the client must name it. */
export function redirectUriOf({ config }: Pick<Services, 'config'>): string {
  return `${config.publicUrl}/auth/github/callback`;
}

function keyOf({ config }: Pick<Services, 'config'>): Buffer {
  return deriveKey(config.secretKey, 'github');
}
