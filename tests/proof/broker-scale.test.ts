// A tenth of `node proof/broker-scale.ts`. docs/proofs.md has the whole.
import { expect, test } from 'vitest';
import { proveBrokerScale } from '../../proof/prove-broker-scale.ts';
import { testFolder } from '../support/servers.ts';

test('a pull takes at most twice as long from a large broker as from a small one, and users are rows only', async () => {
  const proof = await proveBrokerScale({
    users: 10,
    repositories: 100,
    messages: 100_000,
    pulls: 60,
    seed: 1,
    // The slowest of so few is whatever else the machine did just then.
    judges: 'p50',
    folder: testFolder(),
    postgresBinFolder: process.env['NARU_POSTGRES_BIN'],
  });
  expect(proof.faults).toEqual([]);
  const { personal_access_token: _issued, ...rows } = proof.rows.idle;
  expect(rows).toEqual({
    users: 1,
    github_account: 1,
    github_permission: 50,
    github_permission_set: 1,
    webhook_source_grant: 1,
  });
}, 180_000);
