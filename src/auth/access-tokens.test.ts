import {
  createHmac,
  createPrivateKey,
  generateKeyPairSync,
  type JsonWebKey as NodeJsonWebKey,
  sign as signBytes,
} from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { UnauthenticatedError, UnavailableError } from '#lib/errors.ts';
import { newId } from '#lib/ids.ts';
import { ACCESS_TOKEN_SECONDS, type AccessTokens, createAccessTokens } from './access-tokens.ts';
import { createPrivateJwk, readSigningKey, type SigningKey } from './signing-key.ts';

const ISSUER = 'https://naru.test';
const NOW = new Date('2026-11-21T12:00:00.500Z');
const SESSION = newId();
const USER = newId();

/** A key whose private half the test signs with by hand. */
async function createKey() {
  const jwk = await createPrivateJwk();
  return { jwk, key: await readSigningKey(jwk) };
}
const ours = await createKey();

async function openTokens(keys: () => readonly SigningKey[] = () => [ours.key]) {
  let loads = 0;
  const tokens = await createAccessTokens({
    issuer: ISSUER,
    loadKeys: async () => {
      loads += 1;
      return keys();
    },
  });
  return { tokens, loads: () => loads };
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const HEADER = { alg: 'EdDSA', typ: 'at+jwt', kid: ours.key.id };
const issuedAt = Math.floor(NOW.getTime() / 1000);
const CLAIMS = {
  iss: ISSUER,
  aud: ISSUER,
  sub: USER,
  sid: SESSION,
  jti: newId(),
  iat: issuedAt,
  exp: issuedAt + ACCESS_TOKEN_SECONDS,
};

function signed(header: object, claims: object, jwk = ours.jwk): string {
  const text = `${encode(header)}.${encode(claims)}`;
  const key = createPrivateKey({ key: jwk as NodeJsonWebKey, format: 'jwk' });
  return `${text}.${signBytes(null, Buffer.from(text), key).toString('base64url')}`;
}

const refusal = (tokens: AccessTokens, token: string) =>
  expect(tokens.verify(token)).rejects.toThrow(UnauthenticatedError);

test('what it signs it verifies, and says until when', async () => {
  const { tokens } = await openTokens();
  const { token, expiresAt } = await tokens.sign({ userId: USER, sessionId: SESSION, now: NOW });
  expect(expiresAt).toEqual(new Date('2026-11-21T12:15:00Z'));
  expect(await tokens.verify(token)).toEqual({ sessionId: SESSION, expiresAt });
  expect(await tokens.verify(token)).toEqual({ sessionId: SESSION, expiresAt });
});

test('a token made by hand as RFC 9068 says verifies, so that the refusals below mean something', async () => {
  const { tokens } = await openTokens();
  expect((await tokens.verify(signed(HEADER, CLAIMS))).sessionId).toBe(SESSION);
});

describe('a token is refused', () => {
  const foreign = createKey();
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const { x } = ours.key.publicJwk;
  /** Everything that an attacker knows of our key, as the secret of an HMAC. */
  const publicForms: readonly (string | Buffer)[] = [
    x ?? '',
    Buffer.from(x ?? '', 'base64url'),
    JSON.stringify(ours.key.publicJwk),
    createPrivateKey({ key: ours.jwk as NodeJsonWebKey, format: 'jwk' })
      .export({ format: 'pem', type: 'pkcs8' })
      .toString()
      .slice(0, 40),
  ];

  test.each([['none'], ['None'], ['NONE'], [''], [null], [undefined]])(
    'with alg %j and no signature',
    async (alg) => {
      const { tokens } = await openTokens();
      const text = `${encode({ ...HEADER, alg })}.${encode(CLAIMS)}`;
      await refusal(tokens, `${text}.`);
      await refusal(tokens, `${text}.${'A'.repeat(86)}`);
      await refusal(tokens, text);
    },
  );

  test.each(['HS256', 'HS384', 'HS512'])('with %s under our public key', async (alg) => {
    const { tokens } = await openTokens();
    const text = `${encode({ ...HEADER, alg })}.${encode(CLAIMS)}`;
    for (const secret of publicForms) {
      const mac = createHmac(alg.replace('HS', 'sha'), secret).update(text).digest('base64url');
      await refusal(tokens, `${text}.${mac}`);
    }
  });

  test('with RS256, the kid being ours', async () => {
    const { tokens } = await openTokens();
    const text = `${encode({ ...HEADER, alg: 'RS256' })}.${encode(CLAIMS)}`;
    const signature = signBytes('sha256', Buffer.from(text), rsa.privateKey);
    await refusal(tokens, `${text}.${signature.toString('base64url')}`);
  });

  test.each([
    ['the kid being ours', () => ({})],
    ['the kid being its own', (key: SigningKey) => ({ kid: key.id })],
    ['the kid absent', () => ({ kid: undefined })],
    ['the kid a path', () => ({ kid: '../../dev/null' })],
    ['the kid a statement', () => ({ kid: "' OR 1=1 --" })],
    ['the kid a name of every object', () => ({ kid: '__proto__' })],
    ['the kid no text', () => ({ kid: 0 })],
    ['its key within the header', (key: SigningKey) => ({ jwk: key.publicJwk })],
    [
      'only its key within the header',
      (key: SigningKey) => ({ kid: undefined, jwk: key.publicJwk }),
    ],
    ['a place to fetch its key from', () => ({ jku: 'http://127.0.0.1:9/keys' })],
    ['a certificate to fetch', () => ({ x5u: 'http://127.0.0.1:9/cert' })],
    ['a certificate within the header', () => ({ x5c: ['MIIB'] })],
  ])('with a signature of somebody else, %s', async (_name, change) => {
    const { tokens } = await openTokens();
    const { jwk, key } = await foreign;
    await refusal(tokens, signed({ ...HEADER, ...change(key) }, CLAIMS, jwk));
  });

  test.each([
    ['typ JWT', { typ: 'JWT' }],
    ['no typ', { typ: undefined }],
    ['typ of an ID token', { typ: 'id+jwt' }],
    ['alg of another curve', { alg: 'ES256' }],
    ['an extension that must be understood', { crit: ['exp'], exp: 1 }],
    ['an unencoded payload', { b64: false, crit: ['b64'] }],
  ])('with our own signature, but %s', async (_name, change) => {
    const { tokens } = await openTokens();
    await refusal(tokens, signed({ ...HEADER, ...change }, CLAIMS));
  });

  test.each([
    ['another audience', { aud: 'https://other.test' }],
    ['no audience', { aud: undefined }],
    ['another issuer', { iss: 'https://other.test' }],
    ['an issuer with a slash', { iss: `${ISSUER}/` }],
    ['no issuer', { iss: undefined }],
    ['no subject', { sub: undefined }],
    ['no session', { sid: undefined }],
    ['a session that is no id', { sid: "x' OR true --" }],
    ['several sessions', { sid: [SESSION] }],
    ['no jti', { jti: undefined }],
    ['no iat', { iat: undefined }],
    ['no exp', { exp: undefined }],
    ['an exp that is text', { exp: String(CLAIMS.exp) }],
    ['a life that is longer than ours', { exp: CLAIMS.exp + 1 }],
    ['a life without end', { exp: Number.MAX_SAFE_INTEGER }],
    ['nbf in the future', { nbf: CLAIMS.exp }],
  ])('with our own signature, but %s', async (_name, change) => {
    const { tokens } = await openTokens();
    await refusal(tokens, signed(HEADER, { ...CLAIMS, ...change }));
  });

  test.each([
    ['padding', (token: string) => `${token}=`],
    ['padding of the head', (token: string) => token.replace('.', '=.')],
    ['a space within', (token: string) => `${token.slice(0, -5)} ${token.slice(-5)}`],
    ['a line break within', (token: string) => `${token.slice(0, -5)}\n${token.slice(-5)}`],
    ['other unused bits at the tail', otherTail],
    [
      'the letters of plain base64',
      (token: string) => token.replaceAll('-', '+').replaceAll('_', '/'),
    ],
    ['a fourth part', (token: string) => `${token}.`],
    ['an empty signature', (token: string) => token.slice(0, token.lastIndexOf('.') + 1)],
    [
      'one bit of the signature changed',
      (token: string) =>
        `${token.slice(0, -10)}${token.at(-10) === 'A' ? 'B' : 'A'}${token.slice(-9)}`,
    ],
    ['much behind it', (token: string) => `${token}${'A'.repeat(4_096)}`],
  ])('with the bytes of a good one but %s', async (_name, change) => {
    const { tokens } = await openTokens();
    // Until its signature has a letter that plain base64 writes differently.
    let token = signed(HEADER, CLAIMS);
    while (!/[-_]/.test(token)) token = signed(HEADER, { ...CLAIMS, jti: newId() });
    await tokens.verify(token);
    const changed = change(token);
    expect(changed).not.toBe(token);
    await refusal(tokens, changed);
    await tokens.verify(token);
  });

  function otherTail(token: string): string {
    // 64 bytes are 85⅓ letters: the last one carries four bits that mean nothing.
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const last = letters.indexOf(token.at(-1) ?? '');
    const changed = token.slice(0, -1) + letters[last ^ 1];
    const bytes = (text: string) => Buffer.from(text.split('.')[2] ?? '', 'base64url');
    expect(bytes(changed).equals(bytes(token))).toBe(true);
    return changed;
  }

  test.each(['', '.', '..', '...', 'a.b.c', 'a.b', `${'a.'.repeat(1_000)}`])(
    'that is only %j',
    async (text) => {
      const { tokens } = await openTokens();
      await refusal(tokens, text);
    },
  );

  test('that is a JWE, or JSON that nests deep', async () => {
    const { tokens } = await openTokens();
    await refusal(tokens, `${encode({ alg: 'dir', enc: 'A256GCM' })}..AAAA.AAAA.AAAA`);
    const deep = Buffer.from('['.repeat(700)).toString('base64url');
    await refusal(tokens, `${deep}.${deep}.AAAA`);
  });
});

test('whoever takes a claim away from a remembered token takes it from nobody else', async () => {
  const { tokens } = await openTokens();
  const token = signed(HEADER, CLAIMS);
  await tokens.verify(token);
  const [head, , signature] = token.split('.');
  await refusal(tokens, `${head}.${encode({ ...CLAIMS, sid: newId() })}.${signature}`);
});

describe('keys', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
  afterEach(() => void vi.useRealTimers());

  const sign = (tokens: AccessTokens) =>
    tokens.sign({ userId: USER, sessionId: SESSION, now: NOW });

  test('the first signs, all verify, and all are published without their private half', async () => {
    const second = await createKey();
    let keys = [ours.key];
    const { tokens } = await openTokens(() => keys);
    const old = await sign(tokens);
    keys = [second.key, ours.key];
    await tokens.reload();
    const fresh = await sign(tokens);
    for (const { token } of [old, fresh]) await tokens.verify(token);
    const kidOf = (token: string) =>
      JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid;
    expect(kidOf(fresh.token)).toBe(second.key.id);
    const set = tokens.keySet();
    expect(set.keys.map(({ kid }) => kid)).toEqual([second.key.id, ours.key.id]);
    for (const key of set.keys) {
      expect(Object.keys(key).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x']);
    }
  });

  test('a token of a key that was taken away is refused, although it was good before', async () => {
    const second = await createKey();
    let keys = [ours.key];
    const { tokens } = await openTokens(() => keys);
    const { token } = await sign(tokens);
    await tokens.verify(token);
    keys = [second.key];
    await tokens.reload();
    await refusal(tokens, token);
  });

  test('a key made elsewhere is found by the first token of it, for all that come with it', async () => {
    const second = await createKey();
    let keys = [ours.key];
    const { tokens, loads } = await openTokens(() => keys);
    keys = [second.key, ours.key];
    const token = signed({ ...HEADER, kid: second.key.id }, CLAIMS, second.jwk);
    vi.advanceTimersByTime(1_001);
    await Promise.all(Array.from({ length: 50 }, () => tokens.verify(token)));
    expect(loads()).toBe(2);
  });

  test('a flood of unknown keys reads them again once a second at most', async () => {
    const { tokens, loads } = await openTokens();
    const foreign = await createKey();
    const flood = () =>
      Promise.all(
        Array.from({ length: 100 }, (_, index) =>
          refusal(tokens, signed({ ...HEADER, kid: `unknown-${index}` }, CLAIMS, foreign.jwk)),
        ),
      );
    await flood();
    expect(loads()).toBe(1);
    vi.advanceTimersByTime(1_001);
    await flood();
    await flood();
    expect(loads()).toBe(2);
    vi.advanceTimersByTime(1_001);
    await flood();
    expect(loads()).toBe(3);
  });

  test('while the keys cannot be read an unknown key is no reason to refuse, and a known one goes on', async () => {
    let isAway = false;
    const { tokens } = await openTokens(() => {
      if (isAway) throw new UnavailableError('PostgreSQL cannot answer now');
      return [ours.key];
    });
    const { token } = await sign(tokens);
    const { jwk, key } = await createKey();
    const unknown = signed({ ...HEADER, kid: key.id }, CLAIMS, jwk);
    isAway = true;
    vi.advanceTimersByTime(1_001);
    await expect(tokens.verify(unknown)).rejects.toThrow(UnavailableError);
    await expect(tokens.verify(unknown)).rejects.toThrow(UnavailableError);
    await tokens.verify(token);
    isAway = false;
    vi.advanceTimersByTime(1_001);
    await refusal(tokens, unknown);
  });
});
