import type { Services } from '#context.ts';
import { NotFoundError } from '#lib/errors.ts';
import { recordAudit, SYSTEM_ACTOR } from './audit.ts';
import { lockAccount } from './locked-account.ts';
import { replacePassword, revokeTokens } from './password.ts';
import { requireGoodPassword } from './sign-up.ts';

/**
 * For the command line, which acts for whoever runs the server: where no mail is sent, nobody else can
 * help. Whoever was in is out, by session, by token and by GitHub. Nobody is mailed. Throws `NotFoundError`, and
 * `InvalidInputError` for a bad password.
 */
export async function setPassword(
  { database, passwords }: Pick<Services, 'database' | 'passwords'>,
  { username, password }: { readonly username: string; readonly password: string },
): Promise<{ readonly endedSessions: number }> {
  const [user] = await database.query<{ id: string; displayName: string; email: string | null }>(
    `SELECT id, display_name AS "displayName", email FROM users
     WHERE username = $1 AND deleted_at IS NULL`,
    [username],
  );
  if (user === undefined) throw new NotFoundError(`No user is called ${JSON.stringify(username)}`);
  requireGoodPassword(password, 'password', [username, user.displayName, user.email]);
  const hash = await passwords.hash(password);
  return database.transaction(async (sql) => {
    const account = await lockAccount(sql, user.id);
    if (account === null) throw new NotFoundError('The account was deleted meanwhile');
    const endedSessions = await replacePassword(sql, user.id, hash);
    await recordAudit(sql, SYSTEM_ACTOR, {
      action: 'PASSWORD_RESET',
      subject: { type: 'User', id: user.id },
      details: { by: 'COMMAND_LINE' },
    });
    await revokeTokens(sql, user.id);
    const [link] = await sql.query<{ id: string }>(
      'DELETE FROM github_account WHERE user_id = $1 RETURNING id',
      [user.id],
    );
    if (link !== undefined) {
      await recordAudit(sql, SYSTEM_ACTOR, {
        action: 'GITHUB_UNLINKED',
        subject: { type: 'GitHubAccount', id: link.id },
      });
    }
    return { endedSessions };
  });
}
