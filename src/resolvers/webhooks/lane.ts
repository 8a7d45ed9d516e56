import type { Sql } from '#database/client.ts';

/** Where a message belongs: its lane is its repository or, without one, its source. */
export interface LanePlace {
  readonly sourceId: string | null;
  readonly repositoryId: string | null;
  /** Of its repository, where GitHub's permissions decide who may read it. */
  readonly githubId: string | null;
  /** Null where it is in nobody's inbox. */
  readonly laneId: string | null;
}

const TAKE = `
  INSERT INTO webhook_lane AS known (id, source_id, repository_id, github_id, last_sequence)
  SELECT * FROM jsonb_to_recordset($1::jsonb) AS row
    (id uuid, source_id uuid, repository_id uuid, github_id bigint, last_sequence bigint)
  ON CONFLICT (id) DO UPDATE SET
    github_id = excluded.github_id,
    last_sequence = known.last_sequence + excluded.last_sequence
  RETURNING id, last_sequence`;

/**
 * Takes the next numbers of the lanes of a batch: a function that gives each lane's, one a call, in
 * order. The caller holds the feed's lock, so the numbers are gapless and in commit order.
 */
export async function takeLaneSequences(
  sql: Sql,
  places: readonly LanePlace[],
): Promise<(laneId: string) => bigint> {
  const lanes = Map.groupBy(places, ({ laneId }) => laneId);
  lanes.delete(null);
  const taken = [...lanes].map(([laneId, members]) => ({
    id: laneId,
    source_id: members[0]?.sourceId,
    repository_id: members[0]?.repositoryId,
    github_id: members[0]?.githubId,
    last_sequence: members.length,
  }));
  const rows =
    taken.length === 0
      ? []
      : await sql.query<{ id: string; last_sequence: string }>(
          TAKE,
          [JSON.stringify(taken)],
          'take-lane-sequences',
        );
  const next = new Map(
    rows.map(({ id, last_sequence }) => [
      id,
      BigInt(last_sequence) - BigInt(lanes.get(id)?.length ?? 0) + 1n,
    ]),
  );
  return (laneId) => {
    const sequence = next.get(laneId);
    if (sequence === undefined) throw new Error(`Lane ${laneId} took no numbers`);
    next.set(laneId, sequence + 1n);
    return sequence;
  };
}
