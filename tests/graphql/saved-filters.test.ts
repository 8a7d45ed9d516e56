import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeGlobalId } from '#lib/global-id.ts';
import { newId } from '#lib/ids.ts';
import { SAVED_FILTERS_MAX } from '#resolvers/webhooks/saved-filter.ts';
import { post } from '../support/graphql-client.ts';
import { addUser, createInboxClient, type StoredWebhook, storeWebhooks } from '../support/inbox.ts';
import { mutate } from '../support/mutations.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { addSource, dataOf, watchWebhooks } from '../support/webhooks.ts';

let naru: TestNaru;
beforeAll(async () => {
  naru = await startNaru({ runsJobs: false });
});
afterAll(() => naru?.close());

const CONDITIONS = `conditions { sources repositoryIds eventNames actions branches senders
  payload { path equals } receivedFrom receivedTo }`;

async function createInbox() {
  const user = await addUser(naru);
  const { token } = user;
  const path = `s-${user.userId}`;
  const sourceId = await addSource(naru.app, path, { username: user.username });
  const store = async (...webhooks: Omit<StoredWebhook, 'sourceId'>[]) => {
    const all = webhooks.map((webhook) => ({ sourceId, ...webhook }));
    return (await storeWebhooks(naru, all)).map((id) => encodeGlobalId('WebhookMessage', id));
  };
  const save = async (name: string, filter: object, more: object = {}) =>
    mutate(
      naru.url,
      'createWebhookFilter',
      { name, filter, ...more },
      { token, selection: `filter { id name ${CONDITIONS} }` },
    );
  return { ...user, path, sourceId, store, save, inbox: createInboxClient(naru.url, token) };
}

async function page(token: string, filter: object) {
  const query = `query($filter: WebhookMessageFilter) {
    webhookMessages(filter: $filter) { nodes { id } } }`;
  const { result } = await post(naru.url, { query, variables: { filter } }, token);
  return dataOf(result).webhookMessages.nodes.map(({ id }: { id: string }) => id);
}

describe('a filter on payloads and senders', () => {
  test('finds the same on pages, in pulls, in counts, live and in replays', async () => {
    const { inbox, store, token } = await createInbox();
    const filter = {
      senders: ['octocat', 'hubot'],
      payload: [
        { path: '$.pull_request.draft', equals: false },
        { path: 'pull_request.labels.name', equals: 'bug' },
      ],
    };
    const live = await watchWebhooks(naru.url, token, { filter });
    const sender = { login: 'octocat' };
    const labels = [{ name: 'help' }, { name: 'bug' }];
    const [meant = ''] = await store(
      { payload: { sender, pull_request: { draft: false, labels } } },
      { payload: { sender, pull_request: { draft: true, labels } } },
      { payload: { sender, pull_request: { draft: 'false', labels } } },
      { payload: { sender, pull_request: { draft: false, labels: ['bug'] } } },
      { payload: { sender: { login: 'else' }, pull_request: { draft: false, labels } } },
      { payload: { pull_request: { draft: false, labels } } },
    );
    const [last = ''] = await store({
      payload: { sender: { login: 'hubot' }, pull_request: { draft: false, labels } },
    });
    expect(await page(token, filter)).toEqual([meant, last]);
    expect([await live.nextMessage(), await live.nextMessage()].map(({ id }) => id)).toEqual([
      meant,
      last,
    ]);
    await live.close();
    expect(await inbox.counts(filter)).toMatchObject({ pending: 2 });
    const { deliveries } = await inbox.pull({ filter });
    expect(deliveries.map(({ message }) => message.id)).toEqual([meant, last]);
    await inbox.start('NOW');
    expect((await inbox.replay({ filter })).count).toBe(2);
    expect(await inbox.counts()).toMatchObject({ pending: 2, acknowledged: 5 });
  });

  test.each([
    [{ payload: [{ path: 'a', equals: { b: 1 } }] }, 'filter.payload.0.equals'],
    [{ payload: [{ path: 'a', equals: [] }] }, 'filter.payload.0.equals'],
    [{ payload: [{ path: '', equals: 1 }] }, 'filter.payload.0.path'],
    [{ payload: Array(11).fill({ path: 'a', equals: 1 }) }, 'filter.payload'],
    [{ senders: Array(101).fill('x') }, 'filter.senders'],
    [{ savedFilterId: encodeGlobalId('WebhookSavedFilter', newId()) }, 'filter.savedFilterId'],
  ])('%j is refused with the field, wherever it is given', async (filter, field) => {
    const { token } = await createInbox();
    const asked = async (query: string) => {
      const { result } = await post(naru.url, { query, variables: { filter } }, token);
      return result.errors?.[0]?.extensions;
    };
    const given = '($filter: WebhookMessageFilter) {';
    const refused = { code: 'INVALID_INPUT', field };
    expect(
      await asked(`query ${given} webhookMessages(filter: $filter) { nodes { id } } }`),
    ).toMatchObject(refused);
    expect(await asked(`query ${given} webhookInbox(filter: $filter) { pending } }`)).toMatchObject(
      refused,
    );
    for (const name of ['pullWebhookMessages', 'replayWebhookMessages'] as const) {
      expect(await mutate(naru.url, name, { filter }, { token })).toMatchObject({
        code: 'INVALID_INPUT',
        field: `input.${field}`,
      });
    }
    await expect(watchWebhooks(naru.url, token, { filter })).rejects.toThrow('INVALID_INPUT');
  });
});

test('however many conditions pulls have, one after the other on the same connections', async () => {
  const { inbox, path } = await createInbox();
  const long = {
    sources: [path],
    repositoryIds: [],
    eventNames: ['push'],
    actions: ['opened'],
    branches: ['main'],
  };
  const more = [
    {},
    { senders: ['x'] },
    { payload: [{ path: 'a', equals: 1 }] },
    { receivedFrom: '2026-01-01T00:00:00Z' },
  ];
  for (let round = 0; round < 12; round += 1) {
    for (const also of more) {
      expect((await inbox.pull({ filter: { ...long, ...also } })).deliveries).toEqual([]);
    }
  }
});

describe('a saved filter', () => {
  test('is given by its id everywhere, and what is given beside it must hold too', async () => {
    const { inbox, store, save, token } = await createInbox();
    const { filter: saved } = await save('stars of two', {
      eventNames: ['star', 'push'],
      payload: [{ path: 'n', equals: 2 }],
    });
    const filter = { savedFilterId: saved.id, eventNames: ['star', 'fork'] };
    const live = await watchWebhooks(naru.url, token, { filter });
    const ids = await store(
      { event: 'push', payload: { n: 2 } },
      { event: 'star', payload: { n: 1 } },
      { event: 'star', payload: { n: 2 } },
    );
    expect(await page(token, filter)).toEqual([ids[2]]);
    expect((await live.nextMessage()).id).toBe(ids[2]);
    await live.close();
    expect(await inbox.counts(filter)).toMatchObject({ pending: 1 });
    expect(await inbox.counts({ savedFilterId: saved.id })).toMatchObject({ pending: 2 });
    const { deliveries } = await inbox.pull({ filter });
    expect(deliveries.map(({ message }) => message.id)).toEqual([ids[2]]);
    await inbox.start('NOW');
    expect((await inbox.replay({ filter })).count).toBe(1);
  });

  test('is shown as it was given, changed in part, and gone once deleted', async () => {
    const { save, token, path } = await createInbox();
    const filter = {
      sources: [path],
      repositoryIds: [encodeGlobalId('WebhookRepository', newId())],
      branches: [],
      payload: [{ path: 'a.b', equals: true }],
      receivedFrom: '2026-01-01T00:00:00.000Z',
      senders: null,
    };
    const { filter: saved } = await save('mine', filter);
    const rest = { eventNames: null, actions: null, receivedTo: null };
    expect(saved).toMatchObject({ name: 'mine', conditions: { ...filter, ...rest } });
    const list = async () => {
      const query = `{ webhookFilters { nodes { id name ${CONDITIONS} } } }`;
      return dataOf((await post(naru.url, { query }, token)).result).webhookFilters.nodes;
    };
    expect(await list()).toEqual([saved]);
    const selection = `filter { name ${CONDITIONS} }`;
    const change = (input: object) =>
      mutate(naru.url, 'updateWebhookFilter', { id: saved.id, ...input }, { token, selection });
    expect((await change({ name: 'ours' })).filter).toMatchObject({
      name: 'ours',
      conditions: saved.conditions,
    });
    expect((await change({ filter: { actions: ['opened'] } })).filter).toMatchObject({
      name: 'ours',
      conditions: { actions: ['opened'], sources: null, payload: null },
    });
    const remove = () =>
      mutate(naru.url, 'deleteWebhookFilter', { id: saved.id }, { token, selection: 'id' });
    expect(await remove()).toMatchObject({ id: saved.id });
    expect(await remove()).toMatchObject({ code: 'NOT_FOUND' });
    expect(await change({ name: 'gone' })).toMatchObject({ code: 'NOT_FOUND' });
    expect(await list()).toEqual([]);
  });

  test('is its owner’s alone', async () => {
    const mine = await createInbox();
    const other = await createInbox();
    const { filter: saved } = await mine.save('mine', {});
    const query = 'query($id: ID!) { node(id: $id) { id } }';
    const node = async (token: string) =>
      dataOf((await post(naru.url, { query, variables: { id: saved.id } }, token)).result).node;
    expect(await node(mine.token)).toEqual({ id: saved.id });
    expect(await node(other.token)).toBeNull();
    await expect(other.inbox.counts({ savedFilterId: saved.id })).rejects.toThrow(
      'filter.savedFilterId',
    );
    const given = { token: other.token };
    for (const field of ['updateWebhookFilter', 'deleteWebhookFilter']) {
      expect(await mutate(naru.url, field, { id: saved.id }, given)).toMatchObject({
        code: 'NOT_FOUND',
      });
    }
    expect(await other.save('mine', {})).toMatchObject({ __typename: 'WebhookFilterCreated' });
  });

  test('has a name of its own among its owner’s', async () => {
    const { save, token } = await createInbox();
    await save('one', {});
    const { filter: two } = await save('two', {});
    expect(await save(' one ', {})).toMatchObject({ code: 'CONFLICT' });
    const rename = (name: string) =>
      mutate(naru.url, 'updateWebhookFilter', { id: two.id, name }, { token });
    expect(await rename('one')).toMatchObject({ code: 'CONFLICT' });
    expect(await rename('two')).toMatchObject({ __typename: 'WebhookFilterUpdated' });
    for (const name of ['', '  ', 'x'.repeat(101), 'a\u0000b', '\ud800']) {
      expect(await save(name, {})).toMatchObject({ code: 'INVALID_INPUT', field: 'input.name' });
    }
  });

  test('names no other, and no states', async () => {
    const { save } = await createInbox();
    const { filter: saved } = await save('one', {});
    expect(await save('two', { savedFilterId: saved.id })).toMatchObject({
      code: 'INVALID_INPUT',
      field: 'input.filter.savedFilterId',
    });
    expect(await save('two', { inboxStates: ['DEAD'] })).toMatchObject({
      code: 'INVALID_INPUT',
      field: 'input.filter.inboxStates',
    });
  });

  test('is saved once for an idempotency key', async () => {
    const { save, token } = await createInbox();
    const once = { idempotencyKey: 'k' };
    const { filter: first } = await save('one', {}, once);
    expect((await save('one', {}, once)).filter).toEqual(first);
    expect(await save('other', {}, once)).toMatchObject({ code: 'IDEMPOTENCY_MISMATCH' });
    await mutate(naru.url, 'deleteWebhookFilter', { id: first.id }, { token });
    expect(await save('one', {}, once)).toMatchObject({ code: 'NOT_FOUND' });
  });

  test(`is one of ${SAVED_FILTERS_MAX} at most, however many are saved at once`, async () => {
    const { save } = await createInbox();
    const answers = await Promise.all(
      Array.from({ length: SAVED_FILTERS_MAX + 5 }, (_, index) => save(`f${index}`, {})),
    );
    expect(answers.filter(({ code }) => code === 'CONFLICT')).toHaveLength(5);
  });
});
