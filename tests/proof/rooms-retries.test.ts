// The short size of `node proof/rooms-retries.ts`. docs/proofs.md has the long one.
import { expect, test } from 'vitest';
import { proveRetries } from '../../proof/prove-rooms-retries.ts';
import { RETRY_CASES } from '../../proof/rooms-retry-cases.ts';
import { requireServer, testFolder } from '../support/servers.ts';

const ROUNDS = 3;

test('every mutation of rooms has one effect and one event, however often it is sent and whichever replies are lost', async () => {
  const proof = await proveRetries({
    rounds: ROUNDS,
    seed: 1,
    bus: requireServer('nats-server') ? 'jetstream' : 'postgres',
    folder: testFolder(),
    postgresBinFolder: process.env['NARU_POSTGRES_BIN'],
  });
  expect(proof.faults).toEqual([]);
  const { mutations, dropped = 0, cut = 0 } = proof.counts;
  expect(mutations).toBe(ROUNDS * RETRY_CASES.length);
  expect(dropped).toBeGreaterThan(0);
  expect(cut).toBeGreaterThan(0);
}, 300_000);
