import type { Context } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { ConflictError, IdempotencyMismatchError, InvalidInputError } from '#lib/errors.ts';
import { fingerprintOf } from '#lib/fingerprint.ts';
import { newId } from '#lib/ids.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { forgetMembership } from './access.ts';
import {
  covers,
  isIn,
  MEMBERSHIP_COLUMNS,
  type Membership,
  type MembershipRow,
  membershipOf,
  readableRange,
} from './membership.ts';
import {
  type GivenAttachment,
  parseAttachments,
  parseBody,
  parseClientMessageId,
  parseMentions,
} from './message-input.ts';
import type { ChatMessage } from './message-row.ts';
import { getMessage, noSuchMessage } from './read-message.ts';
import { requireLive, requireVoice } from './write-message.ts';
import { noSuchRoom, type RoomWrite, writeRoom } from './write-room.ts';

export interface NewMessage {
  readonly roomId: string;
  readonly clientMessageId: string;
  readonly body: string;
  readonly replyToId?: string | null | undefined;
  readonly mentionIds: readonly string[];
  readonly attachments: readonly GivenAttachment[];
}

type Content = Pick<ChatMessage, 'body' | 'replyToId' | 'mentionIds' | 'attachments'>;

interface Ready {
  readonly roomId: string;
  readonly userId: string;
  readonly clientMessageId: string;
  readonly content: Content;
  readonly fingerprint: Buffer;
}

/**
 * Stores a message with the room's next place and sequence, and moves the author's read marker to it. The same
 * `clientMessageId` again, by the same author in the same room, is answered with the message as it is now, also in
 * an archived room and by who is muted since; once deleted, whatever it comes with. Throws `NotFoundError` for who
 * is not in the room, and for a `replyToId` that they may not read there, `IdempotencyMismatchError`,
 * `ConflictError` in an archived room and a DIRECT one that the other has left, `ForbiddenError` for who is muted,
 * and `InvalidInputError`.
 */
export async function sendMessage(ctx: Context, input: NewMessage): Promise<ChatMessage> {
  const ready = parseMessage(input, requireViewer(ctx).userId);
  // Without the lock: neither a retry nor a stranger makes the room wait.
  const known = findSent(await decide(ctx.database, ready), ready);
  if (known !== null) return getMessage(ctx, known);
  const sent = await writeRoom(ctx, ready.roomId, (write) => storeMessage(write, ready));
  forgetMembership(ctx, ready.roomId);
  return typeof sent === 'string' ? getMessage(ctx, sent) : sent;
}

function parseMessage(input: NewMessage, userId: string): Ready {
  const attachments = parseAttachments(input.attachments);
  const content: Content = {
    body: parseBody(input.body, { mayBeEmpty: attachments.length > 0 }),
    replyToId: input.replyToId ?? null,
    mentionIds: parseMentions(input.mentionIds),
    attachments,
  };
  return {
    roomId: input.roomId,
    userId,
    clientMessageId: parseClientMessageId(input.clientMessageId),
    content,
    fingerprint: fingerprintOf(content),
  };
}

interface Decision {
  readonly membership: Membership;
  readonly sentId: string | null;
  /** Empty once the message is deleted: nothing is kept of what it said. */
  readonly fingerprint: Buffer | null;
  readonly replyPosition: bigint | null;
  /** How many of whom it mentions are in the room. */
  readonly mentioned: number;
}

const DECIDE = `
  SELECT ${MEMBERSHIP_COLUMNS}, m.id AS "sentId", m.fingerprint,
    (SELECT o.position FROM chat_message o WHERE o.id = $4 AND o.room_id = $1) AS "replyPosition",
    (SELECT count(*)::int FROM room_participant q
     WHERE q.room_id = $1 AND q.user_id = ANY($5) AND q.left_position IS NULL) AS mentioned
  FROM room_participant p JOIN room r ON r.id = p.room_id
  LEFT JOIN chat_message m ON m.room_id = p.room_id AND m.author_id = p.user_id
    AND m.client_message_id = $3
  WHERE p.room_id = $1 AND p.user_id = $2`;

type DecisionRow = MembershipRow &
  Omit<Decision, 'membership' | 'replyPosition'> & { readonly replyPosition: string | null };

/** All that it depends on, in one statement. Throws `NotFoundError` for who is not in the room. */
async function decide(sql: Sql, ready: Ready): Promise<Decision> {
  const { roomId, userId, clientMessageId, content } = ready;
  const [row] = await sql.query<DecisionRow>(
    DECIDE,
    [roomId, userId, clientMessageId, content.replyToId, content.mentionIds],
    'decide-send',
  );
  if (row === undefined) throw noSuchRoom();
  const { sentId, fingerprint, replyPosition, mentioned, ...rest } = row;
  const membership = membershipOf(rest);
  if (!isIn(membership)) throw noSuchRoom();
  return {
    membership,
    sentId,
    fingerprint,
    replyPosition: replyPosition === null ? null : BigInt(replyPosition),
    mentioned,
  };
}

/** The id of the message that this is again; null where it is a new one. */
function findSent({ sentId, fingerprint }: Decision, ready: Ready): string | null {
  if (sentId === null || fingerprint === null) return null;
  if (fingerprint.length === 0 || fingerprint.equals(ready.fingerprint)) return sentId;
  throw new IdempotencyMismatchError('This clientMessageId was used for another message');
}

/** The new message; or the id of the one that came first while this waited for the lock. */
async function storeMessage(write: RoomWrite, ready: Ready): Promise<ChatMessage | string> {
  const decision = await decide(write.sql, ready);
  const known = findSent(decision, ready);
  if (known !== null) return known;
  const { membership, replyPosition, mentioned } = decision;
  const { roomId, userId, clientMessageId, content, fingerprint } = ready;
  requireLive(write);
  requireHearer(write);
  requireVoice(membership);
  if (content.replyToId !== null) {
    const isReadable = replyPosition !== null && covers(readableRange(membership), replyPosition);
    if (!isReadable) throw noSuchMessage();
  }
  requireMentioned(mentioned === content.mentionIds.length);
  const id = newId();
  const { position, sequence } = write.appendMessage(id, userId);
  const [stored] = await write.sql.query<{ createdAt: Date }>(
    STORE,
    [
      id,
      roomId,
      sequence.toString(),
      position.toString(),
      userId,
      clientMessageId,
      fingerprint,
      content.body,
      content.replyToId,
      JSON.stringify(content.attachments),
      content.mentionIds,
    ],
    'store-message',
  );
  if (stored === undefined) throw new Error('A message was not stored');
  return {
    ...content,
    id,
    roomId,
    sequence,
    position,
    authorId: userId,
    clientMessageId,
    createdAt: stored.createdAt,
    revision: 0,
    editedAt: null,
    deletedAt: null,
    deletedById: null,
    reactions: [],
  };
}

/** Throws `ConflictError` in a DIRECT room that the other has left: what is said there would reach nobody. */
function requireHearer({ room }: RoomWrite): void {
  if (room.kind === 'DIRECT' && room.participantCount < 2) {
    throw new ConflictError('The other has left this room');
  }
}

/** Throws `InvalidInputError` unless everybody who is mentioned is in the room. */
export function requireMentioned(areIn: boolean): void {
  if (areIn) return;
  throw new InvalidInputError('Only who is in the room can be mentioned', 'input.mentionIds');
}

// The author's marker needs no news of its own: the message tells it.
const STORE = `
  WITH message AS (
    INSERT INTO chat_message (id, room_id, sequence, position, author_id, client_message_id,
      fingerprint, body, reply_to_id, attachments, mention_ids)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
    RETURNING created_at
  ), mentioned AS (
    INSERT INTO chat_mention (room_id, user_id, sequence, message_id)
    SELECT $2, user_id, $3, $1 FROM unnest($11::uuid[]) AS user_id
  ), read AS (
    UPDATE room_participant SET read_sequence = greatest(read_sequence, $3), read_at = naru_now()
    WHERE room_id = $2 AND user_id = $5
  )
  SELECT created_at AS "createdAt" FROM message`;
