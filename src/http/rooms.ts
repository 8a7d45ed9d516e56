// The chat worker's two requests, as its backends send them: the order of its checks and its bodies are part of
// what they know.
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Viewer } from '#auth/viewer.ts';
import type { Services } from '#context.ts';
import { InvalidInputError, RateLimitedError } from '#lib/errors.ts';
import { equalInConstantTime } from '#lib/hmac.ts';
import { newId } from '#lib/ids.ts';
import { mayBroadcast, parseBroadcast, sendBroadcast } from '#resolvers/rooms/broadcast.ts';
import { admitToRoom, viewerOfToken } from '#resolvers/rooms/chat-guest.ts';
import { findLastMessage } from '#resolvers/rooms/last-message.ts';
import type { PositionRange } from '#resolvers/rooms/membership.ts';
import { findNamedRoom, type NamedRoom, roomNameOf } from '#resolvers/rooms/named-room.ts';
import { mayAskToEnter } from './chat-entry.ts';
import { lastFrame } from './chat-frames.ts';

/** A message of 16 KiB in whatever spelling, and whom to leave out. */
export const BROADCAST_BODY_BYTES_MAX = 128 * 1_024;

/** Of one account's tokens; a backend with the token of its own is not counted. */
const BROADCASTS = { limit: 600, windowSeconds: 60 };
const EVERYTHING: PositionRange = { from: 0n, to: null };

/** 200 once the broadcast is stored and will go out. */
export async function postBroadcast(
  app: Services,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const body = readBody(request.body);
  // Before anybody is asked who they are, as it always was.
  const roomName = roomNameOf(body['roomId']);
  if (roomName === null) return refuse(reply, 'roomId required');
  const room = await findNamedRoom(app, roomName);
  const sender = await senderOf(app, request, room);
  if (sender === null) return unauthorized(reply);
  if (body['message'] === undefined || body['message'] === null) {
    return refuse(reply, 'roomId and message required');
  }
  if (room === null) return refuse(reply, 'wrong room instance');
  try {
    const broadcast = parseBroadcast(body['message'], body['excludeConnectionIds'] ?? []);
    if (sender !== 'backend') await takeBudget(app, sender);
    await sendBroadcast(app, room, broadcast);
  } catch (error) {
    if (error instanceof InvalidInputError) return refuse(reply, error.message);
    throw error;
  }
  return reply.send({ success: true });
}

/** What the room's clients were shown last; null also for a room that nobody knows. */
export async function getLastMessage(
  app: Services,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const { roomId } = request.params as { readonly roomId: string };
  const roomName = roomNameOf(roomId);
  if (roomName === null) return refuse(reply, 'roomId required');
  const room = await findNamedRoom(app, roomName);
  // Whoever asks for somebody may make us ask a backend about them.
  if (!isBackend(app, request) && !(await mayAskToEnter(app, request.ip))) {
    throw new RateLimitedError('Too many questions', 1);
  }
  const range = await readableBySender(app, request, room);
  if (range === null) return unauthorized(reply);
  const last = room && (await findLastMessage(app, room, range));
  return reply.send({ success: true, lastMessage: lastFrame(last, roomName), roomId: roomName });
}

/** Null for who may not send there, alike for a room that is not there. */
async function senderOf(
  app: Services,
  request: FastifyRequest,
  room: NamedRoom | null,
): Promise<'backend' | Viewer | null> {
  if (isBackend(app, request)) return 'backend';
  const token = bearerOf(request);
  const viewer = token === null ? null : await viewerOfToken(app, token);
  if (viewer === null || !viewer.scopes.has('rooms:broadcast')) return null;
  return (await mayBroadcast(app, viewer, room?.roomId ?? null)) ? viewer : null;
}

async function readableBySender(
  app: Services,
  request: FastifyRequest,
  room: NamedRoom | null,
): Promise<PositionRange | null> {
  if (isBackend(app, request)) return EVERYTHING;
  const token = bearerOf(request);
  if (token === null) return null;
  const guest = await admitToRoom(app, room, {
    token,
    claimedUserId: null,
    client: { ipAddress: request.ip, userAgent: request.headers['user-agent'] ?? null },
    isGone: () => request.raw.socket.destroyed,
    requestId: newId(),
  });
  return guest === null ? null : guest.readableNow();
}

function isBackend({ config }: Services, { headers }: FastifyRequest): boolean {
  const { webhookToken } = config;
  if (webhookToken === null || headers.authorization === undefined) return false;
  return equalInConstantTime(headers.authorization, `Bearer ${webhookToken}`);
}

function bearerOf({ headers }: FastifyRequest): string | null {
  return /^bearer +(\S+)$/i.exec(headers.authorization?.trim() ?? '')?.[1] ?? null;
}

async function takeBudget({ quotas }: Services, { userId }: Viewer): Promise<void> {
  const [given] = await quotas.take([
    { name: 'broadcast', key: userId, quota: BROADCASTS, units: 1, isDivisible: false },
  ]);
  if (given?.given === 1) return;
  throw new RateLimitedError('Too many broadcasts', given?.retryAfterSeconds ?? 1);
}

/** Whatever it was sent as: the worker read every body as JSON. An empty one is as good as none. */
function readBody(body: unknown): Readonly<Record<string, unknown>> {
  try {
    const parsed: unknown = Buffer.isBuffer(body) ? JSON.parse(body.toString()) : null;
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function refuse(reply: FastifyReply, error: string): FastifyReply {
  return reply.code(400).send({ success: false, error });
}

function unauthorized(reply: FastifyReply): FastifyReply {
  return reply.code(401).type('text/plain; charset=utf-8').send('Unauthorized');
}
