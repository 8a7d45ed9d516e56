// Everything that happens in a room, and may be followed, is written here: in the room's order, with its
// place in the log, and with the news of it.
import type { Services } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { NotFoundError } from '#lib/errors.ts';
import { type Announce, transact } from '#outbox.ts';
import { roomLogged } from '#pubsub/topics/rooms.ts';
import {
  type LeaveReason,
  MEMBERSHIP_COLUMNS,
  type Membership,
  type MembershipRow,
  membershipOf,
} from './membership.ts';
import { ROOM_COLUMNS, type Room, type RoomRow, roomOf } from './room-row.ts';

export type RoomEventKind =
  | 'MESSAGE_SENT'
  | 'MESSAGE_EDITED'
  | 'MESSAGE_DELETED'
  | 'REACTIONS_CHANGED'
  | 'PARTICIPANT_JOINED'
  | 'PARTICIPANT_LEFT'
  | 'PARTICIPANT_UPDATED'
  | 'ROOM_UPDATED';

export interface NewRoomEvent {
  readonly kind: RoomEventKind;
  readonly messageId?: string;
  /** Whom it is about. */
  readonly userId?: string;
  /** Null for the system. */
  readonly actorId: string | null;
  readonly leftReason?: LeaveReason;
}

/** A transaction that holds the room's lock: nothing else happens in the room until it is over. */
export interface RoomWrite {
  readonly sql: Sql;
  readonly announce: Announce;
  /** As it was when the lock was taken. */
  readonly room: Room;
  /** As it stands under the lock, which a statement that waited for it would not see. */
  findMembership(userId: string): Promise<Membership | undefined>;
  /** The event's position, the room's next. It is stored, after all else, when the work is done. */
  append(event: NewRoomEvent): bigint;
  /** The next message's sequence; its event is appended in the same call. */
  appendMessage(
    messageId: string,
    actorId: string,
  ): {
    readonly position: bigint;
    readonly sequence: bigint;
  };
  /** More or fewer who are in the room. */
  countParticipants(change: number): void;
}

const LOCK = `SELECT ${ROOM_COLUMNS} FROM room r WHERE r.id = $1 FOR NO KEY UPDATE`;

const FIND_MEMBERSHIP = `
  SELECT ${MEMBERSHIP_COLUMNS} FROM room_participant p JOIN room r ON r.id = p.room_id
  WHERE p.room_id = $1 AND p.user_id = $2`;

const STORE = `
  WITH logged AS (
    INSERT INTO room_event (room_id, position, kind, message_id, user_id, actor_id, left_reason)
    SELECT $1, * FROM jsonb_to_recordset($2::jsonb) AS row
      (position bigint, kind room_event_kind, message_id uuid, user_id uuid, actor_id uuid,
       left_reason leave_reason)
  )
  UPDATE room SET last_position = $3, last_sequence = $4, participant_count = participant_count + $5
  WHERE id = $1`;

type RoomServices = Pick<Services, 'database' | 'session' | 'roomFeed'>;

/**
 * Runs `work` under the room's lock. What it appended takes the room's next positions and is announced with the
 * commit; where it appended nothing, nobody is told of anything. Throws `NotFoundError` where there is no room.
 *
 * What decides whether something may be done is read inside `work`: a participant removed while this waited for
 * the lock is not there any more.
 */
export async function writeRoom<Result>(
  app: RoomServices,
  roomId: string,
  work: (write: RoomWrite) => Promise<Result>,
): Promise<Result> {
  let head: bigint | null = null;
  const result = await transact(app, async (sql, announce) => {
    const write = await lockRoom(sql, announce, roomId);
    const answer = await work(write);
    head = await write.store();
    return answer;
  });
  // Sooner than the bus will: followers on this node read on at once.
  if (head !== null) app.roomFeed.notice(roomId, head);
  return result;
}

/** For a transaction that does more than write one room; the caller calls `store` last, and once. */
export async function lockRoom(
  sql: Sql,
  announce: Announce,
  roomId: string,
): Promise<RoomWrite & { store(): Promise<bigint | null> }> {
  const [row] = await sql.query<RoomRow>(LOCK, [roomId], 'lock-room');
  if (row === undefined) throw noSuchRoom();
  const room = roomOf(row);
  const events: (NewRoomEvent & { readonly position: bigint })[] = [];
  let position = room.lastPosition;
  let sequence = room.lastSequence;
  let joined = 0;

  const append = (event: NewRoomEvent) => {
    position += 1n;
    events.push({ ...event, position });
    return position;
  };

  return {
    sql,
    announce,
    room,
    async findMembership(userId) {
      const [found] = await sql.query<MembershipRow>(
        FIND_MEMBERSHIP,
        [roomId, userId],
        'find-membership',
      );
      return found && membershipOf(found);
    },
    append,
    appendMessage(messageId, actorId) {
      sequence += 1n;
      return { position: append({ kind: 'MESSAGE_SENT', messageId, actorId }), sequence };
    },
    countParticipants(change) {
      joined += change;
    },
    async store() {
      if (events.length === 0) return null;
      const rows = events.map((event) => ({
        position: event.position.toString(),
        kind: event.kind,
        message_id: event.messageId,
        user_id: event.userId,
        actor_id: event.actorId,
        left_reason: event.leftReason,
      }));
      await sql.query(
        STORE,
        [roomId, JSON.stringify(rows), position.toString(), sequence.toString(), joined],
        'store-room-events',
      );
      await announce(roomLogged, roomId, { position: position.toString() });
      return position;
    },
  };
}

/** The same for a room that is not there and for one that is not for them. */
export function noSuchRoom(): NotFoundError {
  return new NotFoundError('There is no such room for you');
}
