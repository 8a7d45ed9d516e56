// Kills what Naru stands on, and Naru, over and over under load, and then looks whether anything that was
// promised is missing, doubled or out of order. docs/proofs.md says what is claimed and how to repeat it.
import { setTimeout as delay } from 'node:timers/promises';
import { findStart, follow } from './follower.ts';
import { type Lease, pull } from './puller.ts';
import { createChance } from './random.ts';
import { type Sent, send } from './sender.ts';
import { judge, type Verdict } from './verdict.ts';
import { type BusKind, createWorld, type Victim, type World } from './world.ts';

export interface CrashProofOptions {
  readonly rounds: number;
  readonly seed: number;
  readonly bus: BusKind;
  /** Data and logs of this run; the caller removes it. */
  readonly folder: string;
  readonly postgresBinFolder?: string | undefined;
  readonly say?: (line: string) => void;
}

export interface CrashProof extends Verdict {
  readonly kills: Readonly<Record<string, number>>;
  readonly seconds: number;
  readonly roundsPerSecond: number;
}

const SENDERS = 3;
const PULLERS_PER_USER = 2;
const KILL_AFTER_MAX_MS = 300;
const TWO_AT_ONCE = 0.15;
const RECOVERY_MAX_MS = 60_000;
const SAY_EVERY = 25;
/** Past this there is nothing more to learn from going on. */
const FAULTS_MAX = 20;

/** Resolves with what was found wrong, which should be nothing. Rejects when it could not be tried. */
export async function proveCrashes(options: CrashProofOptions): Promise<CrashProof> {
  const { rounds, seed, bus, folder, say = () => {} } = options;
  const faults: string[] = [];
  const onFault = (fault: string) => {
    faults.push(fault);
    say(`FAULT ${fault}`);
  };
  const world = await createWorld({
    folder,
    bus,
    onFault,
    postgresBinFolder: options.postgresBinFolder,
  });
  try {
    const start = await findStart(world.nodeUrls[0], world.tokens.alice);
    const load = startLoad(world, seed, start, onFault);
    const kills: Record<string, number> = {};
    const startedAt = performance.now();
    const isHopeless = () => faults.length > FAULTS_MAX;
    const crashing = crash(world, load, { rounds, seed, kills, say, isHopeless });
    await crashing.catch((error: unknown) => onFault(String(error)));
    const seconds = (performance.now() - startedAt) / 1_000;
    await load.drain();
    const { faults: found, counts } = await judge({ world, ...load });
    for (const fault of found) onFault(fault);
    return { faults, counts, kills, seconds, roundsPerSecond: rounds / seconds };
  } finally {
    await world.close();
  }
}

interface Load {
  readonly sent: Map<string, Sent>;
  readonly leases: Lease[];
  readonly followed: string[];
  /** Resolves once a delivery was accepted and a receipt acknowledged that were sent since now. */
  untilProgress(): Promise<void>;
  /** Stops the senders, lets everything be read and settled, and stops the rest. */
  drain(): Promise<void>;
}

function startLoad(
  world: World,
  seed: number,
  start: string,
  onFault: (fault: string) => void,
): Load {
  const { nodeUrls, tokens } = world;
  const sent = new Map<string, Sent>();
  const leases: Lease[] = [];
  const followed: string[] = [];
  /** When the latest of each was asked for: an answer on its way when something was killed is no progress. */
  const progress = { accepted: 0, acknowledged: 0 };
  const [sending, pulling, following] = [1, 2, 3].map(() => new AbortController()) as [
    AbortController,
    AbortController,
    AbortController,
  ];
  const note = (what: keyof typeof progress) => (askedAt: number) => {
    progress[what] = Math.max(progress[what], askedAt);
  };
  const senders = Array.from({ length: SENDERS }, (_, index) => {
    const name = `seed-${seed}-sender-${index}`;
    const chance = createChance(seed, name);
    const onAccepted = note('accepted');
    return send({ name, nodeUrls, chance, sent, onAccepted, onFault, signal: sending.signal });
  });
  const startPuller = (
    user: 'alice' | 'bob',
    name: string,
    signal: AbortSignal,
    diligent = false,
  ) =>
    pull({
      user,
      token: tokens[user],
      nodeUrls,
      chance: createChance(seed, name),
      leases,
      onAcknowledged: note('acknowledged'),
      onFault,
      signal,
      isDiligent: diligent,
    });
  const users = ['alice', 'bob'] as const;
  const pullers = users.flatMap((user) =>
    Array.from({ length: PULLERS_PER_USER }, (_, index) =>
      startPuller(user, `${user}-${index}`, pulling.signal),
    ),
  );
  const follower = follow({
    token: tokens.alice,
    nodeUrls,
    chance: createChance(seed, 'follower'),
    start,
    seen: followed,
    onFault,
    signal: following.signal,
  });

  return {
    sent,
    leases,
    followed,
    async untilProgress() {
      const since = performance.now();
      await until('something is accepted and acknowledged', async () => {
        return progress.accepted > since && progress.acknowledged > since;
      });
    },
    async drain() {
      sending.abort();
      await Promise.all(senders);
      pulling.abort();
      await Promise.all(pullers);
      // What was lost on its way to a puller is pulled again once its lease has ended.
      const settling = new AbortController();
      const diligent = users.map((user) =>
        startPuller(user, `${user}-last`, settling.signal, true),
      );
      await until('all is projected', () => isProjected(world, sent)).catch(report);
      await until('all is settled', () => isSettled(world)).catch(report);
      settling.abort();
      await Promise.all(diligent);
      await until('the follower is level', async () => {
        const [row] = await world.query<{ count: string }>('SELECT count(*) FROM webhook_message');
        return followed.length >= Number(row?.count);
      }).catch(report);
      following.abort();
      await follower;
    },
  };

  function report(error: unknown): void {
    onFault(String(error));
  }
}

/** Every accepted one is there, and what was not answered has had its time: nothing is added any more. */
async function isProjected(world: World, sent: ReadonlyMap<string, Sent>): Promise<boolean> {
  const countStored = async () => {
    const rows = await world.query<{ delivery_id: string }>(
      'SELECT delivery_id FROM webhook_message',
    );
    return new Set(rows.map(({ delivery_id }) => delivery_id));
  };
  const stored = await countStored();
  for (const { deliveryId, acceptedAs } of sent.values()) {
    if (acceptedAs !== null && !stored.has(deliveryId)) return false;
  }
  await delay(2_000);
  return (await countStored()).size === stored.size;
}

async function isSettled(world: World): Promise<boolean> {
  const rows = await world.query<{ settled: boolean }>(`
    SELECT coalesce(f.floor, 0) = l.last_sequence AND NOT EXISTS (
      SELECT FROM webhook_delivery d WHERE d.user_id = g.user_id AND d.lane_id = l.id
        AND d.state NOT IN ('ACKNOWLEDGED', 'DEAD')
    ) AS settled
    FROM webhook_lane l JOIN webhook_source_grant g ON g.source_id = l.source_id
    LEFT JOIN webhook_inbox_floor f ON f.user_id = g.user_id AND f.lane_id = l.id`);
  return rows.every(({ settled }) => settled);
}

async function crash(
  world: World,
  load: Load,
  options: {
    readonly rounds: number;
    readonly seed: number;
    readonly kills: Record<string, number>;
    readonly say: (line: string) => void;
    readonly isHopeless: () => boolean;
  },
): Promise<void> {
  const { rounds, seed, kills, say, isHopeless } = options;
  const chance = createChance(seed, 'killer');
  const starting = new Map<Victim, Promise<void>>();
  const startedAt = performance.now();
  const killOne = async (victim: Victim) => {
    await within(`${victim.name} is killed`, victim.kill());
    kills[victim.name] = (kills[victim.name] ?? 0) + 1;
    const start = victim.start();
    start.catch(() => {});
    starting.set(victim, start);
  };
  for (let round = 1; round <= rounds && !isHopeless(); round += 1) {
    await load.untilProgress();
    const victims = new Set([chance.pick(chance.pick(world.victims))]);
    if (chance.happens(TWO_AT_ONCE)) victims.add(chance.pick(chance.pick(world.victims)));
    await delay(chance.between(0, KILL_AFTER_MAX_MS));
    await Promise.all([...victims].map(killOne));
    if (round % SAY_EVERY === 0) {
      const rate = (round / ((performance.now() - startedAt) / 1_000)).toFixed(2);
      say(`round ${round} of ${rounds}, ${rate} a second, ${load.sent.size} deliveries`);
    }
  }
  await Promise.all([...starting].map(([{ name }, start]) => within(`${name} starts`, start)));
  await load.untilProgress();
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + RECOVERY_MAX_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`Not within ${RECOVERY_MAX_MS} ms: ${what}`);
    await delay(20);
  }
}

async function within(what: string, work: Promise<void>): Promise<void> {
  const controller = new AbortController();
  const late = delay(RECOVERY_MAX_MS, undefined, { signal: controller.signal }).then(() => {
    throw new Error(`Not within ${RECOVERY_MAX_MS} ms: ${what}`);
  });
  late.catch(() => {});
  await Promise.race([work, late]).finally(() => controller.abort());
}
