// The short size of `node proof/auth.ts`. docs/proofs.md has the long one.
import { expect, test } from 'vitest';
import { proveAuth } from '../../proof/prove-auth.ts';
import { testFolder } from '../support/servers.ts';

const ROUNDS = 50;
const CLOSINGS = 12;

test('no credential outlives the end of its session, however they race, and what is live is closed within 1 s', async () => {
  const proof = await proveAuth({
    rounds: ROUNDS,
    closings: CLOSINGS,
    seed: 1,
    folder: testFolder(),
    postgresBinFolder: process.env['NARU_POSTGRES_BIN'],
  });
  expect(proof.faults).toEqual([]);
  const races = Object.values(proof.races);
  expect(races.reduce((sum, { rounds }) => sum + rounds, 0)).toBe(ROUNDS);
  for (const { handedOut } of races) expect(handedOut).toBeGreaterThan(0);
  expect(proof.closing.samples).toBe(3 * CLOSINGS);
}, 300_000);
