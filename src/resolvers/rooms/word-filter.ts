// Looks at every message after it was sent or edited, beside its delivery and never before it: what it finds is
// reported to the moderators of the room. Another check is another consumer of the same topic: a job of its own
// name in `jobs/index.ts` that hands its `MessageCheck` to `checkLogged`, and a unique index for its reason, as
// `message_report_filter_key` is for BLOCKED_WORD.
import type { Services } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { newId } from '#lib/ids.ts';
import type { Entry } from '#pubsub/bus.ts';
import { roomLogged } from '#pubsub/topics/rooms.ts';
import {
  type CheckedMessage,
  createWordCheck,
  type Finding,
  type MessageCheck,
} from './word-check.ts';

type RoomLogged = typeof roomLogged.payload._output;
type Batch = readonly Entry<RoomLogged>[];

export const WORD_FILTER = 'room-word-filter';
const PAGE_EVENTS = 500;

/** Does nothing where no words are set. */
export async function filterWords(app: Services, batch: Batch): Promise<void> {
  const check = createWordCheck(app.config.roomBlockedWords);
  if (check !== null) await checkLogged(app, batch, { name: WORD_FILTER, check });
}

/** What of a room's log is to be looked at, by positions. */
interface Stretch {
  readonly room: string;
  /** Exclusive. */
  readonly after: bigint;
  readonly upTo: bigint;
}

/**
 * Looks at what was logged since the last time, up to what is announced: where the bus has lost an entry, the
 * room's next one makes up for it, no further back than the topic keeps. A room that is new here is looked at from
 * this announcement on. An entry again, or one that comes late, is looked at by itself and finds nothing new.
 */
export async function checkLogged(
  app: Pick<Services, 'database'>,
  batch: Batch,
  { name, check }: { readonly name: string; readonly check: MessageCheck },
): Promise<void> {
  const { database } = app;
  const stretches = await findStretches(database, name, batch);
  for (const { room, after, upTo } of stretches) {
    let next = after;
    while (next < upTo) {
      const events = await readEvents(database, { room, after: next, upTo });
      const found = events.flatMap((message) => {
        const finding = check(message);
        return finding === null ? [] : { message, finding };
      });
      if (found.length > 0) await fileReports(database, found);
      next = events.length < PAGE_EVENTS ? upTo : BigInt(events.at(-1)?.position ?? upTo);
    }
  }
  await keepPlaces(database, name, stretches);
}

async function findStretches(sql: Sql, name: string, batch: Batch): Promise<Stretch[]> {
  const announced = new Map<string, bigint[]>();
  for (const { key, payload } of batch) {
    announced.set(key, [...(announced.get(key) ?? []), BigInt(payload.position)]);
  }
  const rows = await sql.query<{ room: string; place: string }>(
    'SELECT room_id AS room, position AS place FROM room_check_place WHERE name = $1 AND room_id = ANY($2)',
    [name, [...announced.keys()]],
    'find-check-places',
  );
  const places = new Map(rows.map(({ room, place }) => [room, BigInt(place)]));
  return [...announced].flatMap(([room, positions]) => {
    const sorted = positions.toSorted((left, right) => Number(left - right));
    const [lowest = 0n] = sorted;
    const upTo = sorted.at(-1) ?? lowest;
    const place = places.get(room);
    const late = positions.filter((position) => place !== undefined && position <= place);
    const stretches = late.map((position) => ({ room, after: position - 1n, upTo: position }));
    const after = place ?? lowest - 1n;
    return upTo > after ? [...stretches, { room, after, upTo }] : stretches;
  });
}

interface LoggedMessage extends CheckedMessage {
  readonly position: string;
}

// The body that stood after the event: what an edit has replaced since is looked at all the same, and reported as
// it was. Of what was deleted nothing is left to look at. Private talk is not scanned: in a direct room it is reported
// by who it is said to, or nobody.
const READ_EVENTS = `
  SELECT e.position, m.id, m.room_id AS "roomId", m.author_id AS "authorId",
    coalesce(was.body, m.body) AS body, coalesce(was.revision - 1, m.revision) AS revision
  FROM room_event e
  JOIN room r ON r.id = e.room_id AND r.kind <> 'DIRECT'
  JOIN chat_message m ON m.id = e.message_id AND m.body IS NOT NULL
  LEFT JOIN LATERAL (
    SELECT body, revision FROM chat_message_edit
    WHERE message_id = m.id AND position > e.position ORDER BY revision LIMIT 1) was ON true
  WHERE e.room_id = $1 AND e.position > $2 AND e.position <= $3
    AND e.kind IN ('MESSAGE_SENT', 'MESSAGE_EDITED')
    AND e.created_at > naru_now() - make_interval(secs => $4)
  ORDER BY e.position LIMIT ${PAGE_EVENTS}`;

function readEvents(sql: Sql, { room, after, upTo }: Stretch): Promise<LoggedMessage[]> {
  return sql.query<LoggedMessage>(
    READ_EVENTS,
    [room, after.toString(), upTo.toString(), roomLogged.retainMs / 1_000],
    'read-checked-events',
  );
}

/** Once a message and revision, whoever looks and how often. Not of what was deleted since it was read. */
async function fileReports(
  sql: Sql,
  found: readonly { readonly message: LoggedMessage; readonly finding: Finding }[],
): Promise<void> {
  const rows = found.map(({ message, finding }) => ({
    ...finding,
    id: newId(),
    message_id: message.id,
    body: message.body,
    revision: message.revision,
  }));
  await sql.query(
    `INSERT INTO message_report (id, room_id, message_id, reason, note, body, revision)
     SELECT row.id, m.room_id, m.id, row.reason, row.note, row.body, row.revision
     FROM jsonb_to_recordset($1::jsonb) AS row
       (id uuid, message_id uuid, reason report_reason, note text, body text, revision int)
     JOIN chat_message m ON m.id = row.message_id AND m.body IS NOT NULL
     ON CONFLICT DO NOTHING`,
    [JSON.stringify(rows)],
    'file-found-reports',
  );
}

async function keepPlaces(sql: Sql, name: string, stretches: readonly Stretch[]): Promise<void> {
  const places = new Map<string, bigint>();
  for (const { room, upTo } of stretches) {
    if (upTo > (places.get(room) ?? 0n)) places.set(room, upTo);
  }
  await sql.query(
    `INSERT INTO room_check_place AS known (name, room_id, position)
     SELECT $1, place.* FROM unnest($2::uuid[], $3::bigint[]) AS place
     ON CONFLICT (name, room_id) DO UPDATE
       SET position = greatest(known.position, excluded.position)`,
    [name, [...places.keys()], [...places.values()].map(String)],
    'keep-check-places',
  );
}
