// A small real mail server that takes nothing on trust: whatever a client of ours says that is not proper
// SMTP, or is no proper message, becomes a fault that `expectNoFaults` names.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

export interface ReceivedMail {
  readonly from: string;
  readonly to: string;
  /** Names in lower case, values unfolded. */
  readonly headers: ReadonlyMap<string, string>;
  /** Decoded. */
  readonly text: string;
}

/** The end of a message counts as a command of its own: its answer says who has the mail now. */
export type SmtpVerb = 'GREETING' | 'EHLO' | 'STARTTLS' | 'AUTH' | 'MAIL' | 'RCPT' | 'DATA' | 'END';

/** Instead of the usual answer: another line, to hang up, or to wait before it. */
export type SmtpAnswer = { readonly line: string } | 'hang up' | Promise<void>;

export interface SmtpServer {
  readonly port: number;
  readonly received: readonly ReceivedMail[];
  /** Every command line so far, of all connections. */
  readonly commands: readonly string[];
  /** Until deleted. */
  readonly answers: Map<SmtpVerb, SmtpAnswer>;
  /** Further lines of the answer to EHLO, e.g. `STARTTLS`. */
  readonly extensions: Set<string>;
  /** Throws all that was wrong with what was sent. */
  expectNoFaults(): void;
  /** Nobody can connect, and who is connected is cut off. */
  stop(): Promise<void>;
  /** Again on the same port. */
  start(): Promise<void>;
}

const LINE_LENGTH_MAX = 998;
const ONCE = ['from', 'to', 'subject', 'date', 'message-id', 'mime-version', 'content-type'];
const NEVER = ['cc', 'bcc', 'reply-to', 'sender'];

export async function startSmtp(): Promise<SmtpServer> {
  const received: ReceivedMail[] = [];
  const commands: string[] = [];
  const faults: string[] = [];
  const answers = new Map<SmtpVerb, SmtpAnswer>();
  const extensions = new Set<string>();
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    void talk(socket, { received, commands, faults, answers, extensions });
  });
  const listen = async (port: number) => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  await listen(0);
  const { port } = server.address() as AddressInfo;
  return {
    port,
    received,
    commands,
    answers,
    extensions,
    expectNoFaults() {
      if (faults.length > 0) throw new Error(faults.join('\n'));
    },
    async stop() {
      if (!server.listening) return;
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
    start: () => listen(port),
  };
}

interface Session {
  readonly received: ReceivedMail[];
  readonly commands: string[];
  readonly faults: string[];
  readonly answers: ReadonlyMap<SmtpVerb, SmtpAnswer>;
  readonly extensions: ReadonlySet<string>;
}

async function talk(socket: Socket, session: Session): Promise<void> {
  const { received, commands, faults, answers, extensions } = session;
  let from: string | null = null;
  let to: string | null = null;

  /** Whether the command was granted. */
  const reply = async (verb: SmtpVerb, usual: string): Promise<boolean> => {
    const answer = answers.get(verb);
    if (answer instanceof Promise) await answer;
    if (answer === 'hang up') socket.destroy();
    const line = lineOf(answer) ?? usual;
    if (!socket.destroyed) socket.write(`${line}\r\n`);
    return line === usual && !socket.destroyed;
  };

  if (!(await reply('GREETING', '220 mail.example ESMTP'))) return;
  const lines = readLines(socket, faults);
  for await (const line of lines) {
    commands.push(line);
    const verb = line.split(' ', 1)[0]?.toUpperCase();
    if (verb === 'EHLO') {
      const all = ['mail.example', 'SIZE 1000000', ...extensions];
      const last = all.length - 1;
      const usual = all.map((text, at) => `250${at === last ? ' ' : '-'}${text}`).join('\r\n');
      await reply('EHLO', usual);
    } else if (verb === 'STARTTLS') {
      await reply('STARTTLS', '454 TLS is not available');
    } else if (verb === 'AUTH') {
      await reply('AUTH', '235 Welcome');
    } else if (verb === 'MAIL') {
      if (from !== null) faults.push('MAIL in the middle of a message');
      const address = /^MAIL FROM:<([^<>\s]+)>/.exec(line)?.[1] ?? null;
      if (address === null) faults.push(`No sender: ${line}`);
      if (await reply('MAIL', '250 OK')) from = address;
    } else if (verb === 'RCPT') {
      if (from === null) faults.push('RCPT before MAIL');
      if (to !== null) faults.push('A second recipient');
      const address = /^RCPT TO:<([^<>\s]+)>$/.exec(line)?.[1] ?? null;
      if (address === null) faults.push(`No recipient: ${line}`);
      if (await reply('RCPT', '250 OK')) to = address;
    } else if (verb === 'DATA') {
      if (from === null || to === null) faults.push('DATA before MAIL and RCPT');
      if (!(await reply('DATA', '354 Go on'))) continue;
      const message = await readMessage(lines);
      // Taken over before the answer: when that gets lost, only the client does not know.
      const isTaken = message !== null && lineOf(answers.get('END')) === null;
      if (isTaken) received.push(parseMessage(message, { from, to }, faults));
      await reply('END', '250 Taken');
      from = to = null;
    } else if (verb === 'RSET') {
      from = to = null;
      socket.write('250 OK\r\n');
    } else if (verb === 'NOOP') {
      socket.write('250 OK\r\n');
    } else if (verb === 'QUIT') {
      socket.end('221 Bye\r\n');
    } else {
      faults.push(`Not a command: ${line}`);
      socket.write('500 What?\r\n');
    }
  }
}

/** Null for none: the usual line then. */
function lineOf(answer: SmtpAnswer | undefined): string | null {
  return typeof answer === 'object' && 'line' in answer ? answer.line : null;
}

async function* readLines(socket: Socket, faults: string[]): AsyncGenerator<string, undefined> {
  let text = '';
  try {
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      text += chunk.toString('latin1');
      for (let end = text.indexOf('\r\n'); end !== -1; end = text.indexOf('\r\n')) {
        const line = text.slice(0, end);
        text = text.slice(end + 2);
        if (/[\r\n]/.test(line)) faults.push(`A bare CR or LF: ${JSON.stringify(line)}`);
        if (line.length > LINE_LENGTH_MAX) faults.push('A line of more than 998 characters');
        yield line;
      }
    }
  } catch {
    // Cut off, which is an ordinary end.
  }
}

/** The lines up to the single dot, those that begin with one restored; null when it never came. */
async function readMessage(lines: AsyncGenerator<string, undefined>): Promise<string[] | null> {
  const message: string[] = [];
  for (;;) {
    const { done, value } = await lines.next();
    if (done) return null;
    if (value === '.') return message;
    message.push(value.startsWith('.') ? value.slice(1) : value);
  }
}

function parseMessage(
  lines: readonly string[],
  envelope: { readonly from: string | null; readonly to: string | null },
  faults: string[],
): ReceivedMail {
  const blank = lines.indexOf('');
  const head = lines
    .slice(0, blank)
    .join('\r\n')
    .replace(/\r\n[ \t]+/g, ' ')
    .split('\r\n');
  const headers = new Map<string, string>();
  for (const line of head) {
    const [, name = '', value = ''] = /^([!-9;-~]+): (.*)$/.exec(line) ?? [];
    if (name === '') faults.push(`Not a header: ${line}`);
    if (headers.has(name.toLowerCase())) faults.push(`Twice: ${name}`);
    headers.set(name.toLowerCase(), value);
  }
  for (const name of ONCE) if (!headers.has(name)) faults.push(`Missing: ${name}`);
  for (const name of NEVER) if (headers.has(name)) faults.push(`Unasked for: ${name}`);
  const { from, to } = { from: envelope.from ?? '', to: envelope.to ?? '' };
  if (headers.get('to') !== to) faults.push(`To ${headers.get('to')} is not who gets it: ${to}`);
  if (!headers.get('from')?.includes(from)) faults.push('From is not who sent it');
  if (!headers.get('content-type')?.startsWith('text/plain; charset=utf-8')) {
    faults.push(`Not plain text: ${headers.get('content-type')}`);
  }
  const body = lines.slice(blank + 1);
  return { from, to, headers, text: decode(body, headers.get('content-transfer-encoding')) };
}

function decode(lines: readonly string[], encoding = '7bit'): string {
  const text = lines.join('\n');
  if (encoding === 'base64') return Buffer.from(text, 'base64').toString().replaceAll('\r\n', '\n');
  if (encoding !== 'quoted-printable') return Buffer.from(text, 'latin1').toString();
  const bytes = text
    .replace(/=\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_, code: string) =>
      String.fromCharCode(Number.parseInt(code, 16)),
    );
  return Buffer.from(bytes, 'latin1').toString();
}
