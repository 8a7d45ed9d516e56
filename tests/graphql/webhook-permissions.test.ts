// What GitHub says decides, at the moment of each hand-out and on every path.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { encodeGlobalId } from '#lib/global-id.ts';
import { storeLink } from '#resolvers/users/github-link.ts';
import { type GitHubStandIn, startGitHub } from '../support/github.ts';
import { openSocket, post, until } from '../support/graphql-client.ts';
import { addUser, createInboxClient, type InboxClient, passTime } from '../support/inbox.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { addGrant, dataOf, postSigned, readAll, readNode } from '../support/webhooks.ts';

const OWNER = { id: 77, login: 'octo' };
/** As long as GitHub's answer counts, and a second. */
const BOUND_SECONDS = 301;

let gitHub: GitHubStandIn;
let naru: TestNaru;
let repositories = 1_000;
let people = 1;

beforeAll(async () => {
  gitHub = await startGitHub({ publicUrl: 'http://127.0.0.1:4000' });
  naru = await startNaru({ settings: gitHub.settings });
});
beforeEach(() => {
  gitHub.trouble = null;
  gitHub.repositories.limit = null;
  gitHub.repositories.onTheWay = null;
});
afterAll(async () => {
  await naru?.close();
  await gitHub?.close();
});

interface Repository {
  readonly id: number;
  readonly fullName: string;
}

function addRepository(): Repository {
  repositories += 1;
  const repository = { id: repositories, fullName: `octo/repo.${repositories}` };
  gitHub.repositories.put({ ...repository, ownerId: OWNER.id });
  return repository;
}

interface Person {
  readonly gitHubId: number;
  readonly userId: string;
  readonly token: string;
  readonly inbox: InboxClient;
}

/** An account without any grant, whose person at GitHub may see these. */
async function addPerson(...visible: readonly Repository[]): Promise<Person> {
  people += 1;
  const gitHubId = people;
  const person = { id: gitHubId, login: `person-${gitHubId}` };
  gitHub.put(person);
  for (const { id } of visible) gitHub.repositories.grant(id, gitHubId);
  const { userId, token } = await addUser(naru);
  const { accessToken, refreshToken } = gitHub.giveTokens(gitHubId);
  await naru.app.database.transaction((sql) =>
    storeLink(naru.app, sql, {
      userId,
      person: { githubId: BigInt(gitHubId), login: person.login, name: null, avatarUrl: null },
      tokens: {
        accessToken,
        refreshToken,
        expiresInSeconds: null,
        refreshExpiresInSeconds: null,
        showsPrivate: true,
      },
    }),
  );
  return { gitHubId, userId, token, inbox: createInboxClient(naru.url, token) };
}

/** Resolves to the message's id once it is readable to whoever may. */
async function send(
  repository: Repository | null,
  event = 'push',
  body: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const shape = { ref: 'refs/heads/main', before: 'a', after: 'b', commits: [], ...body };
  const payload = {
    ...(event === 'push' ? shape : body),
    ...(repository !== null && {
      repository: {
        id: repository.id,
        full_name: repository.fullName,
        html_url: `${gitHub.url}/${repository.fullName}`,
        owner: OWNER,
      },
    }),
    sender: { login: 'octocat', id: 1 },
  };
  const answer = await postSigned(naru.url, JSON.stringify(payload), { 'x-github-event': event });
  expect(answer.status).toBe(202);
  const id = answer.json.id as string;
  await until(async () => {
    const rows = await naru.app.prisma.webhookMessage.count({
      where: { id: decodeURIComponent(rawId(id)) },
    });
    return rows === 1;
  });
  return id;
}

function rawId(globalId: string): string {
  return Buffer.from(globalId, 'base64url').toString().split(':')[1] ?? '';
}

/** GitHub takes the person's permission, and says so by its own event. */
async function removeMember(person: Person, repository: Repository): Promise<void> {
  gitHub.repositories.revoke(repository.id, person.gitHubId);
  await send(repository, 'member', {
    action: 'removed',
    member: { id: person.gitHubId, login: `person-${person.gitHubId}` },
  });
}

async function addMember(person: Person, repository: Repository): Promise<void> {
  gitHub.repositories.grant(repository.id, person.gitHubId);
  await send(repository, 'member', {
    action: 'added',
    member: { id: person.gitHubId, login: `person-${person.gitHubId}` },
  });
}

async function idsSeenBy({ token }: Person): Promise<string[]> {
  return (await readAll(naru.url, token)).map(({ id }) => id);
}

const STREAM = `subscription { webhookMessageReceived {
  __typename ... on StreamItem { cursor }
  ... on WebhookMessageReceived { message { id repository { fullName } } }
  ... on WebhookPermissionChanged { repositoryId repository { fullName } allowed }
} }`;

/** A stream that has had its first checkpoint; checkpoints are left out from there. */
async function watch({ token }: Person) {
  const socket = await openSocket(naru.url, token);
  socket.subscribe('watch', { query: STREAM });
  // biome-ignore lint/suspicious/noExplicitAny: the shape is the subscription's
  const next = async (): Promise<any> => {
    const { type, payload } = await socket.next('watch');
    if (type !== 'next') return { type, payload };
    if (payload.errors) throw new Error(JSON.stringify(payload.errors));
    return payload.data.webhookMessageReceived;
  };
  expect((await next()).__typename).toBe('StreamCheckpoint');
  return {
    async next() {
      for (;;) {
        const item = await next();
        if (item.__typename !== 'StreamCheckpoint') return item;
      }
    },
    async close() {
      socket.ws.close();
      await socket.closed;
    },
  };
}

describe('who has linked GitHub and has no grant', () => {
  test('sees on every path what GitHub lets them see, and nothing else', async () => {
    const [open, closed] = [addRepository(), addRepository()];
    const person = await addPerson(open);
    const stream = await watch(person);
    const hidden = await send(closed);
    const shown = await send(open);

    expect((await stream.next()).message).toEqual({
      id: shown,
      repository: { fullName: open.fullName },
    });
    expect(await idsSeenBy(person)).toEqual([shown]);
    expect(await readNode(naru.url, person.token, hidden, 'path')).toBeNull();
    expect(
      await readNode(naru.url, person.token, shown, 'source { path } repository { fullName }'),
    ).toMatchObject({ source: { path: 'github' }, repository: { fullName: open.fullName } });
    expect((await person.inbox.counts()).pending).toBe(1);
    const { deliveries } = await person.inbox.pull();
    expect(deliveries.map(({ message }) => message.id)).toEqual([shown]);
    expect((await person.inbox.ack({ messageIds: [hidden] })).refused).toMatchObject([
      { reason: 'NOT_FOUND' },
    ]);
    const receipts = deliveries.map(({ receipt }) => receipt);
    expect((await person.inbox.ack({ receipts })).acknowledged).toEqual([shown]);
    await stream.close();
  });

  test('sees nothing that has no repository, and nothing of a repository elsewhere with the same number', async () => {
    const repository = addRepository();
    const person = await addPerson(repository);
    await send(null, 'organization', { action: 'renamed', organization: OWNER });
    const elsewhere = JSON.stringify({
      ref: 'refs/heads/main',
      repository: {
        id: repository.id,
        full_name: repository.fullName,
        html_url: 'https://elsewhere.example/octo/x',
      },
    });
    expect((await postSigned(naru.url, elsewhere)).status).toBe(202);
    await send(addRepository());
    expect(await idsSeenBy(person)).toEqual([]);
  });

  test('without a link, or with one that was taken away, nobody sees anything', async () => {
    const repository = addRepository();
    const person = await addPerson(repository);
    const id = await send(repository);
    expect(await idsSeenBy(person)).toEqual([id]);
    await naru.app.prisma.gitHubAccount.delete({ where: { userId: person.userId } });
    expect(await idsSeenBy(person)).toEqual([]);
    expect((await person.inbox.pull()).deliveries).toEqual([]);
    expect(await readNode(naru.url, person.token, id, 'path')).toBeNull();
  });
});

describe('a permission that GitHub takes', () => {
  test('ends from its event on: page, node, pull, leases, replay, live; the stream goes on and is told', async () => {
    const [kept, lost] = [addRepository(), addRepository()];
    const person = await addPerson(kept, lost);
    const leased = await send(lost);
    const { deliveries } = await person.inbox.pull();
    expect(deliveries.map(({ message }) => message.id)).toEqual([leased]);
    const stream = await watch(person);

    await removeMember(person, lost);
    const after = await send(lost);
    const still = await send(kept);

    const told = [await stream.next(), await stream.next()];
    expect(told).toContainEqual(
      expect.objectContaining({ message: { id: still, repository: { fullName: kept.fullName } } }),
    );
    expect(told).toContainEqual(
      expect.objectContaining({
        __typename: 'WebhookPermissionChanged',
        allowed: false,
        repository: null,
      }),
    );
    expect(await idsSeenBy(person)).toEqual([still]);
    for (const id of [leased, after]) {
      expect(await readNode(naru.url, person.token, id, 'payload')).toBeNull();
    }
    const receipts = deliveries.map(({ receipt }) => receipt);
    expect((await person.inbox.ack({ receipts })).refused).toMatchObject([{ reason: 'NOT_FOUND' }]);
    expect((await person.inbox.extend(receipts)).refused).toMatchObject([{ reason: 'NOT_FOUND' }]);
    // The lease runs out, and the message is handed out again to nobody who lost it.
    await passTime(naru, 31);
    const again = await person.inbox.pull();
    expect(again.deliveries.map(({ message }) => message.id)).toEqual([still]);
    expect((await person.inbox.replay({ messageIds: [leased] })).count).toBe(0);
    expect((await person.inbox.replay({ filter: {} })).count).toBe(0);
    await stream.close();
  });

  test('without any event ends when the answer does, and not later', async () => {
    const lost = addRepository();
    const person = await addPerson(lost);
    const id = await send(lost);
    expect(await idsSeenBy(person)).toEqual([id]);
    gitHub.repositories.revoke(lost.id, person.gitHubId);
    await passTime(naru, BOUND_SECONDS);
    expect(await readNode(naru.url, person.token, id, 'path')).toBeNull();
    expect(await idsSeenBy(person)).toEqual([]);
    expect((await person.inbox.pull()).deliveries).toEqual([]);
  });

  test('and gives again brings the stored history back at once', async () => {
    const repository = addRepository();
    const person = await addPerson();
    const before = await send(repository);
    expect(await idsSeenBy(person)).toEqual([]);
    const stream = await watch(person);
    await addMember(person, repository);
    const { deliveries } = await person.inbox.pull();
    expect(deliveries[0]?.message.id).toBe(before);
    expect(await idsSeenBy(person)).toContain(before);
    const seen = [await stream.next(), await stream.next()];
    expect(seen).toContainEqual(
      expect.objectContaining({
        __typename: 'WebhookPermissionChanged',
        allowed: true,
        repository: { fullName: repository.fullName },
      }),
    );
    await stream.close();
  });
});

describe('while GitHub is away', () => {
  test('what it said before counts for 15 minutes; then pages say so, pulls hand out the rest, and nothing is skipped', async () => {
    const repository = addRepository();
    const person = await addPerson(repository);
    const granted = await send(repository);
    expect(await idsSeenBy(person)).toEqual([granted]);

    gitHub.trouble = { path: '/user/repos', kind: 'error' };
    await passTime(naru, BOUND_SECONDS);
    // Nobody can say that it has changed.
    expect(await idsSeenBy(person)).toEqual([granted]);
    await passTime(naru, 600);
    const page = await post(
      naru.url,
      { query: '{ webhookMessages { nodes { id } } }' },
      person.token,
    );
    expect(page.result.errors?.[0]?.extensions).toMatchObject({ code: 'UNAVAILABLE' });
    expect((await person.inbox.pull()).deliveries).toEqual([]);
    const node = await post(
      naru.url,
      { query: 'query($id: ID!) { node(id: $id) { id } }', variables: { id: granted } },
      person.token,
    );
    expect(node.result.errors?.[0]?.extensions).toMatchObject({ code: 'UNAVAILABLE' });

    gitHub.trouble = null;
    await passTime(naru, 60);
    await until(async () => (await person.inbox.pull()).deliveries.length === 1);
    expect(await idsSeenBy(person)).toEqual([granted]);
  });

  test('nothing is told of what may not be read now: whatever a filter asks, the answer is the same', async () => {
    const repository = addRepository();
    const person = await addPerson(repository);
    const id = await send(repository, 'push', { head_commit: { message: 'hunter2' } });
    expect(await idsSeenBy(person)).toEqual([id]);
    await removeMember(person, repository);
    gitHub.repositories.limit = { seconds: 600, told: 'retry-after' };
    await send(repository, 'push', { head_commit: { message: 'hunter3' } });
    const query =
      'query($f: WebhookMessageFilter) { webhookMessages(filter: $f) { nodes { id } } }';
    const guesses = ['hunter3', 'wrong'].map((equals) => ({
      payload: [{ path: 'head_commit.message', equals }],
    }));
    const filters = [...guesses, { eventNames: ['push'] }, { eventNames: ['fork'] }];
    const answers = await Promise.all(
      [...filters, { inboxStates: ['PENDING'] }].map((f) =>
        post(naru.url, { query, variables: { f } }, person.token),
      ),
    );
    const codes = answers.map(({ result }) => result.errors?.[0]?.extensions['code'] ?? 'none');
    expect(new Set(codes)).toEqual(new Set(['UNAVAILABLE']));
    const replayed = post(
      naru.url,
      {
        query: `mutation { replayWebhookMessages(input: { filter: {} }) {
          ... on WebhookMessagesReplayed { count } } }`,
      },
      person.token,
    );
    expect((await replayed).result.errors?.[0]?.extensions['code']).toBe('UNAVAILABLE');
  });

  test('a stream waits for it, and then hands out what it waited with', async () => {
    const repository = addRepository();
    const person = await addPerson(repository);
    const stream = await watch(person);
    const first = await send(repository);
    expect((await stream.next()).message.id).toBe(first);

    let answer = () => {};
    const asked = new Promise<void>((resolve) => {
      gitHub.repositories.onTheWay = () => {
        resolve();
        return new Promise<void>((go) => {
          answer = go;
        });
      };
    });
    await send(repository, 'member', { action: 'edited', member: { id: person.gitHubId } });
    const second = await send(repository);
    await asked;
    gitHub.repositories.onTheWay = null;
    answer();
    const items = [(await stream.next()).message?.id, (await stream.next()).message?.id];
    expect(items[1]).toBe(second);
    await stream.close();
  });
});

test('a grant shows all of a source, whatever GitHub says', async () => {
  const repository = addRepository();
  const person = await addPerson();
  await naru.app.prisma.user.update({
    where: { id: person.userId },
    data: { username: `granted-${person.gitHubId}` },
  });
  const id = await send(repository);
  expect(await idsSeenBy(person)).toEqual([]);
  await addGrant(naru.app, 'github', { username: `granted-${person.gitHubId}` });
  expect(await idsSeenBy(person)).toContain(id);
  const repositoryId = (
    await naru.app.prisma.webhookRepository.findFirstOrThrow({
      where: { providerId: String(repository.id) },
    })
  ).id;
  const query = 'query($id: ID!) { node(id: $id) { ... on WebhookRepository { fullName } } }';
  const variables = { id: encodeGlobalId('WebhookRepository', repositoryId) };
  expect(dataOf((await post(naru.url, { query, variables }, person.token)).result).node).toEqual({
    fullName: repository.fullName,
  });
});
