// Mail leaves by way of the table `outgoing_mail`: it is queued in the transaction of what it tells of, so
// that it goes out if, and only if, that was committed, and nobody's answer waits for a mail server.
import type { Services } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { backoffMs } from '#lib/backoff.ts';
import { deriveKey } from '#lib/derive-key.ts';
import { newId } from '#lib/ids.ts';
import { seal, unseal } from '#lib/seal.ts';
import { type Mail, MailRefusedError, requireSendable } from '#outbound/mail.ts';

type HasConfig = Pick<Services, 'config'>;
type MailApp = Pick<Services, 'config' | 'database' | 'log' | 'mailer' | 'metrics'>;

const BATCH_MAX = 10;
const ATTEMPTS_MAX = 10;
// A minute at least, which is more than SEND_TIMEOUT_MS: an attempt has ended when the next one is due. All
// ten are over within fifteen hours.
const BACKOFF = { baseMs: 120_000, maxMs: 6 * 3_600_000 };

interface Row {
  readonly id: string;
  readonly sealed: Buffer;
  readonly attempts: number;
}

/** Whether mail can leave at all. In production without SMTP_URL it cannot, and none is queued. */
export function canMail({ config }: HasConfig): boolean {
  return config.smtpUrl !== null || config.mode !== 'production';
}

/**
 * In the transaction of `sql`. Sealed, since it holds addresses and one-time tokens. Nothing happens where
 * `canMail` says no.
 */
export async function queueMail(sql: Sql, app: HasConfig, mail: Mail): Promise<void> {
  if (!canMail(app)) return;
  requireSendable(mail);
  const { to, subject, text } = mail;
  const id = newId();
  const sealed = seal(sealingKey(app), JSON.stringify({ to, subject, text }), id);
  await sql.query(
    'INSERT INTO outgoing_mail (id, sealed) VALUES ($1, $2)',
    [id, sealed],
    'queue-mail',
  );
}

/**
 * Sends what is due. Ten failures, and a mail is dropped. It is sent at least once: a crash, or a database
 * that goes away, between the mail server's yes and our note of it sends the mail again, under the same
 * Message-ID.
 */
export async function sendDueMail(app: MailApp): Promise<void> {
  for (;;) {
    const rows = await claimDue(app);
    const ends = await Promise.allSettled(rows.map((row) => sendOne(app, row)));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    // While the mail server is away the rest waits for its turn.
    const isGoingWell = ends.every((end) => end.status === 'fulfilled' && end.value);
    if (rows.length < BATCH_MAX || !isGoingWell) return;
  }
}

/** Puts each off to its next attempt before this one begins: no other node takes it meanwhile. */
function claimDue({ database }: MailApp): Promise<Row[]> {
  return database.transaction(async (sql) => {
    const rows = await sql.query<Row>(
      `SELECT id, sealed, attempts + 1 AS attempts FROM outgoing_mail
       WHERE due_at <= naru_now() ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED`,
      [BATCH_MAX],
      'find-due-mail',
    );
    if (rows.length === 0) return rows;
    const waits = rows.map(
      ({ attempts }) => backoffMs(attempts, { ...BACKOFF, random: Math.random() }) / 1_000,
    );
    await sql.query(
      `UPDATE outgoing_mail m
       SET attempts = m.attempts + 1, due_at = naru_now() + make_interval(secs => next.seconds)
       FROM unnest($1::uuid[], $2::float8[]) AS next (id, seconds) WHERE m.id = next.id`,
      [rows.map(({ id }) => id), waits],
      'claim-mail',
    );
    return rows;
  });
}

/** Whether the mail server is fine. Rejects only when PostgreSQL fails. */
async function sendOne(app: MailApp, row: Row): Promise<boolean> {
  const { id, sealed } = row;
  const text = unseal(sealingKey(app), sealed, id);
  if (text === null) {
    await forget(app, id, 'dropped');
    app.log.warn({ mailId: id }, 'Mail was dropped: another SECRET_KEY sealed it');
    return true;
  }
  try {
    await app.mailer.send(JSON.parse(text) as Mail, id);
  } catch (error) {
    return noteFailure(app, row, error);
  }
  await forget(app, id, 'sent');
  return true;
}

async function noteFailure(app: MailApp, { id, attempts }: Row, error: unknown): Promise<boolean> {
  const note = { mailId: id, attempts, ...whatIsSafe(error) };
  if (error instanceof MailRefusedError) {
    await forget(app, id, 'refused');
    app.log.warn(note, 'Mail was dropped: the mail server refuses its recipient');
    return true;
  }
  if (attempts >= ATTEMPTS_MAX) {
    await forget(app, id, 'dropped');
    app.log.warn(note, 'Mail was dropped after its last attempt');
    return false;
  }
  app.metrics.mail.inc({ outcome: 'failed' });
  app.log.warn(note, 'Mail could not be sent and is tried again');
  return false;
}

async function forget(
  app: MailApp,
  id: string,
  outcome: 'sent' | 'refused' | 'dropped',
): Promise<void> {
  // Before the row is gone, so that nothing is sent uncounted.
  app.metrics.mail.inc({ outcome });
  await app.database.query('DELETE FROM outgoing_mail WHERE id = $1', [id], 'forget-mail');
}

/** Messages repeat the address, and a mail server's may repeat the text: only names and codes are told. */
function whatIsSafe(error: unknown): Record<string, unknown> {
  const told = error instanceof MailRefusedError ? error.cause : error;
  if (!(told instanceof Error)) return {};
  return {
    error: told.name,
    ...('code' in told && { code: told.code }),
    ...('responseCode' in told && { responseCode: told.responseCode }),
  };
}

function sealingKey({ config }: HasConfig): Buffer {
  return deriveKey(config.secretKey, 'mail');
}
