// Sends every mutation of rooms over and over, on two nodes at once, with replies that get lost, and looks what came
// of it. docs/proofs.md says what is claimed and how to repeat it.
import { setTimeout as delay } from 'node:timers/promises';
import { type Chance, createChance } from './random.ts';
import { type CallAnswer, callRooms, type Fate, succeeded } from './rooms-calls.ts';
import {
  RETRY_CASES,
  type Retried,
  type RetryCase,
  type RetryScene,
  setRetryScene,
} from './rooms-retry-cases.ts';
import { type BusKind, createWorld, type World } from './world.ts';

export interface RetriesProofOptions {
  /** Each sends every mutation up to five times in all ways. */
  readonly rounds: number;
  readonly seed: number;
  readonly bus: BusKind;
  /** Data and logs of this run; the caller removes it. */
  readonly folder: string;
  readonly postgresBinFolder?: string | undefined;
  /** Only these mutations. */
  readonly only?: readonly string[] | undefined;
  readonly say?: (line: string) => void;
}

export interface RetriesProof {
  readonly faults: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
  /** How often each mutation was answered with what. */
  readonly answers: ReadonlyMap<string, ReadonlyMap<string, number>>;
  readonly seconds: number;
}

const COPIES_MAX = 5;
const CASES_AT_ONCE = 3;
const AWAITED_MS_MAX = 20_000;
const FAULTS_MAX = 20;
/** Answers that mean: the same again, a little later. */
const NOT_YET: ReadonlySet<string | null> = new Set([null, 'IdempotencyInProgressError']);
const FATES: readonly [Fate, ...Fate[]] = ['heard', 'dropped', 'dropped', 'cut'];

/** Resolves with what was found wrong, which should be nothing. Rejects when it could not be tried. */
export async function proveRetries(options: RetriesProofOptions): Promise<RetriesProof> {
  const { rounds, seed, bus, folder, postgresBinFolder, only, say = () => {} } = options;
  const faults: string[] = [];
  const onFault = (fault: string) => {
    faults.push(fault);
    say(`FAULT ${fault}`);
  };
  const counts = { mutations: 0, copies: 0, heard: 0, dropped: 0, cut: 0 };
  const answers = new Map<string, Map<string, number>>();
  const world = await createWorld({ folder, bus, onFault, postgresBinFolder });
  const startedAt = performance.now();
  const tell = (name: string, fate: Fate, { type }: CallAnswer) => {
    counts.copies += 1;
    counts[fate] += 1;
    if (fate !== 'heard') return;
    const ofName = answers.get(name) ?? new Map<string, number>();
    answers.set(name, ofName);
    ofName.set(type ?? 'no answer', (ofName.get(type ?? 'no answer') ?? 0) + 1);
  };
  try {
    for (let round = 1; round <= rounds && faults.length < FAULTS_MAX; round += 1) {
      const cases = RETRY_CASES.filter(({ name }) => only?.includes(name) ?? true);
      await inParallel(cases, CASES_AT_ONCE, async (one) => {
        counts.mutations += 1;
        const chance = createChance(seed, `${one.name}-${round}`);
        const prefix = `r${round}-${one.name.toLowerCase()}`;
        await tryCase(world, one, { chance, prefix, onFault, tell }).catch((error: unknown) =>
          onFault(`${one.name}, round ${round}: ${String(error)}`),
        );
      });
      if (round % 10 === 0) say(`round ${round} of ${rounds}, ${counts.copies} copies`);
    }
  } finally {
    await world.close();
  }
  return { faults, counts, answers, seconds: (performance.now() - startedAt) / 1_000 };
}

interface Trial {
  readonly chance: Chance;
  readonly prefix: string;
  readonly onFault: (fault: string) => void;
  readonly tell: (name: string, fate: Fate, answer: CallAnswer) => void;
}

async function tryCase(world: World, one: RetryCase, trial: Trial): Promise<void> {
  const { chance, prefix, onFault, tell } = trial;
  const { name } = one;
  const scene = await setRetryScene(world, prefix);
  const retried = await one.prepare(scene);
  const base = retried.madeRoom === undefined ? await lastPosition(world, scene) : 0n;
  const results: CallAnswer[] = [];
  const send = async (fate: Fate) => {
    const call = { nodeUrl: chance.pick(world.nodeUrls), token: retried.account.token, name };
    const answer = await callRooms({ ...call, input: retried.input, fate });
    tell(name, fate, answer);
    if (answer.type === succeeded(name)) results.push(answer);
    return answer;
  };
  /** As a client that goes on until it is told something. */
  const sendUntilTold = async () => {
    const deadline = performance.now() + AWAITED_MS_MAX;
    for (;;) {
      const { type, message } = await send('heard');
      if (!NOT_YET.has(type)) return { type, message };
      if (performance.now() > deadline) throw new Error('was never answered');
      await delay(50);
    }
  };
  const copies = chance.between(1, COPIES_MAX);
  const fates = Array.from({ length: copies - 1 }, () => chance.pick(FATES));
  const isAtOnce = chance.happens(0.6);
  if (isAtOnce) await Promise.all([...fates.map(send), sendUntilTold()]);
  else {
    for (const fate of fates) await send(fate);
    await sendUntilTold();
  }
  // What was cut may still be on its way; whatever it does is to change nothing.
  await untilQuiet(world, retried, scene);
  await judge(world, { name, retried, scene, base, onFault });
  await sendUntilTold();
  await judge(world, { name: `${name}, again later`, retried, scene, base, onFault });
  judgeResults(name, results, onFault);
}

/** All that succeeded were told of the same thing. */
function judgeResults(
  name: string,
  results: readonly CallAnswer[],
  onFault: (fault: string) => void,
): void {
  if (results.length === 0) onFault(`${name} succeeded never`);
  const told = new Set(results.map(({ result }) => JSON.stringify(result)));
  if (told.size > 1) onFault(`${name} was answered in two ways: ${[...told].join(' and ')}`);
}

async function judge(
  world: World,
  given: {
    readonly name: string;
    readonly retried: Retried;
    readonly scene: RetryScene;
    readonly base: bigint;
    readonly onFault: (fault: string) => void;
  },
): Promise<void> {
  const { name, retried, scene, base, onFault } = given;
  const roomId = await findRoom(world, retried, scene);
  const events = await world.query<{ kind: string; position: string }>(
    'SELECT kind, position FROM room_event WHERE room_id = $1 AND position > $2 ORDER BY position',
    [roomId, base.toString()],
  );
  const kinds = events.map(({ kind }) => kind).join(', ');
  if (kinds !== retried.events.join(', ')) {
    onFault(`${name} appended [${kinds}] and not [${retried.events.join(', ')}]`);
  }
  const hasHole = events.some(
    ({ position }, index) => BigInt(position) !== base + BigInt(index) + 1n,
  );
  if (hasHole) onFault(`${name} left a hole in the log`);
  const [row] = await world.query<Record<string, boolean>>(retried.holds, [roomId]);
  if (row === undefined || Object.values(row)[0] !== true) {
    onFault(`${name}: not one effect (${retried.holds.replaceAll(/\s+/g, ' ')})`);
  }
}

async function findRoom(world: World, { madeRoom }: Retried, scene: RetryScene): Promise<string> {
  if (madeRoom === undefined) return scene.room.roomId;
  const rooms = await world.query<{ id: string }>(madeRoom);
  return rooms[0]?.id ?? scene.room.roomId;
}

async function lastPosition(world: World, { room }: RetryScene): Promise<bigint> {
  const [row] = await world.query<{ head: string }>(
    'SELECT last_position AS head FROM room WHERE id = $1',
    [room.roomId],
  );
  return BigInt(row?.head ?? 0);
}

/** No transaction of a node's is open any more, twice in a row. */
async function untilQuiet(world: World, retried: Retried, scene: RetryScene): Promise<void> {
  const deadline = performance.now() + AWAITED_MS_MAX;
  let last = '';
  while (performance.now() < deadline) {
    await delay(30);
    const roomId = await findRoom(world, retried, scene);
    const [row] = await world.query<{ state: string }>(
      `SELECT last_position || ' ' || (SELECT count(*) FROM audit_entry) AS state
       FROM room WHERE id = $1`,
      [roomId],
    );
    const state = row?.state ?? 'none';
    if (state === last) return;
    last = state;
  }
}

async function inParallel<Item>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const waiting = [...items];
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
    }),
  );
}
