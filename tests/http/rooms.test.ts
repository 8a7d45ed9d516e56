// The chat worker's two requests (wire-contracts §4.1).
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Scope } from '#auth/scopes.ts';
import { addAccount } from '../support/accounts.ts';
import { type ChatBackend, startChatBackend } from '../support/chat-backend.ts';
import { type ChatFrame, joinChat } from '../support/chat-client.ts';
import { post } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { createActs } from '../support/room-acts.ts';
import { addMembers, type MadeRoom, type Member, makeRoom } from '../support/rooms.ts';

const WEBHOOK_TOKEN = 'a-token-of-the-backend';

let naru: TestNaru;
/** On the same database, with a backend that has rooms of its own. */
let withBackend: TestNaru;
let backend: ChatBackend;
let ann: Member;
let ben: Member;
let room: MadeRoom;

const acts = createActs(() => naru.url);

beforeAll(async () => {
  backend = await startChatBackend();
  naru = await startNaru({ settings: { WEBHOOK_TOKEN } });
  withBackend = await startNaru({
    settings: { WEBHOOK_TOKEN, BACKEND_ORIGIN: backend.origin },
    database: naru.database,
    runsJobs: false,
  });
});
afterAll(async () => {
  await withBackend?.close();
  await naru?.close();
  await backend?.close();
});
beforeEach(async () => {
  [ann, ben] = (await addMembers(naru, 2)) as [Member, Member];
  room = await makeRoom(naru, { owner: ann, members: [ben] });
});

type Answer = readonly [number, unknown];

async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.startsWith('application/json') ?? false;
  return [response.status, isJson ? JSON.parse(text) : text];
}

async function broadcast(
  body: unknown,
  token: string | null = WEBHOOK_TOKEN,
  url = naru.url,
): Promise<Answer> {
  return answerOf(
    await fetch(`${url}/api/broadcast`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token !== null && { authorization: `Bearer ${token}` }),
      },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    }),
  );
}

async function lastMessage(
  name: string,
  token: string | null = WEBHOOK_TOKEN,
  url = naru.url,
): Promise<Answer> {
  const headers = token === null ? {} : { authorization: `Bearer ${token}` };
  return answerOf(await fetch(`${url}/api/last-message/${encodeURIComponent(name)}`, { headers }));
}

const failed = (error: string): Answer => [400, { success: false, error }];
const UNAUTHORIZED: Answer = [401, 'Unauthorized'];
const DONE: Answer = [200, { success: true }];

const message = { type: 'message.created', id: 'm123', preview: 'hi' };
const scripted = (member: Member, scopes: readonly Scope[]) =>
  naru.tokenFor(member.username, scopes);

describe('POST /api/broadcast', () => {
  test.each([
    ['nothing', ''],
    ['no JSON', '{'],
    ['no object', '[1]'],
    ['no room', { message }],
    ['an empty room', { roomId: '', message }],
    ['a room that no text names', { roomId: {}, message }],
    ['a room of too many characters', { roomId: 'x'.repeat(201), message }],
  ])('%s is told so before anybody is asked who they are', async (_what, body) => {
    expect(await broadcast(body, null)).toEqual(failed('roomId required'));
  });

  test.each([
    ['no token', null],
    ['another', `${WEBHOOK_TOKEN}x`],
    ['none', ''],
  ])('%s is 401 in plain text, before the message is looked at', async (_what, token) => {
    expect(await broadcast({ roomId: room.roomId }, token)).toEqual(UNAUTHORIZED);
    expect(await broadcast({ roomId: 'no such room', message }, token)).toEqual(UNAUTHORIZED);
  });

  test('a message is required, and then a room', async () => {
    for (const roomId of [room.roomId, 'no such room']) {
      expect(await broadcast({ roomId })).toEqual(failed('roomId and message required'));
    }
    expect(await broadcast({ roomId: 'no such room', message })).toEqual(
      failed('wrong room instance'),
    );
  });

  test.each([
    ['text', 'hi'],
    ['a list', [message]],
    ['over 16 KiB', { text: '가'.repeat(6_000) }],
    ['U+0000', { text: 'a\u0000' }],
    ['U+0000 in a name', { 'a\u0000': 1 }],
    ['half a surrogate pair', { text: 'a\ud800' }],
    ['33 levels', Array.from({ length: 33 }).reduce((inner) => ({ inner }), {})],
  ])('a message that is %s is refused', async (_what, given) => {
    const [status, body] = await broadcast({ roomId: room.roomId, message: given });
    expect([status, body]).toMatchObject([400, { success: false }]);
  });

  test.each([
    ['text'],
    [['a'.repeat(65)]],
    [['a\u0000']],
    [['\ud800']],
    [[7]],
    [Array.from({ length: 101 }, () => 'a')],
  ])('connections to leave out that are none are refused', async (excludeConnectionIds) => {
    const answer = await broadcast({ roomId: room.roomId, message, excludeConnectionIds });
    expect(answer).toMatchObject([400, { success: false }]);
  });

  test('a body over 128 KiB is 413', async () => {
    const [status] = await broadcast({ roomId: room.roomId, message, x: 'x'.repeat(2 ** 17) });
    expect(status).toBe(413);
  });

  test('200, and everybody who follows has it, by all of the room’s names', async () => {
    const externalId = `conv-${randomUUID()}`;
    const { id, roomId } = await makeRoom(naru, { owner: ann, externalId });
    const chat = await joinChat(naru.url, `/rooms/${roomId}`, { token: ann.token });
    for (const name of [id, roomId, externalId]) {
      expect(await broadcast({ roomId: name, message: { type: 'hi', name } })).toEqual(DONE);
      expect(await chat.next()).toMatchObject({ type: 'hi', name });
    }
  });

  test('names that mean something to JavaScript are names like others', async () => {
    const chat = await joinChat(naru.url, `/rooms/${room.roomId}`, { token: ann.token });
    const text = '{"type":"hi","__proto__":{"type":"x"},"constructor":1,"toJSON":2}';
    expect(await broadcast(`{"roomId":"${room.roomId}","message":${text}}`)).toEqual(DONE);
    expect(await chat.next()).toMatchObject({ type: 'hi', constructor: 1, toJSON: 2 });
  });

  test('a token of an account, of an owner or moderator who is not muted', async () => {
    const body = { roomId: room.roomId, message };
    expect(await broadcast(body, ben.token)).toEqual(UNAUTHORIZED);
    await acts.act(ann, 'setParticipantRole', {
      roomId: room.id,
      userId: ben.id,
      role: 'MODERATOR',
    });
    expect(await broadcast(body, await scripted(ben, ['rooms:broadcast']))).toEqual(DONE);
    expect(await broadcast(body, await scripted(ben, ['rooms:read']))).toEqual(UNAUTHORIZED);
    const [stranger] = (await addMembers(naru, 1)) as [Member];
    expect(await broadcast(body, stranger.token)).toEqual(UNAUTHORIZED);
    expect(await broadcast({ ...body, roomId: 'no such room' }, stranger.token)).toEqual(
      UNAUTHORIZED,
    );
    const until = new Date(Date.now() + 3_600_000).toISOString();
    await acts.act(ann, 'muteParticipant', { roomId: room.id, userId: ben.id, until });
    expect(await broadcast(body, ben.token)).toEqual(UNAUTHORIZED);
    await acts.remove(ann, room, ben);
    expect(await broadcast(body, ben.token)).toEqual(UNAUTHORIZED);
  });

  test('a token for known documents alone does nothing else', async () => {
    await naru.app.database.query(
      'UPDATE personal_access_token SET trusted_documents_only = true WHERE user_id = $1',
      [ben.userId],
    );
    expect(await broadcast({ roomId: room.roomId, message }, ben.token)).toEqual(UNAUTHORIZED);
    expect(await lastMessage(room.id, ben.token)).toEqual(UNAUTHORIZED);
    const joining = joinChat(naru.url, `/rooms/${room.roomId}`, { token: ben.token });
    await expect(joining).rejects.toThrow('not a participant');
  });

  test('an operator may into any room', async () => {
    const { login } = await addAccount(naru.app.database.query, ['USER', 'OPERATOR']);
    const token = await naru.tokenFor(login, ['rooms:broadcast']);
    expect(await broadcast({ roomId: room.roomId, message }, token)).toEqual(DONE);
    expect(await broadcast({ roomId: 'no such room', message }, token)).toEqual(
      failed('wrong room instance'),
    );
  });

  test('a room of the backend’s need not be known', async () => {
    const roomId = `conv-${randomUUID()}`;
    expect(await broadcast({ roomId, message }, WEBHOOK_TOKEN, withBackend.url)).toEqual(DONE);
    expect(await lastMessage(roomId, WEBHOOK_TOKEN, withBackend.url)).toEqual([
      200,
      { success: true, lastMessage: message, roomId },
    ]);
    expect(await broadcast({ roomId: 7, message }, WEBHOOK_TOKEN, withBackend.url)).toEqual(DONE);
  });

  test('broadcasts at once follow each other, each with the one before', async () => {
    const chat = await joinChat(naru.url, `/rooms/${room.roomId}`, { token: ann.token });
    const numbers = Array.from({ length: 30 }, (_, number) => number);
    await Promise.all(
      numbers.map((number) =>
        broadcast(
          { roomId: room.roomId, message: { type: 'hi', number } },
          WEBHOOK_TOKEN,
          [naru.url, withBackend.url][number % 2],
        ),
      ),
    );
    const frames: ChatFrame[] = [];
    for (const _ of numbers) frames.push(await chat.next());
    expect(frames.map((frame) => frame['number']).toSorted((a, b) => a - b)).toEqual(numbers);
    frames.forEach((frame, index) => {
      const before = frames[index - 1];
      expect(frame['before']).toEqual(before ? { type: 'hi', number: before['number'] } : null);
    });
  });
});

describe('GET /api/last-message', () => {
  const created = (id: string, preview: string) => ({
    type: 'message.created',
    id,
    conversationId: room.id,
    preview,
  });
  const found = (last: unknown): Answer => [
    200,
    { success: true, lastMessage: last, roomId: room.id },
  ];

  test('is the newer of the last message and the last broadcast', async () => {
    expect(await lastMessage(room.id)).toEqual(found(null));
    const first = await acts.say(ann, room, 'hello');
    expect(await lastMessage(room.id)).toEqual(found(created(first, 'hello')));
    await broadcast({ roomId: room.id, message });
    expect(await lastMessage(room.id)).toEqual(found(message));
    const second = await acts.say(ben, room, 'again');
    expect(await lastMessage(room.id)).toEqual(found(created(second, 'again')));
    await acts.erase(ben, second);
    expect(await lastMessage(room.id)).toEqual(found(message));
  });

  test('is shown to who is in the room, and to nobody else', async () => {
    await acts.say(ann, room, 'hello');
    const [stranger] = (await addMembers(naru, 1)) as [Member];
    expect((await lastMessage(room.id, ben.token))[0]).toBe(200);
    for (const token of [null, 'none', stranger.token, await scripted(ben, ['viewer:read'])]) {
      expect(await lastMessage(room.id, token)).toEqual(UNAUTHORIZED);
      expect(await lastMessage('no such room', token)).toEqual(UNAUTHORIZED);
    }
    await acts.remove(ann, room, ben);
    expect(await lastMessage(room.id, ben.token)).toEqual(UNAUTHORIZED);
  });

  test('of a room that nobody knows there is none', async () => {
    expect(await lastMessage('no such room')).toEqual([
      200,
      { success: true, lastMessage: null, roomId: 'no such room' },
    ]);
  });

  test('of a backend’s room is shown to who the backend lets in', async () => {
    const name = `conv/${randomUUID()}`;
    backend.admit(name, 'jwt');
    await broadcast({ roomId: name, message }, WEBHOOK_TOKEN, withBackend.url);
    expect(await lastMessage(name, 'jwt', withBackend.url)).toEqual([
      200,
      { success: true, lastMessage: message, roomId: name },
    ]);
    expect(await lastMessage(name, 'other', withBackend.url)).toEqual(UNAUTHORIZED);
    expect(backend.faults).toEqual([]);
  });

  test('and what came before are the same after a restart', async () => {
    await broadcast({ roomId: room.id, message });
    const restarted = await startNaru({ settings: { WEBHOOK_TOKEN }, database: naru.database });
    expect(await lastMessage(room.id, WEBHOOK_TOKEN, restarted.url)).toEqual(found(message));
    const chat = await joinChat(restarted.url, `/rooms/${room.id}`, { token: ann.token });
    await broadcast({ roomId: room.id, message: { type: 'next' } }, WEBHOOK_TOKEN, restarted.url);
    expect(await chat.next()).toEqual({ type: 'next', before: message });
    await restarted.close();
  });
});

test('without WEBHOOK_TOKEN nobody is the backend, whatever they send', async () => {
  const bare = await startNaru({ database: naru.database, runsJobs: false });
  for (const token of ['', 'null', 'undefined', WEBHOOK_TOKEN]) {
    expect(await broadcast({ roomId: room.id, message }, token, bare.url)).toEqual(UNAUTHORIZED);
  }
  await bare.close();
});

describe('broadcastToRoom', () => {
  const send = (input: object) =>
    acts.act(ann, 'broadcastToRoom', input, '... on BroadcastToRoomSucceeded { broadcastId }');

  test('with the same idempotency key is one broadcast', async () => {
    const chat = await joinChat(naru.url, `/rooms/${room.roomId}`, { token: ben.token });
    const input = { roomId: room.id, message: { type: 'once' }, idempotencyKey: randomUUID() };
    const first = await send(input);
    expect(await send(input)).toEqual(first);
    expect(await send({ ...input, message: { type: 'other' } })).toMatchObject({
      __typename: 'IdempotencyMismatchError',
    });
    await send({ roomId: room.id, message: { type: 'last' } });
    expect(await chat.next()).toEqual({ type: 'once', before: null });
    expect(await chat.next()).toEqual({ type: 'last', before: { type: 'once' } });
  });

  test('says what is wrong with its input', async () => {
    const query = `mutation ($input: BroadcastToRoomInput!) { broadcastToRoom(input: $input) {
      __typename ... on InvalidInputError { field } } }`;
    const fieldOf = async (input: object) => {
      const variables = { input: { roomId: room.id, message: {}, ...input } };
      const { result } = await post(naru.url, { query, variables }, ann.token);
      return result.data.broadcastToRoom.field;
    };
    expect(await fieldOf({ message: 'text' })).toBe('input.message');
    expect(await fieldOf({ excludeConnectionIds: ['x'.repeat(65)] })).toBe(
      'input.excludeConnectionIds',
    );
  });

  test('is not for who is muted', async () => {
    const until = new Date(Date.now() + 3_600_000).toISOString();
    await acts.act(ann, 'muteParticipant', { roomId: room.id, userId: ben.id, until });
    expect(await acts.act(ben, 'broadcastToRoom', { roomId: room.id, message: {} })).toMatchObject({
      code: 'FORBIDDEN',
    });
  });
});
