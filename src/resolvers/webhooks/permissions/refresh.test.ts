import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import {
  createPermissionWorld,
  type PermissionWorld,
} from '../../../../tests/support/github-permissions.ts';
import type { Permissions } from './refresh.ts';

const OWNER = 1;
/** Of the repository that this file makes next, and of the person. */
let next = 1_000;

let world: PermissionWorld;
let node: Permissions;
let userId: string;
let person: number;

beforeAll(async () => {
  world = await createPermissionWorld();
  [node] = world.nodes;
});
afterAll(() => world?.close());
beforeEach(async () => {
  const { gitHub } = world;
  gitHub.trouble = null;
  Object.assign(gitHub.repositories, { onTheWay: null, limit: null });
  Object.assign(gitHub.repositories.counts, { full: 0, same: 0, single: 0 });
  expect(gitHub.faults.splice(0)).toEqual([]);
  await world.database.query('TRUNCATE clock_offset, outbox, users CASCADE');
  person = next++;
  userId = await world.addUser(person);
});

/** A private repository that the person may see, unless told. */
async function addRepository(
  change: { readonly isPrivate?: boolean; readonly isGranted?: boolean } = {},
): Promise<number> {
  const { isPrivate = true, isGranted = true } = change;
  const id = next++;
  await world.addRepository(id, OWNER, isPrivate);
  if (isGranted) world.gitHub.repositories.grant(id, person);
  return id;
}

/** As many as fill pages, unknown here and behind all that have a number of this file. */
function fillPages(count: number): void {
  for (let id = 900_000; id < 900_000 + count; id += 1) {
    world.gitHub.repositories.put({ id, fullName: `zoo/${id}`, ownerId: 2 });
    world.gitHub.repositories.grant(id, person);
  }
}

const decide = (repository: number) => world.decide(userId, repository);
const counts = () => world.gitHub.repositories.counts;
const asksMade = () => counts().full + counts().same + counts().single;
const revoked = (repository: number) => world.gitHub.repositories.revoke(repository, person);
const tell = (eventName: string, payload: unknown) => world.fence([{ eventName, payload }]);
const memberEvent = () => tell('member', { action: 'removed', member: { id: person } });

async function rowsStored(): Promise<unknown[]> {
  return world.database.query(
    'SELECT xmin::text, repository_id FROM github_permission WHERE user_id = $1 ORDER BY 2',
    [userId],
  );
}

/** Past the pause between two askings. */
async function refreshAgain(): Promise<void> {
  await world.passTime(3);
  await node.refresh(userId);
}

test('before GitHub was asked nothing is known, and then what it lists is allowed and the rest denied', async () => {
  const mine = await addRepository();
  const other = await addRepository({ isGranted: false });
  const open = await addRepository({ isGranted: false, isPrivate: false });
  expect(await decide(mine)).toBe('UNKNOWN');
  await node.refresh(userId);
  expect([await decide(mine), await decide(other), await decide(open)]).toEqual([
    'ALLOWED',
    'DENIED',
    'DENIED',
  ]);
  // Nobody had been told anything else before.
  expect(await world.takeNews(userId)).toEqual([]);
});

test('who has linked nothing is asked about nowhere', async () => {
  await world.unlink(userId);
  await node.refresh(userId);
  await node.refresh('00000000-0000-4000-8000-000000000000');
  expect(asksMade()).toBe(0);
});

test('an answer of several pages is taken whole, and the next one changes only what has changed', async () => {
  const [kept, lost] = [await addRepository(), await addRepository()];
  fillPages(210);
  await node.refresh(userId);
  expect(counts()).toEqual({ full: 3, same: 0, single: 0 });
  const before = await rowsStored();
  expect(before).toHaveLength(212);

  revoked(lost);
  const gained = await addRepository();
  await refreshAgain();
  expect([await decide(kept), await decide(lost), await decide(gained)]).toEqual([
    'ALLOWED',
    'DENIED',
    'ALLOWED',
  ]);
  expect(await world.takeNews(userId)).toEqual([`+${gained}`, `-${lost}`]);
  const after = await rowsStored();
  expect(after).toHaveLength(212);
  expect(after.filter((row) => !before.some((old) => isSame(old, row)))).toHaveLength(1);
});

test('an answer that is the same is asked for by its ETags, and writes one row', async () => {
  const mine = await addRepository();
  fillPages(120);
  await node.refresh(userId);
  const before = await rowsStored();
  await world.passTime(301);
  expect(await decide(mine)).toBe('UNKNOWN');
  await node.refresh(userId);
  expect(counts()).toEqual({ full: 2, same: 2, single: 0 });
  expect(await rowsStored()).toEqual(before);
  expect(await decide(mine)).toBe('ALLOWED');
});

test('a change on the last page is found behind pages that are the same', async () => {
  await addRepository();
  fillPages(120);
  await node.refresh(userId);
  world.gitHub.repositories.revoke(900_119, person);
  await refreshAgain();
  // Two pages the first time; then the first by its ETag, the second anew, and the first for its content.
  expect(counts()).toEqual({ full: 4, same: 1, single: 0 });
  expect(await rowsStored()).toHaveLength(120);
});

test('a page that has been full is looked behind, though nothing on it has changed', async () => {
  fillPages(100);
  await node.refresh(userId);
  world.gitHub.repositories.put({ id: 999_999, fullName: 'zz/top', ownerId: 3 });
  world.gitHub.repositories.grant(999_999, person);
  await refreshAgain();
  expect(await rowsStored()).toHaveLength(101);
});

test('beyond 10,000 repositories the rest is denied', async () => {
  fillPages(10_001);
  await node.refresh(userId);
  expect(counts().full).toBe(100);
  expect(await rowsStored()).toHaveLength(10_000);
});

test('a repository that came into doubt is allowed again when GitHub still lists it, and nobody is told', async () => {
  const mine = await addRepository();
  await node.refresh(userId);
  await tell('repository', { action: 'renamed', repository: { id: mine } });
  expect(await decide(mine)).toBe('UNKNOWN');
  await node.refresh(userId);
  expect([await decide(mine), counts().same]).toEqual(['ALLOWED', 1]);
  expect(await world.takeNews(userId)).toEqual([]);
});

test('an answer that was on its way while GitHub told of a change counts for nothing', async () => {
  const mine = await addRepository();
  const states: string[] = [];
  world.gitHub.repositories.onTheWay = async () => {
    world.gitHub.repositories.onTheWay = null;
    revoked(mine);
    await memberEvent();
    states.push(await decide(mine));
  };
  await node.refresh(userId);
  expect(states).toEqual(['UNKNOWN']);
  expect([await decide(mine), counts().full]).toEqual(['DENIED', 2]);
});

test('where changes never cease it stays UNKNOWN, and GitHub is left alone for a while', async () => {
  const mine = await addRepository();
  world.gitHub.repositories.onTheWay = memberEvent;
  await node.refresh(userId);
  await node.refresh(userId);
  expect([await decide(mine), asksMade()]).toEqual(['UNKNOWN', 5]);
  world.gitHub.repositories.onTheWay = null;
  await world.passTime(6);
  await node.refresh(userId);
  expect([await decide(mine), asksMade()]).toEqual(['ALLOWED', 6]);
});

test('while GitHub is away an answer counts for fifteen minutes, and not longer', async () => {
  const mine = await addRepository();
  await node.refresh(userId);
  world.gitHub.trouble = { path: '/user/repos', kind: 'error' };
  await world.passTime(250);
  await node.refresh(userId);
  await world.passTime(600);
  expect(await decide(mine)).toBe('ALLOWED');
  await node.refresh(userId);
  await world.passTime(51);
  expect(await decide(mine)).toBe('UNKNOWN');
  await node.refresh(userId);
  expect(await decide(mine)).toBe('UNKNOWN');
});

test('what GitHub has told to be overtaken is not prolonged when GitHub goes away', async () => {
  const mine = await addRepository();
  await node.refresh(userId);
  await memberEvent();
  world.gitHub.trouble = { path: '/user/repos', kind: 'error' };
  await refreshAgain();
  expect(await decide(mine)).toBe('UNKNOWN');
});

test('a GitHub that is back is asked, however long the old answer would still count', async () => {
  const mine = await addRepository();
  await node.refresh(userId);
  world.gitHub.trouble = { path: '/user/repos', kind: 'error' };
  await world.passTime(250);
  const release = node.follow(userId);
  await node.refreshFollowed();
  world.gitHub.trouble = null;
  revoked(mine);
  await world.passTime(10);
  await node.refreshFollowed();
  release();
  expect(await decide(mine)).toBe('DENIED');
});

test('what is asked at once is asked once, on one node and on two', async () => {
  const mine = await addRepository();
  const [first, second] = world.nodes;
  await Promise.all([...Array(5)].flatMap(() => [first.refresh(userId), second.refresh(userId)]));
  expect([await decide(mine), asksMade()]).toEqual(['ALLOWED', 1]);
});

test('of two answers the one that was asked for later counts, whichever comes first', async () => {
  const mine = await addRepository();
  await node.refresh(userId);
  await world.passTime(3);
  world.gitHub.repositories.onTheWay = async () => {
    world.gitHub.repositories.onTheWay = null;
    // This node has been away for so long that its lease has run out.
    await world.redis.del(`github-permissions:${userId}`);
    await world.passTime(30);
    revoked(mine);
    await world.nodes[1].refresh(userId);
  };
  await node.refresh(userId);
  expect([await decide(mine), counts()]).toEqual(['DENIED', { full: 2, same: 1, single: 0 }]);
});

test('within two seconds GitHub is not asked again, unless something has happened', async () => {
  await addRepository();
  await node.refresh(userId);
  await node.refresh(userId);
  expect(asksMade()).toBe(1);
  await memberEvent();
  await node.refresh(userId);
  expect(asksMade()).toBe(2);
});

test.each(['retry-after', 'reset', 'words'] as const)(
  'a limit told by %s is waited out, even when something has happened',
  async (told) => {
    const mine = await addRepository();
    world.gitHub.repositories.limit = { seconds: 60, told };
    await node.refresh(userId);
    world.gitHub.repositories.limit = null;
    await memberEvent();
    await world.passTime(50);
    await node.refresh(userId);
    expect([await decide(mine), asksMade()]).toEqual(['UNKNOWN', 0]);
    await world.passTime(11);
    await node.refresh(userId);
    expect([await decide(mine), asksMade()]).toEqual(['ALLOWED', 1]);
  },
);

test('one whose token GitHub takes no longer sees nothing until they link again', async () => {
  const mine = await addRepository();
  await node.refresh(userId);
  world.gitHub.revokeAll(person);
  await refreshAgain();
  const [account] = await world.database.query<{ state: string }>(
    'SELECT state::text FROM github_account WHERE user_id = $1',
    [userId],
  );
  expect([account?.state, await decide(mine)]).toEqual(['BROKEN', 'DENIED']);
  await world.link(userId, person);
  await node.refresh(userId);
  expect(await decide(mine)).toBe('ALLOWED');
});

test('what one link was shown counts for no other', async () => {
  const mine = await addRepository();
  const open = await addRepository({ isGranted: false, isPrivate: false });
  await world.watch(userId, open);
  await node.refresh(userId);
  await world.unlink(userId);
  await world.link(userId, next++);
  expect([await decide(mine), await decide(open)]).toEqual(['UNKNOWN', 'UNKNOWN']);
  world.gitHub.trouble = { path: '/user/repos', kind: 'error' };
  await refreshAgain();
  expect([await decide(mine), await decide(open)]).toEqual(['UNKNOWN', 'UNKNOWN']);
  world.gitHub.trouble = { path: `/repositories/${open}`, kind: 'error' };
  await world.passTime(10);
  await node.refresh(userId);
  expect([await decide(mine), await decide(open)]).toEqual(['DENIED', 'UNKNOWN']);
});

test('a public repository counts once it is watched, for as long as it is public and watched', async () => {
  const open = await addRepository({ isGranted: false, isPrivate: false });
  await node.refresh(userId);
  await world.watch(userId, open);
  // Something is watched that GitHub was not asked about: no pause.
  await node.refresh(userId);
  expect([await decide(open), counts().single]).toEqual(['ALLOWED', 1]);
  expect(await world.takeNews(userId)).toEqual([`+${open}`]);

  world.gitHub.repositories.put({ id: open, fullName: `acme/${open}`, ownerId: OWNER });
  await refreshAgain();
  expect(await decide(open)).toBe('DENIED');
  expect(await world.takeNews(userId)).toEqual([`-${open}`]);

  world.gitHub.repositories.put({
    id: open,
    fullName: `acme/${open}`,
    ownerId: OWNER,
    isPrivate: false,
  });
  await refreshAgain();
  await world.watch(userId, open, false);
  await refreshAgain();
  expect([await decide(open), await rowsStored()]).toEqual(['DENIED', []]);
  expect(await world.takeNews(userId)).toEqual([`+${open}`, `-${open}`]);
});

test('who leaves a public repository that they watch does not lose it for a moment', async () => {
  const open = await addRepository({ isPrivate: false });
  await world.watch(userId, open);
  await node.refresh(userId);
  expect(counts().single).toBe(0);
  revoked(open);
  const seen: string[] = [];
  world.gitHub.repositories.onTheWay = async ({ page }) => {
    if (page === null) seen.push(await decide(open));
  };
  await refreshAgain();
  expect([seen, await decide(open)]).toEqual([['UNKNOWN'], 'ALLOWED']);
  expect(await world.takeNews(userId)).not.toContain(`-${open}`);
  world.gitHub.repositories.grant(open, person);
  await refreshAgain();
  expect([await decide(open), counts().single]).toEqual(['ALLOWED', 1]);
});

test('an answer about one repository that was on its way while GitHub told of a change counts for nothing', async () => {
  const open = await addRepository({ isGranted: false, isPrivate: false });
  await world.watch(userId, open);
  world.gitHub.repositories.onTheWay = async ({ page }) => {
    if (page !== null) return;
    world.gitHub.repositories.onTheWay = null;
    world.gitHub.repositories.put({ id: open, fullName: `acme/${open}`, ownerId: OWNER });
    await tell('repository', { action: 'privatized', repository: { id: open } });
  };
  await node.refresh(userId);
  expect([await decide(open), counts().single]).toEqual(['DENIED', 2]);
});

test('what was asked for by itself before GitHub told of a change is asked for again as well', async () => {
  const mine = await addRepository();
  const open = await addRepository({ isGranted: false, isPrivate: false });
  await world.watch(userId, open);
  await node.refresh(userId);
  await memberEvent();
  world.gitHub.trouble = { path: `/repositories/${open}`, kind: 'error' };
  await node.refresh(userId);
  expect([await decide(mine), await decide(open)]).toEqual(['ALLOWED', 'UNKNOWN']);
  world.gitHub.trouble = null;
  await world.passTime(10);
  await node.refresh(userId);
  expect(await decide(open)).toBe('ALLOWED');
});

test('only the followed are asked about by themselves, and only before their answer ends', async () => {
  await addRepository();
  const [first, second] = world.nodes;
  const releases = [first.follow(userId), first.follow(userId)];
  await first.refreshFollowed();
  expect(asksMade()).toBe(1);
  await world.passTime(200);
  await first.refreshFollowed();
  expect(asksMade()).toBe(1);
  await world.passTime(11);
  await second.refreshFollowed();
  expect(asksMade()).toBe(1);
  releases[0]?.();
  releases[0]?.();
  await first.refreshFollowed();
  expect(asksMade()).toBe(2);
  releases[1]?.();
  await world.passTime(400);
  await first.refreshFollowed();
  expect(asksMade()).toBe(2);
});

test('a deleted account leaves nothing behind, though GitHub was being asked about it', async () => {
  await addRepository();
  world.gitHub.repositories.onTheWay = async () => {
    await world.unlink(userId);
    await world.database.query('DELETE FROM github_permission_set WHERE user_id = $1', [userId]);
  };
  await node.refresh(userId);
  expect(await rowsStored()).toEqual([]);
});

test('no connection to PostgreSQL is held while GitHub thinks', async () => {
  await addRepository();
  const { pool } = world.database;
  let held = -1;
  world.gitHub.repositories.onTheWay = async () => {
    held = pool.totalCount - pool.idleCount;
  };
  await node.refresh(userId);
  expect(held).toBe(0);
});

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
