// The short size of `node proof/revocation.ts`. docs/proofs.md has the long one.
import { expect, test } from 'vitest';
import { proveRevocation } from '../../proof/prove-revocation.ts';
import { requireServer, testFolder } from '../support/servers.ts';

const WITHDRAWALS = 10;

test('what was withdrawn is handed out on no path while messages flow, and comes back whole when granted again', async () => {
  const proof = await proveRevocation({
    withdrawals: WITHDRAWALS,
    people: 2,
    repositories: 10,
    subscribers: 24,
    pullers: 8,
    perSecond: 40,
    seed: 1,
    bus: requireServer('nats-server') ? 'jetstream' : 'postgres',
    folder: testFolder(),
    postgresBinFolder: process.env['NARU_POSTGRES_BIN'],
  });
  expect(proof.faults).toEqual([]);
  expect(proof.withdrawals).toEqual({ event: WITHDRAWALS / 2, bound: WITHDRAWALS / 2 });
  const { live = 0, pulled = 0, pulledAgain = 0, leasedThroughWithdrawals = 0 } = proof.counts;
  expect(live).toBeGreaterThan(0);
  expect(pulled).toBeGreaterThan(pulledAgain);
  expect(pulledAgain).toBeGreaterThan(0);
  expect(leasedThroughWithdrawals).toBeGreaterThan(0);
}, 300_000);
