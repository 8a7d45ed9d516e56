import type { Sql } from '#database/client.ts';
import { createBatcher } from '#lib/batch.ts';

export type RoomKind = 'GROUP' | 'DIRECT';
export type HistoryVisibility = 'SHARED' | 'SINCE_JOINED' | 'KEPT';

export interface Room {
  readonly id: string;
  readonly kind: RoomKind;
  readonly name: string | null;
  readonly externalId: string | null;
  readonly historyVisibility: HistoryVisibility;
  /** Of DIRECT: both accounts' ids. */
  readonly directKey: string | null;
  readonly createdById: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly archivedAt: Date | null;
  readonly epoch: string;
  readonly lastPosition: bigint;
  readonly lastSequence: bigint;
  readonly participantCount: number;
}

type Counted = 'lastPosition' | 'lastSequence';
export type RoomRow = Omit<Room, Counted> & { readonly [Name in Counted]: string };

/** Of `room AS r`, by the names of `Room`. */
export const ROOM_COLUMNS = `
  r.id, r.kind, r.name, r.external_id AS "externalId", r.history_visibility AS "historyVisibility",
  r.direct_key AS "directKey", r.created_by_id AS "createdById", r.created_at AS "createdAt", r.updated_at AS "updatedAt",
  r.archived_at AS "archivedAt", r.epoch, r.last_position AS "lastPosition",
  r.last_sequence AS "lastSequence", r.participant_count AS "participantCount"`;

/** Of a row, or of one as JSON, in which times are text. */
export function roomOf(row: RoomRow): Room {
  return {
    ...row,
    createdAt: new Date(row.createdAt),
    updatedAt: new Date(row.updatedAt),
    archivedAt: row.archivedAt && new Date(row.archivedAt),
    lastPosition: BigInt(row.lastPosition),
    lastSequence: BigInt(row.lastSequence),
  };
}

/** A room as it is now, whoever asks; calls of one moment share a statement. */
export type RoomLoader = (id: string) => Promise<Room | undefined>;

export function createRoomLoader(sql: Sql): RoomLoader {
  return createBatcher<string, Room>(
    async (ids) => {
      const rows = await sql.query<RoomRow>(
        `SELECT ${ROOM_COLUMNS} FROM room r WHERE r.id = ANY($1)`,
        [ids],
        'load-rooms',
      );
      return new Map(rows.map((row) => [row.id, roomOf(row)]));
    },
    { concurrency: 2, keysMax: 1_000 },
  );
}
