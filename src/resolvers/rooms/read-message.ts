// Messages as one viewer may read them.
import { type Context, perContext } from '#context.ts';
import { createBatcher } from '#lib/batch.ts';
import { NotFoundError } from '#lib/errors.ts';
import { ROOM_FEED } from './feed.ts';
import { covers, readableRange } from './membership.ts';
import { type ChatMessage, type MessageRow, messageColumns, messageOf } from './message-row.ts';
import { READS, READS_FROM, READS_TO } from './readable-sql.ts';
import { noSuchRoom } from './write-room.ts';

/** A message; null where there is none that the viewer may read. Who left a room sees it as it was then. */
export async function findMessage(ctx: Context, id: string | null): Promise<ChatMessage | null> {
  const { viewer } = ctx;
  if (id === null || viewer === null || !viewer.scopes.has('rooms:read')) return null;
  const message = await ctx.loadMessage(id);
  if (message === undefined) return null;
  // After the message: whatever it shows was there before the answer that lets it through.
  const range = readableRange(await ctx.loadMembership(message.roomId, viewer.userId));
  if (!covers(range, message.position)) return null;
  return range?.to === null ? message : ((await loadAsOf(ctx)(id)) ?? null);
}

/** Throws `NotFoundError` alike for what is not there and for what is not the viewer's. */
export async function getMessage(ctx: Context, id: string): Promise<ChatMessage> {
  const message = await findMessage(ctx, id);
  if (message === null) throw noSuchMessage();
  return message;
}

export function noSuchMessage(): NotFoundError {
  return new NotFoundError('There is no such message for you');
}

const loadAsOf = perContext(({ viewer, database }) =>
  createBatcher<string, ChatMessage>(
    async (ids) => {
      const rows = await database.query<MessageRow>(
        `SELECT ${messageColumns('p.left_position')}
         FROM chat_message m JOIN room r ON r.id = m.room_id
         JOIN room_participant p ON p.room_id = m.room_id AND p.user_id = $2
         WHERE m.id = ANY($1) AND ${READS} AND m.position BETWEEN ${READS_FROM} AND ${READS_TO}`,
        [ids, viewer?.userId],
        'load-messages-as-of',
      );
      return new Map(rows.map((row) => [row.id, messageOf(row)]));
    },
    { concurrency: 1, keysMax: 1_000 },
  ),
);

/** The room's newest message that the viewer may read, deleted or not; null where there is none. */
export async function findNewestMessage(ctx: Context, roomId: string): Promise<ChatMessage | null> {
  const { viewer } = ctx;
  if (!viewer?.scopes.has('rooms:read')) return null;
  return (await ctx.loadNewestMessage(roomId, viewer.userId)) ?? null;
}

/** Its place in the room's feed: `roomEvents` goes on behind the sending of it. */
export async function cursorOfMessage(
  ctx: Context,
  { roomId, position }: Pick<ChatMessage, 'roomId' | 'position'>,
): Promise<string> {
  const room = await ctx.loadRoom(roomId);
  if (room === undefined) throw noSuchRoom();
  return ctx.roomFeed.cursors.encode({
    feed: ROOM_FEED,
    key: roomId,
    epoch: room.epoch,
    position,
  });
}

/** What a message was before an edit. */
export interface MessageEdit {
  readonly messageId: string;
  readonly revision: number;
  readonly body: string;
  readonly replacedAt: Date;
}

const edits = perContext(({ database }) =>
  createBatcher<string, readonly MessageEdit[]>(
    async (keys) => {
      const asked = keys.map((key) => key.split(' '));
      const rows = await database.query<MessageEdit>(
        `SELECT e.message_id AS "messageId", e.revision, e.body, e.created_at AS "replacedAt"
         FROM unnest($1::uuid[], $2::int[]) AS asked (message_id, count)
         CROSS JOIN LATERAL (
           SELECT * FROM chat_message_edit e WHERE e.message_id = asked.message_id
           ORDER BY e.revision DESC LIMIT asked.count) e
         ORDER BY e.revision DESC`,
        [asked.map(([id]) => id), asked.map(([, count]) => count)],
        'load-message-edits',
      );
      return new Map(
        keys.map((key) => [key, rows.filter(({ messageId }) => key.startsWith(messageId))]),
      );
    },
    { concurrency: 1, keysMax: 100 },
  ),
);

/** The latest of what the message was before, the last one first; whoever asks. */
export async function listEdits(
  ctx: Context,
  { id, revision }: Pick<ChatMessage, 'id' | 'revision'>,
  count: number,
): Promise<readonly MessageEdit[]> {
  return revision === 0 ? [] : ((await edits(ctx)(`${id} ${count}`)) ?? []);
}
