import type { Context } from '#context.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { freshenPermissions, gitHubIsAway, readsUnverified, rememberAllowed } from './access.ts';
import { READABLE_OR_UNSURE } from './access-sql.ts';
import type { WebhookFilter } from './filter.ts';
import { ATTEMPTS_MAX, givenFilter, LANES, STATE } from './inbox/sql.ts';

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
  const inState = inboxStates ? `${STATE} = ANY(${add(inboxStates)})` : 'true';
  const bounds = `m.position > ${add(after.toString())} AND m.position < ${add(before.toString())}`;
  const limitTo = add(limit);
  const given = givenFilter(filter, values.length + 1);
  const order = direction === 'forward' ? 'ASC' : 'DESC';
  const unverified = readsUnverified(viewer) ? `OR m.verification = 'UNVERIFIED'` : '';
  const text = `
    WITH ${READABLE_OR_UNSURE}, seen AS (SELECT id FROM readable UNION SELECT id FROM unsure)
      ${inboxStates ? `, ${LANES}` : ''}
    SELECT m.position, m.lane_id, (m.lane_id IN (SELECT id FROM unsure)) IS TRUE AS is_unsure
    FROM webhook_message m LEFT JOIN webhook_source s ON s.id = m.source_id
      ${inboxStates ? IN_INBOX : ''}
    WHERE ${bounds} AND ${inState} AND ${given.message}
      -- As a value and not as a join, so that rows are read from the end asked for and no further.
      AND ((m.lane_id IN (SELECT id FROM seen)) IS TRUE ${unverified})
    ORDER BY m.position ${order} LIMIT ${limitTo}`;
  const rows = await ctx.database.query<PageRow>(text, [...values, ...given.values]);
  const isUnsure = rows.some(({ is_unsure }) => is_unsure);
  if (isUnsure && ctx.github !== null) throw gitHubIsAway();
  const readable = rows.filter(({ is_unsure }) => !is_unsure);
  rememberAllowed(
    ctx,
    readable.flatMap(({ lane_id }) => lane_id ?? []),
  );
  return readable.map(({ position }) => BigInt(position));
}

interface PageRow {
  readonly position: string;
  readonly lane_id: string | null;
  readonly is_unsure: boolean;
}

const IN_INBOX = `
  JOIN lane ON lane.id = m.lane_id
  LEFT JOIN webhook_delivery d ON d.user_id = $1 AND d.message_id = m.id`;
