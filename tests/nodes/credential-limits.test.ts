// Two API processes count attempts together, whichever of them is asked.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CREDENTIAL_LIMITS } from '#resolvers/users/credential-limits.ts';
import { SEED_PASSWORD } from '../../prisma/seed.ts';
import { BEHIND_PROXY, mutate } from '../support/mutations.ts';
import { type NodesWorld, startNodes } from './world.ts';

const ATTEMPTS = 200;
const PER_LOGIN = CREDENTIAL_LIMITS['sign-in-login-network'].points;
const EVERYWHERE = CREDENTIAL_LIMITS['sign-in-login'].points;
const OPERATIONS_TOKEN = 'for this suite only';

let world: NodesWorld;

beforeAll(async () => {
  world = await startNodes('postgres', { ...BEHIND_PROXY, OPERATIONS_TOKEN, LOG_LEVEL: 'warn' });
}, 120_000);
afterAll(() => world?.close());

/** Passwords that were hashed or verified so far, by both. */
async function countHashes(): Promise<number> {
  const counts = await Promise.all(
    world.nodes.map(async ({ url }) => {
      const headers = { authorization: `Bearer ${OPERATIONS_TOKEN}` };
      const text = await (await fetch(`${url}/metrics`, { headers })).text();
      expect(text).toContain('naru_password_hash_duration_seconds');
      const lines = text.matchAll(/^naru_password_hash_duration_seconds_count\{.*\} (\d+)$/gm);
      return [...lines].reduce((sum, [, count]) => sum + Number(count), 0);
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

async function attempt(at: number, login: string, address: string, password = 'not the password') {
  const { url } = world.nodes[at % 2] ?? world.nodes[0];
  const input = { login, password, transport: 'TOKENS' };
  const answer = await mutate(url, 'signIn', input, { headers: { 'x-forwarded-for': address } });
  return answer.code ?? answer.__typename;
}

test(`of ${ATTEMPTS} wrong passwords at once on one account ${PER_LOGIN} are hashed`, async () => {
  const before = await countHashes();
  const outcomes = await Promise.all(
    Array.from({ length: ATTEMPTS }, (_, at) => attempt(at, 'alice', '192.0.2.1')),
  );
  expect((await countHashes()) - before).toBeLessThanOrEqual(PER_LOGIN);
  // More than wait for a hash on one node are refused before their limits are asked.
  const refused = outcomes.filter((outcome) => ['RATE_LIMITED', 'UNAVAILABLE'].includes(outcome));
  expect(refused).toHaveLength(ATTEMPTS - PER_LOGIN);
  // What was used up on one is used up on the other.
  for (const at of [0, 1]) {
    expect(await attempt(at, 'alice', '192.0.2.1', SEED_PASSWORD)).toBe('RATE_LIMITED');
  }
});

test(`of ${ATTEMPTS} from as many networks no more than ${EVERYWHERE} are hashed, and the owner gets in`, async () => {
  expect(await attempt(0, 'bob', '198.51.100.1', SEED_PASSWORD)).toBe('SignedIn');
  const before = await countHashes();
  await Promise.all(
    Array.from({ length: ATTEMPTS }, (_, at) => attempt(at, 'bob', `203.0.113.${at}`)),
  );
  expect((await countHashes()) - before).toBeLessThanOrEqual(EVERYWHERE);
  // The other node knows the network, too.
  expect(await attempt(1, 'bob', '198.51.100.1', SEED_PASSWORD)).toBe('SignedIn');
});
