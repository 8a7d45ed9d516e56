// How long something live outlives the credentials behind it, on both nodes.
import { SEED_PASSWORD } from '../prisma/seed.ts';
import { addAccount, run, type TestAccount } from '../tests/support/accounts.ts';
import { openEventStream, openSocket } from '../tests/support/graphql-client.ts';
import { type Tokens, tokensOf } from '../tests/support/sessions.ts';
import type { World } from './world.ts';

const LIVE = { query: 'subscription { webhookMessageReceived { __typename } }' };
const WORKERS = 4;

interface Ended extends TestAccount {
  readonly victim: Tokens;
  readonly owner: Tokens;
  readonly admin: string;
}

const ENDS: readonly ((url: string, ended: Ended) => Promise<string>)[] = [
  (url, { victim, owner }) =>
    run(url, 'revokeSession', { id: victim.sessionId }, owner.accessToken),
  (url, { victim }) => run(url, 'signOut', {}, victim.accessToken),
  (url, { owner }) => run(url, 'signOut', { everywhere: true }, owner.accessToken),
  (url, { id, admin }) => run(url, 'disableUser', { userId: id }, admin),
  (url, { owner }) =>
    run(
      url,
      'changePassword',
      { currentPassword: SEED_PASSWORD, newPassword: 'another landing by the sea' },
      owner.accessToken,
    ),
  (url, { owner }) => run(url, 'deleteAccount', { password: SEED_PASSWORD }, owner.accessToken),
];

/** In milliseconds: of two sockets and an event stream each, one way of ending them after another. */
export async function measureClosings(options: {
  readonly world: World;
  readonly count: number;
  readonly admin: string;
  readonly fault: (what: string) => void;
}): Promise<number[]> {
  const { world, count, admin, fault } = options;
  const times: number[] = [];
  let begun = 0;
  const work = async () => {
    while (begun < count) {
      const index = begun++;
      times.push(...(await closeOne(world, admin, index, fault)));
    }
  };
  await Promise.all(Array.from({ length: WORKERS }, work));
  return times;
}

async function closeOne(
  world: World,
  admin: string,
  index: number,
  fault: (what: string) => void,
): Promise<number[]> {
  const [first, second] = world.nodeUrls;
  const account = await addAccount(world.query);
  const { login } = account;
  const victim = await tokensOf(first, { login });
  const owner = await tokensOf(second, { login });
  const sockets = await Promise.all(
    [first, second].map((url) => openSocket(url, victim.accessToken)),
  );
  const stream = await openEventStream(second, LIVE, victim.accessToken);
  await stream.next();
  const ends = [
    ...sockets.map(({ closed }) => closed.then(({ code }) => code)),
    stream.next().then((item) => (item === null ? 4401 : 0)),
  ].map(async (end) => ({ code: await end, at: performance.now() }));
  const outcome = await ENDS[index % ENDS.length]?.(index % 2 ? first : second, {
    ...account,
    victim,
    owner,
    admin,
  });
  const endedAt = performance.now();
  if (outcome === undefined || /Error|[A-Z]{2}/.test(outcome)) fault(`could not end: ${outcome}`);
  const closed = await Promise.all(ends);
  for (const { code } of closed) if (code !== 4401) fault(`closed with ${code}`);
  return closed.map(({ at }) => Math.max(0, at - endedAt));
}
