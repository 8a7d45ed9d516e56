import { setTimeout as delay } from 'node:timers/promises';
import { isOperator, type Viewer } from '#auth/viewer.ts';
import { type Context, perContext } from '#context.ts';
import type { Sql } from '#database/client.ts';
import type { VerificationOutcome } from '#generated/prisma/enums.ts';
import { createBatcher } from '#lib/batch.ts';
import { UnavailableError } from '#lib/errors.ts';
import { DECIDE, FIND_DUE, READABLE_OR_UNSURE, READABLE_SOURCES } from './access-sql.ts';

// The rule, once in words: a message is read by those to whom, or to one of whose roles, its source is
// granted, and by those whom GitHub lets see its repository; an unverified one by operators and by nobody
// else. Always with a token that has `webhooks:read`, on every path: also as a `node`, which asks for no
// scope of its own. Pages, pulls and counts decide in the statement that reads: `access-sql.ts`.

/** What is known of whether somebody may read something. UNKNOWN holds: it is neither shown nor skipped. */
export type Permission = 'ALLOWED' | 'DENIED' | 'UNKNOWN';

export interface Decision {
  readonly permission: Permission;
  /** Allowed or not, the user wants it neither in the inbox nor live. Asked of once a context. */
  readonly isMuted: boolean;
}

/** A message, as far as it decides. */
export interface MessagePlace {
  readonly sourceId: string | null;
  readonly repositoryId: string | null;
  readonly verification: VerificationOutcome;
}

const DENIED: Decision = { permission: 'DENIED', isMuted: false };
const ALLOWED: Decision = { permission: 'ALLOWED', isMuted: false };
/** How long one request waits for GitHub. */
const ASK_MS_MAX = 5_000;
/** How long a stream waits for GitHub before it ends, to be resumed behind what it handed out last. */
const HOLD_MS_MAX = 60_000;
const HOLD_LOOK_MS = 1_000;

/**
 * What this request, or this one entry of a stream, was allowed: what was let through is then also written
 * out, whatever comes between the two.
 */
const allowedHere = perContext(() => new Set<string>());

/** For what is decided anew within one request: a wait may lie between. */
export function forgetAllowed(ctx: Context): void {
  allowedHere(ctx).clear();
}

/** For a statement that has decided itself, by the ids of lanes. */
export function rememberAllowed(ctx: Context, laneIds: readonly string[]): void {
  const allowed = allowedHere(ctx);
  for (const laneId of laneIds) allowed.add(laneId);
}

/** What counts for the message at this moment, without asking GitHub. */
export async function decideMessage(ctx: Context, message: MessagePlace): Promise<Decision> {
  const { viewer } = ctx;
  if (message.verification === 'UNVERIFIED') return readsUnverified(viewer) ? ALLOWED : DENIED;
  if (message.sourceId === null || !readsWebhooks(viewer)) return DENIED;
  const { userId } = viewer;
  const laneId = message.repositoryId ?? message.sourceId;
  if (allowedHere(ctx).has(laneId)) return ALLOWED;
  const decision = await ctx.loadDecision(keyOf(userId, message.sourceId, message.repositoryId));
  if (decision === undefined) return DENIED;
  if (decision.permission === 'ALLOWED') rememberAllowed(ctx, [laneId]);
  // Nobody can be asked any more, so nothing that GitHub once allowed counts.
  return decision.permission === 'UNKNOWN' && ctx.github === null ? DENIED : decision;
}

/** Whether the viewer may read it now. Throws `UnavailableError` while GitHub, whom it is to say, does not answer. */
export async function canReadMessage(ctx: Context, message: MessagePlace): Promise<boolean> {
  let { permission } = await decideMessage(ctx, message);
  if (permission === 'UNKNOWN') {
    await askGitHub(ctx);
    ({ permission } = await decideMessage(ctx, message));
  }
  if (permission === 'UNKNOWN') throw gitHubIsAway();
  return permission === 'ALLOWED';
}

/**
 * For a stream: waits while it is UNKNOWN, a minute at most, and then throws `UnavailableError`. Not for what
 * the user has muted, and not once the stream is over.
 */
export async function awaitDecision(
  refreshed: () => Promise<Context>,
  message: MessagePlace,
  isOver: () => boolean,
): Promise<Decision> {
  const giveUpAt = performance.now() + HOLD_MS_MAX;
  for (;;) {
    const ctx = await refreshed();
    const decision = await decideMessage(ctx, message);
    if (decision.permission !== 'UNKNOWN' || decision.isMuted) return decision;
    if (isOver()) return DENIED;
    if (ctx.isGone() || performance.now() > giveUpAt) throw gitHubIsAway();
    await askGitHub(ctx);
    const next = await decideMessage(ctx, message);
    if (next.permission === 'UNKNOWN') await delay(HOLD_LOOK_MS, undefined, { ref: false });
  }
}

/** The same for a repository, whatever its messages. */
export function canReadRepository(
  ctx: Context,
  repository: { readonly id: string; readonly sourceId: string },
): Promise<boolean> {
  const { id, sourceId } = repository;
  return canReadMessage(ctx, { sourceId, repositoryId: id, verification: 'VERIFIED' });
}

/** Whether the viewer may read anything of the source. */
export async function canReadSource(ctx: Context, sourceId: string): Promise<boolean> {
  return (await readableSources(ctx)).has(sourceId);
}

const readableSources = perContext(async (ctx): Promise<ReadonlySet<string>> => {
  if (!readsWebhooks(ctx.viewer)) return new Set();
  await freshenPermissions(ctx);
  return (await ctx.loadSources(ctx.viewer.userId)) ?? new Set();
});

/**
 * Before a statement that decides for itself: asks GitHub where its last answer counts no more or may have
 * been overtaken, and waits 5 s at most. What it says later counts from then on.
 */
export const freshenPermissions = perContext(async (ctx): Promise<void> => {
  if (!readsWebhooks(ctx.viewer) || ctx.github === null) return;
  if (await ctx.loadIsDue(ctx.viewer.userId)) await askGitHub(ctx);
});

async function askGitHub(ctx: Context): Promise<void> {
  if (ctx.viewer === null || ctx.github === null) return;
  const asking = ctx.permissions.refresh(ctx.viewer.userId).catch((error: unknown) => {
    if (!(error instanceof UnavailableError)) throw error;
  });
  const timeout = new AbortController();
  const late = delay(ASK_MS_MAX, undefined, { ref: false, signal: timeout.signal }).catch(() => {});
  await Promise.race([asking, late]);
  timeout.abort();
}

/**
 * Before a statement that leaves out what is UNKNOWN and whose answer would say that it is done. Of lanes
 * `s`, with a condition on them. Throws `UnavailableError`.
 */
export async function requireSure(
  sql: Sql,
  ctx: Context,
  userId: string,
  lanes: { readonly condition: string; readonly values: readonly unknown[] },
): Promise<void> {
  if (ctx.github === null) return;
  const rows = await sql.query(
    `WITH ${READABLE_OR_UNSURE}
     SELECT FROM (
       SELECT l.id, l.repository_id, s.path FROM unsure
       JOIN webhook_lane l ON l.id = unsure.id JOIN webhook_source s ON s.id = l.source_id
     ) s WHERE ${lanes.condition} LIMIT 1`,
    [userId, ...lanes.values],
  );
  if (rows.length > 0) throw gitHubIsAway();
}

export function gitHubIsAway(): UnavailableError {
  return new UnavailableError('GitHub does not say now who may see this repository', {
    retryAfterSeconds: 10,
  });
}

export function readsWebhooks(viewer: Viewer | null): viewer is Viewer {
  return viewer?.scopes.has('webhooks:read') ?? false;
}

export function readsUnverified(viewer: Viewer | null): boolean {
  return readsWebhooks(viewer) && isOperator(viewer);
}

export type DecisionLoader = (key: string) => Promise<Decision | undefined>;

function keyOf(userId: string, sourceId: string, repositoryId: string | null): string {
  return `${userId} ${sourceId} ${repositoryId ?? ''}`;
}

/**
 * Always from PostgreSQL, so that a revocation holds from the next hand-out on. Those who ask at once,
 * such as all the followers of a message, share one statement.
 */
export function createDecisionLoader(sql: Sql): DecisionLoader {
  return createBatcher<string, Decision>(
    async (keys) => {
      const places = keys.map((key) => key.split(' '));
      const column = (index: number) => places.map((place) => place[index] || null);
      const rows = await sql.query<
        Decision & { user_id: string; source_id: string; repository_id: string | null }
      >(DECIDE, [column(0), column(1), column(2)], 'decide-access');
      return new Map(
        rows.map(({ user_id, source_id, repository_id, permission, isMuted }) => [
          keyOf(user_id, source_id, repository_id),
          { permission, isMuted },
        ]),
      );
    },
    { concurrency: 2, keysMax: 1_000 },
  );
}

/** The sources of which an account may read anything. */
export type SourceLoader = (userId: string) => Promise<ReadonlySet<string> | undefined>;

export function createSourceLoader(sql: Sql): SourceLoader {
  return createBatcher<string, ReadonlySet<string>>(
    async (userIds) => {
      const rows = await sql.query<{ user_id: string; source_ids: string[] }>(
        READABLE_SOURCES,
        [userIds],
        'load-readable-sources',
      );
      return new Map(rows.map((row) => [row.user_id, new Set(row.source_ids)]));
    },
    { concurrency: 2, keysMax: 1_000 },
  );
}

/** Whether GitHub is to be asked again about an account before its answer is acted on. */
export type DueLoader = (userId: string) => Promise<boolean | undefined>;

export function createDueLoader(sql: Sql): DueLoader {
  return createBatcher<string, boolean>(
    async (userIds) => {
      const rows = await sql.query<{ user_id: string }>(
        FIND_DUE,
        [userIds],
        'find-due-permissions',
      );
      return new Map(rows.map(({ user_id }) => [user_id, true]));
    },
    { concurrency: 2, keysMax: 1_000 },
  );
}
