// The chain that makes changes of the audit log visible: each entry's hash covers the entry and the
// hash before it. Sealing comes after the fact and in one place at a time, so that the entries'
// authors never wait for each other.
import { createHash } from 'node:crypto';
import type { Database, Sql } from '#database/client.ts';
import { digestOf } from './audit.ts';

const BATCH_ENTRIES_MAX = 500;
/** A run ends here, backlog or not, so that a node that stops is not held up by it. */
const RUN_BATCHES_MAX = 20;
const PAGE_ENTRIES = 1_000;
/** What stands before the first entry. */
const GENESIS = Buffer.alloc(32);
const POSITION_MIN = -(2n ** 63n);
const ID_MIN = '00000000-0000-0000-0000-000000000000';

const FIELDS = `id, at, action, actor_id AS "actorId", session_id AS "sessionId",
  ip_address AS "ipAddress", ip_salt AS "ipSalt", ip_digest AS "ipDigest", subject_type AS "subjectType", subject_id AS "subjectId", details`;

interface Entry {
  readonly id: string;
  readonly at: Date;
  readonly action: string;
  readonly actorId: string | null;
  readonly sessionId: string | null;
  /** Null with its salt where there was none, or where it was erased with the actor's account. */
  readonly ipAddress: string | null;
  readonly ipSalt: Buffer | null;
  readonly ipDigest: Buffer | null;
  readonly subjectType: string;
  readonly subjectId: string | null;
  readonly details: unknown;
}

interface SealedEntry extends Entry {
  readonly position: string;
  readonly hash: Buffer | null;
}

/**
 * Gives entries that have none their position, gapless from 1, and their hash. Entries whose
 * transaction commits late come later in the chain than their ids say: position order is sealing
 * order. Locks nothing but entries, which nobody else changes.
 */
export async function sealAuditEntries({
  database,
}: {
  readonly database: Pick<Database, 'transaction'>;
}): Promise<void> {
  for (let batch = 0; batch < RUN_BATCHES_MAX; batch += 1) {
    const sealed = await database.transaction(sealBatch);
    if (sealed < BATCH_ENTRIES_MAX) return;
  }
}

async function sealBatch(sql: Sql): Promise<number> {
  // A node that lost its leadership may still be sealing. A statement of its own, so that the next
  // ones see what the other has committed.
  await sql.query(`SELECT pg_advisory_xact_lock(hashtextextended('naru audit chain', 0))`);
  const entries = await sql.query<Entry>(
    `SELECT ${FIELDS} FROM audit_entry WHERE position IS NULL ORDER BY id LIMIT $1`,
    [BATCH_ENTRIES_MAX],
    'find-unsealed',
  );
  if (entries.length === 0) return 0;
  const [head] = await sql.query<{ position: string; hash: Buffer }>(
    `SELECT position, hash FROM audit_entry WHERE position IS NOT NULL
     ORDER BY position DESC LIMIT 1`,
  );
  let position = BigInt(head?.position ?? 0);
  let hash = head?.hash ?? GENESIS;
  const seals = entries.map((entry) => {
    position += 1n;
    hash = hashEntry(hash, position, entry);
    return { id: entry.id, position: String(position), hash };
  });
  await sql.query(
    `UPDATE audit_entry SET position = seal.position, hash = seal.hash
     FROM unnest($1::uuid[], $2::bigint[], $3::bytea[]) AS seal (id, position, hash)
     WHERE audit_entry.id = seal.id`,
    [seals.map(({ id }) => id), seals.map((seal) => seal.position), seals.map((seal) => seal.hash)],
    'seal-entries',
  );
  return entries.length;
}

export interface AuditFault {
  /** Of the first entry that is not as it was sealed; null when no single entry is at fault. */
  readonly position: bigint | null;
  readonly reason: string;
}

export interface AuditVerdict {
  /** Entries, from the first, that are as they were sealed. */
  readonly sealed: bigint;
  /** Entries that wait for the sealer: nothing is known of them. */
  readonly unsealed: bigint;
  /** The hash, in hex, of the last of those that are; null where there is none. Keep it elsewhere. */
  readonly head: string | null;
  readonly fault: AuditFault | null;
}

/**
 * Reads the whole chain and finds the first entry that was changed, moved, added or removed. Entries
 * removed from its end, or a chain made anew, look whole: those are found with `expectedHead`, the
 * head of an earlier verdict that was kept where whoever changes the database cannot.
 */
export async function verifyAuditChain(
  sql: Sql,
  { expectedHead = null }: { readonly expectedHead?: string | null } = {},
): Promise<AuditVerdict> {
  const expected = expectedHead?.toLowerCase() ?? null;
  let isExpectedFound = expected === null;
  let sealed = 0n;
  let hash: Buffer = GENESIS;
  let fault: AuditFault | null = null;
  for await (const entry of readSealed(sql)) {
    fault = findFault(entry, sealed + 1n, hash);
    if (fault !== null) break;
    sealed += 1n;
    hash = hashEntry(hash, sealed, entry);
    isExpectedFound ||= hash.toString('hex') === expected;
  }
  if (fault === null && !isExpectedFound) {
    const reason =
      'The expected head is not in the chain: entries were removed from its end, or it was made anew';
    fault = { position: null, reason };
  }
  const [waiting] = await sql.query<{ count: string }>(
    'SELECT count(*) FROM audit_entry WHERE position IS NULL',
  );
  const unsealed = BigInt(waiting?.count ?? 0);
  return { sealed, unsealed, head: sealed === 0n ? null : hash.toString('hex'), fault };
}

/** In the order of their positions, a page at a time. */
async function* readSealed(sql: Sql): AsyncGenerator<SealedEntry, undefined> {
  let after = { position: String(POSITION_MIN), id: ID_MIN };
  for (;;) {
    // By id too: where somebody has dropped the unique index, a second entry of one position must not
    // be lost between two pages.
    const page = await sql.query<SealedEntry>(
      `SELECT ${FIELDS}, position, hash FROM audit_entry WHERE (position, id) > ($1, $2)
       ORDER BY position, id LIMIT $3`,
      [after.position, after.id, PAGE_ENTRIES],
      'read-sealed',
    );
    yield* page;
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE_ENTRIES) return;
    after = last;
  }
}

function findFault(entry: SealedEntry, expected: bigint, previous: Buffer): AuditFault | null {
  const position = BigInt(entry.position);
  if (position > expected) {
    return { position: expected, reason: `It was removed: the next entry has ${position}` };
  }
  if (position < expected) return { position, reason: 'No entry belongs here: it was added' };
  if (!isAddressWhole(entry)) {
    return { position, reason: 'Its address was changed: it is not the one that was sealed' };
  }
  if (entry.hash?.equals(hashEntry(previous, position, entry))) return null;
  return { position, reason: 'It was changed or moved: its hash is of something else' };
}

/** Either erased, both it and its salt, or the one that the digest is of. */
function isAddressWhole({ ipAddress, ipSalt, ipDigest }: Entry): boolean {
  if (ipAddress === null || ipSalt === null) return ipAddress === null && ipSalt === null;
  return ipDigest?.equals(digestOf(ipSalt, ipAddress)) ?? false;
}

/** SHA-256 of the previous hash, then of the entry and its position as canonical JSON. */
function hashEntry(previous: Buffer, position: bigint, entry: Entry): Buffer {
  const { id, at, action, actorId, sessionId, ipDigest, subjectType, subjectId, details } = entry;
  const text = canonicalJson({
    position: String(position),
    id,
    at,
    action,
    actorId,
    sessionId,
    ipDigest: ipDigest?.toString('hex') ?? null,
    subjectType,
    subjectId,
    details,
  });
  return createHash('sha256').update(previous).update(text).digest();
}

/** RFC 8785: no spaces, members sorted by name, so that the same entry is the same bytes for everybody. */
function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  // A time as JSON has it: UTC with milliseconds; null for what is none, e.g. `infinity`.
  if (typeof value !== 'object' || value === null || value instanceof Date) {
    return JSON.stringify(value);
  }
  const members = Object.entries(value)
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`);
  return `{${members.join(',')}}`;
}
