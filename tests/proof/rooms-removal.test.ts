// The short size of `node proof/rooms-removal.ts`. docs/proofs.md has the long one.
import { expect, test } from 'vitest';
import { proveRemoval } from '../../proof/prove-rooms-removal.ts';
import { requireServer, testFolder } from '../support/servers.ts';

const TRIALS = 30;

test('who is removed while messages flow is told of nothing past the removal, and the others miss nothing', async () => {
  const proof = await proveRemoval({
    trials: TRIALS,
    rooms: 3,
    perSecond: 60,
    seed: 1,
    bus: requireServer('nats-server') ? 'jetstream' : 'postgres',
    folder: testFolder(),
    postgresBinFolder: process.env['NARU_POSTGRES_BIN'],
  });
  expect(proof.faults).toEqual([]);
  const { trials, messages = 0, live = 0, followed = 0 } = proof.counts;
  expect(trials).toBeGreaterThanOrEqual(TRIALS);
  expect(live).toBeGreaterThan(0);
  expect(followed).toBeGreaterThan(messages);
}, 300_000);
