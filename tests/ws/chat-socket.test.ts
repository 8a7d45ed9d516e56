// The chat worker's protocol, row by row as its program spoke it (wire-contracts §4.2), and what it left open.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ALL_SCOPES } from '#auth/scopes.ts';
import { serveChat } from '#http/chat-socket.ts';
import { UnavailableError } from '#lib/errors.ts';
import { encodeGlobalId } from '#lib/global-id.ts';
import {
  type ChatClient,
  createDrivenClock,
  type DrivenClock,
  joinChat,
  openChat,
} from '../support/chat-client.ts';
import { bearer, openSocket, post, until } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { createActs } from '../support/room-acts.ts';
import { addMember, addMembers, type MadeRoom, type Member, makeRoom } from '../support/rooms.ts';
import { tokensOf } from '../support/sessions.ts';

let naru: TestNaru;
let clock: DrivenClock;
let ann: Member;
let ben: Member;
let room: MadeRoom;

const acts = createActs(() => naru.url);

beforeAll(async () => {
  clock = createDrivenClock();
  naru = await startNaru({ server: { socketTimes: { chatClock: clock } } });
});
afterAll(() => naru?.close());
beforeEach(async () => {
  [ann, ben] = (await addMembers(naru, 2)) as [Member, Member];
  room = await makeRoom(naru, { owner: ann, members: [ben] });
});

const join = (member: Member, path = `/rooms/${room.roomId}`) =>
  joinChat(naru.url, path, { token: member.token });

const broadcast = (message: object, excludeConnectionIds?: readonly string[]) =>
  acts.act(ann, 'broadcastToRoom', { roomId: room.id, message, excludeConnectionIds });

async function opened(path = `/rooms/${room.roomId}`): Promise<ChatClient> {
  const chat = openChat(naru.url, path);
  expect(await chat.next()).toEqual({ type: 'info', message: 'please auth' });
  return chat;
}

const error = (code: string, message: string) => ({ type: 'error', code, message });
const REFUSED = error('unauthorized', 'not a participant');

/** Whatever was sent before it has been heard by then. */
async function settled(chat: ChatClient, marker: string): Promise<void> {
  await broadcast({ type: 'marker', marker });
  for (;;) if ((await chat.nextOf('marker'))['marker'] === marker) return;
}

describe('before anybody is let in', () => {
  test('the server speaks first, and auth is answered with auth:ok', async () => {
    const chat = await opened();
    chat.send({ type: 'auth', token: ann.token, roomId: room.roomId, userId: 'whoever' });
    expect(await chat.next()).toEqual({ type: 'auth:ok' });
  });

  test('ten seconds without auth close with 4401', async () => {
    const chat = await opened();
    clock.pass(10_000);
    expect(await chat.next()).toEqual(error('unauthorized', 'auth timeout'));
    expect(await chat.closed).toEqual({ code: 4401, reason: 'auth required' });
  });

  test.each([
    ['{', error('bad_json', 'malformed json')],
    ['{}', error('bad_payload', 'missing type')],
    ['7', error('bad_payload', 'missing type')],
    ['{"type":7}', error('bad_payload', 'missing type')],
    ['{"type":"auth"}', error('bad_payload', 'token required')],
    ['{"type":"auth","token":7}', error('bad_payload', 'token required')],
    ['{"type":"typing","isTyping":true}', error('unauthorized', 'auth first')],
    ['{"type":"ping"}', error('unauthorized', 'auth first')],
    ['{"type":"whatever"}', error('unauthorized', 'auth first')],
  ])('%s is told so, and may be followed by auth', async (text, answer) => {
    const chat = await opened();
    chat.send(text);
    expect(await chat.next()).toEqual(answer);
    chat.send({ type: 'auth', token: ann.token });
    expect(await chat.next()).toEqual({ type: 'auth:ok' });
  });

  test('auth without any room closes with 4401', async () => {
    const chat = await opened('/rooms');
    chat.send({ type: 'auth', token: ann.token });
    expect(await chat.next()).toEqual(error('bad_payload', 'roomId required'));
    expect(await chat.closed).toEqual({ code: 4401, reason: 'roomId required' });
  });

  test.each([
    ['a stranger’s token', async () => (await addMember(naru)).token],
    ['no token of ours', async () => 'eyJhbGciOi.J.x'],
    ['a misshapen one', async () => 'a b\u0000'],
    [
      'a token without rooms:read',
      () =>
        naru.tokenFor(
          ann.username,
          ALL_SCOPES.filter((scope) => scope !== 'rooms:read'),
        ),
    ],
  ])('%s closes with 4401', async (_what, tokenOf) => {
    const chat = await opened();
    chat.send({ type: 'auth', token: await tokenOf() });
    expect(await chat.next()).toEqual(REFUSED);
    expect(await chat.closed).toEqual({ code: 4401, reason: 'unauthorized' });
  });

  test('a room that is not there is refused like one that is not theirs', async () => {
    const chat = await opened('/rooms/no-such-room');
    chat.send({ type: 'auth', token: ann.token });
    expect(await chat.next()).toEqual(REFUSED);
    expect((await chat.closed).code).toBe(4401);
  });

  test('nothing that happens in the room is heard', async () => {
    const [outsider, insider] = [await opened(), await join(ben)];
    await broadcast({ type: 'secret' });
    await acts.say(ann, room, 'secret');
    await insider.nextOf('secret');
    await insider.nextOf('message.created');
    outsider.send({ type: 'auth', token: ben.token });
    expect(await outsider.next()).toEqual({ type: 'auth:ok' });
    expect(outsider.received).toHaveLength(2);
  });
});

describe('which room it is', () => {
  test.each([
    ['/rooms/ID', () => room.id],
    ['/rooms/UUID', () => room.roomId],
    ['/rooms/UUID/messages', () => `${room.roomId}/messages`],
  ])('%s', async (_form, name) => {
    await join(ann, `/rooms/${name()}`);
  });

  test.each([
    ['/rooms?room=', () => `/rooms?room=${room.roomId}`],
    ['/rooms/?room=', () => `/rooms/?room=${room.id}`],
    ['/parties/chat/', () => `/parties/chat/${room.roomId}?_pk=abc`],
  ])('%s', async (_form, path) => {
    await join(ann, path());
  });

  test('another system’s id, percent-encoded', async () => {
    const externalId = `conv/${room.roomId} ä`;
    await makeRoom(naru, { owner: ann, externalId });
    await join(ann, `/rooms/${encodeURIComponent(externalId)}`);
    await join(ann, `/rooms?room=${encodeURIComponent(externalId)}`);
  });

  test('the first frame names it where the address does not', async () => {
    const chat = await opened('/rooms');
    chat.send({ type: 'auth', token: ann.token, roomId: room.id });
    expect(await chat.next()).toEqual({ type: 'auth:ok' });
  });

  test('the first frame may name it again, by any of its names', async () => {
    const chat = await opened();
    chat.send({ type: 'auth', token: ann.token, roomId: room.id });
    expect(await chat.next()).toEqual({ type: 'auth:ok' });
  });

  test('the first frame cannot lead to another room', async () => {
    const other = await makeRoom(naru, { owner: ann });
    const chat = await opened();
    chat.send({ type: 'auth', token: ann.token, roomId: other.roomId });
    expect(await chat.next()).toEqual(REFUSED);
    expect((await chat.closed).code).toBe(4401);
  });

  test('once in, the same auth is answered again, and no other leads anywhere', async () => {
    const other = await makeRoom(naru, { owner: ann });
    const chat = await join(ann);
    chat.send({ type: 'auth', token: ann.token, roomId: room.id });
    expect(await chat.next()).toEqual({ type: 'auth:ok' });
    for (const frame of [
      { token: ann.token, roomId: other.roomId },
      { token: ben.token, roomId: room.roomId },
      { token: ann.token, roomId: { not: 'a name' } },
    ]) {
      chat.send({ type: 'auth', ...frame });
      expect(await chat.next()).toEqual(error('unauthorized', 'already authenticated'));
    }
    await acts.say(ann, other, 'elsewhere');
    await acts.say(ann, room, 'here');
    expect((await chat.nextOf('message.created'))['preview']).toBe('here');
  });

  test.each([
    ['/rooms/a/b', 404],
    ['/rooms/a/messages/b', 404],
    ['/room/a', 404],
    ['/parties/other/a', 400],
    ['/rooms/%ff', 400],
    [`/rooms/${'x'.repeat(201)}`, 400],
    ['/rooms?room=%00', 400],
  ])('%s gets no socket: %i', async (path, status) => {
    const chat = openChat(naru.url, path);
    const answer = new Promise((resolve) =>
      chat.ws.once('unexpected-response', (_request, response) => resolve(response.statusCode)),
    );
    expect(await answer).toBe(status);
  });

  test('a page of somebody else gets no socket', async () => {
    const chat = openChat(naru.url, `/rooms/${room.roomId}`, { origin: 'https://evil.example' });
    const answer = new Promise((resolve) =>
      chat.ws.once('unexpected-response', (_request, response) => resolve(response.statusCode)),
    );
    expect(await answer).toBe(403);
  });
});

describe('pings', () => {
  test('are answered with what came, or the time', async () => {
    const chat = await join(ann);
    chat.send({ type: 'ping', t: 1_710_000_000 });
    expect(await chat.next()).toEqual({ type: 'pong', t: 1_710_000_000 });
    chat.send({ type: 'ping' });
    expect((await chat.next())['t']).toBeGreaterThan(1.7e12);
  });

  test('that stay away for 30 seconds close with 1000', async () => {
    const chat = await join(ann);
    clock.pass(29_000);
    chat.send({ type: 'ping', t: 1 });
    expect(await chat.next()).toEqual({ type: 'pong', t: 1 });
    clock.pass(29_999);
    chat.send({ type: 'typing', isTyping: true });
    chat.send({ type: 'nothing' });
    expect((await chat.next())['code']).toBe('unknown_type');
    clock.pass(1);
    expect(await chat.next()).toEqual(
      error('ping_timeout', 'ping timeout - connection will be closed'),
    );
    expect(await chat.closed).toEqual({ code: 1000, reason: 'ping timeout' });
  });

  test('a type that is none is named, and not for long', async () => {
    const chat = await join(ann);
    chat.send({ type: 'message.send' });
    expect(await chat.next()).toEqual(error('unknown_type', 'unknown: message.send'));
    chat.send({ type: 'x'.repeat(1_000) });
    expect((await chat.next())['message']).toHaveLength('unknown: '.length + 64);
  });
});

describe('what is told', () => {
  test('a message of GraphQL, with the one before it', async () => {
    const first = await acts.say(ann, room, 'the first');
    const chat = await join(ben, `/rooms/${room.id}`);
    const second = await acts.say(ann, room, `안녕하세요 ${'👋'.repeat(200)}`);
    expect(await chat.next()).toEqual({
      type: 'message.created',
      id: second,
      conversationId: room.id,
      preview: `안녕하세요 ${'👋'.repeat(94)}`,
      before: {
        type: 'message.created',
        id: first,
        conversationId: room.id,
        preview: 'the first',
      },
    });
  });

  test('an edit and a deletion, which are new; and what was deleted is in nothing that follows', async () => {
    const chat = await join(ben);
    const id = await acts.say(ann, room, 'a secret');
    expect(await chat.next()).toMatchObject({ type: 'message.created', before: null });
    await acts.edit(ann, id, 'another secret');
    expect(await chat.next()).toEqual({
      type: 'message.updated',
      id,
      conversationId: room.roomId,
      preview: 'another secret',
    });
    await acts.erase(ann, id);
    expect(await chat.next()).toEqual({
      type: 'message.deleted',
      id,
      conversationId: room.roomId,
    });
    await acts.say(ann, room, 'next');
    expect(JSON.stringify(await chat.next())).not.toContain('secret');
  });

  test('a broadcast, as it was given and with the one before', async () => {
    const chat = await join(ben);
    const message = { type: 'message.created', id: 'm123', conversationId: 'x', preview: 'hi' };
    await broadcast(message);
    expect(await chat.next()).toEqual({ ...message, before: null });
    await broadcast({ type: 'other', before: 'not theirs to say' });
    expect(await chat.next()).toEqual({ type: 'other', before: message });
  });

  test('a broadcast is no business of a connection that it leaves out, but is before the next', async () => {
    const chat = await join(ben, `/rooms/${room.roomId}?_pk=ben-phone`);
    await broadcast({ type: 'own' }, ['ben-phone']);
    await broadcast({ type: 'next' });
    expect(await chat.next()).toEqual({ type: 'next', before: { type: 'own' } });
  });

  test('a broadcast shows in GraphQL', async () => {
    const socket = await openSocket(naru.url, ben.token);
    socket.subscribe('1', {
      query: `subscription ($roomId: ID!) { roomEvents(roomId: $roomId) {
        __typename ... on RoomBroadcast { payload } } }`,
      variables: { roomId: room.id },
    });
    expect((await socket.next('1')).type).toBe('next');
    await broadcast({ type: 'hello', to: ['all'] });
    expect((await socket.next('1')).payload.data.roomEvents).toEqual({
      __typename: 'RoomBroadcast',
      payload: { type: 'hello', to: ['all'] },
    });
    socket.ws.close();
  });

  test('typing, to the others only, with who, where, when and the last message', async () => {
    const id = await acts.say(ann, room, 'last');
    const [one, two] = [await join(ann), await join(ben, `/rooms/${room.id}`)];
    one.send({ type: 'typing', isTyping: true });
    const frame = await two.next();
    expect(frame).toEqual({
      type: 'typing',
      userId: ann.id,
      isTyping: true,
      roomId: room.id,
      timestamp: expect.any(Number),
      before: { type: 'message.created', id, conversationId: room.id, preview: 'last' },
    });
    await settled(one, 'own typing');
    expect(one.received.filter(({ type }) => type === 'typing')).toEqual([]);
  });

  test('typing by GraphQL', async () => {
    const chat = await join(ben);
    await acts.act(ann, 'setTyping', { roomId: room.id, isTyping: true });
    expect(await chat.next()).toMatchObject({ type: 'typing', userId: ann.id, isTyping: true });
  });

  test('nobody is told of somebody muted that they type', async () => {
    const until = new Date(Date.now() + 3_600_000).toISOString();
    await acts.act(ann, 'muteParticipant', { roomId: room.id, userId: ben.id, until });
    const [one, two] = [await join(ann), await join(ben)];
    two.send({ type: 'typing', isTyping: true });
    expect(await two.next()).toEqual(error('forbidden', 'You are muted in this room'));
    await settled(one, 'muted');
    expect(one.received.filter(({ type }) => type === 'typing')).toEqual([]);
  });

  test('who joined later is not told what was before, under SINCE_JOINED', async () => {
    const kept = await makeRoom(naru, { owner: ann, historyVisibility: 'SINCE_JOINED' });
    const say = (message: object) => acts.act(ann, 'broadcastToRoom', { roomId: kept.id, message });
    await say({ type: 'secret' });
    await acts.say(ann, kept, 'secret');
    await acts.add(ann, kept, ben);
    const chat = await join(ben, `/rooms/${kept.roomId}`);
    await acts.say(ann, kept, 'hello');
    expect(await chat.next()).toMatchObject({ preview: 'hello', before: null });
    await say({ type: 'hello' });
    expect(await chat.next()).toMatchObject({ type: 'hello', before: { preview: 'hello' } });
  });
});

describe('who is in the room no more', () => {
  test.each([
    ['removed', () => acts.remove(ann, room, ben)],
    ['banned', () => acts.ban(ann, room, ben)],
    ['gone', () => acts.leave(ben, room)],
  ])('%s closes with 4401, and nothing after it is heard', async (_what, leave) => {
    const chat = await join(ben);
    await leave();
    await acts.say(ann, room, 'secret');
    expect(await chat.next()).toEqual(REFUSED);
    expect(await chat.closed).toEqual({ code: 4401, reason: 'unauthorized' });
  });

  test('a token that is revoked closes with 4401', async () => {
    const chat = await join(ben);
    await naru.app.database.query(
      'UPDATE personal_access_token SET revoked_at = naru_now() WHERE user_id = $1',
      [ben.userId],
    );
    expect((await chat.closed).code).toBe(4401);
  });

  test('a session that ends closes with 4401', async () => {
    const { accessToken } = await tokensOf(naru.url);
    const query = '{ viewer { id username } }';
    const { result } = await post(naru.url, { query }, accessToken);
    await acts.add(ann, room, result.data.viewer);
    const chat = await joinChat(naru.url, `/rooms/${room.roomId}`, { token: accessToken });
    await fetch(`${naru.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...bearer(accessToken) },
      body: JSON.stringify({ query: 'mutation { signOut { __typename } }' }),
    });
    expect((await chat.closed).code).toBe(4401);
  });
});

describe('limits', () => {
  test('a frame over 16 KiB closes with 1009', async () => {
    const chat = await join(ann);
    chat.send(`{"type":"typing","x":"${'x'.repeat(16 * 1_024)}"}`);
    expect((await chat.closed).code).toBe(1009);
  });

  test('too many frames are told so, passed over, and then close with 1013', async () => {
    const chat = await join(ann);
    // The one that let it in counts, too.
    for (let t = 1; t < 50; t += 1) chat.send({ type: 'ping', t });
    for (let t = 1; t < 50; t += 1) expect(await chat.next()).toEqual({ type: 'pong', t });
    chat.send({ type: 'ping', t: 50 });
    expect(await chat.next()).toEqual(error('rate_limited', 'at most 50 frames in 10 s'));
    clock.pass(10_000);
    chat.send({ type: 'ping', t: 51 });
    expect(await chat.next()).toEqual({ type: 'pong', t: 51 });
    for (let t = 0; t < 100; t += 1) chat.send({ type: 'ping', t });
    expect((await chat.closed).code).toBe(1013);
  });

  test('who does not read is sent no more, and sent away at the next deadline', async () => {
    const sent: string[] = [];
    const closed: number[] = [];
    let isBehind = false;
    let drain = () => {};
    const chat = serveChat(
      naru.app,
      {
        send: (text) => {
          sent.push(text);
          return new Promise((resolve) => {
            drain = resolve;
          });
        },
        close: (code) => void closed.push(code),
        isBehind: () => isBehind,
      },
      {
        roomName: room.roomId,
        connectionId: 'slow',
        requestId: 'test',
        client: { ipAddress: '127.0.0.1', userAgent: null },
      },
      { watchCredential: () => () => {}, clock },
    );
    const created = () => sent.filter((text) => text.startsWith('{"type":"message.created"'));
    const other = await join(ann);
    chat.take(JSON.stringify({ type: 'auth', token: ben.token }));
    await until(() => sent.includes('{"type":"auth:ok"}'));
    isBehind = true;
    for (const body of ['one', 'two', 'three']) await acts.say(ann, room, body);
    for (const _ of 'abc') await other.nextOf('message.created');
    await until(() => created().length > 0);
    await settled(other, 'unread');
    expect(created()).toHaveLength(1);
    isBehind = false;
    drain();
    await until(() => created().length === 3);
    isBehind = true;
    clock.pass(30_000);
    expect(closed).toEqual([1013]);
  });

  test('a PostgreSQL that is away is told apart from a refusal: 1013', async () => {
    const frames: unknown[] = [];
    const query = async () => {
      throw new UnavailableError('PostgreSQL is away');
    };
    const app = Object.create(naru.app, { database: { value: { ...naru.app.database, query } } });
    const closed = new Promise((resolve) => {
      const peer = {
        send: async (text: string) => void frames.push(JSON.parse(text)),
        close: resolve,
        isBehind: () => false,
      };
      const client = { ipAddress: '127.0.0.1', userAgent: null };
      const request = { roomName: room.roomId, connectionId: 'c', requestId: 'test', client };
      serveChat(app, peer, request, { watchCredential: () => () => {}, clock }).take(
        JSON.stringify({ type: 'auth', token: ben.token }),
      );
    });
    expect(await closed).toBe(1013);
    expect(frames.at(-1)).toEqual(error('unavailable', 'try again later'));
  });

  test('everything is let go of with the connection', async () => {
    const chat = await join(ben);
    await until(() => naru.app.roomFeed.size > 0);
    chat.ws.terminate();
    // Whatever the other tests left open is closed by then, too.
    clock.pass(60_000);
    await until(() => naru.app.roomFeed.size === 0);
  });
});

test('a server that stops tells its clients to come back with 1012', async () => {
  const other = await startNaru({ database: naru.database, runsJobs: false });
  const chat = await joinChat(other.url, `/rooms/${room.roomId}`, { token: ann.token });
  const waiting = openChat(other.url, `/rooms/${encodeGlobalId('Room', room.roomId)}`);
  await waiting.next();
  await other.close();
  expect((await chat.closed).code).toBe(1012);
  expect((await waiting.closed).code).toBe(1012);
});
