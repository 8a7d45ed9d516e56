import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  onTestFinished,
  test,
} from 'vitest';
import { type Config, parseConfig } from '#config.ts';
import { createDatabase, type Database } from '#database/client.ts';
import { UnavailableError } from '#lib/errors.ts';
import { createLog } from '#log.ts';
import { createMetrics } from '#metrics.ts';
import { createMailer, type Mail, type Mailer, MailRefusedError } from '#outbound/mail.ts';
import { canMail, queueMail, sendDueMail } from '#resolvers/users/mail.ts';
import * as texts from '#resolvers/users/mail-texts.ts';
import { createServer } from '#server.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/graphql-client.ts';
import { passTime } from '../support/inbox.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { testRedisUrl } from '../support/servers.ts';
import { type SmtpServer, type SmtpVerb, startSmtp } from '../support/smtp.ts';

const TOKEN = 'nar_one-time-canary-token';
const TASK = {
  to: 'ann@example.com',
  publicUrl: 'https://naru.example',
  ipAddress: '203.0.113.7',
  token: TOKEN,
};

let testDatabase: TestDatabase;
let smtp: SmtpServer;
let nodes: Node[];

/** As much of a node as mail needs. */
interface Node {
  readonly config: Config;
  readonly database: Database;
  readonly log: ReturnType<typeof createLog>;
  readonly metrics: ReturnType<typeof createMetrics>;
  readonly mailer: Mailer;
  readonly logged: string[];
}

function createNode(settings: Readonly<Record<string, string>> = {}): Node {
  const config = parseConfig({
    NODE_ENV: 'test',
    DATABASE_URL: testDatabase.url,
    REDIS_URL: testRedisUrl().url,
    SMTP_URL: `smtp://127.0.0.1:${smtp.port}`,
    MAIL_FROM: 'Naru <naru@mail.example>',
    ...settings,
  });
  const logged: string[] = [];
  const log = createLog('trace', { write: (line) => void logged.push(line) });
  const node = {
    config,
    database: createDatabase({
      connectionString: testDatabase.url,
      poolMax: 4,
      onIdleError: () => {},
    }),
    log,
    metrics: createMetrics(),
    mailer: createMailer(config, log),
    logged,
  };
  nodes.push(node);
  return node;
}

function queue(node: Node, mail: Mail = texts.resetPasswordMail(TASK)): Promise<void> {
  return node.database.transaction((sql) => queueMail(sql, node, mail));
}

async function countQueued({ database }: Node): Promise<number> {
  const [row] = await database.query<{ count: string }>('SELECT count(*) FROM outgoing_mail');
  return Number(row?.count);
}

async function countOutcomes({ metrics }: Node): Promise<Record<string, number>> {
  const { values } = await metrics.mail.get();
  return Object.fromEntries(values.map(({ labels, value }) => [labels.outcome, value]));
}

const pass = (node: Node, seconds: number) => passTime({ app: node } as never, seconds);

beforeAll(async () => {
  testDatabase = await createTestDatabase();
});

beforeEach(async () => {
  smtp = await startSmtp();
  nodes = [];
});

afterEach(async () => {
  const [node = createNode()] = nodes;
  await node.database.query('TRUNCATE outgoing_mail, clock_offset');
  for (const { mailer, database } of nodes) {
    await mailer.close();
    await database.close();
  }
  await smtp.stop();
  smtp.expectNoFaults();
});

afterAll(() => testDatabase.drop());

test('what is queued arrives once, as one plain message to one recipient', async () => {
  const node = createNode();
  const mail = texts.resetPasswordMail(TASK);
  await queue(node, mail);
  await sendDueMail(node);
  await sendDueMail(node);
  const [message, ...others] = smtp.received;
  expect(others).toEqual([]);
  expect(message).toMatchObject({ from: 'naru@mail.example', to: 'ann@example.com' });
  expect(message?.text.trimEnd()).toBe(mail.text.trimEnd());
  expect(Object.fromEntries(message?.headers ?? [])).toMatchObject({
    from: 'Naru <naru@mail.example>',
    subject: mail.subject,
    'auto-submitted': 'auto-generated',
    'message-id': expect.stringMatching(/^<[0-9a-f-]{36}@mail\.example>$/),
  });
  expect(await countQueued(node)).toBe(0);
  expect(await countOutcomes(node)).toEqual({ sent: 1 });
});

test('a text in any script, with long lines and dots at their beginning, arrives as it was', async () => {
  const node = createNode();
  const text = ['가나다 🙂', '.', '..x', `${'long '.repeat(500)}`, '', 'end'].join('\n');
  await queue(node, { to: 'ann@example.com', subject: '비밀번호 🙂', text });
  await queue(node, { to: 'ann@example.com', subject: 'ASCII', text: 'a\n.\nb' });
  await sendDueMail(node);
  expect(smtp.received.map((mail) => mail.text.trimEnd()).sort()).toEqual(['a\n.\nb', text].sort());
});

test.each([
  ['\r\n.\r\nMAIL FROM:<naru@mail.example>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n\r\nx'],
  ['\n.\nMAIL FROM:<naru@mail.example>\nRCPT TO:<bob@example.com>\nDATA\n\nx'],
  ['\r.\rMAIL FROM:<naru@mail.example>\rRCPT TO:<bob@example.com>\rDATA\r\rx'],
  ['\n.\r\nMAIL FROM:<naru@mail.example>\r\nx'],
])('a text that looks like the end of its message is part of it: %j', async (text) => {
  const node = createNode();
  await queue(node, { to: 'ann@example.com', subject: 'x', text });
  await sendDueMail(node);
  expect(smtp.received.map(({ to }) => to)).toEqual(['ann@example.com']);
  expect(smtp.commands.filter((line) => line.startsWith('MAIL'))).toHaveLength(1);
});

test.each<Partial<Mail>>([
  { to: 'ann@example.com\r\nBcc: bob@example.com' },
  { to: 'ann@example.com\nRCPT TO:<bob@example.com>' },
  { to: 'ann@example.com, bob@example.com' },
  { to: 'friends: ann@example.com, bob@example.com;' },
  { to: '<ann@example.com>' },
  { to: 'Ann@Example.com' },
  { to: '' },
  { subject: 'Hello\r\nBcc: bob@example.com' },
  { subject: 'Hello\nBcc: bob@example.com' },
  { subject: 'Hello\rBcc: bob@example.com' },
  { subject: 'Hello\u0000' },
  { subject: 'Hello\u2028Bcc: bob@example.com' },
])('a recipient or subject that could add a header or a recipient is refused: %j', async (part) => {
  const node = createNode();
  const mail = { to: 'ann@example.com', subject: 'Hello', text: 'x', ...part };
  await expect(queue(node, mail)).rejects.toThrow(/^(Mail goes to one|A subject is one)/);
  await expect(node.mailer.send(mail, 'id')).rejects.toThrow(
    /^(Mail goes to one|A subject is one)/,
  );
  expect(await countQueued(node)).toBe(0);
  expect(smtp.commands).toEqual([]);
});

test('a mail is queued if, and only if, its transaction commits', async () => {
  const node = createNode();
  const failure = node.database.transaction(async (sql) => {
    await queueMail(sql, node, texts.resetPasswordMail(TASK));
    throw new Error('the rest failed');
  });
  await expect(failure).rejects.toThrow('the rest failed');
  expect(await countQueued(node)).toBe(0);
  await sendDueMail(node);
  expect(smtp.received).toEqual([]);
});

test('who reads the table reads neither address, nor subject, nor token', async () => {
  const node = createNode();
  await queue(node);
  const [row] = await node.database.query<{ row: string; sealed: Buffer }>(
    'SELECT m::text AS row, sealed FROM outgoing_mail m',
  );
  const seen = `${row?.row} ${row?.sealed.toString('latin1')} ${row?.sealed.toString('utf16le')}`;
  expect(row?.sealed.length).toBeGreaterThan(100);
  for (const secret of [TOKEN, 'ann', 'example.com', 'password', '203.0.113.7']) {
    expect(seen).not.toContain(secret);
  }
});

test('what another SECRET_KEY sealed, or another row held, is dropped and said so', async () => {
  const other = createNode({ SECRET_KEY: 'another-secret-key-of-32-characters' });
  const node = createNode();
  await queue(other);
  await queue(node);
  await node.database.query(
    'UPDATE outgoing_mail SET id = gen_random_uuid() WHERE id = (SELECT max(id::text)::uuid FROM outgoing_mail)',
  );
  await sendDueMail(node);
  expect(smtp.received).toEqual([]);
  expect(await countQueued(node)).toBe(0);
  expect(await countOutcomes(node)).toEqual({ dropped: 2 });
  expect(node.logged).toHaveLength(2);
});

test('while the mail server is down, mail waits for its next attempt and then arrives', async () => {
  const node = createNode();
  await queue(node);
  await smtp.stop();
  await sendDueMail(node);
  expect(await countQueued(node)).toBe(1);
  await smtp.start();
  await sendDueMail(node);
  expect(await countOutcomes(node)).toEqual({ failed: 1 });
  await pass(node, 120);
  await sendDueMail(node);
  expect(smtp.received).toHaveLength(1);
  expect(await countQueued(node)).toBe(0);
  expect(await countOutcomes(node)).toEqual({ failed: 1, sent: 1 });
});

test.each<[SmtpVerb, string]>([
  ['GREETING', '421 Too busy'],
  ['GREETING', 'hang up'],
  ['MAIL', '550 5.7.1 This sender may not'],
  ['RCPT', '450 4.2.1 Later'],
  ['DATA', '451 Later'],
  ['END', '452 Later'],
  ['END', '554 Not today'],
  ['RCPT', 'hang up'],
])('a mail server that answers %s with "%s" gets the mail later', async (verb, answer) => {
  const node = createNode();
  await queue(node);
  smtp.answers.set(verb, answer === 'hang up' ? answer : { line: answer });
  await sendDueMail(node);
  expect(smtp.received).toEqual([]);
  smtp.answers.clear();
  await pass(node, 120);
  await sendDueMail(node);
  expect(smtp.received).toHaveLength(1);
});

test('a mail whose acknowledgement is lost comes again under the same Message-ID', async () => {
  const node = createNode();
  await queue(node);
  smtp.answers.set('END', 'hang up');
  await sendDueMail(node);
  smtp.answers.clear();
  await pass(node, 120);
  await sendDueMail(node);
  expect(smtp.received).toHaveLength(2);
  expect(new Set(smtp.received.map(({ headers }) => headers.get('message-id'))).size).toBe(1);
});

test('a recipient whom the mail server does not know is given up at once', async () => {
  const node = createNode();
  await queue(node);
  smtp.answers.set('RCPT', { line: '550 5.1.1 <ann@example.com>: unknown' });
  await sendDueMail(node);
  expect(await countQueued(node)).toBe(0);
  expect(await countOutcomes(node)).toEqual({ refused: 1 });
  await expect(
    node.mailer.send({ to: 'ann@example.com', subject: 'x', text: 'x' }, 'id'),
  ).rejects.toThrow(MailRefusedError);
});

test('after ten failures within a day a mail is dropped', async () => {
  const node = createNode();
  await queue(node);
  smtp.answers.set('RCPT', { line: '450 Later' });
  for (let attempt = 1; attempt <= 10; attempt += 1) {
    expect(await countQueued(node)).toBe(1);
    await sendDueMail(node);
    const [row] = await node.database.query<{ seconds: number }>(
      'SELECT extract(epoch FROM due_at - naru_now())::float8 AS seconds FROM outgoing_mail',
    );
    if (attempt < 10) {
      expect(row?.seconds).toBeGreaterThan(55);
      expect(row?.seconds).toBeLessThanOrEqual(6 * 3_600);
    }
    await pass(node, 6 * 3_600);
  }
  expect(await countQueued(node)).toBe(0);
  expect(await countOutcomes(node)).toEqual({ failed: 9, dropped: 1 });
});

test('the log says what became of a mail, and neither to whom it went nor what it said', async () => {
  const node = createNode();
  await queue(node);
  smtp.answers.set('RCPT', { line: '450 <ann@example.com>: not now' });
  await sendDueMail(node);
  smtp.answers.set('RCPT', { line: '550 <ann@example.com>: unknown' });
  await pass(node, 120);
  await sendDueMail(node);
  await queue(node);
  smtp.answers.set('DATA', { line: '451 <ann@example.com>: not now' });
  smtp.answers.delete('RCPT');
  for (let attempt = 1; attempt <= 10; attempt += 1) {
    await sendDueMail(node);
    await pass(node, 6 * 3_600);
  }
  expect(node.logged).toHaveLength(12);
  expect(JSON.parse(node.logged[0] ?? '')).toMatchObject({
    level: 'warn',
    code: 'EENVELOPE',
    responseCode: 450,
    attempts: 1,
  });
  const all = node.logged.join('');
  for (const secret of [TOKEN, 'ann@', 'Reset your password', '203.0.113.7']) {
    expect(all).not.toContain(secret);
  }
});

test('two nodes that send at once send each mail once', async () => {
  const both = [createNode(), createNode()] as const;
  for (let at = 0; at < 60; at += 1) {
    await queue(both[0], { to: `user-${at}@example.com`, subject: 'x', text: 'x' });
  }
  await Promise.all(both.map((node) => sendDueMail(node)));
  expect(smtp.received).toHaveLength(60);
  expect(new Set(smtp.received.map(({ to }) => to)).size).toBe(60);
  expect(await countQueued(both[0])).toBe(0);
});

test('a node that dies while it sends leaves the mail to another, which does not take it before', async () => {
  const [dying, other] = [createNode(), createNode()];
  await queue(dying);
  const { promise: never } = Promise.withResolvers<void>();
  smtp.answers.set('DATA', never);
  const sending = sendDueMail(dying);
  await until(() => smtp.commands.includes('DATA'));
  await sendDueMail(other);
  expect(smtp.commands.filter((line) => line === 'DATA')).toHaveLength(1);
  await dying.mailer.close();
  await sending;
  smtp.answers.clear();
  await sendDueMail(other);
  expect(smtp.received).toEqual([]);
  await pass(other, 120);
  await sendDueMail(other);
  expect(smtp.received).toHaveLength(1);
});

test('production without SMTP_URL queues nothing and sends nothing', async () => {
  const node = createNode({
    NODE_ENV: 'production',
    SECRET_KEY: 'a-secret-key-of-at-least-32-characters',
    SMTP_URL: '',
  });
  expect(canMail(node)).toBe(false);
  await queue(node);
  expect(await countQueued(node)).toBe(0);
  expect(node.mailer.isReal).toBe(false);
  const mail = { to: 'ann@example.com', subject: 'x', text: 'x' };
  await expect(node.mailer.send(mail, 'id')).rejects.toThrow(UnavailableError);
});

test('STARTTLS that is offered and fails sends nothing in the clear', async () => {
  const node = createNode();
  smtp.extensions.add('STARTTLS');
  await queue(node);
  await sendDueMail(node);
  expect(smtp.commands).toContain('STARTTLS');
  expect(smtp.commands.filter((line) => line.startsWith('MAIL'))).toEqual([]);
  expect(await countOutcomes(node)).toEqual({ failed: 1 });
});

test('a password goes to this machine in the clear, and to no other', async () => {
  smtp.extensions.add('AUTH PLAIN');
  const near = createNode({ SMTP_URL: `smtp://naru:pass%20word@127.0.0.1:${smtp.port}` });
  await queue(near);
  await sendDueMail(near);
  const credentials = Buffer.from('\u0000naru\u0000pass word').toString('base64');
  expect(smtp.commands).toContain(`AUTH PLAIN ${credentials}`);
  expect(smtp.received).toHaveLength(1);
  // Another name of the same server that does not look like this machine.
  const far = createNode({ SMTP_URL: `smtp://naru:secret@0.0.0.0:${smtp.port}` });
  await queue(far);
  const before = smtp.commands.length;
  await sendDueMail(far);
  expect(await countOutcomes(far)).toEqual({ failed: 1 });
  const said = smtp.commands.slice(before).join();
  expect(said).toContain('EHLO');
  expect(said).not.toMatch(/AUTH|MAIL/);
});

test.each([
  ['development', 50, true],
  ['test', 50, false],
] as const)('%s keeps its last %i mails; that it prints them is %s', async (mode, kept, prints) => {
  const { mailer, logged } = createNode({ NODE_ENV: mode, SMTP_URL: '' });
  for (let at = 0; at < 60; at += 1) {
    await mailer.send({ to: `user-${at}@example.com`, subject: 'x', text: TOKEN }, 'id');
  }
  expect(mailer.isReal).toBe(false);
  expect(mailer.recent).toHaveLength(kept);
  expect(mailer.recent.at(-1)?.to).toBe('user-59@example.com');
  expect(logged.filter((line) => line.includes(TOKEN))).toHaveLength(prints ? 60 : 0);
});

test('production keeps no copy and prints none', async () => {
  const { mailer, logged } = createNode({
    NODE_ENV: 'production',
    SECRET_KEY: 'a-secret-key-of-at-least-32-characters',
    PUBLIC_URL: 'https://naru.example',
  });
  await mailer.send(texts.resetPasswordMail(TASK), 'id');
  expect(smtp.received).toHaveLength(1);
  expect(mailer.recent).toEqual([]);
  expect(logged).toEqual([]);
});

test('every mail is plain text of short lines, and links only to this Naru', () => {
  const mails = [
    texts.signUpMail(TASK),
    texts.alreadyRegisteredMail(TASK),
    texts.usernameTakenMail(TASK),
    texts.resetPasswordMail(TASK),
    texts.noAccountMail(TASK),
    texts.verifyEmailMail(TASK),
    texts.passwordChangedMail(TASK),
    texts.emailChangedMail(TASK),
  ];
  expect(new Set(mails.map(({ subject }) => subject)).size).toBe(mails.length);
  for (const { to, text } of mails) {
    expect(to).toBe('ann@example.com');
    expect(text).toMatch(/^[\n -~]+$/);
    expect(text).toContain('203.0.113.7');
    expect(text).toContain('Was it not you?');
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(90);
    for (const [url] of text.matchAll(/https?:\S+/g)) {
      expect(url).toMatch(/^https:\/\/naru\.example(\/account(#(verify|reset)=[\w-]+)?)?$/);
    }
  }
  expect(texts.signUpMail(TASK).text).toContain(`/account#verify=${TOKEN}`);
  expect(texts.verifyEmailMail(TASK).text).toContain('within 24 hours');
  expect(texts.resetPasswordMail(TASK).text).toContain(`/account#reset=${TOKEN}`);
  expect(texts.resetPasswordMail(TASK).text).toContain('within 30 minutes');
  expect(texts.noAccountMail({ ...TASK, ipAddress: null }).text).not.toContain('address null');
});

describe('GET /dev/mail', () => {
  let naru: TestNaru;

  beforeAll(async () => {
    naru = await startNaru({ settings: { NODE_ENV: 'development' }, runsJobs: false });
  });
  afterAll(() => naru.close());

  const page = () => fetch(`${naru.url}/dev/mail`);
  const publicUrl = () => naru.app.config.publicUrl;

  test('says so while there is no mail', async () => {
    expect(await (await page()).text()).toContain('None yet.');
  });

  test('lists what was mailed, newest first, with links to this Naru and nowhere else', async () => {
    const foreign = `${publicUrl()}.evil.example/account https://evil.example javascript:alert(1)`;
    const own = texts.resetPasswordMail({ ...TASK, publicUrl: publicUrl() });
    await naru.app.mailer.send({ to: 'ann@example.com', subject: 'First', text: foreign }, 'id');
    await naru.app.mailer.send(own, 'id');
    const html = await (await page()).text();
    expect(html.indexOf(own.subject)).toBeLessThan(html.indexOf('First'));
    const links = [...html.matchAll(/href="([^"]*)"/g)].map(([, url]) => url);
    expect(links).toEqual([`${publicUrl()}/account#reset=${TOKEN}`, publicUrl()]);
  });

  test('shows markup in a mail as text', async () => {
    const evil = `"'><img src=x onerror=alert(1)><a href="https://evil.example">`;
    const text = `${evil} ${publicUrl()}/"onmouseover="alert(1) ${publicUrl()}/'><script>`;
    await naru.app.mailer.send({ to: 'ann@example.com', subject: evil, text }, 'id');
    const html = await (await page()).text();
    expect(html).toContain('&lt;img src=x onerror=alert(1)&gt;');
    expect(html).not.toMatch(/<(img|script)|evil\.example"|" ?on/);
  });

  test('is kept by nobody, runs nothing and sits in no frame', async () => {
    const { status, headers } = await page();
    expect(status).toBe(200);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; style-src 'unsafe-inline'; .*frame-ancestors 'none'$/,
    );
  });

  test.each(['test', 'production'] as const)('is no route in %s', async (mode) => {
    const app = { ...naru.app, config: { ...naru.app.config, mode } };
    const server = await createServer(app);
    const answers = await Promise.all(
      ['/dev/mail', '/dev/nothing'].map((url) =>
        server.fastify.inject({ url, headers: { 'x-request-id': 'same' } }),
      ),
    );
    const [dev, unknown] = answers.map(({ statusCode, headers, body }) => ({
      statusCode,
      body,
      headers: { ...headers, date: '' },
    }));
    expect(dev?.statusCode).toBe(404);
    expect(dev).toEqual(unknown);
    await server.close();
  });
});

test('a node sends by itself what was queued, within seconds', async () => {
  const naru = await startNaru({
    settings: { SMTP_URL: `smtp://127.0.0.1:${smtp.port}`, MAIL_FROM: 'naru@mail.example' },
  });
  onTestFinished(() => naru.close());
  const mail = texts.signUpMail(TASK);
  await naru.app.database.transaction((sql) => queueMail(sql, naru.app, mail));
  await until(() => smtp.received.length > 0);
  expect(smtp.received.map(({ to, headers }) => [to, headers.get('subject')])).toEqual([
    ['ann@example.com', mail.subject],
  ]);
});
