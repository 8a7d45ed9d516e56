import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId } from '#lib/ids.ts';
import type { Entry } from '#pubsub/bus.ts';
import type { WebhookReceived } from '#pubsub/topics/webhooks.ts';
import { startNaru, type TestNaru } from '../../../tests/support/naru.ts';
import { bodyLoader } from './body.ts';
import { projectWebhooks } from './project.ts';

let naru: TestNaru;
let sourceId: string;

beforeAll(async () => {
  naru = await startNaru({ runsJobs: false });
  sourceId = (await naru.app.prisma.webhookSource.findFirstOrThrow()).id;
});
afterAll(() => naru.close());

const text = fc.string({ unit: 'binary', maxLength: 40 });
const received: fc.Arbitrary<{ payload: WebhookReceived; attachment: Uint8Array }> = fc
  .record({
    texts: fc.tuple(text, text, text, text, text),
    headers: fc.array(fc.record({ name: text, value: text }), { maxLength: 5 }),
    provider: fc.constantFrom('GITHUB' as const, 'NONE' as const),
    verification: fc.constantFrom('VERIFIED' as const, 'UNSIGNED' as const, 'UNVERIFIED' as const),
    hasSource: fc.constantFrom('known' as const, 'deleted' as const, 'none' as const),
    attachment: fc.oneof(
      fc.uint8Array({ maxLength: 3_000 }),
      fc
        .record({
          action: text,
          ref: text.map((branch) => `refs/heads/${branch}`),
          sender: fc.record({ login: text }),
          repository: fc.record({ id: fc.nat(5), full_name: text }),
        })
        .map((body) => Buffer.from(JSON.stringify(body))),
    ),
  })
  .map(({ texts: [path, method, contentType, deliveryId, event], ...rest }) => ({
    attachment: rest.attachment,
    payload: {
      messageId: newId(),
      sourceId: { known: sourceId, deleted: newId(), none: null }[rest.hasSource],
      provider: rest.provider,
      verification: rest.verification,
      path,
      method,
      headers: [{ name: 'x-github-event', value: event }, ...rest.headers],
      contentType,
      deliveryId,
      receivedAt: new Date().toISOString(),
    },
  }));

const entryOf = (
  { payload, attachment }: { payload: WebhookReceived; attachment: Uint8Array },
  index: number,
): Entry<WebhookReceived> => ({
  id: payload.messageId,
  key: '',
  payload,
  attachment,
  place: { incarnation: '', sequence: BigInt(index) },
  publishedAt: new Date(),
});

test('whatever texts and bytes a batch holds, each message is stored once and its bytes exactly', async () => {
  const { database, webhookFeed } = naru.app;
  await fc.assert(
    fc.asyncProperty(fc.array(received, { minLength: 1, maxLength: 8 }), async (batch) => {
      const { head, epoch } = await webhookFeed.readHead('');
      const entries = batch.map(entryOf);
      // Together, again, and twice within one batch: as after a kill at any moment.
      await Promise.all([
        projectWebhooks(naru.app, entries),
        projectWebhooks(naru.app, [...entries, ...entries]),
      ]);
      expect((await webhookFeed.readHead('')).head).toBe(head + BigInt(batch.length));
      const items = await webhookFeed.feed.readPage({ key: '', epoch, after: head, limit: 100 });
      expect(items.map(({ id }) => id)).toEqual(batch.map(({ payload }) => payload.messageId));
      const ctx = { database, remembered: new Map() } as unknown as Parameters<
        typeof bodyLoader
      >[0];
      for (const { payload, attachment } of batch) {
        const body = await bodyLoader(ctx).load(payload.messageId);
        expect(Buffer.from(body).equals(Buffer.from(attachment))).toBe(true);
      }
    }),
    { numRuns: 60 },
  );
});

test('a message of a source since deleted is kept without it', async () => {
  const [one] = fc.sample(received, { numRuns: 1, seed: 3 });
  if (!one) throw new Error('no sample');
  const messageId = newId();
  const payload = { ...one.payload, messageId, sourceId: newId() };
  await projectWebhooks(naru.app, [entryOf({ ...one, payload }, 1)]);
  const message = await naru.app.prisma.webhookMessage.findUniqueOrThrow({
    where: { id: messageId },
  });
  expect([message.sourceId, message.repositoryId]).toEqual([null, null]);
});

// What the bus is told decides whether an hour without PostgreSQL uses up a message's attempts.
test.each([
  ['is shutting down', '57P01', { code: 'UNAVAILABLE' }],
  ['lost a race', '40001', { code: 'UNAVAILABLE' }],
  ['refuses the message itself', 'P0001', { code: 'P0001' }],
])(
  'a PostgreSQL that %s is told apart, and the batch can come again',
  async (_name, state, error) => {
    const { database, webhookFeed } = naru.app;
    const [one] = fc.sample(received, { numRuns: 1, seed: 4 });
    if (!one) throw new Error('no sample');
    const entry = entryOf({ ...one, payload: { ...one.payload, messageId: newId() } }, 1);
    await database.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = '${state}'; END $$`);
    await database.query(`CREATE TRIGGER refuse BEFORE INSERT ON webhook_body
    FOR EACH ROW EXECUTE FUNCTION refuse()`);
    const { head } = await webhookFeed.readHead('');
    await expect(projectWebhooks(naru.app, [entry])).rejects.toMatchObject(error);
    expect((await webhookFeed.readHead('')).head).toBe(head);
    await database.query('DROP FUNCTION refuse CASCADE');
    await projectWebhooks(naru.app, [entry]);
    expect((await webhookFeed.readHead('')).head).toBe(head + 1n);
  },
);

describe('what GitHub tells of permissions', () => {
  const MEMBER = { action: 'added', member: { id: 99, login: 'x' }, repository: { id: 1 } };
  const userId = newId();

  async function generationAfter(
    body: unknown,
    given: Partial<WebhookReceived> & { readonly event: string },
  ): Promise<bigint> {
    const { gitHubPermissionSet } = naru.app.prisma;
    await gitHubPermissionSet.upsert({
      where: { userId },
      create: { userId, generation: 0n },
      update: { generation: 0n },
    });
    const [one] = fc.sample(received, { numRuns: 1, seed: 5 });
    if (!one) throw new Error('no sample');
    const { event, ...more } = given;
    const payload: WebhookReceived = {
      ...one.payload,
      messageId: newId(),
      sourceId,
      provider: 'GITHUB',
      verification: 'VERIFIED',
      contentType: 'application/json',
      headers: [{ name: 'x-github-event', value: event }],
      ...more,
    };
    const attachment = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
    await projectWebhooks(naru.app, [entryOf({ payload, attachment }, 1)]);
    return (await gitHubPermissionSet.findUniqueOrThrow({ where: { userId } })).generation;
  }

  // Nothing here names an account of ours, so what is about one repository reaches everybody's set.
  const PUBLIC = { repository: { id: 1, owner: { id: 2 } }, sender: { id: 3 } };

  test('ends older answers as soon as it is stored', async () => {
    expect(await generationAfter(PUBLIC, { event: 'public' })).toBeGreaterThan(0n);
  });

  test('counts by its body where the header names another event, and by its header where it cannot be read', async () => {
    expect(await generationAfter(PUBLIC, { event: 'push' })).toBeGreaterThan(0n);
    expect(await generationAfter('{"member":', { event: 'member' })).toBeGreaterThan(0n);
  });

  test('is not believed of anybody else', async () => {
    expect(await generationAfter(PUBLIC, { event: 'public', verification: 'UNVERIFIED' })).toBe(0n);
    expect(await generationAfter(PUBLIC, { event: 'public', provider: 'GITEA' })).toBe(0n);
    expect(await generationAfter(MEMBER, { event: 'member', provider: 'NONE' })).toBe(0n);
  });

  test('is nothing where it is about something else', async () => {
    const push = { ref: '', before: '', after: '', commits: [], ...PUBLIC };
    expect(await generationAfter(push, { event: 'push' })).toBe(0n);
  });
});
