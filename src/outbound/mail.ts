import { isIP } from 'node:net';
import { createTransport, type Transporter } from 'nodemailer';
import type { Config } from '#config.ts';
import { parseEmail } from '#lib/email.ts';
import { UnavailableError } from '#lib/errors.ts';
import type { Log } from '#log.ts';

/** Plain text, from Naru to one address in the form of `parseEmail`. */
export interface Mail {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}

export interface SentMail extends Mail {
  readonly sentAt: Date;
}

export interface Mailer {
  /** Whether mail leaves this process; else only `recent` has it. */
  readonly isReal: boolean;
  /**
   * Resolves when the mail server has taken it over. Whoever sends one `id` again lets the recipient see
   * that it is the same mail. Throws `MailRefusedError` when trying again is in vain.
   */
  send(mail: Mail, id: string): Promise<void>;
  /** The last 50, oldest first; always empty in production, since mail holds secrets. */
  readonly recent: readonly SentMail[];
  /** What is being sent fails, and counts as not sent. */
  close(): Promise<void>;
}

/** The server will not take this mail, now or later: chiefly for a recipient that does not exist. */
export class MailRefusedError extends Error {
  constructor(options?: ErrorOptions) {
    super('The mail server refuses the recipient', options);
    this.name = 'MailRefusedError';
  }
}

const COPIES_MAX = 50;
const CONNECTIONS_MAX = 5;
// Of silence, in each step.
const STEP_TIMEOUT_MS = 8_000;
/** Of one mail as a whole, waiting for its connection included: a server may trickle. */
const SEND_TIMEOUT_MS = 20_000;
const IDLE_TIMEOUT_MS = 30_000;

/**
 * Opens nothing yet: the first mail does. Development prints what it sends on the log as well, secrets
 * included: that is how one signs up there.
 */
export function createMailer(
  config: Pick<Config, 'mode' | 'smtpUrl' | 'mailFrom'>,
  log: Log,
): Mailer {
  const { mode, smtpUrl, mailFrom } = config;
  const transport = smtpUrl === null ? null : createSmtp(smtpUrl);
  const recent: SentMail[] = [];
  return {
    isReal: transport !== null,
    recent,
    async send(mail, id) {
      requireSendable(mail);
      if (transport !== null) await sendBySmtp(transport, mailFrom, mail, id);
      else if (mode === 'production') throw new UnavailableError('No mail server is set up');
      if (mode === 'production') return;
      recent.push({ ...mail, sentAt: new Date() });
      if (recent.length > COPIES_MAX) recent.shift();
      if (mode === 'development') log.info({ to: mail.to, subject: mail.subject }, mail.text);
    },
    async close() {
      transport?.close({ force: true });
    },
  };
}

/** Throws where address or subject could add a header or a recipient. */
export function requireSendable({ to, subject }: Mail): void {
  if (parseEmail(to) !== to) throw new Error('Mail goes to one address in its parsed form');
  if (/\p{Cc}|[\u2028\u2029]/u.test(subject)) throw new Error('A subject is one line of text');
}

function createSmtp(smtpUrl: string): Transporter {
  // What the address's query says (`requireTLS`, `tls.rejectUnauthorized`, …) wins over this.
  return createTransport({
    url: smtpUrl,
    pool: true,
    maxConnections: CONNECTIONS_MAX,
    // Only for a pooled connection that turned out to be dead before anything was said on it.
    maxRequeues: 1,
    connectionTimeout: STEP_TIMEOUT_MS,
    dnsTimeout: STEP_TIMEOUT_MS,
    greetingTimeout: STEP_TIMEOUT_MS,
    socketTimeout: STEP_TIMEOUT_MS,
    socketCloseTimeout: 0,
    idleTimeout: IDLE_TIMEOUT_MS,
    requireTLS: sendsPasswordFar(smtpUrl),
  });
}

/**
 * STARTTLS is used wherever it is offered, and then it must succeed; but one in the middle can take away
 * the offer. Mail then still goes out. A password does not, unless to this machine.
 */
function sendsPasswordFar(smtpUrl: string): boolean {
  const { hostname, password, protocol } = new URL(smtpUrl);
  const isNear =
    hostname === 'localhost' ||
    hostname === '[::1]' ||
    (isIP(hostname) === 4 && hostname.startsWith('127.'));
  return protocol === 'smtp:' && password !== '' && !isNear;
}

async function sendBySmtp(
  transport: Transporter,
  from: string,
  { to, subject, text }: Mail,
  id: string,
): Promise<void> {
  const host = /@([^\s>]+)/.exec(from)?.[1] ?? 'localhost';
  await transport
    .sendMail({
      from,
      // Not as text, which would be read as a list of addresses.
      to: { name: '', address: to },
      subject,
      text,
      messageId: `<${id}@${host}>`,
      // So that nobody's absence notice answers it (RFC 3834).
      headers: { 'Auto-Submitted': 'auto-generated' },
      disableFileAccess: true,
      disableUrlAccess: true,
      signal: AbortSignal.timeout(SEND_TIMEOUT_MS),
    })
    .catch((error: unknown) => {
      throw isRefusal(error) ? new MailRefusedError({ cause: error }) : error;
    });
}

/**
 * A lasting no to the recipient. A no to anything else says that something is set up wrongly, which can
 * be mended.
 */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof Error && 'command' in error && 'permanent' in error)) return false;
  return error.command === 'RCPT TO' && error.permanent === true;
}
