import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId } from '#lib/ids.ts';
import type { WebhookReceived } from '#pubsub/topics/webhooks.ts';
import { startNaru, type TestNaru } from '../../../tests/support/naru.ts';
import { projectWebhooks } from './project.ts';

let naru: TestNaru;
let sourceId: string;

beforeAll(async () => {
  naru = await startNaru({ runsJobs: false });
  sourceId = (await naru.app.prisma.webhookSource.findFirstOrThrow()).id;
});
afterAll(() => naru.close());

interface Sent {
  readonly id: number;
  readonly name: string;
  /** Minutes after noon; null where the body does not tell. */
  readonly at?: number | null;
  readonly url?: string | null;
  readonly action?: string;
  readonly changes?: unknown;
  readonly received?: Partial<WebhookReceived>;
}

const noonPlus = (minutes: number) => new Date(Date.UTC(2026, 0, 1, 12, minutes)).toISOString();

/** As GitHub would send them, in one batch. */
async function store(...webhooks: readonly Sent[]): Promise<void> {
  const entries = webhooks.map(({ id, name, at = 0, action = 'edited', ...sent }, index) => {
    const { url = `https://github.com/${name}`, changes, received } = sent;
    const repository = { id, full_name: name, html_url: url };
    const body = {
      action,
      repository: { ...repository, ...(at !== null && { updated_at: noonPlus(at) }) },
      changes,
    };
    const payload: WebhookReceived = {
      messageId: newId(),
      sourceId,
      provider: 'GITHUB',
      verification: 'VERIFIED',
      path: 'github',
      method: 'POST',
      headers: [{ name: 'x-github-event', value: 'repository' }],
      contentType: 'application/json',
      deliveryId: null,
      receivedAt: noonPlus(600),
      ...received,
    };
    return {
      id: payload.messageId,
      key: '',
      payload,
      attachment: Buffer.from(JSON.stringify(body)),
      place: { incarnation: '', sequence: BigInt(index) },
      publishedAt: new Date(),
    };
  });
  await projectWebhooks(naru.app, entries);
}

const read = (id: number) =>
  naru.app.prisma.webhookRepository.findFirst({ where: { providerId: String(id) } });

async function readNames(id: number): Promise<unknown> {
  const repository = await read(id);
  return repository && [repository.fullName, repository.previousNames];
}

async function readGitHubIds(id: number): Promise<unknown> {
  const repository = await read(id);
  const lanes = await naru.app.database.query<{ github_id: string | null }>(
    'SELECT github_id FROM webhook_lane WHERE id = $1',
    [repository?.id],
  );
  return [repository?.githubId, lanes.map(({ github_id }) => github_id)];
}

let lastId = 1_000;
const nextId = () => (lastId += 1);

describe('the name of a repository', () => {
  test('is the one that it had last, whatever order its webhooks come in', async () => {
    const names = fc.array(fc.constantFrom('a/x', 'a/y', 'b/x', 'b/y'), {
      minLength: 1,
      maxLength: 8,
    });
    const cuts = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 8, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(names, fc.infiniteStream(fc.nat()), cuts, async (had, random, sizes) => {
        const id = nextId();
        const order = had
          .map((name, at) => ({ id, name, at, rank: random.next().value as number }))
          .toSorted((left, right) => left.rank - right.rank);
        for (const size of sizes) {
          const batch = order.splice(0, size);
          if (batch.length > 0) await store(...batch);
        }
        await store(...order);
        const repository = await read(id);
        expect(repository?.fullName).toBe(had.at(-1));
        const past = new Set<string>(had);
        past.delete(repository?.fullName ?? '');
        expect(repository?.previousNames.toSorted()).toEqual([...past].toSorted());
      }),
      { numRuns: 60 },
    );
  });

  test('is told with those before it when GitHub says that it was renamed', async () => {
    const id = nextId();
    const changes = { repository: { name: { from: 'old' } } };
    await store({ id, name: 'octo/new', action: 'renamed', changes });
    expect(await readNames(id)).toEqual(['octo/new', ['octo/old']]);
    const from = { user: { login: 'octo' } };
    const changed = { owner: { from } };
    await store({ id, name: 'cat/new', at: 1, action: 'transferred', changes: changed });
    expect(await readNames(id)).toEqual(['cat/new', ['octo/old', 'octo/new']]);
  });

  test('comes back where the repository is renamed back', async () => {
    const id = nextId();
    await store({ id, name: 'o/a', at: 0 }, { id, name: 'o/b', at: 1 }, { id, name: 'o/a', at: 2 });
    expect(await readNames(id)).toEqual(['o/a', ['o/b']]);
  });

  test('of webhooks that tell no time is the newest received, but none that is known to be past', async () => {
    const id = nextId();
    await store({ id, name: 'o/a', at: null });
    await store({ id, name: 'o/b', at: null });
    expect(await readNames(id)).toEqual(['o/b', ['o/a']]);
    await store({ id, name: 'o/a', at: null });
    expect(await readNames(id)).toEqual(['o/b', ['o/a']]);
  });

  test('of a sender whose clock is ahead gives way to what is received later', async () => {
    const id = nextId();
    const early = { receivedAt: noonPlus(10) };
    await store({ id, name: 'o/a', at: 100_000, received: early });
    await store({ id, name: 'o/b', at: 20 });
    expect(await readNames(id)).toEqual(['o/b', ['o/a']]);
  });

  test('is remembered 20 times, the newest', async () => {
    const id = nextId();
    const sent = Array.from({ length: 30 }, (_, at) => ({ id, name: `o/${at}`, at }));
    await store(...sent);
    const past = Array.from({ length: 20 }, (_, index) => `o/${index + 9}`);
    expect(await readNames(id)).toEqual(['o/29', past]);
  });
});

describe('GitHub decides who may read a repository', () => {
  test('where a genuine webhook says that it lives there', async () => {
    const id = nextId();
    await store({ id, name: 'o/a' });
    expect(await readGitHubIds(id)).toEqual([BigInt(id), [String(id)]]);
  });

  test.each([
    ['elsewhere', 'https://github.example.com/o/a'],
    ['over another protocol', 'http://github.com/o/a'],
    ['nowhere', null],
    ['at no URL', 'github.com/o/a'],
  ])('and not where it lives %s', async (_name, url) => {
    const id = nextId();
    await store({ id, name: 'o/a', url });
    expect(await readGitHubIds(id)).toEqual([null, [null]]);
  });

  test.each([[0], [-5]])('and not where its number is %i', async (id) => {
    await store({ id, name: 'o/a' });
    expect(await readGitHubIds(id)).toEqual([null, [null]]);
  });

  test('until another server’s repository comes under its number, and then never again', async () => {
    for (const batches of [[1, 1, 1], [2, 1], [1, 2], [3]]) {
      const id = nextId();
      const sent = [
        { id, name: 'o/a', at: 0 },
        { id, name: 'o/a', at: 1, url: 'https://other.example.com/o/a' },
        { id, name: 'o/a', at: 2 },
      ];
      for (const size of batches) await store(...sent.splice(0, size));
      expect(await readGitHubIds(id)).toEqual([null, [null]]);
    }
  });

  test('and not where another provider says so', async () => {
    const id = nextId();
    await store({ id, name: 'o/a', received: { provider: 'GITEA' } });
    const repository = await read(id);
    expect(repository?.githubId ?? null).toBeNull();
  });
});

test('what nobody vouches for makes no repository, changes none and is in no lane', async () => {
  const [id, other] = [nextId(), nextId()];
  await store({ id, name: 'o/a' });
  const received = {
    verification: 'UNVERIFIED',
    verificationFailure: 'SIGNATURE_MISMATCH',
  } as const;
  await store(
    { id, name: 'evil/a', at: 9, url: 'https://evil.example.com', received },
    { id: other, name: 'o/b', received },
  );
  expect(await readNames(id)).toEqual(['o/a', []]);
  expect(await readGitHubIds(id)).toEqual([BigInt(id), [String(id)]]);
  expect(await read(other)).toBeNull();
  const kept = await naru.app.prisma.webhookMessage.findMany({
    where: { verification: 'UNVERIFIED' },
    orderBy: { position: 'asc' },
  });
  expect(kept).toMatchObject([
    {
      repositoryId: null,
      laneId: null,
      action: 'edited',
      verificationFailure: 'SIGNATURE_MISMATCH',
    },
    {
      repositoryId: null,
      laneId: null,
      eventName: 'repository',
      occurredAt: new Date(noonPlus(0)),
    },
  ]);
});
