// The short size of `npm run proof`: fifty rounds, half of them on each bus. docs/proofs.md has the long ones.
import { expect, test } from 'vitest';
import { proveCrashes } from '../../proof/prove-crashes.ts';
import { requireServer, testFolder } from '../support/servers.ts';

const ROUNDS = 25;
const SEED = 1;

test.each(['postgres' as const, ...(requireServer('nats-server') ? ['jetstream' as const] : [])])(
  'kill -9 of API, bus and PostgreSQL under load loses and doubles nothing (%s)',
  async (bus) => {
    const postgresBinFolder = process.env['NARU_POSTGRES_BIN'];
    const folder = testFolder();
    const proof = await proveCrashes({
      rounds: ROUNDS,
      seed: SEED,
      bus,
      folder,
      postgresBinFolder,
    });
    expect(proof.faults).toEqual([]);
    const { accepted = 0, acknowledged = 0, followed = 0, stored = 0 } = proof.counts;
    expect(accepted).toBeGreaterThan(ROUNDS);
    expect(acknowledged).toBeGreaterThan(ROUNDS);
    expect(followed).toBe(stored);
  },
  300_000,
);
