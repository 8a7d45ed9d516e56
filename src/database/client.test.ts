import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { createDatabase } from './client.ts';

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, 0);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

const AUTHENTICATED = message('R', Buffer.alloc(4));
const READY = message('Z', Buffer.from('I'));
const DYING = message('E', Buffer.from('SFATAL\0C57P01\0Mterminating connection\0\0'));

test('a PostgreSQL that dies while it hands out a connection fails the statement, not the process', async () => {
  // Welcome and farewell in one packet: both are read before anybody can listen for the second.
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end(Buffer.concat([AUTHENTICATED, READY, DYING])));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const database = createDatabase({
    connectionString: `postgresql://naru@127.0.0.1:${port}/naru`,
    poolMax: 2,
    onIdleError: () => {},
  });
  const unheard: Error[] = [];
  const hear = (error: Error) => unheard.push(error);
  process.on('uncaughtException', hear);
  try {
    const work = database.transaction((sql) => sql.query('SELECT 1'));
    await expect(work).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(database.query('SELECT 1')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(unheard).toEqual([]);
  } finally {
    process.off('uncaughtException', hear);
    await database.close();
    server.close();
  }
});
