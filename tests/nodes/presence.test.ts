// The short size of `node proof/rooms-presence.ts`, with the times of the long one.
import { expect, test } from 'vitest';
import { proveRoomsPresence } from '../../proof/prove-rooms-presence.ts';
import { requireServer, testFolder } from '../support/servers.ts';

test('when a node is killed all of its people are told to be gone within 45 s, once, and nobody who has a second device', async () => {
  const proof = await proveRoomsPresence({
    sessions: 50,
    seed: 1,
    bus: requireServer('nats-server') ? 'jetstream' : 'postgres',
    killWithinMs: 1_000,
    leftWithinMs: 5_000,
    folder: testFolder(),
    postgresBinFolder: process.env['NARU_POSTGRES_BIN'],
  });
  expect(proof.faults).toEqual([]);
  expect(proof.counts).toMatchObject({ 'gone by the kill': 40, 'gone by leaving': 10 });
}, 180_000);
