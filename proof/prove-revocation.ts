// Withdraws permission to one repository after another while messages flow, and looks whether anything of it is
// handed out afterwards, on any path. docs/proofs.md says what is claimed and how to repeat it.
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { encodeGlobalId } from '#lib/global-id.ts';
import { type GitHubStandIn, startGitHub } from '../tests/support/github.ts';
import { type Audience, gatherAudience } from './audience.ts';
import { type Denial, judgeDenials, judgeSubscribers, type StoredMessage } from './denials.ts';
import { type LinkedPerson, PUBLIC_URL, signInPerson } from './linked-people.ts';
import { createChance } from './random.ts';
import { createRepositoryStream, type RepositoryStream } from './repository-stream.ts';
import { type Withdrawal, withdraw } from './withdrawal.ts';
import { type BusKind, createWorld, type World } from './world.ts';

export interface RevocationProofOptions {
  /** Half of them are told of by GitHub's own event, half by nobody. */
  readonly withdrawals: number;
  readonly people: number;
  readonly repositories: number;
  /** Of all people together; each of the two nodes serves half. */
  readonly subscribers: number;
  readonly pullers: number;
  /** Webhooks sent. */
  readonly perSecond: number;
  readonly seed: number;
  readonly bus: BusKind;
  /** Data and logs of this run; the caller removes it. */
  readonly folder: string;
  readonly postgresBinFolder?: string | undefined;
  readonly say?: (line: string) => void;
}

export interface RevocationProof {
  readonly faults: readonly string[];
  readonly withdrawals: Readonly<Record<Denial['by'], number>>;
  readonly counts: Readonly<Record<string, number>>;
  /** From GitHub's word of a new permission to the history behind it, in milliseconds. */
  readonly historyMs: { readonly p50: number; readonly max: number };
  readonly sentPerSecond: number;
  readonly seconds: number;
}

const FIRST_REPOSITORY = 9_001;
const FIRST_PERSON = 501;
const SAY_EVERY = 10;
const FAULTS_MAX = 20;
const WAIT_MS_MAX = 60_000;

/** Resolves with what was found wrong, which should be nothing. Rejects when it could not be tried. */
export async function proveRevocation(options: RevocationProofOptions): Promise<RevocationProof> {
  const { say = () => {} } = options;
  const faults: string[] = [];
  const onFault = (fault: string) => {
    if (faults.length < FAULTS_MAX) say(`FAULT ${fault}`);
    faults.push(fault);
  };
  const scene = await setScene(options, onFault);
  const { stream, audience, database, github, early } = scene;
  try {
    say(`${audience.subscribers.length} subscribers and ${options.pullers} pullers are there`);
    const startedAt = performance.now();
    stream.start(options.perSecond);
    const isHopeless = () => faults.length >= FAULTS_MAX;
    const done = await withdrawAll(scene, { ...options, say, onFault, isHopeless });
    const sentPerSecond = stream.perSecond();
    const seconds = (performance.now() - startedAt) / 1_000;
    await stream.stop();

    const denials = done.map(({ denial }) => denial);
    const stored = await readStored(database, stream);
    const expected = new Map([...stored].filter(([id]) => !early.has(id)));
    const missing = () => judgeSubscribers(audience.subscribers, denials, expected);
    await until(() => missing().length === 0);
    faults.push(...missing());
    await audience.close();
    const verdict = judgeDenials(denials, audience.handOuts, stored);
    faults.push(...verdict.faults, ...github.faults);
    const history = done.map(({ historyMs }) => historyMs).toSorted((one, other) => one - other);
    const byBound = denials.filter(({ by }) => by === 'bound').length;
    return {
      faults,
      withdrawals: { event: denials.length - byBound, bound: byBound },
      counts: {
        messages: stored.size,
        live: audience.handOuts.filter(({ way }) => way === 'live').length,
        pulled: audience.handOuts.filter(({ way }) => way === 'pull').length,
        pulledAgain: audience.handOuts.filter(({ attempt }) => attempt > 1).length,
        leasedThroughWithdrawals: done.reduce((sum, { leased }) => sum + leased, 0),
        onTheirWay: verdict.onTheirWay,
        onTheirWayMs: Math.round(verdict.onTheirWayMs),
        told: audience.told(),
        askedOfGitHub: github.repositories.counts.full + github.repositories.counts.same,
      },
      historyMs: {
        p50: Math.round(history[Math.floor(history.length / 2)] ?? 0),
        max: Math.round(history.at(-1) ?? 0),
      },
      sentPerSecond,
      seconds,
    };
  } finally {
    await scene.close();
  }
}

interface Scene {
  readonly nodeUrls: readonly [string, string];
  readonly github: GitHubStandIn;
  readonly database: pg.Client;
  readonly stream: RepositoryStream;
  readonly people: readonly [LinkedPerson, ...LinkedPerson[]];
  /** GitHub's number of each, and its id in the API. */
  readonly repositories: ReadonlyMap<number, string>;
  readonly audience: Audience;
  /** Messages from before anybody followed. */
  readonly early: ReadonlySet<string>;
  close(): Promise<void>;
}

/** Two nodes, a GitHub that lets all of the people see all of the repositories, and everybody in place. */
async function setScene(
  options: RevocationProofOptions,
  onFault: (fault: string) => void,
): Promise<Scene> {
  const { folder, bus, postgresBinFolder } = options;
  const closers: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (const one of closers.splice(0).toReversed()) await one();
  };
  try {
    // A GitHub App's token shows the private repositories that it was let into.
    const github = await startGitHub({ publicUrl: PUBLIC_URL, clientType: 'app' });
    closers.push(() => github.close());
    const settings = { ...github.settings, TRUSTED_PROXIES: '127.0.0.1' };
    const world = await createWorld({ folder, bus, postgresBinFolder, onFault, settings });
    closers.push(() => world.close());
    const database = new pg.Client({ connectionString: world.databaseUrl });
    await database.connect();
    closers.push(() => database.end());

    const { nodeUrls } = world;
    const numbers = count(options.repositories, FIRST_REPOSITORY);
    const personIds = count(options.people, FIRST_PERSON);
    for (const id of numbers) {
      github.repositories.put({ id, fullName: `proof/repository-${id}`, ownerId: 1 });
      for (const person of personIds) github.repositories.grant(id, person);
    }
    const [first, ...others] = await signInAll(world, github, personIds);
    if (first === undefined) throw new Error('There are no people');
    const people = [first, ...others] as const;
    const githubUrl = github.url;
    const stream = createRepositoryStream({ nodeUrls, githubUrl, repositories: numbers, onFault });
    closers.push(() => stream.stop());
    const repositories = await knowRepositories(stream, database, numbers);
    const early = new Set(stream.repositoryOf.keys());
    const audience = await gatherAudience({ ...options, nodeUrls, people, repositories, onFault });
    closers.push(() => audience.close());
    return { nodeUrls, github, database, stream, people, repositories, audience, early, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function signInAll(
  world: World,
  github: GitHubStandIn,
  ids: readonly number[],
): Promise<LinkedPerson[]> {
  const people = [];
  for (const id of ids) people.push(await signInPerson(world, github, id));
  return people;
}

async function withdrawAll(
  scene: Scene,
  options: {
    readonly withdrawals: number;
    readonly seed: number;
    readonly say: (line: string) => void;
    readonly onFault: (fault: string) => void;
    readonly isHopeless: () => boolean;
  },
): Promise<Withdrawal[]> {
  const { withdrawals, seed, say, onFault, isHopeless } = options;
  const { handOuts } = scene.audience;
  const chance = createChance(seed, 'withdrawals');
  const [first, ...others] = scene.repositories;
  if (first === undefined) throw new Error('There are no repositories');
  const done: Withdrawal[] = [];
  for (let round = 1; round <= withdrawals && !isHopeless(); round += 1) {
    const [repository, repositoryId] = chance.pick([first, ...others]);
    const person = chance.pick(scene.people);
    const by = round % 2 === 1 ? 'event' : 'bound';
    const given = { ...scene, handOuts, person, repository, repositoryId, by, onFault } as const;
    try {
      done.push(await withdraw(given));
    } catch (error) {
      onFault(`Withdrawal ${round}: ${String(error)}`);
    }
    if (round % SAY_EVERY === 0) say(`${round} of ${withdrawals}, ${handOuts.length} hand-outs`);
  }
  return done;
}

function count(many: number, from: number): number[] {
  return Array.from({ length: many }, (_, index) => from + index);
}

/** A first message of each makes it known; by GitHub's number, its id in the API. */
async function knowRepositories(
  stream: RepositoryStream,
  database: pg.Client,
  numbers: readonly number[],
): Promise<ReadonlyMap<number, string>> {
  for (const repository of numbers) await stream.push(repository);
  const known = new Map<number, string>();
  await until(async () => {
    const { rows } = await database.query<{ id: string; github_id: string }>(
      'SELECT id, github_id FROM webhook_repository WHERE github_id IS NOT NULL',
    );
    for (const row of rows) {
      known.set(Number(row.github_id), encodeGlobalId('WebhookRepository', row.id));
    }
    return known.size === numbers.length;
  });
  if (known.size !== numbers.length) throw new Error('Permission does not follow GitHub');
  return known;
}

/** All that was accepted, which must be stored by now or soon. */
async function readStored(
  database: pg.Client,
  stream: RepositoryStream,
): Promise<ReadonlyMap<string, StoredMessage>> {
  const stored = new Map<string, StoredMessage>();
  await until(async () => {
    const { rows } = await database.query<{ id: string; position: string }>(
      'SELECT id, position FROM webhook_message',
    );
    for (const { id, position } of rows) {
      const messageId = encodeGlobalId('WebhookMessage', id);
      const repository = stream.repositoryOf.get(messageId);
      if (repository !== undefined)
        stored.set(messageId, { repository, position: BigInt(position) });
    }
    return stored.size === stream.repositoryOf.size;
  });
  return stored;
}

/** Until it is so, or it has had its time: what is missing then is for the verdict. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WAIT_MS_MAX;
  while (!(await condition()) && performance.now() < deadline) await delay(50);
}
