// Rooms of another system: its backend says who takes part in them.
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type ConfigError, parseConfig } from '#config.ts';
import { type ChatBackend, startChatBackend } from '../support/chat-backend.ts';
import {
  type ChatClient,
  createDrivenClock,
  type DrivenClock,
  joinChat,
  openChat,
} from '../support/chat-client.ts';
import { until } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { createActs } from '../support/room-acts.ts';
import { addMember, makeRoom } from '../support/rooms.ts';

const WEBHOOK_TOKEN = 'a-token-of-the-backend';

let naru: TestNaru;
let backend: ChatBackend;
let clock: DrivenClock;
/** A room that only the backend knows, anew for each test. */
let room: string;
const lines: Record<string, unknown>[] = [];

beforeAll(async () => {
  backend = await startChatBackend();
  clock = createDrivenClock();
  naru = await startNaru({
    settings: { BACKEND_ORIGIN: backend.origin, WEBHOOK_TOKEN },
    server: { socketTimes: { chatClock: clock } },
    logTo: (line) => lines.push(line),
  });
});
afterAll(async () => {
  await naru?.close();
  await backend?.close();
});
beforeEach(() => {
  backend.trouble = null;
  room = `conv/${randomUUID()} 방`;
  backend.admit(room, 'jwt-1', 'u1');
  backend.admit(room, 'jwt-2');
});

const pathOf = (name: string) => `/rooms/${encodeURIComponent(name)}`;
const join = (token: string, userId?: string) =>
  joinChat(naru.url, pathOf(room), { token, ...(userId !== undefined && { userId }) });

function broadcast(roomId: string, message: object): Promise<Response> {
  return fetch(`${naru.url}/api/broadcast`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${WEBHOOK_TOKEN}` },
    body: JSON.stringify({ roomId, message }),
  });
}

async function refused(chat: ChatClient, token: string) {
  chat.send({ type: 'auth', token });
  expect(await chat.nextOf('error')).toMatchObject({
    code: 'unauthorized',
    message: 'not a participant',
  });
  expect(await chat.closed).toEqual({ code: 4401, reason: 'unauthorized' });
}

/** One ping, and the deadline of the next. */
async function ping(chat: ChatClient, afterMs: number): Promise<void> {
  clock.pass(afterMs);
  chat.send({ type: 'ping', t: 1 });
  await chat.nextOf('pong');
}

test('exactly 200 lets in, and nothing that Naru sends is wrong', async () => {
  await join('jwt-1');
  expect(backend.asked).toContain(`${room} jwt-1`);
  expect(backend.faults).toEqual([]);
  await refused(openChat(naru.url, pathOf(room)), 'somebody');
  for (const status of [201, 204, 400, 401, 403, 404]) {
    backend.trouble = status;
    await refused(openChat(naru.url, pathOf(room)), 'jwt-1');
  }
});

test('the backend’s name for somebody beats the client’s', async () => {
  const [one, two] = [await join('jwt-1', 'an-impostor'), await join('jwt-2', 'u2')];
  one.send({ type: 'typing', isTyping: true });
  expect(await two.next()).toEqual({
    type: 'typing',
    userId: 'u1',
    isTyping: true,
    roomId: room,
    timestamp: expect.any(Number),
    before: null,
  });
  two.send({ type: 'typing', isTyping: false });
  expect(await one.next()).toMatchObject({ userId: 'u2', isTyping: false });
});

test('who gives no name is unknown, and the same again within 3 seconds is not told', async () => {
  const [one, two] = [await join('jwt-1'), await join('jwt-2')];
  const type = (isTyping: boolean) => two.send({ type: 'typing', isTyping });
  type(true);
  type(true);
  expect(await one.next()).toMatchObject({ userId: 'unknown', isTyping: true });
  await ping(two, 0);
  clock.pass(3_000);
  type(true);
  expect(await one.next()).toMatchObject({ isTyping: true });
  type(false);
  expect(await one.next()).toMatchObject({ isTyping: false });
  expect(one.received.filter(({ type }) => type === 'typing')).toHaveLength(3);
});

test('what the backend sends reaches its clients, also where Naru has no room', async () => {
  const chat = await join('jwt-1');
  expect((await broadcast(room, { type: 'message.created', id: 'm1' })).status).toBe(200);
  await broadcast(room, { type: 'message.created', id: 'm2' });
  expect(await chat.next()).toEqual({ type: 'message.created', id: 'm1', before: null });
  expect(await chat.next()).toEqual({
    type: 'message.created',
    id: 'm2',
    before: { type: 'message.created', id: 'm1' },
  });
  const late = await join('jwt-2');
  chat.send({ type: 'typing', isTyping: true });
  expect((await late.next())['before']).toEqual({ type: 'message.created', id: 'm2' });
});

test('it is asked again, once a minute at most, and who is out then is closed with 4401', async () => {
  const chat = await join('jwt-1');
  const count = () => backend.asked.filter((name) => name === `${room} jwt-1`).length;
  await ping(chat, 25_000);
  await ping(chat, 25_000);
  expect(count()).toBe(1);
  await ping(chat, 25_000);
  await until(() => count() === 2);
  await ping(chat, 25_000);
  expect(count()).toBe(2);
  backend.remove(room, 'jwt-1');
  await ping(chat, 25_000);
  await ping(chat, 25_000);
  expect((await chat.closed).code).toBe(4401);
});

test('a room that Naru knows by the backend’s id: both hear each other', async () => {
  const owner = await addMember(naru);
  const acts = createActs(() => naru.url);
  const known = await makeRoom(naru, { owner, externalId: room });
  const [one, two] = [await join('jwt-1'), await join('jwt-2')];
  const id = await acts.say(owner, known, 'hello');
  expect(await one.next()).toEqual({
    type: 'message.created',
    id,
    conversationId: room,
    preview: 'hello',
    before: null,
  });
  await acts.act(owner, 'setTyping', { roomId: known.id, isTyping: true });
  expect(await one.next()).toMatchObject({ type: 'typing', userId: owner.id });
  two.send({ type: 'typing', isTyping: true });
  expect(await one.next()).toMatchObject({ type: 'typing', userId: 'unknown' });
  // By whatever name it is opened, the backend is asked by its own.
  await joinChat(naru.url, `/rooms/${known.roomId}`, { token: 'jwt-1' });
  // A token of Naru's is for Naru: it lets in who is in the room, and the backend never sees it.
  const asked = backend.asked.length;
  await joinChat(naru.url, pathOf(room), { token: owner.token });
  const stranger = await addMember(naru);
  for (const token of [stranger.token, `naru_pat_${'A'.repeat(43)}`, 'naru_pat_mistyped']) {
    await refused(openChat(naru.url, pathOf(room)), token);
  }
  expect(backend.asked).toHaveLength(asked);
});

test('a room that is Naru’s alone is no business of the backend', async () => {
  const owner = await addMember(naru);
  const own = await makeRoom(naru, { owner });
  backend.admit(own.roomId, 'jwt-1');
  backend.admit(own.id, 'jwt-1');
  const before = backend.asked.length;
  await joinChat(naru.url, `/rooms/${own.id}`, { token: owner.token });
  await refused(openChat(naru.url, `/rooms/${own.id}`), 'jwt-1');
  expect(backend.asked).toHaveLength(before);
});

test('who follows a room that Naru gets to know is told to connect again', async () => {
  const chat = await join('jwt-1');
  await makeRoom(naru, { owner: await addMember(naru), externalId: room });
  for (let count = 0; count < 3; count += 1) await ping(chat, 25_000);
  expect((await chat.closed).code).toBe(1012);
  await join('jwt-1');
});

// Last: a host that has failed too often is spared for a while.
test.each([500, 503, 429])('a backend that answers %i is away: 1013', async (status) => {
  backend.trouble = status;
  const chat = openChat(naru.url, pathOf(room));
  chat.send({ type: 'auth', token: 'jwt-1' });
  expect(await chat.nextOf('error')).toEqual({
    type: 'error',
    code: 'unavailable',
    message: 'try again later',
  });
  expect((await chat.closed).code).toBe(1013);
});

test('a backend that goes away keeps nobody out for 15 minutes, and then says come back later', async () => {
  const chat = await join('jwt-1');
  backend.trouble = 500;
  for (let ms = 25_000; ms <= 14 * 60_000; ms += 25_000) await ping(chat, 25_000);
  expect(chat.ws.readyState).toBe(chat.ws.OPEN);
  const pings = setInterval(() => {
    clock.pass(25_000);
    chat.send({ type: 'ping' });
  }, 20);
  expect((await chat.closed).code).toBe(1013);
  clearInterval(pings);
});

test('no token shows in the log', () => {
  const log = JSON.stringify(lines);
  expect(log).toContain('participant check');
  for (const secret of ['jwt-1', 'jwt-2', WEBHOOK_TOKEN]) expect(log).not.toContain(secret);
});

test.each([
  ['https://api.example.com', []],
  ['http://localhost:1337', []],
  ['http://127.0.0.1:1337', []],
  [
    'http://api.example.com',
    ['BACKEND_ORIGIN starts with http://: the tokens of clients could be read on the way'],
  ],
  [
    'https://api.example.com/v1',
    ['BACKEND_ORIGIN must be an origin, e.g. https://api.example.com'],
  ],
])('BACKEND_ORIGIN=%s in production', (origin, faults) => {
  const settings = {
    DATABASE_URL: 'postgresql://localhost/naru',
    REDIS_URL: 'redis://localhost',
    SECRET_KEY: 'x'.repeat(32),
    BACKEND_ORIGIN: origin,
  };
  const parse = () => {
    try {
      return parseConfig(settings).backendOrigin === origin ? [] : ['lost'];
    } catch (error) {
      return (error as ConfigError).faults;
    }
  };
  expect(parse()).toEqual(faults);
});
