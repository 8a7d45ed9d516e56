// Signing in through the doors, for suites whose matter is what comes after it.
import { SEED_PASSWORD } from '../../prisma/seed.ts';
import { type Answer, post } from './graphql-client.ts';

/** What a page of ours sends along with a cookie. */
export function pageHeaders(cookie: string | null = null): Record<string, string> {
  return {
    'sec-fetch-site': 'same-origin',
    'x-naru-csrf': '1',
    ...(cookie !== null && { cookie }),
  };
}

interface SignInGiven {
  readonly login?: string;
  readonly password?: string;
  readonly transport?: 'TOKENS' | 'COOKIE';
}

export const SIGN_IN = `mutation ($input: SignInInput!) { signIn(input: $input) {
  __typename
  ... on SignedIn {
    user { id username } session { id isCurrent } accessToken accessTokenExpiresAt refreshToken
  }
  ... on Error { code message }
} }`;

/** As alice, by tokens, unless told otherwise. */
export function signIn(
  url: string,
  given: SignInGiven = {},
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const input = { login: 'alice', password: SEED_PASSWORD, transport: 'TOKENS', ...given };
  return post(url, { query: SIGN_IN, variables: { input } }, null, headers);
}

export interface Tokens {
  readonly sessionId: string;
  readonly accessToken: string;
  readonly refreshToken: string;
}

/** Signed in by tokens. */
export async function tokensOf(url: string, given: SignInGiven = {}): Promise<Tokens> {
  const { session, accessToken, refreshToken } = (await signIn(url, given)).result.data.signIn;
  return { sessionId: session.id, accessToken, refreshToken };
}

/** Signed in by cookie: the `Cookie` header of a browser from then on. */
export async function cookieOf(url: string, given: SignInGiven = {}): Promise<string> {
  const { headers } = await signIn(url, { ...given, transport: 'COOKIE' }, pageHeaders());
  const line = headers.getSetCookie()[0] ?? '';
  return line.slice(0, line.indexOf(';'));
}

export interface Refreshed {
  readonly __typename: string;
  readonly accessToken: string;
  readonly refreshToken: string;
}

export async function refresh(url: string, refreshToken: string): Promise<Refreshed> {
  const { result } = await post(url, {
    query: `mutation ($input: RefreshSessionInput!) { refreshSession(input: $input) {
      __typename ... on SessionRefreshed { accessToken refreshToken } } }`,
    variables: { input: { refreshToken } },
  });
  return result.data.refreshSession;
}
