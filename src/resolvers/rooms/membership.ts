import type { Sql } from '#database/client.ts';
import { createBatcher } from '#lib/batch.ts';
import type { HistoryVisibility } from './room-row.ts';

export type ParticipantRole = 'OWNER' | 'MODERATOR' | 'MEMBER';
export type LeaveReason = 'LEFT' | 'REMOVED' | 'BANNED';

/** How an account stands to a room that it is in, or was. */
export interface Membership {
  readonly roomId: string;
  readonly userId: string;
  readonly role: ParticipantRole;
  readonly joinedPosition: bigint;
  readonly joinedSequence: bigint;
  readonly joinedAt: Date;
  readonly addedById: string | null;
  /** Null while they are in it. */
  readonly leftPosition: bigint | null;
  readonly leftAt: Date | null;
  readonly leftReason: LeaveReason | null;
  readonly readSequence: bigint;
  readonly readAt: Date | null;
  /** Whether it counts now, by the database's clock. */
  readonly isMuted: boolean;
  /** Null also where a mute has no end. */
  readonly mutedUntil: Date | null;
  readonly isBanned: boolean;
  readonly bannedUntil: Date | null;
  readonly historyVisibility: HistoryVisibility;
}

type Counted = 'joinedPosition' | 'joinedSequence' | 'readSequence';
export type MembershipRow = Omit<Membership, Counted | 'leftPosition'> & {
  readonly [Name in Counted]: string;
} & { readonly leftPosition: string | null };

/** Of `room_participant AS p` and its `room AS r`, by the names of `Membership`. */
export const MEMBERSHIP_COLUMNS = `
  p.room_id AS "roomId", p.user_id AS "userId", p.role, p.joined_position AS "joinedPosition",
  p.joined_sequence AS "joinedSequence", p.joined_at AS "joinedAt", p.added_by_id AS "addedById",
  p.left_position AS "leftPosition", p.left_at AS "leftAt", p.left_reason AS "leftReason",
  p.read_sequence AS "readSequence", p.read_at AS "readAt",
  (p.muted_at IS NOT NULL AND coalesce(p.muted_until > naru_now(), true)) AS "isMuted",
  p.muted_until AS "mutedUntil",
  (p.banned_at IS NOT NULL AND coalesce(p.banned_until > naru_now(), true)) AS "isBanned",
  p.banned_until AS "bannedUntil", r.history_visibility AS "historyVisibility"`;

/** Of a row, or of one as JSON, in which times are text. */
export function membershipOf(row: MembershipRow): Membership {
  return {
    ...row,
    joinedAt: new Date(row.joinedAt),
    leftAt: row.leftAt && new Date(row.leftAt),
    readAt: row.readAt && new Date(row.readAt),
    mutedUntil: row.mutedUntil && new Date(row.mutedUntil),
    bannedUntil: row.bannedUntil && new Date(row.bannedUntil),
    joinedPosition: BigInt(row.joinedPosition),
    joinedSequence: BigInt(row.joinedSequence),
    readSequence: BigInt(row.readSequence),
    leftPosition: row.leftPosition === null ? null : BigInt(row.leftPosition),
  };
}

/** As committed at this moment; undefined for who never was in it. Calls of one moment share a statement. */
export type MembershipLoader = (roomId: string, userId: string) => Promise<Membership | undefined>;

export function createMembershipLoader(sql: Sql): MembershipLoader {
  const load = createBatcher<string, Membership>(
    async (keys) => {
      const pairs = keys.map((key) => key.split(' '));
      const rows = await sql.query<MembershipRow>(
        `SELECT ${MEMBERSHIP_COLUMNS}
         FROM unnest($1::uuid[], $2::uuid[]) AS asked (room_id, user_id)
         JOIN room_participant p USING (room_id, user_id) JOIN room r ON r.id = p.room_id`,
        [pairs.map(([roomId]) => roomId), pairs.map(([, userId]) => userId)],
        'load-memberships',
      );
      return new Map(rows.map((row) => [`${row.roomId} ${row.userId}`, membershipOf(row)]));
    },
    { concurrency: 1, keysMax: 1_000 },
  );
  return (roomId, userId) => load(`${roomId} ${userId}`);
}

/** Positions of a room's log, both ends included; `to` null: without end. */
export interface PositionRange {
  readonly from: bigint;
  readonly to: bigint | null;
}

/**
 * What of a room's log somebody may read; null for nothing. Participants read on for as long as they are there,
 * from the beginning or, under SINCE_JOINED, from their joining. Who left reads nothing, but under KEPT what was
 * there when they left; who is banned reads nothing.
 */
export function readableRange(membership: Membership | undefined): PositionRange | null {
  if (membership === undefined) return null;
  const { leftPosition, historyVisibility, joinedPosition, isBanned } = membership;
  if (leftPosition === null) {
    return { from: historyVisibility === 'SINCE_JOINED' ? joinedPosition : 0n, to: null };
  }
  return historyVisibility === 'KEPT' && !isBanned ? { from: 0n, to: leftPosition } : null;
}

/** Whether they are in the room now. */
export function isIn(membership: Membership | undefined): membership is Membership {
  return membership !== undefined && membership.leftPosition === null;
}

/** Whether a position lies in the range. */
export function covers(range: PositionRange | null, position: bigint): boolean {
  return range !== null && position >= range.from && (range.to === null || position <= range.to);
}
