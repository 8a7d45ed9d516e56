import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { createPasswords, type Passwords } from '#auth/passwords.ts';
import { UsageError } from '#commands/usage-error.ts';

const PIPED_BYTES_MAX = 64 * 1024;

/**
 * From standard input, up to its end and without its last line break, or from whoever sits at the
 * terminal, twice and unseen. Never an argument: those are seen by every user of the machine, and kept
 * by the shell. Throws `UsageError`.
 */
export async function readPassword({ isPiped }: { readonly isPiped: boolean }): Promise<string> {
  if (isPiped) return readPiped();
  if (!process.stdin.isTTY) {
    throw new UsageError('There is no terminal to ask for a password at: use --password-stdin');
  }
  return askTwice();
}

/** One hash at a time, by a thread that ends with `work`. */
export async function withPasswords<Result>(
  work: (passwords: Passwords) => Promise<Result>,
): Promise<Result> {
  const passwords = createPasswords({ hashesAtOnce: 1 });
  try {
    return await work(passwords);
  } finally {
    await passwords.close();
  }
}

async function readPiped(): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > PIPED_BYTES_MAX) throw new UsageError('Standard input is too long for a password');
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
    return text.replace(/\r?\n$/, '');
  } catch {
    throw new UsageError('The password on standard input is not UTF-8');
  }
}

async function askTwice(): Promise<string> {
  // What readline would echo goes nowhere; the questions go where results do not.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({
    input: process.stdin,
    output: nowhere,
    terminal: true,
    historySize: 0,
  });
  const left = new Promise<never>((_resolve, reject) => {
    lines.once('close', () => reject(new UsageError('No password was given')));
  });
  const ask = async (question: string) => {
    process.stderr.write(question);
    const answer = await Promise.race([lines.question(''), left]);
    process.stderr.write('\n');
    return answer;
  };
  try {
    const password = await ask('Password: ');
    if ((await ask('Once more: ')) !== password) throw new UsageError('The two differ');
    return password;
  } finally {
    lines.close();
  }
}
