import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { post } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import {
  addSource,
  dataOf,
  postRaw,
  postSigned,
  readAll,
  readNode,
  signatureOf,
  untilStored,
  type WebhookAnswer,
  type WebhookRequest,
} from '../support/webhooks.ts';

const OPERATIONS_TOKEN = 'operations-token-of-tests';
const FORM = 'application/x-www-form-urlencoded';
const LIMIT = 2 ** 20;

let naru: TestNaru;
let alice: string;
let stored = 0;

beforeAll(async () => {
  naru = await startNaru({
    settings: { OPERATIONS_TOKEN, WEBHOOK_BODY_BYTES_MAX: String(LIMIT) },
  });
  alice = await naru.tokenFor('alice');
  await addSource(naru.app, 'open');
  await addSource(naru.app, 'ci/jenkins');
  await addSource(naru.app, 'ci');
  await addSource(naru.app, 'café/日本');
});
afterAll(() => naru.close());

async function accepted(answer: Promise<WebhookAnswer>): Promise<WebhookAnswer> {
  const given = await answer;
  expect(given.status, JSON.stringify(given.json)).toBe(202);
  stored += 1;
  return given;
}

/** The message of a 202, once it is readable. */
async function readBack(answer: WebhookAnswer, selection: string) {
  await untilStored(naru, stored);
  return readNode(naru.url, alice, answer.json.id, selection);
}

const postOpen = (webhook: WebhookRequest) =>
  postRaw(naru.url, { path: '/webhook/open', ...webhook });

async function countOf(provider: string, outcome: string): Promise<number> {
  const response = await fetch(`${naru.url}/metrics`, {
    headers: { authorization: `Bearer ${OPERATIONS_TOKEN}` },
  });
  const line = (await response.text())
    .split('\n')
    .find((text) =>
      text.startsWith(`naru_webhook_requests_total{provider="${provider}",outcome="${outcome}"}`),
    );
  return Number(line?.split(' ').at(-1) ?? 0);
}

/** Posts what must be refused: nothing is stored, and it is counted once, as this outcome. */
async function refused(
  answer: () => Promise<WebhookAnswer>,
  status: number,
  code: string,
  counted: readonly [provider: string, outcome: string],
) {
  const before = await countOf(...counted);
  const given = await answer();
  expect({ status: given.status, code: given.json.error.code }).toEqual({ status, code });
  expect(given.json.error.message).toEqual(expect.any(String));
  expect(given.json.error.requestId).toBe(given.headers['x-request-id']);
  expect(await countOf(...counted)).toBe(before + 1);
  // Whatever had been stored would stand before this one.
  const probe = await accepted(postOpen({ body: 'probe' }));
  await readBack(probe, 'id');
  expect((await naru.app.webhookFeed.readHead('')).head).toBe(BigInt(stored));
  return given;
}

describe('202', () => {
  test('says what was taken, under an id that `node` takes', async () => {
    const before = await countOf('GITHUB', 'accepted');
    const path = '/webhook/github/octocat/Hello.World';
    const sentAt = Date.now();
    const answer = await accepted(postSigned(naru.url, '{"zen":"x"}', {}, path));
    expect(answer.json).toEqual({
      status: 'accepted',
      webhookPath: path,
      source: 'github',
      receivedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      id: expect.any(String),
    });
    expect(Math.abs(Date.parse(answer.json.receivedAt) - sentAt)).toBeLessThan(5_000);
    const message = await readBack(
      answer,
      'path method receivedAt verification byteSize source { path provider }',
    );
    expect(message).toEqual({
      id: answer.json.id,
      path,
      method: 'POST',
      receivedAt: answer.json.receivedAt,
      verification: 'VERIFIED',
      byteSize: 11,
      source: { path: 'github', provider: 'GITHUB' },
    });
    expect(await countOf('GITHUB', 'accepted')).toBe(before + 1);
  });

  test('a form is signed over its own bytes and its payload is read', async () => {
    const form = `payload=${encodeURIComponent('{"action":"opened","note":"a+b c"}')}`;
    const answer = await accepted(postSigned(naru.url, form, { 'content-type': FORM }));
    const message = await readBack(answer, 'rawBody payload action contentType');
    expect(message).toMatchObject({
      rawBody: form,
      payload: { action: 'opened', note: 'a+b c' },
      action: 'opened',
      contentType: FORM,
    });
  });

  test('a content type is understood in any case and with parameters', async () => {
    for (const type of ['Application/JSON; charset=UTF-8', `${FORM}; charset=utf-8`]) {
      await accepted(postSigned(naru.url, '{}', { 'content-type': type }));
    }
  });

  test('truncated JSON with a good signature is kept exactly, with no payload', async () => {
    const answer = await accepted(postSigned(naru.url, '{"action":"op'));
    const message = await readBack(answer, 'payload rawBody action eventName');
    expect(message).toMatchObject({
      payload: null,
      rawBody: '{"action":"op',
      action: null,
      // Nothing that was signed bears the header out.
      eventName: null,
    });
  });

  test('credentials are remembered by name only, and the query string not at all', async () => {
    const secrets = {
      authorization: 'Basic c2VjcmV0',
      cookie: 'session=secret',
      'proxy-authorization': 'secret',
      'x-access-token': 'secret',
      'X-Api-Key': 'secret',
      'x-auth-token': 'secret',
      'x-gitlab-token': 'secret',
      'x-secret': 'secret',
    };
    const path = '/webhook/github/hook?token=secret&code=secret';
    const answer = await accepted(postSigned(naru.url, '{}', { ...secrets, 'x-kept': 'v' }, path));
    expect(answer.json.webhookPath).toBe('/webhook/github/hook');
    const message = await readBack(answer, 'path headers { name value }');
    const headers = new Map(
      message.headers.map(({ name, value }: { name: string; value: string }) => [name, value]),
    );
    for (const name of Object.keys(secrets)) {
      expect(headers.get(name.toLowerCase())).toBe('[REDACTED]');
    }
    expect(headers.get('x-kept')).toBe('v');
    expect(headers.get('x-hub-signature-256')).toBe(signatureOf('{}'));
    expect(JSON.stringify(message)).not.toMatch(/"secret"|=secret|c2VjcmV0/);
    expect(message.path).toBe('/webhook/github/hook');
  });
});

describe('a redelivery', () => {
  test('answers the same id and is stored once', async () => {
    const delivery = { 'x-github-delivery': randomUUID() };
    const first = await accepted(postSigned(naru.url, '{"a":1}', delivery));
    const second = await postSigned(naru.url, '{"a":1}', delivery);
    expect(second.status).toBe(202);
    expect(second.json.id).toBe(first.json.id);
    await accepted(postOpen({}));
    await untilStored(naru, stored);
    const again = await postSigned(naru.url, '{"a":1}', delivery);
    expect(again.json.id).toBe(first.json.id);
    await accepted(postOpen({}));
    await untilStored(naru, stored);
    expect((await naru.app.webhookFeed.readHead('')).head).toBe(BigInt(stored));
  });

  test('posted twenty times at once is stored once', async () => {
    const delivery = { 'x-github-delivery': randomUUID() };
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => postSigned(naru.url, '{"b":1}', delivery)),
    );
    expect(new Set(answers.map(({ json }) => json.id)).size).toBe(1);
    expect(answers.every(({ status }) => status === 202)).toBe(true);
    stored += 1;
    await accepted(postOpen({}));
    await untilStored(naru, stored);
    expect((await naru.app.webhookFeed.readHead('')).head).toBe(BigInt(stored));
  });

  test('is one of its source: the header means nothing where nobody vouches for it', async () => {
    const delivery = { 'x-github-delivery': randomUUID() };
    const forged = await accepted(postOpen({ body: 'forged', headers: delivery }));
    const real = await accepted(postSigned(naru.url, '{"real":true}', delivery));
    expect(real.json.id).not.toBe(forged.json.id);
    expect((await readBack(real, 'rawBody')).rawBody).toBe('{"real":true}');
    expect((await readBack(forged, 'deliveryId')).deliveryId).toBeNull();
  });

  test.each([['two words'], ['x'.repeat(201)], [['a', 'b']], ['']])(
    'the odd delivery id %j is none: nothing genuine is refused for it',
    async (deliveryId) => {
      const headers = { 'x-github-delivery': deliveryId };
      const answers = [
        await accepted(postSigned(naru.url, '{}', headers)),
        await accepted(postSigned(naru.url, '{}', headers)),
      ];
      const [first, second] = answers.map(({ json }) => json.id);
      expect(first).not.toBe(second);
      expect((await readBack(answers[0] as WebhookAnswer, 'deliveryId')).deliveryId).toBeNull();
    },
  );

  test('without a delivery id each one is a message', async () => {
    const headers = { 'x-github-delivery': [] };
    const [first, second] = [
      await accepted(postSigned(naru.url, '{}', headers)),
      await accepted(postSigned(naru.url, '{}', headers)),
    ];
    expect(first.json.id).not.toBe(second.json.id);
  });
});

describe('401', () => {
  const body = '{"action":"opened"}';
  const right = signatureOf(body);
  const wrong: Readonly<Record<string, Record<string, string | string[]>>> = {
    missing: { 'x-hub-signature-256': [] },
    empty: { 'x-hub-signature-256': '' },
    'of another secret': { 'x-hub-signature-256': signatureOf(body, 'other') },
    'of other bytes': { 'x-hub-signature-256': signatureOf(`${body}\n`) },
    'too short': { 'x-hub-signature-256': right.slice(0, -1) },
    'too long': { 'x-hub-signature-256': `${right}0` },
    'without its prefix': { 'x-hub-signature-256': right.slice('sha256='.length) },
    'with an upper-case prefix': { 'x-hub-signature-256': right.replace('sha256', 'SHA256') },
    'in upper-case hex': { 'x-hub-signature-256': `sha256=${right.slice(7).toUpperCase()}` },
    'with a space inside': { 'x-hub-signature-256': right.replace('=', '= ') },
    'in base64': { 'x-hub-signature-256': `sha256=${Buffer.from(right).toString('base64')}` },
    'sent twice': { 'x-hub-signature-256': [right, right] },
    'right and wrong': { 'x-hub-signature-256': [right, signatureOf('other')] },
    'sha1 only': {
      'x-hub-signature-256': [],
      'x-hub-signature': 'sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59',
    },
    'that is not text': { 'x-hub-signature-256': 'sha256=\u00ff\u00fe' },
  };
  test.each(Object.entries(wrong))(
    'for a signature that is %s, and nothing is stored',
    async (_name, headers) => {
      await refused(() => postSigned(naru.url, body, headers), 401, 'UNAUTHENTICATED', [
        'GITHUB',
        'signature_refused',
      ]);
    },
  );

  test('spaces around a signature are not part of it', async () => {
    await accepted(postSigned(naru.url, body, { 'x-hub-signature-256': `  ${right}  ` }));
  });

  test('a form signed over its payload instead of its bytes is refused', async () => {
    const form = `payload=${encodeURIComponent(body)}`;
    const headers = { 'content-type': FORM, 'x-hub-signature-256': right };
    await refused(() => postSigned(naru.url, form, headers), 401, 'UNAUTHENTICATED', [
      'GITHUB',
      'signature_refused',
    ]);
  });
});

describe('404', () => {
  test.each([
    '/webhook',
    '/webhook/',
    '/webhook/unknown',
    '/webhook/githubs',
    '/webhook/GitHub',
    '/webhook/%00',
    '/webhook/../open',
    '/webhook/ci%2Fjenkins',
    `/webhook/${'x'.repeat(1_000)}`,
  ])('for a path that no source has: %s', async (path) => {
    await refused(() => postRaw(naru.url, { path, body: '{}' }), 404, 'NOT_FOUND', [
      'UNKNOWN',
      'unknown_path',
    ]);
  });
});

describe('400', () => {
  test.each(['/webhook/github/%ZZ', '/webhook/%ff', '/webhook/github/%E0%A4'])(
    'for a path that is not percent-encoded UTF-8: %s',
    async (path) => {
      const answer = await postRaw(naru.url, { path, body: '{}' });
      expect(answer.status).toBe(400);
      expect(answer.json.error).toMatchObject({
        code: 'INVALID_INPUT',
        requestId: answer.headers['x-request-id'],
      });
    },
  );

  test('for a path of 2,000 characters', async () => {
    const path = `/webhook/github/${'x'.repeat(1_984)}`;
    await refused(() => postSigned(naru.url, '{}', {}, path), 400, 'INVALID_INPUT', [
      'UNKNOWN',
      'malformed',
    ]);
  });
});

describe('413', () => {
  test('names the limit for one byte more, and takes exactly the limit', async () => {
    const exact = Buffer.alloc(LIMIT, 0x5b);
    const answer = await accepted(postSigned(naru.url, exact));
    expect((await readBack(answer, 'byteSize payload')).byteSize).toBe(LIMIT);
    const given = await refused(
      () => postSigned(naru.url, Buffer.alloc(LIMIT + 1, 0x5b)),
      413,
      'PAYLOAD_TOO_LARGE',
      ['UNKNOWN', 'too_large'],
    );
    expect(given.json.error.limitBytes).toBe(LIMIT);
    expect(given.json.error.message).toContain(String(LIMIT));
    // Told and not just hung up on, however much more would come.
    expect((await postSigned(naru.url, Buffer.alloc(20 * LIMIT))).status).toBe(413);
  });

  test('also for a body of unknown length, as soon as it is over', async () => {
    const half = Buffer.alloc(LIMIT / 2, 0x20);
    const whole = Buffer.concat([half, half]);
    const headers = { 'transfer-encoding': 'chunked', 'content-type': 'application/json' };
    await accepted(postOpen({ chunks: [half, half] }));
    await refused(
      () => postRaw(naru.url, { chunks: [half, half, Buffer.from('x')], headers }),
      413,
      'PAYLOAD_TOO_LARGE',
      ['UNKNOWN', 'too_large'],
    );
    const signed = { ...headers, 'x-hub-signature-256': signatureOf(whole) };
    await accepted(postRaw(naru.url, { chunks: [half, half], headers: signed }));
  });
});

describe('415', () => {
  test.each([['text/plain'], ['application/xml'], ['application/jsonx'], [[]]])(
    'for a signed body of the media type %j',
    async (contentType) => {
      const headers = { 'content-type': contentType };
      await refused(() => postSigned(naru.url, '{}', headers), 415, 'UNSUPPORTED_MEDIA_TYPE', [
        'GITHUB',
        'media_type_refused',
      ]);
    },
  );

  test('for a Content-Type that is none', async () => {
    const headers = { 'content-type': 'nonsense' };
    await refused(() => postSigned(naru.url, '{}', headers), 415, 'UNSUPPORTED_MEDIA_TYPE', [
      'UNKNOWN',
      'media_type_refused',
    ]);
  });
});

describe('the source', () => {
  test.each([
    ['/webhook/ci', 'ci'],
    ['/webhook/ci/', 'ci'],
    ['/webhook/ci/jenkins', 'ci/jenkins'],
    ['/webhook/ci/jenkins/job/7', 'ci/jenkins'],
    ['/webhook/ci/jenkinsx', 'ci'],
    ['/webhook/ci/../jenkins', 'ci'],
    ['/webhook//ci///jenkins', 'ci/jenkins'],
    ['/webhook/ci%2Fjenkins/x', 'unknown'],
    ['/webhook/ci/a%2Fb', 'ci'],
    ['/webhook/ci/%00', 'ci'],
    ['/webhook/%63i', 'ci'],
    ['/webhook/caf%C3%A9/%E6%97%A5%E6%9C%AC/x', 'café/日本'],
  ])('of %s is %s', async (path, source) => {
    const answer = postRaw(naru.url, { path, body: 'x' });
    if (source === 'unknown') {
      expect((await answer).status).toBe(404);
      return;
    }
    const given = await accepted(answer);
    expect(given.json).toMatchObject({ source, webhookPath: path });
    expect(await readBack(given, 'path source { path }')).toMatchObject({
      path,
      source: { path: source },
    });
  });

  test('decides, and not the path, what a message is about', async () => {
    const body = JSON.stringify({ repository: { id: 7, full_name: 'real/one' } });
    const path = '/webhook/github/claimed/another';
    const answer = await accepted(postSigned(naru.url, body, {}, path));
    const message = await readBack(answer, 'repository { fullName providerId }');
    expect(message.repository).toEqual({ fullName: 'real/one', providerId: '7' });
  });

  test('that asks for no signature is believed nothing', async () => {
    const body = JSON.stringify({
      action: 'opened',
      repository: { id: 7, full_name: 'real/one' },
      sender: { login: 'octocat' },
    });
    const headers = { 'content-type': 'application/json', 'x-github-event': 'push' };
    const answer = await accepted(postOpen({ body, headers }));
    expect(
      await readBack(
        answer,
        'verification eventName action branch sender deliveryId repository { id } payload',
      ),
    ).toEqual({
      id: answer.json.id,
      verification: 'UNSIGNED',
      eventName: null,
      action: null,
      branch: null,
      sender: null,
      deliveryId: null,
      repository: null,
      payload: JSON.parse(body),
    });
  });
});

describe('a repository', () => {
  test('is the same one under a new name, and a filter by its id finds both', async () => {
    const named = (full_name: string) => JSON.stringify({ repository: { id: 4_711, full_name } });
    const old = await accepted(postSigned(naru.url, named('Old.Owner/Dots.and.Case')));
    const before = await readBack(old, 'repository { id fullName }');
    expect(before.repository.fullName).toBe('Old.Owner/Dots.and.Case');
    const renamed = await accepted(postSigned(naru.url, named('new-owner/dots.and.case')));
    const after = await readBack(renamed, 'repository { id fullName }');
    expect(after.repository.id).toBe(before.repository.id);
    const query = `query($id: ID!) { webhookMessages(first: 10, filter: { repositoryIds: [$id] }) {
      nodes { id repository { fullName } } } }`;
    const variables = { id: before.repository.id };
    const { nodes } = dataOf(
      (await post(naru.url, { query, variables }, alice)).result,
    ).webhookMessages;
    expect(nodes).toEqual(
      [old, renamed].map(({ json }) => ({
        id: json.id,
        repository: { fullName: 'new-owner/dots.and.case' },
      })),
    );
  });

  test.each([
    ['a.b/C.D', 'a.b/C.D'],
    ['UPPER/lower', 'UPPER/lower'],
    ['한글/日本 語', '한글/日本 語'],
    ['a\u0000b/c\ud800', 'ab/c\ufffd'],
  ])('called %j is kept as %j', async (full_name, kept) => {
    const id = Math.floor(Math.random() * 2 ** 40);
    const body = JSON.stringify({ repository: { id, full_name } });
    const answer = await accepted(postSigned(naru.url, body));
    const { repository } = await readBack(answer, 'repository { fullName providerId }');
    expect(repository).toEqual({ fullName: kept, providerId: String(id) });
  });
});

describe('bytes', () => {
  const bodies: readonly [name: string, body: Buffer, utf8: string | null][] = [
    ['binary', Buffer.from(Array.from({ length: 4_096 }, (_, i) => (i * 31) % 256)), null],
    ['empty', Buffer.alloc(0), ''],
    ['invalid UTF-8', Buffer.from([0x7b, 0xff, 0xc0, 0x80, 0x7d]), null],
    ['with a byte order mark', Buffer.from('\ufeff{"a":1}'), '\ufeff{"a":1}'],
    ['with U+0000', Buffer.from('a\u0000b'), 'a\u0000b'],
    ['with every line end', Buffer.from('a\r\nb\rc\n\u2028d'), 'a\r\nb\rc\n\u2028d'],
    ['of one byte', Buffer.from('x'), 'x'],
    ['around what is compressed', Buffer.alloc(1_024, 'ab'), 'ab'.repeat(512)],
    ['in UTF-16', Buffer.from('{"a":1}', 'utf16le'), Buffer.from('{"a":1}', 'utf16le').toString()],
  ];
  test.each(bodies)('%s come back exactly', async (_name, body, utf8) => {
    const answer = await accepted(postOpen({ body }));
    const message = await readBack(
      answer,
      'text: rawBody base64: rawBody(encoding: BASE64) byteSize',
    );
    expect(message.base64).toBe(body.toString('base64'));
    expect(message.text).toBe(utf8);
    expect(message.byteSize).toBe(body.length);
  });

  test('without any body there is an empty one, signed as such', async () => {
    const answer = await accepted(postSigned(naru.url, ''));
    expect(await readBack(answer, 'rawBody payload byteSize')).toMatchObject({
      rawBody: '',
      payload: null,
      byteSize: 0,
    });
  });

  test('a body said to be compressed is kept as it came', async () => {
    const body = Buffer.from([0x1f, 0x8b, 0x08, 0x00]);
    const answer = await accepted(postOpen({ body, headers: { 'content-encoding': 'gzip' } }));
    const { rawBody } = await readBack(answer, 'rawBody(encoding: BASE64)');
    expect(rawBody).toBe(body.toString('base64'));
  });

  test('numbers that JavaScript cannot hold are exact in the raw body', async () => {
    const body =
      '{"n":12345678901234567890,"repository":{"id":12345678901234567890,"full_name":"a/b"}}';
    const answer = await accepted(postSigned(naru.url, body));
    const message = await readBack(answer, 'rawBody repository { id }');
    expect(message.rawBody).toBe(body);
    // An id that was rounded would be another repository's.
    expect(message.repository).toBeNull();
  });
});

describe('a hostile body', () => {
  test.each([
    ['100,000 arrays in each other', '['.repeat(100_000) + ']'.repeat(100_000)],
    ['100,000 arrays never closed', '['.repeat(100_000)],
    ['100,000 objects in each other', `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`],
  ])('of %s is kept exactly and read without harm', async (_name, body) => {
    const answer = await accepted(postSigned(naru.url, body));
    const message = await readBack(answer, 'payload rawBody');
    expect(message.payload).toBeNull();
    expect(message.rawBody).toBe(body);
  });

  test('with keys that are special to JavaScript is data', async () => {
    const body =
      '{"__proto__":{"action":"x"},"constructor":{"prototype":1},"repository":{"__proto__":{"id":1}}}';
    const answer = await accepted(postSigned(naru.url, body));
    const query = `query($id: ID!) { node(id: $id) { ... on WebhookMessage { payload action } } }`;
    await untilStored(naru, stored);
    for (let use = 0; use < 5; use += 1) {
      const { text } = await post(naru.url, { query, variables: { id: answer.json.id } }, alice);
      expect(text).toContain(`"payload":${body}`);
      expect(text).toContain('"action":null');
    }
  });

  test('with what PostgreSQL cannot hold in every field is kept, each field cleaned', async () => {
    const nasty = 'a\u0000b\ud800c';
    const body = JSON.stringify({
      action: nasty,
      ref: `refs/heads/${nasty}`,
      sender: { login: nasty },
      repository: { id: 815, full_name: nasty },
    });
    const answer = await accepted(
      postSigned(naru.url, body, { 'x-github-event': '\u00ff'.repeat(3), 'x-odd': '\u00e9\u00ff' }),
    );
    const message = await readBack(
      answer,
      'action branch sender eventName repository { fullName } rawBody headers { name value }',
    );
    const clean = 'ab\ufffdc';
    expect(message).toMatchObject({
      action: clean,
      branch: clean,
      sender: clean,
      repository: { fullName: clean },
      eventName: null,
      rawBody: body,
    });
    expect(message.headers).toContainEqual({ name: 'x-odd', value: 'éÿ' });
  });

  test.each([
    ['numbers', '{"action":1,"sender":{"login":2},"ref":3,"repository":{"id":"4","full_name":5}}'],
    ['lists', '{"action":[],"sender":[],"ref":[],"repository":[]}'],
    ['nulls', '{"action":null,"sender":null,"ref":null,"repository":null}'],
    ['a list', '[1,2]'],
    ['a text', '"text"'],
    ['null', 'null'],
    ['long texts', JSON.stringify({ action: 'x'.repeat(2_000), ref: 'refs/heads/' })],
  ])('with %s where texts are expected has no fields', async (_name, body) => {
    const answer = await accepted(postSigned(naru.url, body));
    expect(
      await readBack(answer, 'action branch sender repository { id } payload rawBody'),
    ).toEqual({
      id: answer.json.id,
      action: null,
      branch: null,
      sender: null,
      repository: null,
      payload: JSON.parse(body),
      rawBody: body,
    });
  });
});

test('the branch is the one that was pushed to, asked to merge into, or run on', async () => {
  const branches: readonly [unknown, string | null][] = [
    [{ ref: 'refs/heads/feature/x' }, 'feature/x'],
    [{ ref: 'refs/tags/v1' }, null],
    [{ ref: 'dev', ref_type: 'branch' }, 'dev'],
    [{ ref: 'v1', ref_type: 'tag' }, null],
    [{ pull_request: { base: { ref: 'main' } } }, 'main'],
    [{ workflow_run: { head_branch: 'run' } }, 'run'],
    [{ workflow_job: { head_branch: 'job' } }, 'job'],
    [{ check_suite: { head_branch: 'suite' } }, 'suite'],
    [{ check_run: { check_suite: { head_branch: 'check' } } }, 'check'],
    [{ check_suite: { head_branch: null } }, null],
  ];
  for (const [payload, branch] of branches) {
    const answer = await accepted(postSigned(naru.url, JSON.stringify(payload)));
    expect(await readBack(answer, 'branch')).toMatchObject({ branch });
  }
});

test('what was accepted is listed once each, and every one of it can be read', async () => {
  await untilStored(naru, stored);
  const all = await readAll(naru.url, alice, 'id rawBody(encoding: BASE64) headers { name }');
  expect(all).toHaveLength(stored);
  expect(new Set(all.map(({ id }) => id)).size).toBe(stored);
});
