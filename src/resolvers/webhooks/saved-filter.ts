import { z } from 'zod';
import type { Context } from '#context.ts';
import type { Sql } from '#database/client.ts';
import type { Prisma, WebhookSavedFilter } from '#generated/prisma/client.ts';
import { ConflictError, InvalidInputError, NotFoundError } from '#lib/errors.ts';
import { newId } from '#lib/ids.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { runOnce } from '#resolvers/users/idempotency.ts';
import { readsWebhooks } from './access.ts';
import {
  assertFilter,
  combineFilters,
  type FilterRules,
  type GivenWebhookFilter,
  type WebhookFilter,
} from './filter.ts';
import { decideInbox } from './inbox/sql.ts';

export const SAVED_FILTERS_MAX = 50;
export const FILTER_NAME_LENGTH_MAX = 100;

/** A saved filter is shown to the account that it belongs to and to nobody else. */
export function canReadSavedFilter(ctx: Context, filter: { readonly userId: string }): boolean {
  return ctx.viewer?.userId === filter.userId && readsWebhooks(ctx.viewer);
}

/** `canReadSavedFilter` as a condition of a statement. */
export function ownSavedFilters({ viewer }: Context): Prisma.WebhookSavedFilterWhereInput {
  return { userId: { in: readsWebhooks(viewer) ? [viewer.userId] : [] } };
}

/**
 * The filter as it is asked for: checked, and with what the viewer saved in the place of its id. Throws
 * `InvalidInputError` that names the field, also where there is no such saved filter of the viewer's.
 */
export async function resolveFilter(
  ctx: Context,
  { savedFilterId, ...filter }: GivenWebhookFilter,
  rules: FilterRules = {},
): Promise<WebhookFilter> {
  assertFilter(filter, rules);
  if (savedFilterId == null) return filter;
  const saved = await ctx.prisma.webhookSavedFilter.findFirst({
    where: { id: savedFilterId, AND: [ownSavedFilters(ctx)] },
  });
  if (saved === null) {
    const field = `${rules.field ?? 'filter'}.savedFilterId`;
    throw new InvalidInputError('There is no such filter of yours', field);
  }
  return combineFilters(filter, readConditions(saved));
}

// Strict: a condition that this version does not know must not be passed over, which would let more through.
const texts = z.array(z.string()).optional();
const time = z.coerce.date().optional();
const STORED = z.strictObject({
  sources: texts,
  repositoryIds: texts,
  eventNames: texts,
  actions: texts,
  branches: texts,
  senders: texts,
  payload: z.array(z.strictObject({ path: z.string(), equals: z.unknown() })).optional(),
  receivedFrom: time,
  receivedTo: time,
});

/** What was saved. */
export function readConditions(saved: Pick<WebhookSavedFilter, 'filter'>): WebhookFilter {
  return STORED.parse(saved.filter);
}

function storedConditions(filter: GivenWebhookFilter): string {
  if (filter.savedFilterId != null) {
    throw new InvalidInputError('A saved filter names no other', 'input.filter.savedFilterId');
  }
  assertFilter(filter, { field: 'input.filter' });
  const given = Object.entries(filter).filter(([, value]) => value != null);
  return JSON.stringify(Object.fromEntries(given));
}

function storedName(name: string): string {
  const trimmed = name.trim();
  const isName =
    trimmed.length >= 1 &&
    trimmed.length <= FILTER_NAME_LENGTH_MAX &&
    trimmed.isWellFormed() &&
    !trimmed.includes('\u0000');
  if (isName) return trimmed;
  throw new InvalidInputError(
    `A name has 1–${FILTER_NAME_LENGTH_MAX} characters, no U+0000, no half of a surrogate pair`,
    'input.name',
  );
}

const COLUMNS = `
  id, user_id AS "userId", name, filter, created_at AS "createdAt", updated_at AS "updatedAt"`;

/**
 * Saves a filter for the viewer; once for an idempotency key. Throws `InvalidInputError`, `ConflictError`
 * for a name in use and past 50 filters, `NotFoundError` where the key's filter is gone, and what
 * `runOnce` does.
 */
export async function createSavedFilter(
  ctx: Context,
  input: {
    readonly name: string;
    readonly filter: GivenWebhookFilter;
    readonly idempotencyKey?: string | null | undefined;
  },
): Promise<WebhookSavedFilter> {
  const viewer = requireViewer(ctx);
  const { userId } = viewer;
  const name = storedName(input.name);
  const conditions = storedConditions(input.filter);
  // One change of a user's at a time, so that many at once cannot pass the limit together.
  return decideInbox(ctx.database, userId, (sql) =>
    runOnce(sql, ctx, viewer, {
      field: 'createWebhookFilter',
      input,
      effect: async () => {
        const held = await sql.query<{ name: string }>(
          'SELECT name FROM webhook_saved_filter WHERE user_id = $1',
          [userId],
        );
        if (held.some((other) => other.name === name)) throw nameInUse();
        if (held.length >= SAVED_FILTERS_MAX) {
          throw new ConflictError(`An account saves at most ${SAVED_FILTERS_MAX} filters`);
        }
        const [answer] = await sql.query<WebhookSavedFilter>(
          `INSERT INTO webhook_saved_filter (id, user_id, name, filter)
           VALUES ($1, $2, $3, $4) RETURNING ${COLUMNS}`,
          [newId(), userId, name, conditions],
        );
        if (answer === undefined) throw new Error('The filter was not stored');
        return { answer, reference: { id: answer.id } };
      },
      replay: ({ id }) => getSavedFilter(sql, userId, id),
    }),
  );
}

/** Changes what is given of it. Throws `NotFoundError` and what saving throws. */
export async function updateSavedFilter(
  ctx: Context,
  input: {
    readonly id: string;
    readonly name?: string | null | undefined;
    readonly filter?: GivenWebhookFilter | null | undefined;
  },
): Promise<WebhookSavedFilter> {
  const { userId } = requireViewer(ctx);
  const name = input.name == null ? null : storedName(input.name);
  const conditions = input.filter == null ? null : storedConditions(input.filter);
  return decideInbox(ctx.database, userId, async (sql) => {
    await getSavedFilter(sql, userId, input.id);
    const [other] = await sql.query(
      'SELECT 1 FROM webhook_saved_filter WHERE user_id = $1 AND name = $2 AND id <> $3',
      [userId, name, input.id],
    );
    if (other !== undefined) throw nameInUse();
    await sql.query(
      `UPDATE webhook_saved_filter SET name = coalesce($3, name), filter = coalesce($4, filter),
         updated_at = naru_now() WHERE id = $1 AND user_id = $2`,
      [input.id, userId, name, conditions],
    );
    return getSavedFilter(sql, userId, input.id);
  });
}

/** Streams that began with it go on with what it was. Throws `NotFoundError`. */
export async function deleteSavedFilter(ctx: Context, id: string): Promise<void> {
  const { userId } = requireViewer(ctx);
  const rows = await ctx.database.query(
    'DELETE FROM webhook_saved_filter WHERE id = $1 AND user_id = $2 RETURNING 1',
    [id, userId],
  );
  if (rows.length === 0) throw noSuchFilter();
}

async function getSavedFilter(sql: Sql, userId: string, id: string): Promise<WebhookSavedFilter> {
  const [saved] = await sql.query<WebhookSavedFilter>(
    `SELECT ${COLUMNS} FROM webhook_saved_filter WHERE id = $1 AND user_id = $2`,
    [id, userId],
  );
  if (saved === undefined) throw noSuchFilter();
  return saved;
}

function noSuchFilter(): NotFoundError {
  return new NotFoundError('There is no such filter of yours');
}

function nameInUse(): ConflictError {
  return new ConflictError('Another filter of yours has this name');
}
