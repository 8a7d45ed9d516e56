import type { Context } from '#context.ts';
import { InvalidInputError } from '#lib/errors.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { SETTLEABLE } from '#resolvers/webhooks/access-sql.ts';
import type { WebhookFilter } from '#resolvers/webhooks/filter.ts';
import { ATTEMPTS_MAX, findDividing, givenFilter, OLDEST_FRESH, STATE } from './sql.ts';

/** How the viewer stands with one repository. Counts are null while nobody knows whether it may be read. */
export interface InboxRepository {
  readonly repositoryId: string;
  readonly permission: 'ALLOWED' | 'UNKNOWN';
  /** When GitHub was asked; null where it does not decide. */
  readonly permissionsCheckedAt: Date | null;
  readonly isWatched: boolean;
  readonly pending: number | null;
  readonly leased: number | null;
  readonly acknowledged: number | null;
  readonly dead: number | null;
  readonly discarded: number | null;
  readonly redelivered: number | null;
  readonly oldestPendingAt: Date | null;
}

export interface RepositoryPage {
  readonly filter: WebhookFilter;
  /** Ids, exclusive. */
  readonly after: string | null;
  readonly before: string | null;
  readonly limit: number;
  /** From the last one down. */
  readonly isInverted: boolean;
}

// Numbers of a lane have no gap, so what has no delivery is counted by subtraction and not by reading it.
const list = (lanes: string, order: 'ASC' | 'DESC') => `
  WITH ${SETTLEABLE}, lane AS (
    SELECT s.*, greatest(coalesce(f.floor, 0), s.pruned_sequence) AS floor
    FROM (
      SELECT l.*, source.path FROM settleable
      JOIN webhook_lane l ON l.id = settleable.id AND l.repository_id IS NOT NULL
      JOIN webhook_source source ON source.id = l.source_id
    ) s
    LEFT JOIN webhook_inbox_floor f ON f.user_id = $1 AND f.lane_id = s.id
    WHERE ($3::uuid IS NULL OR s.id > $3) AND ($4::uuid IS NULL OR s.id < $4) AND ${lanes}
    ORDER BY s.id ${order} LIMIT $5
  )
  SELECT lane.repository_id AS "repositoryId", coalesce(w.is_watched, true) AS "isWatched",
    CASE WHEN lane.id IN (SELECT id FROM readable) THEN 'ALLOWED' ELSE 'UNKNOWN' END AS permission,
    CASE WHEN lane.source_id NOT IN (SELECT source_id FROM granted)
      THEN coalesce(p.checked_at, (SELECT checked_at FROM link)) END AS "permissionsCheckedAt",
    (lane.last_sequence - lane.floor - known.above + known.pending)::int AS pending,
    known.leased, known.dead, known.discarded, known.redelivered,
    (lane.floor - lane.pruned_sequence - known.below + known.acknowledged)::int AS acknowledged,
    least(known.oldest, fresh.received_at) AS "oldestPendingAt"
  FROM lane
  CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE d.sequence > lane.floor) AS above,
      count(*) FILTER (WHERE d.sequence <= lane.floor) AS below,
      count(*) FILTER (WHERE d.state = 'PENDING') AS pending,
      count(*) FILTER (WHERE d.state = 'LEASED')::int AS leased,
      count(*) FILTER (WHERE d.state = 'ACKNOWLEDGED') AS acknowledged,
      count(*) FILTER (WHERE d.state = 'DEAD')::int AS dead,
      count(*) FILTER (WHERE d.state = 'DISCARDED')::int AS discarded,
      count(*) FILTER (
        WHERE d.attempt > 1 AND d.state NOT IN ('ACKNOWLEDGED', 'DISCARDED'))::int AS redelivered,
      min(d.received_at) FILTER (WHERE d.state = 'PENDING') AS oldest
    FROM (
      SELECT d.sequence, d.attempt, ${STATE} AS state, m.received_at
      FROM webhook_delivery d JOIN webhook_message m ON m.id = d.message_id
      WHERE d.user_id = $1 AND d.lane_id = lane.id AND d.sequence > lane.pruned_sequence
    ) d
  ) known
  LEFT JOIN LATERAL (
    ${OLDEST_FRESH}
  ) fresh ON true
  LEFT JOIN webhook_repository_watch w
    ON w.user_id = $1 AND w.repository_id = lane.repository_id
  LEFT JOIN github_permission p ON p.user_id = $1 AND p.repository_id = lane.github_id
  ORDER BY lane.id ${order}`;

/**
 * The repositories that the viewer may read, and those of which GitHub does not say now whether they still
 * may; watched or not. Ordered by id. Throws `InvalidInputError` for a filter that divides a repository.
 */
export async function listInboxRepositories(
  ctx: Context,
  page: RepositoryPage,
): Promise<InboxRepository[]> {
  const { userId } = requireViewer(ctx);
  const { filter, after, before, limit, isInverted } = page;
  assertWhole(filter);
  const given = givenFilter(filter, 6);
  const rows = await ctx.database.query<InboxRepository>(
    list(given.lane, isInverted ? 'DESC' : 'ASC'),
    [userId, ATTEMPTS_MAX, after, before, limit, ...given.values],
    `list-inbox-repositories ${isInverted} ${given.shape}`,
  );
  return rows.map((row) => (row.permission === 'ALLOWED' ? row : { ...row, ...UNCOUNTED }));
}

const UNCOUNTED = {
  pending: null,
  leased: null,
  acknowledged: null,
  dead: null,
  discarded: null,
  redelivered: null,
  oldestPendingAt: null,
};

function assertWhole(filter: WebhookFilter): void {
  const name = findDividing(filter);
  if (name === null) return;
  throw new InvalidInputError(
    'Repositories are counted whole: only `sources` and `repositoryIds` choose among them',
    `filter.${name}`,
  );
}

/** When GitHub was asked for the answer that counts; null before, and for who has not linked GitHub. */
export async function readPermissionsCheckedAt(ctx: Context): Promise<Date | null> {
  const [set] = await ctx.database.query<{ checkedAt: Date | null }>(
    `SELECT s.checked_at AS "checkedAt" FROM github_account a
     JOIN github_permission_set s ON s.user_id = a.user_id AND s.link_id = a.id
     WHERE a.user_id = $1 AND a.state = 'LINKED'`,
    [requireViewer(ctx).userId],
    'read-permissions-checked-at',
  );
  return set?.checkedAt ?? null;
}
