import type { Sql } from '#database/client.ts';
import { newId } from '#lib/ids.ts';
import type { RepositoryFields } from './providers/provider.ts';

/** What one message that somebody vouches for says of a repository. */
export interface RepositorySighting {
  readonly sourceId: string;
  readonly repository: RepositoryFields;
  /** Whether it is a repository of the GitHub whose permissions count here. */
  readonly isOnGitHub: boolean;
  readonly occurredAt: Date | null;
  readonly receivedAt: Date;
}

export interface StoredRepository {
  readonly id: string;
  /** Null where GitHub's permissions do not decide. */
  readonly githubId: string | null;
}

export type FindRepository = (sighting: RepositorySighting | null) => StoredRepository | null;

/**
 * Makes the repositories that a batch speaks of exist, by source and provider's id. The caller holds the
 * feed's lock, so nobody else writes them.
 */
export async function storeRepositories(
  sql: Sql,
  sightings: readonly RepositorySighting[],
): Promise<FindRepository> {
  const keys = new Set(sightings.map(keyOfSighting));
  const stored = keys.size === 0 ? [] : await readRepositories(sql, sightings);
  const known = new Map(stored.map((row) => [keyOf(row.source_id, row.provider_id), row]));
  const changed = new Map<string, RepositoryRow>();
  for (const sighting of sightings) {
    const key = keyOfSighting(sighting);
    const before = known.get(key);
    const after = before === undefined ? rowOf(sighting) : recognise(before, sighting);
    if (after === before) continue;
    known.set(key, after);
    changed.set(key, after);
  }
  if (changed.size > 0) {
    await sql.query(STORE, [JSON.stringify([...changed.values()])], 'store-repositories');
  }
  return (sighting) => {
    const row = sighting === null ? undefined : known.get(keyOfSighting(sighting));
    return row === undefined ? null : { id: row.id, githubId: row.github_id };
  };
}

interface RepositoryRow {
  readonly id: string;
  readonly source_id: string;
  readonly provider_id: string;
  readonly full_name: string;
  readonly previous_names: readonly string[];
  readonly github_id: string | null;
  /** Another server's repository has come under this number. */
  readonly is_foreign: boolean;
  /** When it was known by its name last. */
  readonly updated_at: Date;
}

function rowOf(sighting: RepositorySighting): RepositoryRow {
  const { sourceId, repository, isOnGitHub } = sighting;
  const { providerId, fullName, previousName } = repository;
  const is_foreign = isForeign(sighting);
  return {
    id: newId(),
    source_id: sourceId,
    provider_id: providerId,
    full_name: fullName,
    previous_names: withNames([], [previousName], fullName),
    github_id: isOnGitHub ? githubIdOf(providerId) : null,
    is_foreign,
    updated_at: timeOf(sighting),
  };
}

/** The same row where the sighting tells nothing new. */
function recognise(row: RepositoryRow, sighting: RepositorySighting): RepositoryRow {
  const { fullName, previousName } = sighting.repository;
  // Once another server's repository has come under this number, what is stored under it is not all of
  // GitHub's: never again do its permissions open it. A body that does not tell where it is from changes nothing.
  const is_foreign = row.is_foreign || isForeign(sighting);
  const recognised = sighting.isOnGitHub ? githubIdOf(row.provider_id) : row.github_id;
  const github_id = is_foreign ? null : recognised;
  const isNews = isNewer(row, sighting);
  const isRenamed = isNews && fullName !== row.full_name;
  const full_name = isRenamed ? fullName : row.full_name;
  const previous_names = withNames(
    row.previous_names,
    [previousName, isRenamed ? row.full_name : fullName],
    full_name,
  );
  const isSame =
    github_id === row.github_id &&
    is_foreign === row.is_foreign &&
    isSameList(previous_names, row.previous_names);
  if (!isNews && isSame) return row;
  const updated_at = isNews ? timeOf(sighting) : row.updated_at;
  return { ...row, full_name, previous_names, github_id, is_foreign, updated_at };
}

function isForeign({ isOnGitHub, repository }: RepositorySighting): boolean {
  return !isOnGitHub && repository.origin !== null;
}

function githubIdOf(providerId: string): string | null {
  return /^[1-9][0-9]*$/.test(providerId) ? providerId : null;
}

/**
 * Webhooks come in any order, so an older one must not bring back a name. Where it does not tell its time,
 * a name that is not known to be past is taken for the newer one.
 */
function isNewer(row: RepositoryRow, sighting: RepositorySighting): boolean {
  const { fullName } = sighting.repository;
  const isUnheard = fullName !== row.full_name && !row.previous_names.includes(fullName);
  const later = timeOf(sighting).getTime() - row.updated_at.getTime();
  return sighting.occurredAt === null || later === 0 ? isUnheard : later > 0;
}

/** A sender whose clock is ahead must not decide for all that comes after. */
function timeOf({ occurredAt, receivedAt }: RepositorySighting): Date {
  return occurredAt !== null && occurredAt < receivedAt ? occurredAt : receivedAt;
}

const PREVIOUS_NAMES_MAX = 20;

/** Oldest first, each once, without the present one. */
function withNames(
  names: readonly string[],
  more: readonly (string | null)[],
  present: string,
): string[] {
  const all = new Set([...names, ...more.filter((name) => name !== null)]);
  all.delete(present);
  return [...all].slice(-PREVIOUS_NAMES_MAX);
}

function isSameList(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((name, index) => name === right[index]);
}

function readRepositories(
  sql: Sql,
  sightings: readonly RepositorySighting[],
): Promise<RepositoryRow[]> {
  return sql.query<RepositoryRow>(
    `SELECT r.id, r.source_id, r.provider_id, r.full_name, r.previous_names,
       r.github_id::text, r.is_foreign, r.updated_at
     FROM webhook_repository r
     JOIN (SELECT DISTINCT * FROM unnest($1::uuid[], $2::text[])) AS k (source_id, provider_id)
       USING (source_id, provider_id)`,
    [
      sightings.map(({ sourceId }) => sourceId),
      sightings.map(({ repository }) => repository.providerId),
    ],
    'read-repositories',
  );
}

const STORE = `
  INSERT INTO webhook_repository
    (id, source_id, provider_id, full_name, previous_names, github_id, is_foreign, updated_at)
  SELECT * FROM jsonb_to_recordset($1::jsonb) AS row
    (id uuid, source_id uuid, provider_id text, full_name text, previous_names text[],
     github_id bigint, is_foreign boolean, updated_at timestamptz)
  ON CONFLICT (id) DO UPDATE SET
    full_name = excluded.full_name, previous_names = excluded.previous_names,
    github_id = excluded.github_id, is_foreign = excluded.is_foreign,
    updated_at = excluded.updated_at`;

function keyOfSighting({ sourceId, repository }: RepositorySighting): string {
  return keyOf(sourceId, repository.providerId);
}

function keyOf(sourceId: string, providerId: string): string {
  return `${sourceId} ${providerId}`;
}
