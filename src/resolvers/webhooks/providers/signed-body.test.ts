import { createHmac } from 'node:crypto';
import { sign, verify } from '@octokit/webhooks-methods';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bitbucket } from './bitbucket.ts';
import { gitea } from './gitea.ts';
import { github } from './github.ts';
import { jira } from './jira.ts';
import type { ProviderAdapter } from './provider.ts';
import { shopify } from './shopify.ts';

interface Signer {
  readonly adapter: ProviderAdapter;
  readonly header: string;
  readonly prefix: string;
  readonly encoding: 'hex' | 'base64';
}

const SIGNERS: Readonly<Record<string, Signer>> = {
  GitHub: { adapter: github, header: 'X-Hub-Signature-256', prefix: 'sha256=', encoding: 'hex' },
  Bitbucket: { adapter: bitbucket, header: 'X-Hub-Signature', prefix: 'sha256=', encoding: 'hex' },
  Jira: { adapter: jira, header: 'X-Hub-Signature', prefix: 'sha256=', encoding: 'hex' },
  Gitea: { adapter: gitea, header: 'X-Gitea-Signature', prefix: '', encoding: 'hex' },
  Forgejo: { adapter: gitea, header: 'X-Forgejo-Signature', prefix: '', encoding: 'hex' },
  Gogs: { adapter: gitea, header: 'X-Gogs-Signature', prefix: '', encoding: 'hex' },
  Shopify: { adapter: shopify, header: 'X-Shopify-Hmac-Sha256', prefix: '', encoding: 'base64' },
};

function judge(
  { adapter }: Signer,
  rawHeaders: readonly string[],
  body: string | Uint8Array,
  ...secrets: readonly string[]
) {
  if (adapter.verify === null) throw new Error('Nothing is signed');
  return adapter.verify({
    headers: {},
    rawHeaders: ['Content-Type', 'application/json', ...rawHeaders],
    url: 'https://naru.example/webhook/here',
    body: typeof body === 'string' ? new TextEncoder().encode(body) : body,
    secrets,
    settings: {},
    toleranceSeconds: 300,
    now: new Date(),
  });
}

// Each provider's vector where it publishes one, else RFC 4231's second, which is the same algorithm.
const RFC_4231 = {
  secret: 'Jefe',
  body: 'what do ya want for nothing?',
  digest: '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
};
const ATLASSIAN = {
  secret: "It's a Secret to Everybody",
  body: 'Hello World!',
  digest: 'a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9',
};
const VECTORS: Readonly<Record<string, typeof RFC_4231>> = {
  GitHub: {
    secret: "It's a Secret to Everybody",
    body: 'Hello, World!',
    digest: '757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17',
  },
  Bitbucket: ATLASSIAN,
  Jira: ATLASSIAN,
};

describe.each(Object.entries(SIGNERS))('%s', (name, signer) => {
  const { header, prefix, encoding } = signer;
  const vector = VECTORS[name] ?? RFC_4231;
  const { secret, body } = vector;
  const digest = Buffer.from(vector.digest, 'hex').toString(encoding);
  const signature = prefix + digest;

  test('the published vector is believed', () => {
    expect(judge(signer, [header, signature], body, secret)).toBeNull();
    expect(judge(signer, [header.toLowerCase(), signature], body, secret)).toBeNull();
  });

  test('any of several secrets will do, wherever it stands', () => {
    expect(judge(signer, [header, signature], body, 'new', secret)).toBeNull();
    expect(judge(signer, [header, signature], body, secret, 'old')).toBeNull();
    expect(judge(signer, [header, signature], body, 'new', 'old')).toBe('SIGNATURE_MISMATCH');
  });

  test('one changed bit of the body is refused', () => {
    const bytes = new TextEncoder().encode(body);
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const changed = bytes.with(bit >> 3, (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7)));
      expect(judge(signer, [header, signature], changed, secret)).toBe('SIGNATURE_MISMATCH');
    }
    expect(judge(signer, [header, signature], '', secret)).toBe('SIGNATURE_MISMATCH');
  });

  test('one changed bit of the digest is refused', () => {
    const bytes = Buffer.from(vector.digest, 'hex');
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const changed = Buffer.from(bytes.with(bit >> 3, (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))));
      const forged = prefix + changed.toString(encoding);
      expect(judge(signer, [header, forged], body, secret)).toBe('SIGNATURE_MISMATCH');
    }
  });

  test('another, a shorter and a longer secret are refused', () => {
    for (const other of ['other', secret.slice(1), `${secret} `]) {
      expect(judge(signer, [header, signature], body, other)).toBe('SIGNATURE_MISMATCH');
    }
  });

  test('without the header it is missing, with sha1 alone as well', () => {
    expect(judge(signer, [], body, secret)).toBe('SIGNATURE_MISSING');
    const sha1 = createHmac('sha1', secret).update(body).digest('hex');
    const given = judge(signer, ['X-Hub-Signature', `sha1=${sha1}`], body, secret);
    const isItsHeader = header === 'X-Hub-Signature';
    expect(given).toBe(isItsHeader ? 'SIGNATURE_MALFORMED' : 'SIGNATURE_MISSING');
  });

  test('a signature of another form is malformed', () => {
    const sha1 = createHmac('sha1', secret).update(body).digest(encoding);
    const forms = [
      '',
      prefix + sha1,
      digest.slice(1),
      `${prefix}${digest.slice(0, -2)}`,
      `${signature} `,
      ` ${signature}`,
      `${signature}, ${signature}`,
      `sha512=${digest}`,
      `sha256:${digest}`,
      `${prefix}${'!'.repeat(digest.length)}`,
      prefix + signature,
      encoding === 'hex' ? signature.replace(digest, digest.toUpperCase()) : vector.digest,
    ].filter((form) => form !== signature);
    for (const form of forms) {
      expect(judge(signer, [header, form], body, secret), form).toBe('SIGNATURE_MALFORMED');
    }
    if (prefix !== '') {
      expect(judge(signer, [header, digest], body, secret)).toBe('SIGNATURE_MALFORMED');
      expect(judge(signer, [header, `SHA256=${digest}`], body, secret)).toBe('SIGNATURE_MALFORMED');
    } else {
      const prefixed = `sha256=${digest}`;
      expect(judge(signer, [header, prefixed], body, secret)).toBe('SIGNATURE_MALFORMED');
    }
  });

  test('a header that came twice is malformed, whichever of the two is right', () => {
    const forged = prefix + Buffer.alloc(32).toString(encoding);
    for (const [first, second] of [
      [signature, forged],
      [forged, signature],
      [signature, signature],
    ]) {
      const rawHeaders = [header, first ?? '', header.toUpperCase(), second ?? ''];
      expect(judge(signer, rawHeaders, body, secret)).toBe('SIGNATURE_MALFORMED');
    }
  });

  test('an empty secret opens nothing', () => {
    const empty = prefix + createHmac('sha256', '').update(body).digest(encoding);
    expect(judge(signer, [header, empty], body, '')).toBe('SIGNATURE_MISMATCH');
  });

  test('bytes that are not UTF-8 are judged as they came', () => {
    const bytes = Uint8Array.of(0xff, 0x00, 0xfe, 0x80);
    const right = prefix + createHmac('sha256', secret).update(bytes).digest(encoding);
    expect(judge(signer, [header, right], bytes, secret)).toBeNull();
    expect(judge(signer, [header, right], '\ufffd\u0000\ufffd\ufffd', secret)).not.toBeNull();
  });

  test('what it makes as a secret is long, new each time and takes no quoting', () => {
    const make = signer.adapter.generateSecret;
    if (make === null) return;
    expect(make()).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(make()).not.toBe(make());
  });
});

test("GitHub's own library agrees with every verdict", async () => {
  const text = fc.string({ unit: 'grapheme', minLength: 1 });
  const header = 'X-Hub-Signature-256';
  const signer: Signer = { adapter: github, header, prefix: 'sha256=', encoding: 'hex' };
  await fc.assert(
    fc.asyncProperty(text, text, text, async (secret, body, other) => {
      const signature = await sign(secret, body);
      expect(judge(signer, [header, signature], body, secret)).toBeNull();
      const isBelieved = judge(signer, [header, signature], body, other) === null;
      expect(isBelieved).toBe(await verify(other, body, signature));
    }),
    { numRuns: 200 },
  );
});
