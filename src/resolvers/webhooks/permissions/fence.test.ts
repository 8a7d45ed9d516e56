import { createRequire } from 'node:module';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  createPermissionWorld,
  type PermissionWorld,
} from '../../../../tests/support/github-permissions.ts';
import { fencePermissions, isPermissionEvent } from './fence.ts';
import type { Permissions } from './refresh.ts';

interface Example {
  readonly name: string;
  // biome-ignore lint/suspicious/noExplicitAny: other people's payloads
  readonly examples: readonly any[];
}

// Its entry point is data, which a `require` reads without the import attributes.
const examples: readonly Example[] = createRequire(import.meta.url)(
  '@octokit/webhooks-examples/api.github.com/index.json',
);

const ELSEWHERE_OWNER = 77;
let next = 5_000_000;

let world: PermissionWorld;
let node: Permissions;

beforeAll(async () => {
  world = await createPermissionWorld();
  [node] = world.nodes;
});
afterAll(() => world?.close());
beforeEach(() =>
  world.database.query(
    `TRUNCATE clock_offset, users, webhook_repository, github_permission_set, github_permission CASCADE`,
  ),
);

/**
 * Three people: one whom the payload may name, one who sees the repository that it may name, and one who sees
 * neither. All three see one of another owner, and all three do not see a hidden one.
 */
async function createScene(named: number, repository: number, owner: number) {
  const [shared, hidden] = [next++, next++];
  const people = { named, viewer: next++, stranger: next++ };
  await world.addRepository(repository, owner);
  await world.addRepository(shared, ELSEWHERE_OWNER);
  await world.addRepository(hidden, owner);
  world.gitHub.repositories.grant(repository, people.viewer);
  const users: Record<string, string> = {};
  for (const [role, person] of Object.entries(people)) {
    world.gitHub.repositories.grant(shared, person);
    users[role] = await world.addUser(person);
  }
  const refresh = () => Promise.all(Object.values(users).map((userId) => node.refresh(userId)));
  await refresh();
  const look = (role: string, at: number) => world.decide(users[role] ?? '', at);
  return {
    refresh,
    async look() {
      const [named, viewer, stranger] = await Promise.all([
        Promise.all([look('named', shared), look('named', hidden)]),
        Promise.all([look('viewer', repository), look('viewer', shared), look('viewer', hidden)]),
        Promise.all([look('stranger', shared), look('stranger', hidden)]),
      ]);
      return { named, viewer, stranger };
    },
  };
}

const tell = (eventName: string, payload: unknown) => world.fence([{ eventName, payload }]);

const SETTLED = ['ALLOWED', 'DENIED'];
/** What they have they keep, and they may have gained something. */
const GAINING = ['ALLOWED', 'UNKNOWN'];
const LOST = ['UNKNOWN', 'UNKNOWN'];

const BEFORE = { named: SETTLED, viewer: ['ALLOWED', ...SETTLED], stranger: SETTLED };
const OUTCOMES = {
  user: { ...BEFORE, named: LOST },
  repository: { named: GAINING, viewer: ['UNKNOWN', ...GAINING], stranger: GAINING },
  owner: { named: GAINING, viewer: ['UNKNOWN', ...LOST], stranger: GAINING },
  everybody: { named: LOST, viewer: ['UNKNOWN', ...LOST], stranger: LOST },
};

const REACHES: Readonly<Record<string, keyof typeof OUTCOMES>> = {
  member: 'user',
  membership: 'user',
  org_block: 'user',
  'organization member_added': 'user',
  'organization member_invited': 'user',
  github_app_authorization: 'user',
  repository: 'repository',
  public: 'repository',
  'team added_to_repository': 'repository',
  'team removed_from_repository': 'repository',
  organization: 'owner',
  team: 'owner',
  team_add: 'owner',
  installation: 'owner',
  installation_repositories: 'owner',
};

describe('GitHub’s own payloads overtake whom they must, and asking again settles it', () => {
  const cases = examples
    .filter(({ name }) => isPermissionEvent(name))
    .flatMap(({ name, examples: ofEvent }) =>
      ofEvent.map((payload, index) => {
        const action = `${name} ${payload.action ?? ''}`.trim();
        return { title: `${action} (${index})`, name, action, payload };
      }),
    );

  test('of every kind that speaks of permissions', () => {
    expect(new Set(cases.map(({ name }) => name)).size).toBe(11);
    expect(cases.length).toBeGreaterThan(40);
  });

  test.each(cases)('$title', async ({ name, action, payload }) => {
    const { member, membership, user, blocked_user, sender, repository, organization } = payload;
    const isRevoked = name === 'github_app_authorization';
    const named = member ?? membership?.user ?? user ?? blocked_user ?? (isRevoked ? sender : null);
    const owner = payload.installation?.account ?? repository?.owner ?? organization;
    const scene = await createScene(
      named?.id ?? next++,
      repository?.id ?? next++,
      owner?.id ?? next++,
    );
    expect(await scene.look()).toEqual(BEFORE);
    await tell(name, payload);
    const reach = REACHES[action] ?? REACHES[name] ?? 'everybody';
    expect(await scene.look()).toEqual(OUTCOMES[reach]);
    await scene.refresh();
    expect(await scene.look()).toEqual(BEFORE);
  });

  test('and no other webhook overtakes anything', async () => {
    const scene = await createScene(next++, 186_853_002, 21_031_067);
    const others = examples.filter(({ name }) => !isPermissionEvent(name));
    const events = others.flatMap(({ name, examples: ofEvent }) =>
      ofEvent.map((payload) => ({ eventName: name, payload: payload as unknown })),
    );
    expect(events.length).toBeGreaterThan(200);
    await world.fence(events);
    expect(await scene.look()).toEqual(BEFORE);
  });
});

test.each([
  ['member', undefined],
  ['member', { member: { id: '12' } }],
  ['membership', { member: {} }],
  ['repository', { repository: { id: -1 } }],
  ['repository', { repository: { id: 2 ** 60 } }],
  ['organization', { action: 'member_removed', membership: { user: null } }],
  ['organization', []],
  ['team', { action: 'removed_from_repository', organization: { id: 1 } }],
  ['installation', { installation: { account: { id: 5 }, target_type: 'Enterprise' } }],
  ['github_app_authorization', 'revoked'],
])('%s that cannot be read may be about anybody: %j', async (eventName, payload) => {
  const scene = await createScene(next++, next++, next++);
  await tell(eventName, payload);
  expect(await scene.look()).toEqual(OUTCOMES.everybody);
});

test.each(['push', '__proto__', 'constructor', 'toString', ''])(
  'a webhook named %j says nothing of permissions',
  async (eventName) => {
    expect(isPermissionEvent(eventName)).toBe(false);
    const scene = await createScene(next++, next++, next++);
    await tell(eventName, { member: { id: 1 } });
    expect(await scene.look()).toEqual(BEFORE);
  },
);

test('an invitation by mail, which names nobody, gives nobody anything', async () => {
  const scene = await createScene(next++, next++, next++);
  await tell('organization', { action: 'member_invited', organization: { id: 1 } });
  expect(await scene.look()).toEqual(BEFORE);
});

test('a member who was removed from an organisation is asked about anew, and nobody else', async () => {
  const person = next++;
  const owner = next++;
  const scene = await createScene(person, next++, owner);
  const membership = { user: { id: person }, role: 'member' };
  await tell('organization', { action: 'member_removed', membership, organization: { id: owner } });
  expect(await scene.look()).toEqual(OUTCOMES.user);
});

test('what one batch tells is told whole', async () => {
  const repository = next++;
  const person = next++;
  const scene = await createScene(person, repository, next++);
  await world.fence([
    { eventName: 'member', payload: { action: 'removed', member: { id: person } } },
    { eventName: 'public', payload: { repository: { id: repository } } },
    { eventName: 'member', payload: { action: 'removed', member: { id: next++ } } },
  ]);
  expect(await scene.look()).toEqual({ ...OUTCOMES.repository, named: LOST });
});

test('a batch that is rolled back has overtaken nothing', async () => {
  const scene = await createScene(next++, next++, next++);
  const batch = world.database.transaction(async (sql) => {
    await fencePermissions(sql, [{ eventName: 'member', payload: null }]);
    throw new Error('The batch failed');
  });
  await expect(batch).rejects.toThrow('The batch failed');
  expect(await scene.look()).toEqual(BEFORE);
});

test('batches and askings of many users at once wait for each other, and none of them fails', async () => {
  const repository = next++;
  const owner = next++;
  await world.addRepository(repository, owner);
  const people = Array.from({ length: 12 }, () => next++);
  const users = await Promise.all(people.map((person) => world.addUser(person)));
  for (const person of people) world.gitHub.repositories.grant(repository, person);
  const fences = people.map((person, index) =>
    [
      () => tell('member', { member: { id: person } }),
      () => tell('repository', { repository: { id: repository } }),
      () => tell('installation', { installation: { account: { id: owner } } }),
      () => tell('member', {}),
    ][index % 4]?.(),
  );
  const asked = users.flatMap((userId) => world.nodes.map((each) => each.refresh(userId)));
  await Promise.all([...fences, ...asked]);
  // Whoever was overtaken too often is left alone for a while.
  await world.passTime(10);
  await Promise.all(users.map((userId) => node.refresh(userId)));
  const decided = await Promise.all(users.map((userId) => world.decide(userId, repository)));
  expect(new Set(decided)).toEqual(new Set(['ALLOWED']));
});
