// GitHub as far as accounts need it. It speaks OAuth 2 without discovery, so its endpoints are written
// down here; they are the same ones on github.com and on an Enterprise Server.
import {
  AuthorizationResponseError,
  type AuthorizationServer,
  allowInsecureRequests,
  authorizationCodeGrantRequest,
  type Client,
  ClientSecretPost,
  customFetch,
  processAuthorizationCodeResponse,
  processRefreshTokenResponse,
  ResponseBodyError,
  refreshTokenGrantRequest,
  type TokenEndpointResponse,
  validateAuthResponse,
} from 'oauth4webapi';
import { z } from 'zod';
import type { GitHubConfig } from '#config.ts';
import { UnavailableError } from '#lib/errors.ts';
import { storableText } from '#lib/storable-text.ts';
import { createGitHubApi, parseBody, USER_AGENT, unexpected } from './github-api.ts';
import { createGitHubRepositories, type GitHubRepositories } from './github-repositories.ts';
import { createGuard, type Guard } from './guard.ts';
import type { PinnedInit } from './pinned-request.ts';

export interface GitHubTokens {
  readonly accessToken: string;
  /** Null for a token that lives until it is revoked, as an OAuth App's do. */
  readonly expiresInSeconds: number | null;
  readonly refreshToken: string | null;
  readonly refreshExpiresInSeconds: number | null;
  /** Whether an OAuth App's token has the scope `repo`. A GitHub App's shows what the App is installed on. */
  readonly showsPrivate: boolean;
}

export interface GitHubUser {
  /** The only thing of a GitHub account that never changes hands. */
  readonly githubId: bigint;
  readonly login: string;
  readonly name: string | null;
  readonly avatarUrl: string | null;
}

/** Every call throws `UnavailableError` when GitHub is away, limits us, or refuses our own client. */
export interface GitHub extends GitHubRepositories {
  /** Where to send the browser. `codeChallenge` is S256 of the verifier that the exchange will show. */
  authorizeUrl(input: {
    state: string;
    codeChallenge: string;
    redirectUri: string;
    /** Whether to ask for private repositories as well, which an OAuth App only gets together with writing to them. */
    wantsPrivateRepositories: boolean;
  }): string;
  /** Takes what came back with the browser. Refused: the code is used, expired or somebody else's. */
  exchangeCode(
    callbackParameters: URLSearchParams,
    input: { state: string; verifier: string; redirectUri: string },
  ): Promise<GitHubTokens | 'DENIED' | 'REFUSED'>;
  /** The token shown is used up by this, whether or not the answer arrives. */
  refreshTokens(refreshToken: string): Promise<GitHubTokens | 'REFUSED'>;
  getUser(accessToken: string): Promise<GitHubUser | 'REFUSED'>;
  /** The primary address, if GitHub has verified it; null as well where we may not ask. */
  getVerifiedEmail(accessToken: string): Promise<string | null>;
  /** Makes this one token useless; nothing happens with one that is so already. */
  revokeToken(accessToken: string): Promise<void>;
  /** Makes every token useless that we have for its user, and takes us off their list of applications. */
  revokeGrant(accessToken: string): Promise<void>;
}

const TIMEOUT_MS = 10_000;
const OAUTH_APP_SCOPE = 'read:user user:email';

// What GitHub says of the person's code or token. Whatever else it says is about our client or about
// GitHub itself, and must not cost anybody their link.
const REFUSALS = new Set([
  'bad_verification_code',
  'bad_refresh_token',
  'invalid_grant',
  'unverified_user_email',
]);

const userShape = z.object({
  id: z.int().positive(),
  login: z.string().min(1).max(100),
  name: z.string().nullish(),
  avatar_url: z.string().nullish(),
});
const emailsShape = z.array(
  z.object({ email: z.string(), primary: z.boolean(), verified: z.boolean() }),
);

/** Null where the settings name no client. Holds nothing and opens nothing. */
export function createGitHub(
  config: GitHubConfig,
  {
    guard = createGuard(),
    timeoutMs = TIMEOUT_MS,
  }: { readonly guard?: Guard; readonly timeoutMs?: number } = {},
): GitHub | null {
  if (config.client === null) return null;
  const { id, secret } = config.client;
  const api = createGitHubApi(config, { guard, timeoutMs });
  const server: AuthorizationServer = {
    // What GitHub names as `iss` in its answers (RFC 9207). Only newer ones do so.
    issuer: `${config.url}/login/oauth`,
    authorization_endpoint: `${config.url}/login/oauth/authorize`,
    token_endpoint: `${config.url}/login/oauth/access_token`,
  };
  const client: Client = { client_id: id };
  const authentication = ClientSecretPost(secret);
  const tokenOptions = {
    headers: { 'user-agent': USER_AGENT },
    [allowInsecureRequests]: config.url.startsWith('http://'),
    [customFetch]: async (url: string, init: PinnedInit) => withStatus(await api.call(url, init)),
  };

  const readApi = (path: string, accessToken: string) =>
    api.callApi(path, { headers: { authorization: `Bearer ${accessToken}` } });

  async function revoke(what: 'token' | 'grant', accessToken: string): Promise<void> {
    const basic = Buffer.from(`${id}:${secret}`).toString('base64');
    const response = await api.callApi(`/applications/${encodeURIComponent(id)}/${what}`, {
      method: 'DELETE',
      headers: { authorization: `Basic ${basic}`, 'content-type': 'application/json' },
      body: JSON.stringify({ access_token: accessToken }),
    });
    // 404 and 422 speak of a token that no longer counts.
    if (![204, 404, 422].includes(response.status)) throw unexpected(response);
  }

  return {
    authorizeUrl({ state, codeChallenge, redirectUri, wantsPrivateRepositories }) {
      const scope = wantsPrivateRepositories ? `${OAUTH_APP_SCOPE} repo` : OAUTH_APP_SCOPE;
      const url = new URL(`${config.url}/login/oauth/authorize`);
      url.search = new URLSearchParams({
        response_type: 'code',
        client_id: id,
        redirect_uri: redirectUri,
        state,
        code_challenge: codeChallenge,
        code_challenge_method: 'S256',
        // A GitHub App's permissions are its own settings.
        ...(config.clientType === 'oauth' && { scope }),
      }).toString();
      return url.href;
    },

    async exchangeCode(callbackParameters, { state, verifier, redirectUri }) {
      let checked: URLSearchParams;
      try {
        checked = validateAuthResponse(server, client, callbackParameters, state);
      } catch (error) {
        return refusalOf(error);
      }
      if (checked.getAll('code').length !== 1) return 'REFUSED';
      try {
        return tokensOf(
          await processAuthorizationCodeResponse(
            server,
            client,
            await authorizationCodeGrantRequest(
              server,
              client,
              authentication,
              checked,
              redirectUri,
              verifier,
              tokenOptions,
            ),
          ),
        );
      } catch (error) {
        return refusedOrAway(error);
      }
    },

    async refreshTokens(refreshToken) {
      try {
        return tokensOf(
          await processRefreshTokenResponse(
            server,
            client,
            await refreshTokenGrantRequest(
              server,
              client,
              authentication,
              refreshToken,
              tokenOptions,
            ),
          ),
        );
      } catch (error) {
        return refusedOrAway(error);
      }
    },

    async getUser(accessToken) {
      const response = await readApi('/user', accessToken);
      if (response.status === 401) return 'REFUSED';
      const user = await parseBody(response, userShape);
      return {
        githubId: BigInt(user.id),
        login: user.login,
        name: storableText(user.name),
        avatarUrl: webUrl(user.avatar_url),
      };
    },

    async getVerifiedEmail(accessToken) {
      const response = await readApi('/user/emails?per_page=100', accessToken);
      // The person kept the scope from us, or the GitHub App has no permission to read addresses.
      if ([401, 403, 404].includes(response.status)) return null;
      const emails = await parseBody(response, emailsShape);
      return emails.find(({ primary, verified }) => primary && verified)?.email ?? null;
    },

    revokeToken: (accessToken) => revoke('token', accessToken),
    revokeGrant: (accessToken) => revoke('grant', accessToken),
    ...createGitHubRepositories(api),
  };
}

/** GitHub tells its errors with 200; with 400 the library reads them as the errors they are. */
async function withStatus(response: Response): Promise<Response> {
  if (response.status >= 500) throw unexpected(response);
  if (response.status !== 200) return response;
  const body = await response
    .clone()
    .json()
    .catch(() => null);
  const isError = typeof body === 'object' && body !== null && 'error' in body;
  return isError
    ? new Response(response.body, { status: 400, headers: response.headers })
    : response;
}

function tokensOf(answer: TokenEndpointResponse): GitHubTokens {
  const refreshSeconds = Number(answer['refresh_token_expires_in']);
  return {
    accessToken: answer.access_token,
    expiresInSeconds: answer.expires_in ?? null,
    refreshToken: answer.refresh_token ?? null,
    refreshExpiresInSeconds: Number.isFinite(refreshSeconds) ? refreshSeconds : null,
    // GitHub separates them by commas, which the standard does not know.
    showsPrivate: answer.scope?.split(/[ ,]/).includes('repo') ?? false,
  };
}

function refusalOf(error: unknown): 'DENIED' | 'REFUSED' {
  const isDenied = error instanceof AuthorizationResponseError && error.error === 'access_denied';
  return isDenied ? 'DENIED' : 'REFUSED';
}

/** Of the library's errors only a code survives: they carry whole bodies, and those hold tokens. */
function refusedOrAway(error: unknown): 'REFUSED' {
  if (error instanceof UnavailableError) throw error;
  const isTold = error instanceof ResponseBodyError;
  if (isTold && REFUSALS.has(error.error)) return 'REFUSED';
  const reason = isTold && /^[a-z_]{1,64}$/.test(error.error) ? error.error : 'an unusable answer';
  throw new UnavailableError('GitHub does not serve this server now', {
    cause: new Error(`GitHub’s token endpoint said: ${reason}`),
  });
}

function webUrl(text: string | null | undefined): string | null {
  const url = storableText(text);
  return url !== null && /^https?:\/\//.test(url) && URL.canParse(url) ? url : null;
}
