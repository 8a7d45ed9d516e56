// Messages that other systems send into a room: live only, stored nowhere but as the channel's latest.
import { isOperator, type Viewer } from '#auth/viewer.ts';
import type { Context, Services } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { ForbiddenError, InvalidInputError } from '#lib/errors.ts';
import { newId } from '#lib/ids.ts';
import { type Announce, transact } from '#outbox.ts';
import { roomSignalled } from '#pubsub/topics/rooms.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { runOnce } from '#resolvers/users/idempotency.ts';
import { isConnectionId } from './connection-id.ts';
import { findLastBroadcast } from './last-message.ts';
import { isIn } from './membership.ts';
import type { NamedRoom } from './named-room.ts';
import { noSuchRoom } from './write-room.ts';

export const BROADCAST_BYTES_MAX = 16 * 1_024;
export const EXCLUDED_CONNECTIONS_MAX = 100;

const DEPTH_MAX = 32;

export interface Broadcast {
  readonly message: Readonly<Record<string, unknown>>;
  readonly excludeConnectionIds: readonly string[];
}

/** Throws `InvalidInputError`, whose `field` is below `input`. */
export function parseBroadcast(message: unknown, excludeConnectionIds: unknown = []): Broadcast {
  if (typeof message !== 'object' || message === null || Array.isArray(message)) {
    throw new InvalidInputError('The message is a JSON object', 'input.message');
  }
  if (!isStorable(message, 0)) {
    throw new InvalidInputError(
      `The message has no U+0000, no half of a surrogate pair, and at most ${DEPTH_MAX} levels`,
      'input.message',
    );
  }
  if (Buffer.byteLength(JSON.stringify(message)) > BROADCAST_BYTES_MAX) {
    throw new InvalidInputError(
      `The message has at most ${BROADCAST_BYTES_MAX} bytes of JSON`,
      'input.message',
    );
  }
  if (!isConnectionIds(excludeConnectionIds)) {
    throw new InvalidInputError(
      `At most ${EXCLUDED_CONNECTIONS_MAX} connection ids of 1 to 64 visible ASCII characters`,
      'input.excludeConnectionIds',
    );
  }
  return { message: { ...message }, excludeConnectionIds };
}

function isConnectionIds(value: unknown): value is readonly string[] {
  return (
    Array.isArray(value) &&
    value.length <= EXCLUDED_CONNECTIONS_MAX &&
    value.every((id) => typeof id === 'string' && isConnectionId(id))
  );
}

/** Whether PostgreSQL holds it as JSON, and nobody's stack ends over it. */
function isStorable(value: unknown, depth: number): boolean {
  if (typeof value === 'string') return value.isWellFormed() && !value.includes('\u0000');
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object' || value === null) return true;
  if (depth >= DEPTH_MAX) return false;
  return Object.entries(value).every(
    ([key, item]) => isStorable(key, depth) && isStorable(item, depth + 1),
  );
}

/**
 * Sends it to everybody who follows the channel, and keeps it as the channel's last. Resolves once both are
 * stored, with the broadcast's id: it goes out then, also where the bus was away. Broadcasts of a channel go out
 * in the order in which they were stored.
 */
export function sendBroadcast(
  app: Pick<Services, 'database' | 'session'>,
  room: Channel,
  broadcast: Broadcast,
): Promise<string> {
  return transact(app, (sql, announce) => storeBroadcast(sql, announce, room, broadcast));
}

type Channel = Pick<NamedRoom, 'channel' | 'roomId'>;

async function storeBroadcast(
  sql: Sql,
  announce: Announce,
  { channel, roomId }: Channel,
  { message, excludeConnectionIds }: Broadcast,
): Promise<string> {
  // The first of a channel has no row to lock.
  await sql.query(
    `SELECT pg_advisory_xact_lock(hashtextextended('broadcast ' || $1, 0))`,
    [channel],
    'lock-broadcasts',
  );
  const before = await findLastBroadcast(sql, channel);
  const [stored] = await sql.query<{ sentAt: Date; isAfterMessage: boolean }>(
    `INSERT INTO room_broadcast (channel, message, created_at) VALUES ($1, $2, naru_now())
     ON CONFLICT (channel) DO UPDATE SET message = excluded.message, created_at = excluded.created_at
     RETURNING created_at AS "sentAt", coalesce(
       (SELECT m.created_at > $4 FROM chat_message m WHERE m.room_id = $3
        ORDER BY m.sequence DESC LIMIT 1), false) AS "isAfterMessage"`,
    [channel, JSON.stringify(message), roomId, before?.createdAt ?? null],
    'store-broadcast',
  );
  if (stored === undefined) throw new Error('A broadcast was not stored');
  const broadcastId = newId();
  await announce(roomSignalled, channel, {
    type: 'BROADCAST',
    broadcastId,
    message: { ...message },
    excludeConnectionIds: [...excludeConnectionIds],
    sentAt: stored.sentAt.toISOString(),
    before: stored.isAfterMessage || before === null ? null : { ...before.message },
  });
  return broadcastId;
}

/**
 * Whether a token speaks for a server: of an operator into any room, of an owner or moderator who is not muted into
 * theirs. Never a session, which has every scope, nor any participant's token: clients of the chat worker take what is
 * broadcast for their server's word. Asks for no scope. False also for a room that is not there, but to operators.
 */
export async function mayBroadcast(
  app: Pick<Services, 'loadMembership'>,
  viewer: Viewer,
  roomId: string | null,
): Promise<boolean> {
  if (viewer.proof.kind !== 'token') return false;
  if (isOperator(viewer)) return true;
  if (roomId === null) return false;
  const membership = await app.loadMembership(roomId, viewer.userId);
  return isIn(membership) && membership.role !== 'MEMBER' && !membership.isMuted;
}

export interface BroadcastToRoomInput {
  readonly roomId: string;
  readonly message: unknown;
  readonly excludeConnectionIds?: readonly string[] | null | undefined;
  readonly idempotencyKey?: string | null | undefined;
}

/**
 * As `sendBroadcast`, by the viewer's token. Throws `NotFoundError` for a room that is not there or not theirs,
 * `ForbiddenError` for who `mayBroadcast` does not let, `InvalidInputError`, and what `runOnce` does.
 */
export async function broadcastToRoom(
  ctx: Context,
  input: BroadcastToRoomInput,
): Promise<{ readonly broadcastId: string }> {
  const viewer = requireViewer(ctx);
  const { roomId, message, excludeConnectionIds } = input;
  const broadcast = parseBroadcast(message, excludeConnectionIds ?? []);
  await requireBroadcaster(ctx, viewer, roomId);
  return transact(ctx, (sql, announce) =>
    runOnce(sql, ctx, viewer, {
      field: 'broadcastToRoom',
      input,
      effect: async () => {
        const broadcastId = await storeBroadcast(
          sql,
          announce,
          { channel: roomId, roomId },
          broadcast,
        );
        return { answer: { broadcastId }, reference: { broadcastId } };
      },
      replay: async ({ broadcastId }) => ({ broadcastId }),
    }),
  );
}

async function requireBroadcaster(ctx: Context, viewer: Viewer, roomId: string): Promise<void> {
  const [room, membership] = await Promise.all([
    ctx.loadRoom(roomId),
    ctx.loadMembership(roomId, viewer.userId),
  ]);
  const isKnown = room !== undefined && (isOperator(viewer) || isIn(membership));
  if (!isKnown) throw noSuchRoom();
  if (await mayBroadcast(ctx, viewer, roomId)) return;
  throw new ForbiddenError(
    'Only a personal access token broadcasts: of an operator, or of an owner or moderator of the room who is not muted',
  );
}
