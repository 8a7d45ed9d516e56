// Access tokens as attackers send them, through every door that takes one. What the tokens themselves must
// be like is tested beside src/auth/access-tokens.ts; here nothing is to be let in by another way.
import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as signBytes,
  verify as verifyBytes,
} from 'node:crypto';
import { calculateJwkThumbprint } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { newId } from '#lib/ids.ts';
import { rotateSigningKey } from '#resolvers/users/signing-key.ts';
import { addAccount, passTime, run, viewerOf } from '../support/accounts.ts';
import { bearer, get, openBareSocket, post, until } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { cookieOf, refresh, type Tokens, tokensOf } from '../support/sessions.ts';

const ISSUER = 'https://naru.test';
const VIEWER = '{ viewer { username } }';

/** The key is the test's own, so that it can also sign what Naru never would. */
const ours = generateKeyPairSync('ed25519').privateKey;
const foreign = generateKeyPairSync('ed25519').privateKey;

let naru: TestNaru;
let good: Tokens;
let kid: string;

beforeAll(async () => {
  const accessTokenKey = ours.export({ format: 'der', type: 'pkcs8' }).toString('base64');
  naru = await startNaru({
    runsJobs: false,
    settings: { PUBLIC_URL: ISSUER, ACCESS_TOKEN_KEY: accessTokenKey },
  });
  good = await tokensOf(naru.url);
  kid = await calculateJwkThumbprint(ours.export({ format: 'jwk' }));
});
afterAll(() => naru?.close());
afterEach(() => naru.app.database.query('DELETE FROM clock_offset'));

const query = <Row extends object>(text: string, values: readonly unknown[] = []) =>
  naru.app.database.query<Row>(text, values);
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const decode = (part: string | undefined) =>
  JSON.parse(Buffer.from(part ?? '', 'base64url').toString());

interface Made {
  readonly header?: object;
  readonly claims?: object;
  readonly key?: KeyObject;
}

/** A good token, but for what is given. */
function make({ header = {}, claims = {}, key = ours }: Made = {}): string {
  const [, payload] = good.accessToken.split('.');
  const text = `${encode({ alg: 'EdDSA', typ: 'at+jwt', kid, ...header })}.${encode({
    ...decode(payload),
    jti: newId(),
    ...claims,
  })}`;
  return `${text}.${signBytes(null, Buffer.from(text), key).toString('base64url')}`;
}

/** Refused by POST, by GET, as an event stream, at a socket's beginning, and by the plain routes. */
async function expectRefused(token: string): Promise<void> {
  for (const answer of [
    await post(naru.url, { query: VIEWER }, token),
    await get(naru.url, { query: VIEWER }, token),
    await post(naru.url, { query: VIEWER }, token, { accept: 'text/event-stream' }),
  ]) {
    expect(answer.status).toBe(401);
    expect(answer.result.errors?.[0]?.extensions.code).toBe('UNAUTHENTICATED');
    expect(answer.text).not.toContain('alice');
  }
  const socket = openBareSocket(naru.url);
  await new Promise((resolve) => socket.ws.once('open', resolve));
  socket.send({ type: 'connection_init', payload: bearer(token) });
  expect((await socket.closed).code).toBe(4403);
  const ready = await fetch(`${naru.url}/ready`, { headers: bearer(token) });
  expect(await ready.json()).not.toHaveProperty('parts');
}

test('a token made by the test itself is taken, so that the refusals mean something', async () => {
  expect(await viewerOf(naru.url, make())).toBe('alice');
});

test('what Naru signs says what RFC 9068 asks for', () => {
  const [header, payload] = good.accessToken
    .split('.')
    .map((part, index) => (index < 2 ? decode(part) : null));
  expect(header).toEqual({ alg: 'EdDSA', typ: 'at+jwt', kid });
  expect(Object.keys(payload).sort()).toEqual(['aud', 'exp', 'iat', 'iss', 'jti', 'sid', 'sub']);
  expect(payload).toMatchObject({ iss: ISSUER, aud: ISSUER });
  expect(payload.exp - payload.iat).toBe(15 * 60);
});

describe('refused at every door:', () => {
  const stolenKey = () => ({ jwk: { ...foreign.export({ format: 'jwk' }), d: undefined } });

  test.each<[string, () => string]>([
    [
      'alg none without a signature',
      () => `${make({ header: { alg: 'none' } }).replace(/[^.]*$/, '')}`,
    ],
    ['alg none with a signature', () => make({ header: { alg: 'none' } })],
    ['HS256 under the public key', () => hmacBy(Buffer.from(publicX(), 'base64url'))],
    ['HS256 under the public key’s text', () => hmacBy(publicX())],
    ['HS256 under nothing', () => hmacBy('')],
    ['a foreign signature', () => make({ key: foreign })],
    ['a foreign kid', () => make({ key: foreign, header: { kid: 'foreign' } })],
    ['a key in the header', () => make({ key: foreign, header: stolenKey() })],
    [
      'a key in the header and no kid',
      () => make({ key: foreign, header: { ...stolenKey(), kid: undefined } }),
    ],
    [
      'a place of keys (jku)',
      () => make({ key: foreign, header: { jku: `${naru.url}/.well-known/jwks.json` } }),
    ],
    [
      'a place of certificates (x5u)',
      () => make({ key: foreign, header: { x5u: 'http://127.0.0.1:9/' } }),
    ],
    ['another typ', () => make({ header: { typ: 'JWT' } })],
    ['another audience', () => make({ claims: { aud: 'https://other.test' } })],
    ['another issuer', () => make({ claims: { iss: 'https://other.test' } })],
    ['no session', () => make({ claims: { sid: undefined } })],
    ['a session that nobody has', () => make({ claims: { sid: newId() } })],
    ['no exp', () => make({ claims: { exp: undefined } })],
    ['no iat', () => make({ claims: { iat: undefined } })],
    ['a long life', () => make({ claims: { exp: Math.floor(Date.now() / 1000) + 86_400 } })],
    ['an hour ago', () => at(-3_600)],
    ['in ten minutes', () => at(600)],
    ['in a thousand years', () => at(1_000 * 365 * 86_400)],
    ['at no time at all', () => at(1e300)],
    ['a refresh token', () => good.refreshToken],
    ['a personal access token that nobody has', () => `naru_pat_${'A'.repeat(43)}`],
    ['a personal access token as a JWT', () => `naru_pat_${'A'.repeat(43)}.e30.AAAA`],
    ['a JWT in the shape of a personal access token', () => `naru_pat_${make().slice(0, 43)}`],
    ['a one-time token', () => `naru_ott_${'A'.repeat(43)}`],
    ['padding behind it', () => `${good.accessToken}=`],
    ['much behind it', () => `${good.accessToken}${'A'.repeat(3_000)}`],
    ['the session’s id', () => good.sessionId],
    ['no token', () => ''],
  ])('%s', async (_name, token) => {
    await expectRefused(token());
    expect(await viewerOf(naru.url, good.accessToken)).toBe('alice');
  });

  function publicX(): string {
    return String(ours.export({ format: 'jwk' }).x);
  }

  function hmacBy(secret: string | Buffer): string {
    const text = make({ header: { alg: 'HS256' } }).replace(/\.[^.]*$/, '');
    return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
  }

  /** Signed by us at that moment, seconds from now. */
  function at(seconds: number): string {
    const iat = Math.floor(Date.now() / 1000) + seconds;
    return make({ claims: { iat, exp: iat + 15 * 60 } });
  }
});

describe('another encoding of the same token', () => {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const variants = (token: string) => [
    `${token}=`,
    `${token}==`,
    token.slice(0, -1) + letters[letters.indexOf(token.at(-1) ?? '') ^ 1],
    token.replace('.', '=.'),
    `${token}.`,
  ];

  test('is refused while the token counts, and after it was revoked', async () => {
    const { login } = await addAccount(query);
    const { accessToken } = await tokensOf(naru.url, { login });
    expect(await viewerOf(naru.url, accessToken)).toBe(login);
    for (const variant of variants(accessToken)) await expectRefused(variant);
    expect(await run(naru.url, 'signOut', {}, accessToken)).toBe('SignedOut');
    for (const variant of [accessToken, ...variants(accessToken)]) await expectRefused(variant);
  });

  test('of a header counts as the one it is: in any case of `Bearer`, with spaces around', async () => {
    const ask = (authorization: string) =>
      post(naru.url, { query: VIEWER }, null, { authorization });
    for (const authorization of [
      `bearer ${good.accessToken}`,
      `BEARER   ${good.accessToken}`,
      ` Bearer ${good.accessToken} `,
    ]) {
      expect((await ask(authorization)).result.data.viewer.username).toBe('alice');
    }
    for (const authorization of [
      good.accessToken,
      `Basic ${good.accessToken}`,
      `Bearer${good.accessToken}`,
      `Bearer ${good.accessToken} ${good.accessToken}`,
      `Bearer ${good.accessToken}, Bearer ${good.accessToken}`,
      `Bearer "${good.accessToken}"`,
    ]) {
      expect((await ask(authorization)).status).toBe(401);
    }
  });
});

test('a cookie’s session is not reached by an access token of its id', async () => {
  const { userId, login } = await addAccount(query);
  await cookieOf(naru.url, { login });
  const [session] = await query<{ id: string }>('SELECT id FROM session WHERE user_id = $1', [
    userId,
  ]);
  await expectRefused(make({ claims: { sub: userId, sid: session?.id } }));
});

test('its time is the database’s: 15 minutes after it was signed it is refused, and refreshing helps', async () => {
  const { login } = await addAccount(query);
  const tokens = await tokensOf(naru.url, { login });
  await passTime(query, 15 * 60 - 5);
  expect(await viewerOf(naru.url, tokens.accessToken)).toBe(login);
  await passTime(query, 6);
  await expectRefused(tokens.accessToken);
  const next = await refresh(naru.url, tokens.refreshToken);
  expect(await viewerOf(naru.url, next.accessToken)).toBe(login);
});

test('a refused token says so by WWW-Authenticate, and its answer is not kept', async () => {
  const { headers } = await post(naru.url, { query: VIEWER }, make({ key: foreign }));
  expect(headers.get('www-authenticate')).toBe('Bearer');
  expect(headers.get('cache-control')).toBe('no-store');
});

describe('keys', () => {
  let one: TestNaru;
  let other: TestNaru;
  beforeAll(async () => {
    one = await startNaru({ runsJobs: false, settings: { PUBLIC_URL: ISSUER } });
    other = await startNaru({
      runsJobs: false,
      settings: { PUBLIC_URL: ISSUER },
      database: one.database,
    });
  });
  afterAll(async () => {
    await other?.close();
    await one?.close();
  });

  const keysOf = async ({ url }: TestNaru) => {
    const response = await fetch(`${url}/.well-known/jwks.json`);
    expect(response.headers.get('content-type')).toMatch(/^application\/jwk-set\+json/);
    return ((await response.json()) as { keys: Record<string, string>[] }).keys;
  };

  test('are published without their private half, the same by both nodes', async () => {
    const keys = await keysOf(one);
    expect(keys).toHaveLength(1);
    expect(keys[0]).toMatchObject({ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig' });
    expect(keys[0]).not.toHaveProperty('d');
    expect(await keysOf(other)).toEqual(keys);
  });

  test('after a rotation tokens of either count on both nodes, and both keys are published', async () => {
    const before = await tokensOf(one.url);
    const fresh = await rotateSigningKey(one.app.database, one.app.config);
    await one.app.accessTokens.reload();
    const after = await refresh(one.url, before.refreshToken);
    expect(decode(after.accessToken.split('.')[0]).kid).toBe(fresh);
    // The other node learns of it by the token itself; it asks for keys at most once a second.
    await until(async () => (await viewerOf(other.url, after.accessToken)) === 'alice');
    for (const { url } of [one, other]) {
      expect(await viewerOf(url, before.accessToken)).toBe('alice');
      expect(await viewerOf(url, after.accessToken)).toBe('alice');
    }
    expect((await keysOf(other)).map((key) => key['kid'])).toContain(fresh);
    expect(await keysOf(other)).toHaveLength(2);
  });

  test('an external verifier needs nothing but what is published', async () => {
    const { accessToken } = await tokensOf(other.url);
    const [head, body, signature] = accessToken.split('.');
    const jwk = (await keysOf(one)).find((key) => key['kid'] === decode(head).kid);
    const key = createPublicKey({ key: jwk ?? {}, format: 'jwk' });
    const bytes = Buffer.from(signature ?? '', 'base64url');
    expect(verifyBytes(null, Buffer.from(`${head}.${body}`), key, bytes)).toBe(true);
    expect(() => createPrivateKey({ key: jwk ?? {}, format: 'jwk' })).toThrow();
  });
});
