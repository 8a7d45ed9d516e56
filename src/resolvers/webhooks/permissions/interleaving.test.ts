// Whatever GitHub grants and takes, whenever it tells of it, and whatever is being asked just then: what is
// called allowed is so, unless GitHub has not told yet that it no longer is.
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTurns } from '#lib/turns.ts';
import {
  createPermissionWorld,
  type PermissionWorld,
} from '../../../../tests/support/github-permissions.ts';

const OWNER = 9;
const PEOPLE = 2;
const REPOSITORIES = 3;
const RUNS = 40;

let world: PermissionWorld;
let next = 10_000;

beforeAll(async () => {
  world = await createPermissionWorld();
});
afterAll(() => world?.close());

const person = fc.nat(PEOPLE - 1);
const repository = fc.nat(REPOSITORIES - 1);
const told = fc.constantFrom('member', 'team', 'installation');

/** What happens at GitHub, and when we hear of it. */
const happening = fc.oneof(
  fc.record({ type: fc.constant('grant' as const), person, repository, told }),
  fc.record({ type: fc.constant('revoke' as const), person, repository, told }),
  fc.record({ type: fc.constant('publicize' as const), repository }),
  fc.record({ type: fc.constant('privatize' as const), repository }),
  { weight: 3, arbitrary: fc.record({ type: fc.constant('tell' as const), isAll: fc.boolean() }) },
  fc.record({ type: fc.constant('limit' as const), isOn: fc.boolean() }),
);
type Happening = typeof happening extends fc.Arbitrary<infer Value> ? Value : never;

const step = fc.oneof(
  happening,
  fc.record({ type: fc.constant('wait' as const), seconds: fc.constantFrom(3, 61, 290, 910) }),
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('ask' as const),
      people: fc.uniqueArray(person, { minLength: 1 }),
      isOnBoth: fc.boolean(),
      /** While each of so many answers is on its way. */
      onTheWay: fc.array(fc.array(happening, { maxLength: 3 }), { maxLength: 4 }),
    }),
  },
);

interface Told {
  readonly eventName: string;
  readonly payload: unknown;
  /** Of which pairs it tells. */
  readonly pairs: readonly string[];
}

async function createModel(watched: readonly boolean[]) {
  const people = Array.from({ length: PEOPLE }, () => next++);
  const repositories = Array.from({ length: REPOSITORIES }, () => next++);
  const granted = new Set<string>();
  const open = new Set<number>();
  /** What GitHub has yet to tell, in order. */
  let untold: Told[] = [];
  const inTurn = createTurns();
  const pairOf = (who: number, what: number) => `${who} ${what}`;
  for (const id of repositories) await world.addRepository(id, OWNER);
  const users: string[] = [];
  for (const id of people) users.push(await world.addUser(id));
  const isWatched = (who: number, what: number) => watched[who * REPOSITORIES + what] ?? false;
  for (const [who, userId] of users.entries()) {
    for (const [what, id] of repositories.entries()) {
      if (isWatched(who, what)) await world.watch(userId, id);
    }
  }
  const pairs = users.flatMap((userId, who) =>
    repositories.map((id, what) => ({ who, what, userId, id })),
  );
  const numbers = (who: number, what: number) => ({
    member: { id: people[who] ?? 0 },
    repository: { id: repositories[what] ?? 0, owner: { id: OWNER } },
    installation: { account: { id: OWNER } },
  });
  const isTrue = (who: number, what: number) =>
    granted.has(pairOf(who, what)) || (open.has(what) && isWatched(who, what));

  function change(what: number, isOpen: boolean): void {
    const id = repositories[what] ?? 0;
    world.gitHub.repositories.put({
      id,
      fullName: `acme/${id}`,
      ownerId: OWNER,
      isPrivate: !isOpen,
    });
    if (isOpen) open.add(what);
    else open.delete(what);
    const payload = { ...numbers(0, what), action: isOpen ? 'publicized' : 'privatized' };
    const told = people.map((_person, who) => pairOf(who, what));
    untold.push({ eventName: 'repository', payload, pairs: told });
  }

  async function happen(one: Happening): Promise<void> {
    const { repositories: atGitHub } = world.gitHub;
    if (one.type === 'publicize' || one.type === 'privatize') {
      change(one.repository, one.type === 'publicize');
    } else if (one.type === 'limit') {
      atGitHub.limit = one.isOn ? { seconds: 5, told: 'retry-after' } : null;
    } else if (one.type === 'tell') {
      const heard = one.isAll ? untold : untold.slice(0, 1);
      await world.fence(heard);
      untold = untold.slice(heard.length);
    } else {
      const { person: who, repository: what } = one;
      const at = numbers(who, what);
      atGitHub[one.type](at.repository.id, at.member.id);
      if (one.type === 'grant') granted.add(pairOf(who, what));
      else granted.delete(pairOf(who, what));
      const action = one.told === 'team' ? 'removed_from_repository' : 'removed';
      const payload = { ...at, action };
      untold.push({ eventName: one.told, payload, pairs: [pairOf(who, what)] });
    }
  }

  async function check(): Promise<void> {
    const unclear = new Set(untold.flatMap(({ pairs }) => pairs));
    const looks = pairs.map(async ({ who, what, userId, id }) => {
      const decided = await world.decide(userId, id);
      if (unclear.has(pairOf(who, what))) return;
      expect([decided, isTrue(who, what)]).not.toEqual(['ALLOWED', false]);
      expect([decided, isTrue(who, what)]).not.toEqual(['DENIED', true]);
    });
    await Promise.all(looks);
  }

  const happenAndCheck = (one: Happening) =>
    inTurn('', async () => {
      await happen(one);
      await check();
    });

  return {
    happenAndCheck,
    check: () => inTurn('', check),
    async ask(whose: readonly number[], isOnBoth: boolean, onTheWay: readonly Happening[][]) {
      const left = onTheWay.values();
      world.gitHub.repositories.onTheWay = async () => {
        for (const one of left.next().value ?? []) await happenAndCheck(one);
      };
      const nodes = isOnBoth ? world.nodes : world.nodes.slice(0, 1);
      const userIds = whose.flatMap((who) => users[who] ?? []);
      await Promise.all(userIds.flatMap((id) => nodes.map((node) => node.refresh(id))));
      world.gitHub.repositories.onTheWay = null;
    },
    /** GitHub has told all and answers: everything is as it says. */
    async settle() {
      world.gitHub.repositories.limit = null;
      await happen({ type: 'tell', isAll: true });
      await world.passTime(61);
      await Promise.all(users.map((userId) => world.nodes[0].refresh(userId)));
      for (const { who, what, userId, id } of pairs) {
        expect(await world.decide(userId, id)).toBe(isTrue(who, what) ? 'ALLOWED' : 'DENIED');
      }
    },
  };
}

test('nobody is allowed or denied anything on the strength of an answer that GitHub has overtaken', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.boolean(), {
        minLength: PEOPLE * REPOSITORIES,
        maxLength: PEOPLE * REPOSITORIES,
      }),
      fc.array(step, { maxLength: 10 }),
      async (watched, steps) => {
        world.gitHub.repositories.limit = null;
        const model = await createModel(watched);
        for (const one of steps) {
          if (one.type === 'ask') await model.ask(one.people, one.isOnBoth, one.onTheWay);
          else if (one.type === 'wait') await world.passTime(one.seconds);
          else await model.happenAndCheck(one);
          await model.check();
        }
        await model.settle();
      },
    ),
    { numRuns: RUNS },
  );
  expect(world.gitHub.faults).toEqual([]);
}, 120_000);
