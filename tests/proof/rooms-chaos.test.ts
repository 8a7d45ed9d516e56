// The short size of `node proof/rooms-chaos.ts`. docs/proofs.md has the long one.
import { expect, test } from 'vitest';
import { proveRoomsChaos } from '../../proof/prove-rooms-chaos.ts';
import { requireServer, testFolder } from '../support/servers.ts';

const KILLS = 5;
const CLIENTS = 30;

test('kill -9 of API, bus and PostgreSQL: each client of a room is told all that it may see, once and in order', async () => {
  const proof = await proveRoomsChaos({
    kills: KILLS,
    clients: CLIENTS,
    rooms: 5,
    seed: 1,
    bus: requireServer('nats-server') ? 'jetstream' : 'postgres',
    folder: testFolder(),
    postgresBinFolder: process.env['NARU_POSTGRES_BIN'],
  });
  expect(proof.faults).toEqual([]);
  const { clients, acknowledged = 0, followed = 0, outings = 0 } = proof.counts;
  expect(clients).toBe(CLIENTS);
  expect(acknowledged).toBeGreaterThan(KILLS);
  expect(followed).toBeGreaterThan(acknowledged);
  expect(outings).toBeGreaterThan(0);
}, 300_000);
