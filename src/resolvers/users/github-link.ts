import type { Context, Services } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { deriveKey } from '#lib/derive-key.ts';
import { ConflictError, NotFoundError, UnavailableError } from '#lib/errors.ts';
import { newId } from '#lib/ids.ts';
import { seal, unseal } from '#lib/seal.ts';
import { createTurns } from '#lib/turns.ts';
import type { GitHub, GitHubTokens, GitHubUser } from '#outbound/github.ts';
import { requireSession } from './access.ts';
import { actorOf, recordAudit, SYSTEM_ACTOR } from './audit.ts';
import { lockViewer } from './locked-account.ts';

/** A token that expires sooner than this is refreshed before it is used. */
const REFRESH_AHEAD_MINUTES = 5;
/** Each holds a connection to PostgreSQL while GitHub thinks, which can be 10 s: most are for others. */
const REFRESHES_AT_ONCE_MAX = 2;

const refreshTurns = createTurns();

type Links = Pick<Services, 'config' | 'database' | 'github'>;

/** A link as its row has it, its tokens opened; null for what does not open under today's SECRET_KEY. */
export interface Link {
  readonly id: string;
  readonly isLinked: boolean;
  readonly accessToken: string | null;
  readonly refreshToken: string | null;
  readonly isExpired: boolean;
  readonly isDue: boolean;
}

const FIND = `
  SELECT id, state::text, access_token_sealed, refresh_token_sealed,
    coalesce(access_token_expires_at <= naru_now(), false) AS "isExpired",
    coalesce(access_token_expires_at <= naru_now() + $2 * interval '1 minute', false) AS "isDue"
  FROM github_account WHERE user_id = $1`;

/**
 * An access token of the account's, good for minutes at least, to call GitHub with. Null where the
 * account has no link, or GitHub takes its token no longer: the link is then BROKEN until its owner
 * links again. Throws `UnavailableError` when the token has to be refreshed and GitHub is away.
 */
export async function useGitHubToken(app: Links, userId: string): Promise<string | null> {
  const link = await findLink(app, app.database, userId, '');
  if (link === null || !link.isLinked) return null;
  if (!link.isDue && link.accessToken !== null) return link.accessToken;
  try {
    return await refreshLink(app, userId);
  } catch (error) {
    if (error instanceof UnavailableError && !link.isExpired && link.accessToken !== null) {
      return link.accessToken;
    }
    throw error;
  }
}

/**
 * For whoever called GitHub with the token and was told that it does not count: the link is BROKEN,
 * unless it has another token by now.
 */
export async function reportRefusedGitHubToken(
  app: Links,
  { userId, accessToken }: { readonly userId: string; readonly accessToken: string },
): Promise<void> {
  await app.database.transaction(async (sql) => {
    const link = await findLink(app, sql, userId, 'FOR UPDATE');
    if (link?.isLinked && link.accessToken === accessToken) await breakLink(sql, link.id);
  });
}

/**
 * One refresh at a time, because a refresh token counts once: the others wait for the row and find the
 * new token in it. An answer that gets lost on its way costs the link; only GitHub could prevent that.
 */
function refreshLink(app: Links, userId: string): Promise<string | null> {
  const lane = Number.parseInt(userId.slice(-4), 16) % REFRESHES_AT_ONCE_MAX;
  return refreshTurns(String(lane), () => refreshInTurn(app, userId));
}

function refreshInTurn(app: Links, userId: string): Promise<string | null> {
  return app.database.transaction(async (sql) => {
    const link = await findLink(app, sql, userId, 'FOR UPDATE');
    if (link === null || !link.isLinked) return null;
    const { id, accessToken, refreshToken } = link;
    if (!link.isDue && accessToken !== null) return accessToken;
    if (refreshToken === null && accessToken !== null && !link.isExpired) return accessToken;
    const tokens =
      refreshToken === null ? 'REFUSED' : await clientOf(app).refreshTokens(refreshToken);
    if (tokens === 'REFUSED') {
      await breakLink(sql, id);
      return null;
    }
    await sql.query(
      `UPDATE github_account SET access_token_sealed = $2, refresh_token_sealed = $3,
         access_token_expires_at = naru_now() + $4 * interval '1 second',
         refresh_token_expires_at = naru_now() + $5 * interval '1 second', updated_at = naru_now()
       WHERE id = $1`,
      [id, ...sealTokens(app, id, tokens)],
    );
    return tokens.accessToken;
  });
}

/**
 * Links, or renews the link that there is; returns its id. The caller holds the locks of the account and
 * of the GitHub id, and has looked that neither is linked with another.
 */
export async function storeLink(
  app: Pick<Services, 'config'>,
  sql: Sql,
  input: { readonly userId: string; readonly person: GitHubUser; readonly tokens: GitHubTokens },
): Promise<string> {
  const { userId, person, tokens } = input;
  const [known] = await sql.query<{ id: string; state: string; shows_private: boolean }>(
    'SELECT id, state::text, shows_private FROM github_account WHERE user_id = $1',
    [userId],
  );
  // Signing in asks for less than the owner may have agreed to once: the token that shows more stays.
  if (known?.state === 'LINKED' && known.shows_private && !tokens.showsPrivate) {
    await sql.query('UPDATE github_account SET login = $2, updated_at = naru_now() WHERE id = $1', [
      known.id,
      person.login,
    ]);
    return known.id;
  }
  // What is sealed is bound to the row's id, so that is decided first.
  const id = known?.id ?? newId();
  await sql.query(
    `INSERT INTO github_account (id, access_token_sealed, refresh_token_sealed,
       access_token_expires_at, refresh_token_expires_at, user_id, github_id, login, shows_private)
     VALUES ($1, $2, $3, naru_now() + $4 * interval '1 second',
       naru_now() + $5 * interval '1 second', $6, $7, $8, $9)
     ON CONFLICT (id) DO UPDATE SET access_token_sealed = excluded.access_token_sealed,
       refresh_token_sealed = excluded.refresh_token_sealed,
       access_token_expires_at = excluded.access_token_expires_at,
       refresh_token_expires_at = excluded.refresh_token_expires_at,
       login = excluded.login, state = 'LINKED', shows_private = excluded.shows_private,
       updated_at = naru_now()`,
    [
      id,
      ...sealTokens(app, id, tokens),
      userId,
      String(person.githubId),
      person.login,
      tokens.showsPrivate,
    ],
    'store-github-link',
  );
  return id;
}

/**
 * Takes the viewer's link away, then its tokens at GitHub, as far as GitHub answers. Throws
 * `ConflictError` where the account could not sign in any more, `NotFoundError` without a link.
 */
export async function unlinkGitHub(ctx: Context): Promise<{ readonly userId: string }> {
  const viewer = await requireSession(ctx);
  const { userId } = viewer;
  const link = await ctx.database.transaction(async (sql) => {
    const account = await lockViewer(sql, viewer);
    const taken = await takeLink(ctx, sql, userId);
    if (taken === null) throw new NotFoundError('No GitHub account is linked');
    if (account.passwordHash === null) {
      throw new ConflictError('Set a password first: without GitHub nobody could sign in');
    }
    await recordAudit(sql, actorOf(ctx, viewer), {
      action: 'GITHUB_UNLINKED',
      subject: { type: 'GitHubAccount', id: taken.id },
    });
    return taken;
  });
  await revokeLink(ctx, link);
  return { userId };
}

/** Deletes the account's link; null where there is none. For `revokeLink` once that has committed. */
export async function takeLink(
  app: Pick<Services, 'config'>,
  sql: Sql,
  userId: string,
): Promise<Link | null> {
  const link = await findLink(app, sql, userId, 'FOR UPDATE');
  if (link !== null) await sql.query('DELETE FROM github_account WHERE id = $1', [link.id]);
  return link;
}

/**
 * Takes what a link gave us back at GitHub, as far as GitHub answers within 20 s; never throws. GitHub
 * takes a grant by any token of it that counts, so one that has expired is refreshed first.
 */
export async function revokeLink(
  app: Pick<Services, 'github' | 'log'>,
  link: Link | null,
): Promise<void> {
  const { github } = app;
  if (github === null || link === null || !link.isLinked) return;
  await bestEffort(app, async () => {
    const refreshed =
      link.isExpired && link.refreshToken !== null
        ? await github.refreshTokens(link.refreshToken)
        : null;
    const accessToken =
      refreshed === null || refreshed === 'REFUSED' ? link.accessToken : refreshed.accessToken;
    if (accessToken !== null) await github.revokeGrant(accessToken);
  });
}

/** For what GitHub may as well do another day: a failure is logged and goes no further. */
export async function bestEffort(
  app: Pick<Services, 'log'>,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    app.log.warn({ err: error }, 'A token could not be revoked at GitHub');
  }
}

async function findLink(
  app: Pick<Services, 'config'>,
  sql: Sql,
  userId: string,
  lock: '' | 'FOR UPDATE',
): Promise<Link | null> {
  const [row] = await sql.query<{
    readonly id: string;
    readonly state: string;
    readonly access_token_sealed: Buffer;
    readonly refresh_token_sealed: Buffer | null;
    readonly isExpired: boolean;
    readonly isDue: boolean;
  }>(`${FIND} ${lock}`, [userId, REFRESH_AHEAD_MINUTES]);
  if (row === undefined) return null;
  const { id, isExpired, isDue } = row;
  const key = keyOf(app);
  const open = (sealed: Buffer | null) => (sealed === null ? null : unseal(key, sealed, id));
  return {
    id,
    isLinked: row.state === 'LINKED',
    accessToken: open(row.access_token_sealed),
    refreshToken: open(row.refresh_token_sealed),
    isExpired,
    isDue,
  };
}

async function breakLink(sql: Sql, id: string): Promise<void> {
  await sql.query(
    `UPDATE github_account SET state = 'BROKEN', updated_at = naru_now() WHERE id = $1`,
    [id],
  );
  await recordAudit(sql, SYSTEM_ACTOR, {
    action: 'GITHUB_LINK_BROKEN',
    subject: { type: 'GitHubAccount', id },
  });
}

function sealTokens(app: Pick<Services, 'config'>, id: string, tokens: GitHubTokens) {
  const { accessToken, refreshToken, expiresInSeconds, refreshExpiresInSeconds } = tokens;
  const key = keyOf(app);
  return [
    seal(key, accessToken, id),
    refreshToken === null ? null : seal(key, refreshToken, id),
    expiresInSeconds,
    refreshExpiresInSeconds,
  ] as const;
}

function keyOf({ config }: Pick<Services, 'config'>): Buffer {
  return deriveKey(config.secretKey, 'github');
}

/** Throws `NotFoundError` where nobody signs in with GitHub. */
export function clientOf({ github }: Pick<Services, 'github'>): GitHub {
  if (github === null) throw new NotFoundError('Nobody signs in with GitHub here');
  return github;
}
