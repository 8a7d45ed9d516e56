// A small GitHub over real HTTP, as far as signing in needs it, with the repositories of its own file. It
// checks what it is sent as GitHub documents it, writes down in words what was wrong, and refuses as GitHub
// refuses.
import { hash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createStandInRepositories, type StandInRepositories } from './github-repositories.ts';

export interface Person {
  readonly id: number;
  readonly login: string;
  readonly name?: string | null;
  readonly emails?: readonly { email: string; primary: boolean; verified: boolean }[];
}

/** What comes instead of answers. */
export type Trouble = 'error' | 'redirect' | 'flood' | 'silence' | 'limit' | 'nonsense';

export interface GitHubStandIn {
  readonly url: string;
  /** For a Naru that is to use it. */
  readonly settings: Readonly<Record<string, string>>;
  /** What Naru sent and should not have, in words. */
  readonly faults: string[];
  /** Each request so far, e.g. `POST /login/oauth/access_token`. */
  readonly calls: string[];
  /** Every secret that was given out: none of them may show up in a log. */
  readonly secrets: ReadonlySet<string>;
  readonly repositories: StandInRepositories;
  /** Tokens of this account that see private repositories, as an exchange would give them. */
  giveTokens(id: number): { readonly accessToken: string; readonly refreshToken: string | null };
  /** Adds an account, or changes the one with this id. */
  put(person: Person): void;
  /** What the browser of a signed-in person does at the page that Naru sent it to: where it is sent back. */
  authorize(location: string, id: number, answer?: 'agree' | 'deny'): Promise<URL>;
  /** Access tokens of this account that still count. */
  liveTokens(id: number): string[];
  /** The person takes the application off their list. */
  revokeAll(id: number): void;
  /** What happens with each request from now on whose path ends so; null ends the trouble. */
  trouble: { readonly path: string; readonly kind: Trouble } | null;
  /** Runs before a request is answered whose path ends so: what happens just then elsewhere. */
  meanwhile: { readonly path: string; readonly run: () => Promise<unknown> } | null;
  /** Cuts every connection, also those that wait in `silence`. */
  hangUp(): void;
  close(): Promise<void>;
}

export interface StandInOptions {
  readonly clientType?: 'oauth' | 'app';
  /** Serve the API below `/api/v3`, as an Enterprise Server does. */
  readonly enterprise?: boolean;
  /** Name the issuer in what is sent back (RFC 9207). */
  readonly namesIssuer?: boolean;
  readonly publicUrl: string;
}

const CLIENT = { id: 'Iv1.naru', secret: 'stand-in-client-secret' };
/** What an OAuth App may ask for, and whether it sees private repositories then. */
const OAUTH_SCOPES = new Map([
  ['read:user user:email', false],
  ['read:user user:email repo', true],
]);
const TOKEN_SECONDS = 28_800;
const REFRESH_SECONDS = 15_897_600;

interface Code {
  readonly id: number;
  readonly clientId: string;
  readonly redirectUri: string;
  readonly challenge: string | null;
  readonly seesPrivate: boolean;
}

export async function startGitHub(options: StandInOptions): Promise<GitHubStandIn> {
  const { clientType = 'oauth', enterprise = false, namesIssuer = true, publicUrl } = options;
  const callback = `${publicUrl}/auth/github/callback`;
  const api = enterprise ? '/api/v3' : '/api.github.test';
  const people = new Map<number, Person>();
  const codes = new Map<string, Code>();
  const accessTokens = new Map<string, number>();
  const publicOnly = new Set<string>();
  const refreshTokens = new Map<string, { id: number; accessToken: string }>();
  const secrets = new Set<string>([CLIENT.secret]);
  const faults: string[] = [];
  const calls: string[] = [];
  const repositories = createStandInRepositories((fault) => faults.push(fault));

  const newSecret = (prefix: string) => {
    const secret = prefix + randomBytes(18).toString('hex');
    secrets.add(secret);
    return secret;
  };
  const expect = (holds: boolean, fault: string) => {
    if (!holds) faults.push(fault);
    return holds;
  };

  function authorize(query: URLSearchParams, id: number, answer: string): string | null {
    const clientId = query.get('client_id') ?? '';
    const redirectUri = query.get('redirect_uri') ?? '';
    const isOurs = clientId === CLIENT.id;
    if (isOurs) {
      expect(redirectUri === callback, `redirect_uri is ${redirectUri}`);
      expect((query.get('state') ?? '').length >= 43, 'state has less than 256 bits');
      expect(query.get('code_challenge_method') === 'S256', 'the challenge is not S256');
      expect(/^[\w-]{43}$/.test(query.get('code_challenge') ?? ''), 'there is no challenge');
      const scope = query.get('scope');
      const isKnown = clientType === 'app' ? scope === null : OAUTH_SCOPES.has(scope ?? '');
      expect(isKnown, `scope is ${scope}`);
    }
    if (!people.has(id)) return null;
    const back = new URL(callback);
    back.searchParams.set('state', query.get('state') ?? '');
    if (namesIssuer) back.searchParams.set('iss', `${standIn.url}/login/oauth`);
    if (answer === 'deny') {
      back.searchParams.set('error', 'access_denied');
      back.searchParams.set('error_description', 'The user has denied your application access.');
      return back.href;
    }
    const code = newSecret('code');
    const challenge = query.get('code_challenge');
    const seesPrivate = OAUTH_SCOPES.get(query.get('scope') ?? '') ?? clientType === 'app';
    codes.set(code, { id, clientId, redirectUri, challenge, seesPrivate });
    back.searchParams.set('code', code);
    return back.href;
  }

  function giveTokens(id: number, seesPrivate: boolean): Record<string, unknown> {
    const accessToken = newSecret(clientType === 'app' ? 'ghu_' : 'gho_');
    accessTokens.set(accessToken, id);
    if (!seesPrivate) publicOnly.add(accessToken);
    const scopes = seesPrivate ? 'read:user,user:email,repo' : 'read:user,user:email';
    const answer = {
      access_token: accessToken,
      token_type: 'bearer',
      scope: clientType === 'app' ? '' : scopes,
    };
    if (clientType === 'oauth') return answer;
    const refreshToken = newSecret('ghr_');
    refreshTokens.set(refreshToken, { id, accessToken });
    return {
      ...answer,
      expires_in: TOKEN_SECONDS,
      refresh_token: refreshToken,
      refresh_token_expires_in: REFRESH_SECONDS,
    };
  }

  function exchange(form: URLSearchParams): Record<string, unknown> {
    const refuse = (error: string) => ({ error, error_description: `${error} happened` });
    if (form.get('client_id') !== CLIENT.id || form.get('client_secret') !== CLIENT.secret) {
      faults.push('the client did not prove itself');
      return refuse('incorrect_client_credentials');
    }
    if (form.get('grant_type') === 'refresh_token') {
      const given = form.get('refresh_token') ?? '';
      const known = refreshTokens.get(given);
      if (known === undefined) return refuse('bad_refresh_token');
      refreshTokens.delete(given);
      accessTokens.delete(known.accessToken);
      return giveTokens(known.id, true);
    }
    const given = form.get('code') ?? '';
    const code = codes.get(given);
    codes.delete(given);
    if (code === undefined || code.clientId !== CLIENT.id) return refuse('bad_verification_code');
    const verifier = form.get('code_verifier') ?? '';
    // A code that was asked for without a challenge takes no verifier either (OAuth 2.1, downgrade).
    if (code.challenge !== hash('sha256', verifier, 'base64url')) {
      return refuse('bad_verification_code');
    }
    if (form.get('redirect_uri') !== code.redirectUri) return refuse('redirect_uri_mismatch');
    return giveTokens(code.id, code.seesPrivate);
  }

  function forget(id: number): void {
    for (const [token, owner] of accessTokens) if (owner === id) accessTokens.delete(token);
    for (const [token, { id: owner }] of refreshTokens) {
      if (owner === id) refreshTokens.delete(token);
    }
  }

  async function revoke(request: IncomingMessage, what: string): Promise<number> {
    const basic = Buffer.from(`${CLIENT.id}:${CLIENT.secret}`).toString('base64');
    if (!expect(request.headers.authorization === `Basic ${basic}`, 'revoking needs the client')) {
      return 401;
    }
    const { access_token: token } = JSON.parse(await readBody(request)) as { access_token: string };
    const id = accessTokens.get(token);
    if (id === undefined) return 422;
    if (what === 'grant') forget(id);
    accessTokens.delete(token);
    return 204;
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://github.test');
    const isApi = pathname.startsWith(api);
    const isPage = pathname === '/login/oauth/authorize';
    calls.push(`${request.method} ${isApi ? pathname.slice(api.length) : pathname}`);
    if (standIn.trouble !== null && pathname.endsWith(standIn.trouble.path)) {
      makeTrouble(standIn.trouble.kind, response);
      return;
    }
    if (standIn.meanwhile !== null && pathname.endsWith(standIn.meanwhile.path)) {
      await standIn.meanwhile.run();
    }
    if (!isPage) {
      expect(request.headers['user-agent'] === 'naru', 'User-Agent is not naru');
      expect(!(request.url ?? '').match(/gho_|ghu_|ghr_|code[0-9a-f]{36}/), 'a secret is in a URL');
    }
    if (isPage) {
      const id = Number(request.headers['x-person']);
      const location = authorize(searchParams, id, String(request.headers['x-answer']));
      response.writeHead(location === null ? 404 : 302, location === null ? {} : { location });
      response.end();
      return;
    }
    if (pathname === '/login/oauth/access_token' && request.method === 'POST') {
      expect(
        request.headers.accept === 'application/json',
        'the token endpoint was asked for a form',
      );
      // Also errors come with 200.
      send(response, 200, exchange(new URLSearchParams(await readBody(request))));
      return;
    }
    if (!isApi) {
      send(response, 404, { message: 'Not Found' });
      return;
    }
    expect(
      request.headers.accept === 'application/vnd.github+json' &&
        request.headers['x-github-api-version'] === '2022-11-28',
      'the API was not told its version',
    );
    const revocation = pathname.match(/\/applications\/([^/]+)\/(token|grant)$/);
    if (revocation !== null && request.method === 'DELETE') {
      expect(revocation[1] === CLIENT.id, 'another application’s token was to be revoked');
      response.writeHead(await revoke(request, revocation[2] ?? ''));
      response.end();
      return;
    }
    const token = request.headers.authorization?.replace(/^Bearer /, '') ?? '';
    const person = people.get(accessTokens.get(token) ?? 0);
    if (person === undefined) {
      send(response, 401, { message: 'Bad credentials' });
      return;
    }
    const { id, login, name = null, emails } = person;
    if (pathname === `${api}/user`) {
      send(response, 200, { id, login, name, avatar_url: `https://avatars.test/u/${id}` });
    } else if (pathname === `${api}/user/emails`) {
      if (emails === undefined) send(response, 404, { message: 'Not Found' });
      else send(response, 200, emails);
    } else {
      const told = await repositories.answer({
        path: pathname.slice(api.length),
        query: searchParams,
        ifNoneMatch: request.headers['if-none-match'],
        token,
        seesPrivate: !publicOnly.has(token),
        personId: id,
      });
      send(response, told?.status ?? 404, told?.body ?? { message: 'Not Found' }, told?.headers);
    }
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      faults.push(String(error));
      response.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const standIn: GitHubStandIn = {
    url,
    settings: {
      GITHUB_URL: url,
      GITHUB_API_URL: `${url}${api}`,
      GITHUB_CLIENT_ID: CLIENT.id,
      GITHUB_CLIENT_SECRET: CLIENT.secret,
      GITHUB_CLIENT_TYPE: clientType,
      PUBLIC_URL: publicUrl,
    },
    faults,
    calls,
    secrets,
    repositories,
    giveTokens(id) {
      const { access_token, refresh_token = null } = giveTokens(id, true);
      return { accessToken: String(access_token), refreshToken: refresh_token as string | null };
    },
    trouble: null,
    meanwhile: null,
    hangUp: () => server.closeAllConnections(),
    put: (person) => people.set(person.id, person),
    async authorize(location, id, answer = 'agree') {
      const response = await fetch(location, {
        headers: { 'x-person': String(id), 'x-answer': answer },
        redirect: 'manual',
      });
      const back = response.headers.get('location');
      if (back === null) throw new Error(`GitHub shows its own page: ${response.status}`);
      return new URL(back);
    },
    liveTokens: (id) =>
      [...accessTokens].filter(([, owner]) => owner === id).map(([token]) => token),
    revokeAll: forget,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return standIn;
}

function makeTrouble(kind: Trouble, response: ServerResponse): void {
  if (kind === 'silence') return;
  if (kind === 'redirect') response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end();
  else if (kind === 'error') send(response, 502, { message: 'Server Error' });
  else if (kind === 'nonsense') response.writeHead(200, { 'content-type': 'text/html' }).end('<p>');
  else if (kind === 'limit') {
    response.writeHead(403, { 'x-ratelimit-remaining': '0', 'retry-after': '7' }).end('{}');
  } else {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ filler: 'x'.repeat(2 ** 21) }));
  }
}

function send(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers });
  response.end(status === 304 ? undefined : JSON.stringify(body));
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
