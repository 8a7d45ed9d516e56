import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createGuard } from './guard.ts';
import { createParticipantCheck } from './participant-check.ts';

let server: Server;
let origin: string;
let answer: (path: string) => readonly [number, string] | null;
const paths: string[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    paths.push(request.url ?? '');
    request.resume();
    const [status, body] = answer(request.url ?? '') ?? [];
    if (status === undefined) return;
    response.writeHead(status, { location: '/elsewhere' }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
  server.closeAllConnections();
});

// A guard of its own for each: one that fails too often is spared.
const ask = (room = 'room', token = 'token') =>
  createParticipantCheck(origin, { guard: createGuard(), timeoutMs: 500 }).ask(room, token);

test.each([
  ['{}', null],
  ['', null],
  ['<html>', null],
  ['{"userId":"u1"}', 'u1'],
  ['{"userId":7}', '7'],
  ['{"userId":{}}', null],
  [`{"userId":"${'x'.repeat(201)}"}`, null],
  ['[1]', null],
])('200 with %s lets in', async (body, userId) => {
  answer = () => [200, body];
  expect(await ask()).toEqual({ userId });
});

test.each([201, 204, 400, 401, 403, 404, 418])('%i does not', async (status) => {
  answer = () => [status, '{"userId":"u1"}'];
  expect(await ask()).toBeNull();
});

test.each([
  ['an error', [500, '']],
  ['a limit', [429, '']],
  ['a redirect, which would carry the token off', [307, '']],
  ['an endless body', [200, 'x'.repeat(65 * 1_024)]],
  ['silence', null],
] as const)('%s is no answer', async (_what, given) => {
  answer = () => given;
  await expect(ask()).rejects.toThrow(/^The backend can/);
});

test('a room is one part of the path, whatever it is called', async () => {
  answer = () => [200, '{}'];
  paths.length = 0;
  await ask('a/../b?c#d%2e 방');
  expect(paths).toEqual([
    '/api/v1/message-rooms/a%2F..%2Fb%3Fc%23d%252e%20%EB%B0%A9/participants/check',
  ]);
  expect([await ask('.'), await ask('..')]).toEqual([null, null]);
  expect(paths).toHaveLength(1);
});

test.each(['a b', 'a\r\nx: y', '', '토큰', 'x'.repeat(8_193)])(
  'a token that no header carries is nobody’s: %j',
  async (token) => {
    paths.length = 0;
    expect(await ask('room', token)).toBeNull();
    expect(paths).toEqual([]);
  },
);

test('rooms over which the backend stumbles keep nobody out of the others', async () => {
  answer = (path) => (path.includes('odd') ? [500, ''] : [200, '{"userId":"u1"}']);
  const check = createParticipantCheck(origin, { guard: createGuard(), timeoutMs: 500 });
  for (let times = 0; times < 10; times += 1) {
    await expect(check.ask('odd', 'token')).rejects.toThrow('cannot say');
  }
  expect(await check.ask('room', 'token')).toEqual({ userId: 'u1' });
});
