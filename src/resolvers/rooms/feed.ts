import type { Sql } from '#database/client.ts';
import type { Feed, FeedHead } from '#feeds/feed.ts';
import {
  type LeaveReason,
  MEMBERSHIP_COLUMNS,
  type Membership,
  type MembershipRow,
  membershipOf,
} from './membership.ts';
import { type ChatMessage, type MessageRow, messageColumns, messageOf } from './message-row.ts';
import { ROOM_COLUMNS, type Room, type RoomRow, roomOf } from './room-row.ts';
import type { RoomEventKind } from './write-room.ts';

/** The feed of each room; its key is the room's id. */
export const ROOM_FEED = 'room';

/**
 * An event of a room with what it is about, as that stands now: read once a node for all who follow. It is read
 * before anybody's permission is: whatever it shows was there before the answer that lets it through.
 */
export interface RoomFeedItem {
  readonly roomId: string;
  readonly position: bigint;
  readonly kind: RoomEventKind;
  readonly userId: string | null;
  readonly actorId: string | null;
  readonly leftReason: LeaveReason | null;
  readonly createdAt: Date;
  /** Of MESSAGE_… and REACTIONS_CHANGED. */
  readonly message: ChatMessage | null;
  /** Of PARTICIPANT_…: how they stand to the room now, which may be in it again. */
  readonly participant: Membership | null;
  readonly room: Room;
}

const READ_HEADS = `
  SELECT id AS key, epoch, last_position AS head FROM room WHERE id = ANY($1)`;

/** Of `room_event AS e`, with what it is about as it stands now: of one moment, since one statement reads it. */
export const EVENT_COLUMNS = `
  e.room_id AS "roomId", e.position, e.kind, e.user_id AS "userId", e.actor_id AS "actorId",
  e.left_reason AS "leftReason", e.created_at AS "createdAt",
  (SELECT to_jsonb(row) FROM (
    SELECT ${ROOM_COLUMNS} FROM room r WHERE r.id = e.room_id) row) AS room,
  (SELECT to_jsonb(row) FROM (
    SELECT ${messageColumns()} FROM chat_message m WHERE m.id = e.message_id) row) AS message,
  (SELECT to_jsonb(row) FROM (
    SELECT ${MEMBERSHIP_COLUMNS} FROM room_participant p JOIN room r ON r.id = p.room_id
    WHERE p.room_id = e.room_id AND p.user_id = e.user_id) row) AS participant`;

export interface EventRow
  extends Omit<RoomFeedItem, 'position' | 'message' | 'participant' | 'room'> {
  readonly position: string;
  readonly message: MessageRow | null;
  readonly participant: MembershipRow | null;
  readonly room: RoomRow;
}

export function eventOf({ position, message, participant, room, ...row }: EventRow): RoomFeedItem {
  return {
    ...row,
    position: BigInt(position),
    message: message && messageOf(message),
    participant: participant && membershipOf(participant),
    room: roomOf(room),
  };
}

/** Roughly what an event holds in memory. */
export function eventBytes({ message }: RoomFeedItem): number {
  if (message === null) return 1_024;
  return (
    2_048 +
    2 * (message.body?.length ?? 0) +
    message.attachments.length * 512 +
    message.reactions.reduce((sum, { userIds }) => sum + 64 + userIds.length * 40, 0)
  );
}

const READ_PAGE = `
  SELECT ${EVENT_COLUMNS} FROM room_event e
  WHERE e.room_id = $1 AND e.position > $2
    AND EXISTS (SELECT FROM room WHERE id = $1 AND epoch = $4)
  ORDER BY e.position LIMIT $3`;

export function createRoomFeed(sql: Sql): Feed<RoomFeedItem> {
  return {
    name: ROOM_FEED,
    async readHeads(keys) {
      const rows = await sql.query<{ key: string; epoch: string; head: string }>(
        READ_HEADS,
        [keys],
        'read-room-heads',
      );
      // A room's log is kept whole, for as long as the room.
      return new Map(
        rows.map(({ key, epoch, head }): [string, FeedHead] => [
          key,
          { epoch, head: BigInt(head), pruned: 0n },
        ]),
      );
    },
    async readPage({ key, epoch, after, limit }) {
      const rows = await sql.query<EventRow>(
        READ_PAGE,
        [key, after.toString(), limit, epoch],
        'read-room-feed',
      );
      return rows.map(eventOf);
    },
    positionOf: (item) => item.position,
    bytesOf: eventBytes,
  };
}
