// What a user says of a repository, beside what GitHub says of it, and how its own counts are told.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { encodeGlobalId } from '#lib/global-id.ts';
import { newId } from '#lib/ids.ts';
import { storeLink } from '#resolvers/users/github-link.ts';
import { WATCHED_MAX } from '#resolvers/webhooks/watch.ts';
import { type GitHubStandIn, startGitHub } from '../support/github.ts';
import { GITHUB_BODIES } from '../support/github-bodies.ts';
import { post } from '../support/graphql-client.ts';
import { addUser, createInboxClient, passTime, storeWebhooks } from '../support/inbox.ts';
import { mutate } from '../support/mutations.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { addSource, dataOf, postSigned, readAll, watchWebhooks } from '../support/webhooks.ts';

let gitHub: GitHubStandIn;
let naru: TestNaru;
let numbers = 5_000;

beforeAll(async () => {
  gitHub = await startGitHub({ publicUrl: 'http://127.0.0.1:4000' });
  naru = await startNaru({ settings: gitHub.settings });
});
beforeEach(() => {
  gitHub.trouble = null;
});
afterAll(async () => {
  await naru?.close();
  await gitHub?.close();
});

/** A repository at GitHub, with one message about it stored here. */
async function addRepository(isPrivate: boolean) {
  numbers += 1;
  const number = numbers;
  const fullName = `octo/repo${number}`;
  gitHub.repositories.put({ id: number, fullName, ownerId: 77, isPrivate });
  const send = async () => {
    const before = await naru.app.webhookFeed.readHead('');
    const repository = { id: number, full_name: fullName, html_url: `${gitHub.url}/${fullName}` };
    const body = JSON.stringify({ ...GITHUB_BODIES.push, repository });
    const { status, json } = await postSigned(naru.url, body);
    expect(status).toBe(202);
    const watch = await naru.app.webhookFeed.watch('');
    while ((await naru.app.webhookFeed.readHead('')).head <= before.head) await watch.changed(100);
    watch.stop();
    return json.id as string;
  };
  const messageId = await send();
  const row = await naru.app.prisma.webhookRepository.findFirstOrThrow({
    where: { providerId: String(number) },
  });
  return { number, fullName, send, messageId, id: encodeGlobalId('WebhookRepository', row.id) };
}

async function addPerson(...visible: readonly { readonly number: number }[]) {
  numbers += 1;
  const githubId = numbers;
  gitHub.put({ id: githubId, login: `person-${githubId}` });
  for (const { number } of visible) gitHub.repositories.grant(number, githubId);
  const user = await addUser(naru);
  const { accessToken, refreshToken } = gitHub.giveTokens(githubId);
  await naru.app.database.transaction((sql) =>
    storeLink(naru.app, sql, {
      userId: user.userId,
      person: { githubId: BigInt(githubId), login: 'x', name: null, avatarUrl: null },
      tokens: {
        accessToken,
        refreshToken,
        expiresInSeconds: null,
        refreshExpiresInSeconds: null,
        showsPrivate: true,
      },
    }),
  );
  return { ...user, githubId, inbox: createInboxClient(naru.url, user.token) };
}

const watchAs = (token: string, repositoryId: string) =>
  mutate(
    naru.url,
    'watchRepository',
    { repositoryId },
    {
      token,
      selection: 'permission repository { fullName }',
    },
  );

describe('unwatching', () => {
  test('keeps a repository out of pulls, counts, replays and live streams, and not of pages', async () => {
    const [quiet, loud] = [await addRepository(true), await addRepository(true)];
    const { inbox, token } = await addPerson(quiet, loud);
    expect(await inbox.counts()).toMatchObject({ pending: 2 });
    await inbox.unwatch(quiet.id);
    await inbox.unwatch(quiet.id);
    const live = await watchWebhooks(naru.url, token);
    const later = [await quiet.send(), await loud.send()];
    expect((await live.nextMessage()).id).toBe(later[1]);
    await live.close();
    expect(await inbox.counts()).toMatchObject({ pending: 2 });
    expect((await inbox.pull()).deliveries.map(({ message }) => message.id)).toEqual([
      loud.messageId,
      later[1],
    ]);
    await inbox.start('NOW');
    expect((await inbox.replay({ filter: {} })).count).toBe(2);
    expect(
      (await readAll(naru.url, token, 'id inboxState')).map(({ inboxState }) => inboxState),
    ).toEqual([null, 'PENDING', null, 'PENDING']);
    const repositories = await inbox.repositories();
    expect(repositories.get(quiet.fullName)).toMatchObject({ isWatched: false, pending: 2 });
    await inbox.watch(quiet.id);
    expect(await inbox.counts()).toMatchObject({ pending: 4 });
    expect((await inbox.repositories()).get(quiet.fullName)).toMatchObject({ isWatched: true });
  });

  test('lets what is leased be settled', async () => {
    const repository = await addRepository(true);
    const { inbox } = await addPerson(repository);
    const { deliveries } = await inbox.pull();
    await inbox.unwatch(repository.id);
    const receipts = deliveries.map(({ receipt }) => receipt);
    expect((await inbox.ack({ receipts })).acknowledged).toEqual([repository.messageId]);
  });

  test('is one user’s word and no other’s', async () => {
    const repository = await addRepository(true);
    const [mine, other] = [await addPerson(repository), await addPerson(repository)];
    await mine.inbox.unwatch(repository.id);
    expect(await other.inbox.counts()).toMatchObject({ pending: 1 });
  });

  test('works for a repository of a source that is granted', async () => {
    const user = await addUser(naru);
    const inbox = createInboxClient(naru.url, user.token);
    const sourceId = await addSource(naru.app, `s-${user.userId}`, { username: user.username });
    await storeWebhooks(naru, [{ sourceId, repository: 1 }, { sourceId }]);
    const row = await naru.app.prisma.webhookRepository.findFirstOrThrow({ where: { sourceId } });
    await inbox.unwatch(encodeGlobalId('WebhookRepository', row.id));
    expect(await inbox.counts()).toMatchObject({ pending: 1 });
    expect((await inbox.repositories()).get('test/1')).toMatchObject({
      isWatched: false,
      permissionsCheckedAt: null,
    });
  });
});

describe('watching', () => {
  test('brings a public repository that is not among one’s own, with its history', async () => {
    const repository = await addRepository(false);
    const { inbox, token } = await addPerson();
    expect(await inbox.counts()).toMatchObject({ pending: 0 });
    expect(await watchAs(token, repository.id)).toMatchObject({
      permission: 'ALLOWED',
      repository: { fullName: repository.fullName },
    });
    expect((await inbox.pull()).deliveries.map(({ message }) => message.id)).toEqual([
      repository.messageId,
    ]);
    await inbox.unwatch(repository.id);
    expect(await watchAs(token, repository.id)).toMatchObject({ permission: 'ALLOWED' });
  });

  test('answers for what may not be seen as for what is not there, and leaves no trace', async () => {
    const repository = await addRepository(true);
    const person = await addPerson();
    const nothing = encodeGlobalId('WebhookRepository', newId());
    const hidden = await watchAs(person.token, repository.id);
    expect(hidden).toEqual(await watchAs(person.token, nothing));
    expect(hidden).toMatchObject({ __typename: 'NotFoundError', code: 'NOT_FOUND' });
    for (const repositoryId of [repository.id, nothing]) {
      expect(await mutate(naru.url, 'unwatchRepository', { repositoryId }, person)).toMatchObject({
        code: 'NOT_FOUND',
      });
    }
    expect(await person.inbox.repositories()).toEqual(new Map());
    expect(
      await naru.app.prisma.webhookRepositoryWatch.count({ where: { userId: person.userId } }),
    ).toBe(0);
    expect(await readAll(naru.url, person.token)).toEqual([]);
  });

  test.each([
    ['GitHub is away', '/user/repos', 'UNAVAILABLE'],
    ['it does not answer for the one', '/repositories/', 'NOT_FOUND'],
  ])('answers alike where %s, and nothing is held up by it', async (_case, path, code) => {
    const repository = await addRepository(false);
    const person = await addPerson();
    gitHub.trouble = {
      path: path.endsWith('/') ? `${path}${repository.number}` : path,
      kind: 'error',
    };
    const nothing = encodeGlobalId('WebhookRepository', newId());
    const hidden = await watchAs(person.token, repository.id);
    expect(hidden).toEqual(await watchAs(person.token, nothing));
    expect(hidden).toMatchObject({ code });
    if (code === 'NOT_FOUND') expect(await readAll(naru.url, person.token)).toEqual([]);
    gitHub.trouble = null;
    await passTime(naru, 120);
    expect(await watchAs(person.token, repository.id)).toMatchObject({ permission: 'ALLOWED' });
    expect(await readAll(naru.url, person.token)).toHaveLength(1);
  });

  test(`of more than ${WATCHED_MAX} by name is refused, and says so before it says what is there`, async () => {
    const repository = await addRepository(true);
    const person = await addPerson(repository);
    const { sourceId } = await naru.app.prisma.webhookRepository.findFirstOrThrow({
      where: { providerId: String(repository.number) },
    });
    await naru.app.database.query(
      `WITH made AS (
         INSERT INTO webhook_repository (id, source_id, provider_id, full_name)
         SELECT gen_random_uuid(), $2, 'many-' || n, 'octo/many' FROM generate_series(1, $3::int) n
         RETURNING id
       )
       INSERT INTO webhook_repository_watch (user_id, repository_id, is_watched)
       SELECT $1, id, true FROM made`,
      [person.userId, sourceId, WATCHED_MAX],
    );
    const nothing = encodeGlobalId('WebhookRepository', newId());
    for (const id of [repository.id, nothing]) {
      expect(await watchAs(person.token, id)).toMatchObject({ code: 'CONFLICT' });
    }
    await person.inbox.unwatch(repository.id);
    expect(await person.inbox.counts()).toMatchObject({ pending: 0 });
  });

  test('of the last place goes to one of several at once', async () => {
    const wanted = [];
    for (let count = 0; count < 4; count += 1) wanted.push(await addRepository(true));
    const person = await addPerson(...wanted);
    const { sourceId } = await naru.app.prisma.webhookRepository.findFirstOrThrow({
      where: { providerId: String(wanted[0]?.number) },
    });
    await naru.app.database.query(
      `WITH made AS (
         INSERT INTO webhook_repository (id, source_id, provider_id, full_name)
         SELECT gen_random_uuid(), $2, 'last-' || n, 'octo/last' FROM generate_series(1, $3::int) n
         RETURNING id
       )
       INSERT INTO webhook_repository_watch (user_id, repository_id, is_watched)
       SELECT $1, id, true FROM made`,
      [person.userId, sourceId, WATCHED_MAX - 1],
    );
    const answers = await Promise.all(wanted.map(({ id }) => watchAs(person.token, id)));
    expect(answers.filter(({ code }) => code === 'CONFLICT')).toHaveLength(3);
  });

  test('of who has not linked GitHub opens nothing', async () => {
    const repository = await addRepository(false);
    const { token } = await addUser(naru);
    expect(await watchAs(token, repository.id)).toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('repository by repository', () => {
  test('an inbox says when GitHub was asked', async () => {
    const repository = await addRepository(true);
    const { inbox, token } = await addPerson(repository);
    await inbox.counts();
    const query = '{ webhookInbox { permissionsCheckedAt } }';
    const { webhookInbox } = dataOf((await post(naru.url, { query }, token)).result);
    expect(webhookInbox.permissionsCheckedAt).not.toBeNull();
    expect((await inbox.repositories()).get(repository.fullName)).toMatchObject({
      permission: 'ALLOWED',
      permissionsCheckedAt: webhookInbox.permissionsCheckedAt,
      pending: 1,
    });
  });

  test('one whose permission is UNKNOWN tells no name and no counts', async () => {
    const repository = await addRepository(true);
    const { inbox } = await addPerson(repository);
    expect((await inbox.repositories()).get(repository.fullName)?.pending).toBe(1);
    gitHub.trouble = { path: '/user/repos', kind: 'error' };
    await passTime(naru, 20 * 60);
    expect([...(await inbox.repositories())]).toEqual([
      [
        repository.id,
        expect.objectContaining({
          permission: 'UNKNOWN',
          repository: null,
          pending: null,
          dead: null,
        }),
      ],
    ]);
  });

  test('pages go both ways, and a cursor of elsewhere is refused', async () => {
    const user = await addUser(naru);
    const sourceId = await addSource(naru.app, `p-${user.userId}`, { username: user.username });
    await storeWebhooks(
      naru,
      Array.from({ length: 7 }, (_, index) => ({ sourceId, repository: index + 1 })),
    );
    const page = async (bounds: string, filter = '') => {
      const query = `{ webhookInbox${filter} { repositories(${bounds}) {
        nodes { repositoryId } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }`;
      const { result } = await post(naru.url, { query }, user.token);
      return result.errors ?? result.data.webhookInbox.repositories;
    };
    const all = (await page('first: 100')).nodes;
    expect(all).toHaveLength(7);
    const first = await page('first: 3');
    expect(first.nodes).toEqual(all.slice(0, 3));
    expect(first.pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: false });
    const second = await page(`first: 3, after: "${first.pageInfo.endCursor}"`);
    expect(second.nodes).toEqual(all.slice(3, 6));
    const last = await page('last: 2');
    expect(last.nodes).toEqual(all.slice(5));
    const before = await page(`last: 2, before: "${last.pageInfo.startCursor}"`);
    expect(before.nodes).toEqual(all.slice(3, 5));
    const one = `(filter: { repositoryIds: ["${all[2].repositoryId}"] })`;
    expect((await page('first: 5', one)).nodes).toEqual([all[2]]);
    expect(await page('first: 1, after: "nonsense"')).toMatchObject([
      { extensions: { code: 'CURSOR_INVALID' } },
    ]);
    expect(await page('first: 1', '(filter: { eventNames: ["push"] })')).toMatchObject([
      { extensions: { code: 'INVALID_INPUT', field: 'filter.eventNames' } },
    ]);
  });
});
