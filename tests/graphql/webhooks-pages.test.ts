import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GITHUB_BODIES } from '../support/github-bodies.ts';
import { post } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import {
  addGrant,
  addSource,
  dataOf,
  postRaw,
  postSigned,
  readAll,
  untilStored,
  watchWebhooks,
} from '../support/webhooks.ts';

let naru: TestNaru;
let token: string;
let ids: string[];
let filtered: string[];

const FILTER = { eventNames: ['push', 'star'], branches: ['main'] };

beforeAll(async () => {
  naru = await startNaru();
  token = await naru.tokenFor('alice');
  await addSource(naru.app, 'open');
  // What alice may not see lies in between and counts for nothing.
  await addSource(naru.app, 'closed', { username: 'bob' });
  for (let index = 0; index < 60; index += 1) {
    const event = (['push', 'star', 'fork'] as const)[index % 3] ?? 'push';
    const ref = `refs/heads/${index % 2 ? 'main' : 'dev'}`;
    const body = JSON.stringify({ ...GITHUB_BODIES[event], ref, index });
    await postSigned(naru.url, body, { 'x-github-event': event });
    await postRaw(naru.url, { path: '/webhook/closed', body: `${index}` });
  }
  await untilStored(naru, 120);
  const all = await readAll(naru.url, token, 'id eventName branch');
  ids = all.map(({ id }) => id);
  filtered = all
    .filter(({ eventName, branch }) => eventName !== 'fork' && branch === 'main')
    .map(({ id }) => id);
});
afterAll(() => naru.close());

interface Page {
  readonly edges: readonly { readonly cursor: string; readonly node: { readonly id: string } }[];
  readonly pageInfo: {
    readonly hasNextPage: boolean;
    readonly hasPreviousPage: boolean;
    readonly startCursor: string | null;
    readonly endCursor: string | null;
  };
  readonly followCursor: string;
}

const PAGE = `query($first: Int, $after: String, $last: Int, $before: String, $filter: WebhookMessageFilter) {
  webhookMessages(first: $first, after: $after, last: $last, before: $before, filter: $filter) {
    edges { cursor node { id } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    followCursor } }`;

async function readPage(variables: Readonly<Record<string, unknown>>): Promise<Page> {
  return dataOf((await post(naru.url, { query: PAGE, variables }, token)).result).webhookMessages;
}

const idsOf = (page: Page) => page.edges.map(({ node }) => node.id);

describe('walking', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 8 });
  const filters = fc.constantFrom(null, FILTER);

  test('forward by pages of any sizes gives the whole list in its order', async () => {
    expect(ids).toHaveLength(60);
    expect(filtered.length).toBeGreaterThan(15);
    await fc.assert(
      fc.asyncProperty(sizes, filters, async (steps, filter) => {
        const walked: string[] = [];
        let after: string | null = null;
        for (let turn = 0; ; turn += 1) {
          const first = steps[turn % steps.length] ?? 1;
          const page: Page = await readPage({ first, after, filter });
          expect(page.edges.length).toBeLessThanOrEqual(first);
          expect(page.pageInfo.startCursor).toBe(page.edges.at(0)?.cursor ?? null);
          expect(page.pageInfo.endCursor).toBe(page.edges.at(-1)?.cursor ?? null);
          walked.push(...idsOf(page));
          if (!page.pageInfo.hasNextPage) break;
          after = page.pageInfo.endCursor;
        }
        expect(walked).toEqual(filter ? filtered : ids);
      }),
      { numRuns: 15 },
    );
  });

  test('backward by pages of any sizes gives the same list', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, filters, async (steps, filter) => {
        let walked: string[] = [];
        let before: string | null = null;
        for (let turn = 0; ; turn += 1) {
          const last = steps[turn % steps.length] ?? 1;
          const page: Page = await readPage({ last, before, filter });
          expect(page.edges.length).toBeLessThanOrEqual(last);
          walked = [...idsOf(page), ...walked];
          if (!page.pageInfo.hasPreviousPage) break;
          before = page.pageInfo.startCursor;
        }
        expect(walked).toEqual(filter ? filtered : ids);
      }),
      { numRuns: 15 },
    );
  });

  test('between two cursors gives what lies between them', async () => {
    const all = (await readPage({ first: 100 })).edges;
    await fc.assert(
      fc.asyncProperty(fc.nat(59), fc.nat(59), async (from, to) => {
        const bounds = { after: all[from]?.cursor, before: all[to]?.cursor };
        const between = ids.slice(from + 1, Math.max(from + 1, to));
        expect(idsOf(await readPage({ first: 100, ...bounds }))).toEqual(between);
        expect(idsOf(await readPage({ last: 100, ...bounds }))).toEqual(between);
      }),
      { numRuns: 20 },
    );
  });

  test('without bounds shows the newest 20', async () => {
    expect(idsOf(await readPage({}))).toEqual(ids.slice(-20));
  });

  test('behind the end finds an empty page with a place to follow from', async () => {
    const { followCursor } = await readPage({});
    const page = await readPage({ first: 5, after: followCursor });
    expect(page).toMatchObject({
      edges: [],
      pageInfo: { hasNextPage: false, startCursor: null, endCursor: null },
      followCursor,
    });
  });
});

describe('a cursor', () => {
  const codeOf = async (variables: Readonly<Record<string, unknown>>) =>
    (await post(naru.url, { query: PAGE, variables }, token)).result.errors?.[0]?.extensions.code;

  test('that was not given out is CURSOR_INVALID, for `after` and for `before`', async () => {
    for (const cursor of ['', 'x', '💥', 'A'.repeat(55)]) {
      expect(await codeOf({ first: 1, after: cursor })).toBe('CURSOR_INVALID');
      expect(await codeOf({ last: 1, before: cursor })).toBe('CURSOR_INVALID');
    }
  });

  test('of another history is FEED_RESET', async () => {
    const { cursors } = naru.app.webhookFeed;
    const { epoch, head } = await naru.app.webhookFeed.readHead('');
    const other = { feed: 'webhooks', key: '', epoch, position: head + 1n };
    expect(await codeOf({ first: 1, after: cursors.encode(other) })).toBe('FEED_RESET');
    const epochOther = '11111111-1111-4111-8111-111111111111';
    const before = cursors.encode({ ...other, epoch: epochOther, position: 1n });
    expect(await codeOf({ last: 1, before })).toBe('FEED_RESET');
  });

  test('is a message’s own, whoever reads it', async () => {
    const page = await readPage({ first: 3 });
    const own = (await readAll(naru.url, token, 'cursor')).map(({ cursor }) => cursor);
    expect(own.slice(0, 3)).toEqual(page.edges.map(({ cursor }) => cursor));
  });
});

describe('a filter', () => {
  const errorOf = async (filter: unknown) =>
    (await post(naru.url, { query: PAGE, variables: { filter } }, token)).result.errors?.[0];

  test.each([
    ['101 values', { eventNames: Array.from({ length: 101 }, String) }, 'filter.eventNames'],
    ['U+0000', { branches: ['a\u0000'] }, 'filter.branches'],
    ['half a surrogate pair', { actions: ['\ud800'] }, 'filter.actions'],
    ['a time before year 1', { receivedFrom: '0000-01-01T00:00:00Z' }, 'filter.receivedFrom'],
  ])('with %s is refused by name', async (_name, filter, field) => {
    expect(await errorOf(filter)).toMatchObject({ extensions: { code: 'INVALID_INPUT', field } });
  });

  test.each([
    { receivedFrom: 8.64e15 },
    { receivedFrom: -8.64e15 },
    { receivedTo: '2026-02-30T00:00:00Z' },
    { receivedTo: 'soon' },
    { repositoryIds: ['nonsense'] },
    { unknown: ['x'] },
  ])('that makes no sense is no server error: %j', async (filter) => {
    const code = (await errorOf(filter))?.extensions.code;
    expect([undefined, 'INVALID_INPUT', 'GRAPHQL_VALIDATION_FAILED']).toContain(code);
  });

  test('with an empty list finds nothing, and with null asks for nothing', async () => {
    expect(idsOf(await readPage({ first: 100, filter: { eventNames: [] } }))).toEqual([]);
    const open = { eventNames: null, receivedFrom: '0001-01-01T00:00:00Z' };
    expect(idsOf(await readPage({ first: 100, filter: open }))).toEqual(ids);
  });

  test('with another type’s id for a repository is refused', async () => {
    expect((await errorOf({ repositoryIds: [ids[0]] }))?.extensions.code).toBeDefined();
  });
});

describe('a page and the stream after its followCursor', () => {
  test('together miss and repeat nothing while messages keep arriving', async () => {
    let arriving = true;
    let sent = 0;
    const arrive = async () => {
      while (arriving) {
        await postSigned(naru.url, `{"arriving":${sent}}`);
        sent += 1;
      }
    };
    const senders = [arrive(), arrive()];
    const joined = await Promise.all(
      Array.from({ length: 6 }, async () => {
        // A snapshot of everything, read from its end as a client's first screen is.
        const newest = await readPage({ last: 7 });
        let snapshot = idsOf(newest);
        let { startCursor: before, hasPreviousPage } = newest.pageInfo;
        while (hasPreviousPage) {
          const page = await readPage({ last: 50, before });
          snapshot = [...idsOf(page), ...snapshot];
          ({ startCursor: before, hasPreviousPage } = page.pageInfo);
        }
        const watch = await watchWebhooks(naru.url, token, { after: newest.followCursor });
        for (let count = 0; count < 25; count += 1) snapshot.push((await watch.nextMessage()).id);
        await watch.close();
        return snapshot;
      }),
    );
    arriving = false;
    await Promise.all(senders);
    await untilStored(naru, 120 + sent);
    const all = (await readAll(naru.url, token)).map(({ id }) => id);
    for (const seen of joined) expect(seen).toEqual(all.slice(0, seen.length));
  });
});

test('a page ends where its bodies pass 32 MiB, and says that more follows', async () => {
  await addSource(naru.app, 'big', { role: 'AUDITOR' });
  const audrey = await naru.tokenFor('audrey');
  const before = (await naru.app.webhookFeed.readHead('')).head;
  const body = Buffer.alloc(2 ** 20);
  for (let index = 0; index < 35; index += 5) {
    const five = Array.from({ length: 5 }, () => postRaw(naru.url, { path: '/webhook/big', body }));
    for (const { status } of await Promise.all(five)) expect(status).toBe(202);
  }
  await untilStored(naru, Number(before) + 35);
  const read = async (variables: Readonly<Record<string, unknown>>): Promise<Page> =>
    dataOf((await post(naru.url, { query: PAGE, variables }, audrey)).result).webhookMessages;
  const forward = await read({ first: 100 });
  expect(forward.edges).toHaveLength(32);
  expect(forward.pageInfo.hasNextPage).toBe(true);
  const rest = await read({ first: 100, after: forward.pageInfo.endCursor });
  expect(rest.edges).toHaveLength(3);
  expect(rest.pageInfo.hasNextPage).toBe(false);
  const backward = await read({ last: 100 });
  expect(backward.edges).toHaveLength(32);
  expect(backward.pageInfo.hasPreviousPage).toBe(true);
  expect(idsOf(backward)).toEqual([...idsOf(forward), ...idsOf(rest)].slice(-32));
});

test('who may see a source is decided anew for every page', async () => {
  const bob = await naru.tokenFor('bob');
  const count = async () => (await readAll(naru.url, bob)).length;
  expect(await count()).toBe(60);
  await addGrant(naru.app, 'open', { username: 'bob' });
  await postRaw(naru.url, { path: '/webhook/open', body: 'for bob' });
  const head = (await naru.app.webhookFeed.readHead('')).head;
  await untilStored(naru, Number(head));
  await expect.poll(count).toBe(61);
  await naru.app.prisma.webhookSourceGrant.deleteMany({ where: { user: { username: 'bob' } } });
  expect(await count()).toBe(0);
});
