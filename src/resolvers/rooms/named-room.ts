// Rooms as the chat worker's clients and backends name them: by our ids, or by those of another system.
import type { Services } from '#context.ts';
import { decodeGlobalId } from '#lib/global-id.ts';
import { isUuid } from '#lib/ids.ts';
import { externalChannel } from './channel.ts';

export interface NamedRoom {
  /** Where its signals go. */
  readonly channel: string;
  /** Null for a room that Naru does not know. */
  readonly roomId: string | null;
  /** By which the other system knows it; null for a room that is Naru's alone. */
  readonly externalId: string | null;
}

const LENGTH_MAX = 200;
/** What the key of a topic holds beside `external:`. */
const BYTES_MAX = 400;

/** The text that names a room, which other systems may count; null for what can name none. */
export function roomNameOf(value: unknown): string | null {
  const text = Number.isSafeInteger(value) ? String(value) : value;
  if (typeof text !== 'string' || text === '' || text.length > LENGTH_MAX) return null;
  const isStorable = text.isWellFormed() && !text.includes('\u0000');
  return isStorable && Buffer.byteLength(text) <= BYTES_MAX ? text : null;
}

/**
 * The room with this global id, UUID or external id, in that order. Where there is none, and a backend has rooms
 * of its own, the room that it may have by that id; else null.
 */
export async function findNamedRoom(
  { database, config }: Pick<Services, 'database' | 'config'>,
  name: string,
): Promise<NamedRoom | null> {
  const [row] = await database.query<{ id: string; externalId: string | null }>(
    `SELECT id, external_id AS "externalId" FROM room WHERE id = $1 OR external_id = $2
     ORDER BY id = $1 DESC NULLS LAST LIMIT 1`,
    [ownIdOf(name), name],
    'find-named-room',
  );
  if (row !== undefined) return { channel: row.id, roomId: row.id, externalId: row.externalId };
  if (config.backendOrigin === null) return null;
  return { channel: externalChannel(name), roomId: null, externalId: name };
}

function ownIdOf(name: string): string | null {
  if (isUuid(name)) return name;
  try {
    const { typename, id } = decodeGlobalId(name);
    return typename === 'Room' ? id : null;
  } catch {
    return null;
  }
}
