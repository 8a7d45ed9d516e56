// `node proof/timing.ts --samples 300 --seed 1`: exit code 0 when nobody can tell by the time that an answer
// takes whether an account is there. Existing and missing ones are asked for in turns, in an order that the
// seed decides, each once and each from an address of its own. Medians lie within 5 %, and a Mann-Whitney
// test finds no difference (p > 0.01); as one in a hundred finds one by chance, a finding is looked at again
// with other accounts before it counts.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { createApp } from '#app.ts';
import { parseConfig } from '#config.ts';
import type { App } from '#context.ts';
import { newId } from '#lib/ids.ts';
import { createLog } from '#log.ts';
import { createServer } from '#server.ts';
import { anyPorts } from '../embedded/ports.ts';
import { startPostgres } from '../embedded/postgres.ts';
import { startRedis } from '../embedded/redis.ts';
import { seed as seedWorld } from '../prisma/seed.ts';
import { type Chance, createChance } from './random.ts';

const MEDIANS_APART_MAX = 0.05;
const P_MIN = 0.01;
const WARM_UP = 20;

interface Question {
  readonly field: string;
  /** Of the account with this name and address, which is there or not. */
  input(name: string): Readonly<Record<string, string>>;
  /** What everybody is to be answered. */
  readonly answer: string;
}

const QUESTIONS: readonly Question[] = [
  {
    field: 'signIn',
    input: (login) => ({ login, password: 'not the password of any', transport: 'TOKENS' }),
    answer: 'InvalidCredentialsError',
  },
  {
    field: 'signUp',
    input: (name) => ({
      email: `${name}@mail.example`,
      username: `new-${name}`,
      displayName: 'Somebody',
      password: 'seven quiet lanterns',
    }),
    answer: 'SignUpAccepted',
  },
  {
    field: 'requestPasswordReset',
    input: (name) => ({ email: `${name}@mail.example` }),
    answer: 'PasswordResetRequested',
  },
];

const { values } = parseArgs({
  options: {
    samples: { type: 'string', default: '300' },
    seed: { type: 'string', default: '1' },
  },
});
const [samples, seed] = [Number(values.samples), Number(values.seed)];
let places = 0;
const say = (line: string) => process.stdout.write(`${line}\n`);

await prove();

async function prove(): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'naru-timing-'));
  const place = { folder, ports: anyPorts };
  const binFolder = process.env['NARU_POSTGRES_BIN'];
  const [postgres, redis] = await Promise.all([
    startPostgres({ ...place, binFolder, durable: true }),
    startRedis(place),
  ]);
  const config = parseConfig({
    NODE_ENV: 'test',
    PORT: '0',
    DATABASE_URL: postgres.url,
    REDIS_URL: redis.url,
    TRUSTED_PROXIES: '127.0.0.1',
  });
  // Without jobs, so that no mail is sent while something is measured.
  const app = await createApp(config, { log: createLog('silent'), runsJobs: false });
  const server = await createServer(app);
  try {
    await seedWorld(app);
    const url = await server.listen();
    say(`timing  ${new Date().toISOString()}`);
    say(`command node proof/timing.ts --samples ${samples} --seed ${seed}`);
    for (const question of QUESTIONS) {
      const isAlike =
        (await compare(app, url, question, 1)) || (await compare(app, url, question, 2));
      if (!isAlike) process.exitCode = 1;
    }
    say(process.exitCode ? 'result  an answer’s time tells' : 'result  no answer’s time tells');
  } finally {
    await server.close();
    await app.close();
    await Promise.all([postgres.stop(), redis.stop()]);
    rmSync(folder, { recursive: true, force: true });
  }
}

async function compare(app: App, url: string, question: Question, round: number): Promise<boolean> {
  const { field } = question;
  const chance = createChance(seed, `${field} ${round}`);
  const [there, missing] = await makeNames(app, `q${QUESTIONS.indexOf(question)}-${round}`);
  const times = { there: [] as number[], missing: [] as number[] };
  for (let at = 0; at < samples + WARM_UP; at += 1) {
    for (const which of shuffled(chance)) {
      const took = await time(url, question, (which === 'there' ? there : missing)[at] ?? '');
      if (at >= WARM_UP) times[which].push(took);
    }
  }
  const [first, second] = [median(times.there), median(times.missing)];
  const apart = Math.abs(first - second) / Math.max(first, second);
  const p = mannWhitney(times.there, times.missing);
  const isAlike = apart <= MEDIANS_APART_MAX && p > P_MIN;
  const medians = `${first.toFixed(2)} ms there, ${second.toFixed(2)} ms missing`;
  const verdict = isAlike ? 'alike' : round === 1 ? 'looked at again' : 'DIFFERENT';
  say(
    `${field}: medians ${medians}, ${(apart * 100).toFixed(1)} % apart, p ${p.toFixed(3)}: ${verdict}`,
  );
  return isAlike;
}

/** Names of accounts that are there and of some that are not, all of one length. */
async function makeNames(app: App, prefix: string): Promise<[string[], string[]]> {
  const name = (kind: string, at: number) => `${prefix}-${kind}-${String(at).padStart(5, '0')}`;
  const count = samples + WARM_UP;
  const there = Array.from({ length: count }, (_, at) => name('there', at));
  await app.database.query(
    `INSERT INTO users (id, username, display_name, email, email_verified_at, roles)
     SELECT id, name, 'Somebody', name || '@mail.example', naru_now(), '{USER}'
     FROM unnest($1::uuid[], $2::text[]) AS made (id, name)`,
    [there.map(newId), there],
  );
  await app.database.query(
    `INSERT INTO password (user_id, hash) SELECT u.id, p.hash FROM users u, password p
     JOIN users a ON a.id = p.user_id WHERE a.username = 'alice' AND u.username = ANY($1)`,
    [there],
  );
  // They have signed in before, as accounts have.
  await app.database.query(
    `INSERT INTO session (id, user_id, transport, network, expires_at)
     SELECT gen_random_uuid(), id, 'TOKENS', '10.0.0.1', naru_now() + interval '1 day'
     FROM users WHERE username = ANY($1)`,
    [there],
  );
  await app.database.query('ANALYZE');
  return [there, Array.from({ length: count }, (_, at) => name('nobdy', at))];
}

/** In milliseconds. Throws for any other answer than everybody gets. */
async function time(
  url: string,
  { field, input, answer }: Question,
  name: string,
): Promise<number> {
  places += 1;
  const type = `${field[0]?.toUpperCase()}${field.slice(1)}Input`;
  const query = `mutation ($input: ${type}!) { ${field}(input: $input) { __typename } }`;
  const body = JSON.stringify({ query, variables: { input: input(name) } });
  const forwarded = `10.${places >> 16}.${(places >> 8) & 255}.${places & 255}`;
  const headers = { 'content-type': 'application/json', 'x-forwarded-for': forwarded };
  const startedAt = performance.now();
  const text = await (await fetch(`${url}/graphql`, { method: 'POST', headers, body })).text();
  const took = performance.now() - startedAt;
  if (!text.includes(`"${answer}"`)) throw new Error(`${field} of ${name} answered ${text}`);
  return took;
}

function shuffled(chance: Chance): readonly ('there' | 'missing')[] {
  return chance.happens(0.5) ? ['there', 'missing'] : ['missing', 'there'];
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((left, right) => left - right);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Two-sided p that both come from one distribution, by the normal approximation; ties share a rank. */
function mannWhitney(left: readonly number[], right: readonly number[]): number {
  const all = [...left, ...right].toSorted((one, other) => one - other);
  const rankOf = (value: number) => (all.indexOf(value) + all.lastIndexOf(value)) / 2 + 1;
  const rankSum = left.reduce((sum, value) => sum + rankOf(value), 0);
  const [n, m] = [left.length, right.length];
  const u = rankSum - (n * (n + 1)) / 2;
  const deviation = Math.sqrt((n * m * (n + m + 1)) / 12);
  return complementaryError(Math.abs(u - (n * m) / 2) / deviation / Math.SQRT2);
}

/** erfc for x ≥ 0, to seven digits (Abramowitz and Stegun 7.1.26). */
function complementaryError(x: number): number {
  const t = 1 / (1 + 0.3275911 * x);
  const factors = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592];
  return factors.reduce((sum, factor) => sum * t + factor, 0) * t * Math.exp(-x * x);
}
