// The chat worker's documented clients as they are, and partysocket from npm.
import { randomUUID } from 'node:crypto';
import PartySocket from 'partysocket';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type ChatBackend, startChatBackend } from '../support/chat-backend.ts';
import {
  type ChatFrame,
  createDrivenClock,
  type DrivenClock,
  joinChat,
} from '../support/chat-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { createActs } from '../support/room-acts.ts';
import { addMembers, type MadeRoom, type Member, makeRoom } from '../support/rooms.ts';

const WEBHOOK_TOKEN = 'a-token-of-the-backend';

let naru: TestNaru;
let backend: ChatBackend;
let clock: DrivenClock;
/** As in the documents: a conversation of the backend's. */
let roomId: string;

beforeAll(async () => {
  backend = await startChatBackend();
  clock = createDrivenClock();
  naru = await startNaru({
    settings: { BACKEND_ORIGIN: backend.origin, WEBHOOK_TOKEN },
    server: { socketTimes: { chatClock: clock } },
  });
});
afterAll(async () => {
  await naru?.close();
  await backend?.close();
});
beforeEach(() => {
  roomId = `conv_${randomUUID()}`;
  backend.admit(roomId, 'jwt-me', 'me');
  backend.admit(roomId, 'jwt-you', 'you');
});

async function broadcast(message: object, excludeConnectionIds: readonly string[] = []) {
  const answer = await fetch(`${naru.url}/api/broadcast`, {
    method: 'POST',
    headers: { authorization: `Bearer ${WEBHOOK_TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify({ roomId, message, excludeConnectionIds }),
  });
  expect([answer.status, await answer.json()]).toEqual([200, { success: true }]);
}

/** What a client did and was sent, in order; `until` waits for the next of a kind. */
function createRecord<Entry>() {
  const entries: Entry[] = [];
  let wake = () => {};
  return {
    entries,
    add(entry: Entry) {
      entries.push(entry);
      wake();
    },
    async until(count: number, isOne: (entry: Entry) => boolean) {
      while (entries.filter(isOne).length < count) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}

test('the web sample: its frames, word for word', async () => {
  const wire = createRecord<string>();
  const webSocket = new WebSocket(
    `${naru.url.replace('http', 'ws')}/rooms?room=${encodeURIComponent(roomId)}`,
  );
  const send = (frame: object) => {
    wire.add(`> ${JSON.stringify(frame)}`);
    webSocket.send(JSON.stringify(frame));
  };
  // As in the sample, which knows nothing of the `info` that comes first.
  webSocket.onopen = () => send({ type: 'auth', token: 'jwt-me', roomId, userId: 'me' });
  webSocket.on('message', (data: Buffer) => wire.add(`< ${data.toString()}`));
  const heard = (count: number) => wire.until(count, (line) => line.startsWith('<'));
  await heard(2);
  send({ type: 'typing', isTyping: true });
  await broadcast({
    type: 'message.created',
    id: 'm123',
    conversationId: 'room-1',
    preview: '안녕하세요',
  });
  await heard(3);
  const you = await joinChat(naru.url, `/rooms/${roomId}`, { token: 'jwt-you' });
  you.send({ type: 'typing', isTyping: true });
  await heard(4);
  webSocket.close();
  const stamped = wire.entries.map((line) =>
    line.replaceAll(roomId, 'conv_abc').replace(/"timestamp":\d+/, '"timestamp":1'),
  );
  const created =
    '"id":"m123","type":"message.created","preview":"안녕하세요","conversationId":"room-1"';
  const sorted = (line: string) => JSON.stringify(sortKeys(JSON.parse(line.slice(2))));
  expect(stamped.map((line) => line[0] + sorted(line))).toEqual(
    [
      '> {"type":"auth","token":"jwt-me","roomId":"conv_abc","userId":"me"}',
      '< {"type":"info","message":"please auth"}',
      '< {"type":"auth:ok"}',
      '> {"type":"typing","isTyping":true}',
      `< {${created},"before":null}`,
      `< {"type":"typing","userId":"you","isTyping":true,"roomId":"conv_abc","timestamp":1,"before":{${created}}}`,
    ].map((line) => line[0] + sorted(line)),
  );
});

function sortKeys(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, sortKeys(item)]));
}

test('the Flutter guide: a ping each 25 s keeps it, and 5 s after any end it comes back', async () => {
  const life = createRecord<string>();
  let socket: WebSocket | null = null;
  let stopPings = () => {};
  let isPinging = true;

  const pingLater = () => {
    stopPings = clock.after(25_000, () => {
      if (isPinging) socket?.send(JSON.stringify({ type: 'ping', t: clock.now() }));
      pingLater();
    });
  };
  const connect = () => {
    socket = new WebSocket(`${naru.url.replace('http', 'ws')}/rooms/${roomId}/messages`);
    socket.on('open', () =>
      socket?.send(JSON.stringify({ type: 'auth', token: 'jwt-me', roomId })),
    );
    socket.on('message', (data: Buffer) => {
      const frame = JSON.parse(data.toString()) as ChatFrame;
      life.add(frame.type === 'error' ? `error ${frame['code']}` : frame.type);
      // The guide answers a server's ping; a server that never sends one says that it knows no `pong`.
      if (frame.type === 'ping') socket?.send(JSON.stringify({ type: 'pong' }));
    });
    socket.on('close', (code) => {
      stopPings();
      clock.after(5_000, connect);
      life.add(`closed ${code}`);
    });
    pingLater();
  };

  connect();
  await life.until(1, (entry) => entry === 'auth:ok');
  for (let pings = 1; pings <= 10; pings += 1) {
    clock.pass(25_000);
    await life.until(pings, (entry) => entry === 'pong');
  }
  expect(life.entries).toEqual(['info', 'auth:ok', ...Array.from({ length: 10 }, () => 'pong')]);
  (socket as WebSocket | null)?.send(JSON.stringify({ type: 'pong' }));
  await life.until(1, (entry) => entry === 'error unknown_type');

  isPinging = false;
  clock.pass(30_000);
  await life.until(1, (entry) => entry === 'closed 1000');
  isPinging = true;
  clock.pass(5_000);
  await life.until(2, (entry) => entry === 'auth:ok');
  expect(life.entries.slice(12)).toEqual([
    'error unknown_type',
    'error ping_timeout',
    'closed 1000',
    'info',
    'auth:ok',
  ]);
  await broadcast({ type: 'message.created', id: 'm1' });
  await life.until(1, (entry) => entry === 'message.created');
  (socket as WebSocket | null)?.removeAllListeners('close');
  (socket as WebSocket | null)?.close();
});

test('partysocket connects, is let in, types, hears, is left out by its id, and comes back', async () => {
  const [ann, ben] = (await addMembers(naru, 2)) as [Member, Member];
  const room: MadeRoom = await makeRoom(naru, { owner: ann, members: [ben] });
  const acts = createActs(() => naru.url);
  const frames = createRecord<ChatFrame>();
  const party = new PartySocket({
    host: naru.url.replace('http://', ''),
    protocol: 'ws',
    party: 'chat',
    room: room.roomId,
    id: 'ben-laptop',
    WebSocket,
    minReconnectionDelay: 1,
    maxReconnectionDelay: 1,
  });
  const tell = (frame: object) => party.send(JSON.stringify(frame));
  party.addEventListener('open', () => tell({ type: 'auth', token: ben.token }));
  party.addEventListener('message', ({ data }) => frames.add(JSON.parse(String(data))));
  const heard = (count: number, type: string) =>
    frames.until(count, (frame) => frame.type === type);
  await heard(1, 'auth:ok');
  expect(party.id).toBe('ben-laptop');

  const other = await joinChat(naru.url, `/rooms/${room.roomId}`, { token: ann.token });
  tell({ type: 'typing', isTyping: true });
  expect(await other.nextOf('typing')).toMatchObject({ userId: ben.id, isTyping: true });
  await acts.say(ann, room, 'hello');
  await heard(1, 'message.created');
  expect(frames.entries.at(-1)).toMatchObject({ preview: 'hello' });
  const message = { type: 'caused by ben' };
  await acts.act(ann, 'broadcastToRoom', {
    roomId: room.id,
    message,
    excludeConnectionIds: ['ben-laptop'],
  });
  await other.nextOf('caused by ben');
  await acts.say(ann, room, 'after it');
  await heard(2, 'message.created');
  expect(frames.entries.some(({ type }) => type === message.type)).toBe(false);

  // It never pinged: the deadline passes, and partysocket connects anew by itself.
  clock.pass(30_000);
  await heard(2, 'auth:ok');
  party.close();
});
