import type { Context } from '#context.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { freshenPermissions, gitHubIsAway, readsUnverified, rememberAllowed } from './access.ts';
import { READABLE, READABLE_OR_UNSURE } from './access-sql.ts';
import type { WebhookFilter } from './filter.ts';
import { ATTEMPTS_MAX, givenFilter, LANES, STATE } from './inbox/sql.ts';
import { boundPayloadReads } from './payload-reads.ts';

export interface PageBounds {
  readonly filter: WebhookFilter;
  /** Exclusive, both. */
  readonly after: bigint;
  readonly before: bigint;
  readonly direction: 'forward' | 'backward';
  readonly limit: number;
}

/**
 * The places of the messages of a page that the viewer may read now: `limit` of them from the end asked
 * for. Throws `UnavailableError` where GitHub would have to say whether one belongs to it and does not:
 * a page that left it out would be a gap that nobody sees.
 */
export async function findReadablePositions(ctx: Context, page: PageBounds): Promise<bigint[]> {
  const viewer = requireViewer(ctx);
  await freshenPermissions(ctx);
  const { after, before, direction, limit } = page;
  const { inboxStates, ...filter } = page.filter;
  const values: unknown[] = [viewer.userId];
  const add = (value: unknown) => `$${values.push(value)}`;
  // `STATE` takes it as its second value.
  if (inboxStates) add(ATTEMPTS_MAX);
  const inState = inboxStates
    ? `lane.id IS NOT NULL AND ${STATE} = ANY(${add(inboxStates)})`
    : 'true';
  const bounds = `m.position > ${add(after.toString())} AND m.position < ${add(before.toString())}`;
  const limitTo = add(limit);
  const given = givenFilter(filter, values.length + 1);
  const order = direction === 'forward' ? 'ASC' : 'DESC';
  const unverified = readsUnverified(viewer) ? `OR m.verification = 'UNVERIFIED'` : '';
  const ofLane = given.lane.replaceAll('s.repository_id', 'm.repository_id');
  // Of what may not be read nothing but its lane decides: whether another condition held would be told.
  const text = `
    WITH ${ctx.github === null ? NONE_UNSURE : READABLE_OR_UNSURE} ${inboxStates ? `, ${LANES}` : ''}
    SELECT m.position, m.lane_id, (m.lane_id IN (SELECT id FROM unsure)) IS TRUE AS is_unsure
    FROM webhook_message m LEFT JOIN webhook_source s ON s.id = m.source_id
      ${inboxStates ? IN_INBOX : ''}
    -- Lanes as values and not as a join, so that rows are read from the end asked for and no further.
    WHERE ${bounds} AND (
      ((m.lane_id IN (SELECT id FROM unsure)) IS TRUE AND ${ofLane}
        AND ${inboxStates ? NOT_MUTED : 'true'})
      OR (((m.lane_id IN (SELECT id FROM readable)) IS TRUE ${unverified})
        AND ${inState} AND ${given.message})
    )
    ORDER BY m.position ${order} LIMIT ${limitTo}`;
  const rows = await boundPayloadReads(filter, () =>
    ctx.database.query<PageRow>(text, [...values, ...given.values]),
  );
  if (rows.some(({ is_unsure }) => is_unsure)) throw gitHubIsAway();
  rememberAllowed(
    ctx,
    rows.flatMap(({ lane_id }) => lane_id ?? []),
  );
  return rows.map(({ position }) => BigInt(position));
}

interface PageRow {
  readonly position: string;
  readonly lane_id: string | null;
  readonly is_unsure: boolean;
}

// Nobody can be asked any more, so nothing that GitHub once allowed counts.
const NONE_UNSURE = `${READABLE}, unsure AS (SELECT id FROM readable WHERE false)`;

const NOT_MUTED = `NOT EXISTS (
  SELECT FROM webhook_repository_watch w
  WHERE w.user_id = $1 AND w.repository_id = m.repository_id AND NOT w.is_watched)`;

const IN_INBOX = `
  LEFT JOIN lane ON lane.id = m.lane_id
  LEFT JOIN webhook_delivery d ON d.user_id = $1 AND d.message_id = m.id`;
