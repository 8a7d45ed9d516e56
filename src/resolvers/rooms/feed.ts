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

const READ_PAGE = `
  SELECT e.position, e.kind, e.user_id AS "userId", e.actor_id AS "actorId",
         e.left_reason AS "leftReason", e.created_at AS "createdAt", message, participant, room
  FROM (SELECT * FROM room_event WHERE room_id = $1 AND position > $2
        ORDER BY position LIMIT $3) e
  CROSS JOIN LATERAL (SELECT to_jsonb(row) AS room FROM (
    SELECT ${ROOM_COLUMNS} FROM room r WHERE r.id = $1 AND r.epoch = $4) row) r
  LEFT JOIN LATERAL (SELECT to_jsonb(row) AS message FROM (
    SELECT ${messageColumns()} FROM chat_message m WHERE m.id = e.message_id) row) m ON true
  LEFT JOIN LATERAL (SELECT to_jsonb(row) AS participant FROM (
    SELECT ${MEMBERSHIP_COLUMNS} FROM room_participant p JOIN room r ON r.id = p.room_id
    WHERE p.room_id = $1 AND p.user_id = e.user_id) row) p ON true
  ORDER BY e.position`;

interface PageRow
  extends Pick<RoomFeedItem, 'kind' | 'userId' | 'actorId' | 'leftReason' | 'createdAt'> {
  readonly position: string;
  readonly message: MessageRow | null;
  readonly participant: MembershipRow | null;
  readonly room: RoomRow;
}

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
      const rows = await sql.query<PageRow>(
        READ_PAGE,
        [key, after.toString(), limit, epoch],
        'read-room-feed',
      );
      return rows.map(({ position, message, participant, room, ...row }) => ({
        ...row,
        roomId: key,
        position: BigInt(position),
        message: message && messageOf(message),
        participant: participant && membershipOf(participant),
        room: roomOf(room),
      }));
    },
    positionOf: (item) => item.position,
    bytesOf: ({ message }) =>
      message === null
        ? 1_024
        : 2_048 +
          2 * (message.body?.length ?? 0) +
          message.attachments.length * 512 +
          message.reactions.reduce((sum, { userIds }) => sum + 64 + userIds.length * 40, 0),
  };
}
