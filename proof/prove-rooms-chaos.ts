// Kills what rooms stand on, over and over, while people write in them and clients follow, and then compares what each
// client was told with what the database says. docs/proofs.md says what is claimed and how to repeat it.
import { setTimeout as delay } from 'node:timers/promises';
import { decodeGlobalId } from '#lib/global-id.ts';
import {
  type AcknowledgedMessage,
  judgeAcknowledged,
  judgeRoomLog,
} from '../tests/support/room-log.ts';
import { type Chance, createChance } from './random.ts';
import { type ChaosClient, type ChaosRoom, readLogs, startClient } from './rooms-clients.ts';
import { addAccounts, type RoomAccount, storeRoom } from './rooms-scene.ts';
import { write } from './rooms-writers.ts';
import { type BusKind, createWorld, type Victim, type World } from './world.ts';

export interface RoomsChaosOptions {
  readonly kills: number;
  readonly clients: number;
  readonly rooms: number;
  readonly seed: number;
  readonly bus: BusKind;
  /** Data and logs of this run; the caller removes it. */
  readonly folder: string;
  readonly postgresBinFolder?: string | undefined;
  readonly say?: (line: string) => void;
}

export interface RoomsChaosProof {
  readonly faults: readonly string[];
  readonly kills: Readonly<Record<string, number>>;
  readonly counts: Readonly<Record<string, number>>;
  readonly seconds: number;
}

const WRITERS_A_ROOM = 2;
/** Of a room's clients that follow it: one in so many is let out at times. */
const GUEST_EVERY = 4;
/** One client in so many follows all of its rooms instead of one. */
const ALL_ROOMS_EVERY = 4;
const PAUSE_MS: readonly [number, number] = [150, 900];
const KILL_AFTER_MAX_MS = 1_500;
const RECOVERY_MAX_MS = 90_000;
const FAULTS_MAX = 20;
const SAY_EVERY = 5;

/** Resolves with what was found wrong, which should be nothing. Rejects when it could not be tried. */
export async function proveRoomsChaos(options: RoomsChaosOptions): Promise<RoomsChaosProof> {
  const { seed, bus, folder, postgresBinFolder, say = () => {} } = options;
  const faults: string[] = [];
  const onFault = (fault: string) => {
    if (faults.length < FAULTS_MAX) say(`FAULT ${fault}`);
    faults.push(fault);
  };
  const world = await createWorld({ folder, bus, onFault, postgresBinFolder });
  const clients: ChaosClient[] = [];
  const writing = new AbortController();
  const progress = { acknowledgedAt: 0 };
  const acknowledged: AcknowledgedMessage[] = [];
  try {
    const { rooms, guests } = await setRooms(world, options, clients, onFault);
    say(`${clients.length} clients follow`);
    const startedAt = performance.now();
    const writers = rooms.flatMap((place, index) =>
      place.writers.map((account, number) =>
        write({
          nodeUrls: world.nodeUrls,
          place,
          account,
          guests: number === 0 ? (guests.get(place) ?? []) : [],
          chance: createChance(seed, `writer-${index}-${number}`),
          pauseMs: PAUSE_MS,
          acknowledged,
          onAcknowledged: (askedAt) => {
            progress.acknowledgedAt = Math.max(progress.acknowledgedAt, askedAt);
          },
          onFault,
          signal: writing.signal,
        }),
      ),
    );
    const isWell = () => isWellSince(performance.now(), progress, clients);
    const kills = await killAll(world, { ...options, say, isWell, faults }).catch(
      (error: unknown) => {
        onFault(String(error));
        return {};
      },
    );
    const seconds = (performance.now() - startedAt) / 1_000;
    writing.abort();
    const operations = (await Promise.all(writers)).reduce((sum, done) => sum + done, 0);
    const followed = await judgeClients(world, clients, onFault);
    for (const fault of await judgeWriters(world, acknowledged)) onFault(fault);
    return {
      faults,
      kills,
      counts: {
        clients: clients.length,
        rooms: rooms.length,
        operations,
        acknowledged: acknowledged.length,
        followed,
        connections: clients.reduce((sum, { follower }) => sum + follower.connections() + 1, 0),
        outings: rooms.reduce(
          (sum, { outings }) => sum + [...outings.values()].reduce((n, of) => n + of.length, 0),
          0,
        ),
      },
      seconds,
    };
  } finally {
    writing.abort();
    await Promise.all(clients.map(({ follower }) => follower.stop()));
    await world.close();
  }
}

async function setRooms(
  world: World,
  { rooms: count, clients: clientCount, seed }: RoomsChaosOptions,
  clients: ChaosClient[],
  onFault: (fault: string) => void,
) {
  const rooms: ChaosRoom[] = [];
  const guests = new Map<ChaosRoom, RoomAccount[]>();
  const perRoom = Math.ceil(clientCount / count);
  const followsAll = (number: number) => number % ALL_ROOMS_EVERY === ALL_ROOMS_EVERY - 1;
  const isGuest = (number: number) =>
    number % GUEST_EVERY === 1 || (followsAll(number) && number > 4);
  const everywhere: RoomAccount[] = [];
  const people = await Promise.all(
    Array.from({ length: count }, (_, index) =>
      addAccounts(world.query, `room-${index}`, WRITERS_A_ROOM + perRoom),
    ),
  );
  for (const accounts of people) {
    everywhere.push(
      ...accounts.slice(WRITERS_A_ROOM).filter((_, n) => followsAll(n) && !isGuest(n)),
    );
  }
  for (const [index, accounts] of people.entries()) {
    const [owner, ...rest] = accounts;
    if (owner === undefined) throw new Error('A room has an owner');
    const keepsHistory = index % 2 === 1;
    // Who follows all of its rooms and is never let out is in every one of them.
    const members = [...new Set([...rest, ...everywhere])];
    const historyVisibility = keepsHistory ? 'KEPT' : 'SHARED';
    const room = await storeRoom(world.query, { owner, members, historyVisibility });
    const own = rest.slice(WRITERS_A_ROOM - 1);
    const ofRoom = own.filter((_, number) => isGuest(number));
    const place: ChaosRoom = {
      room,
      keepsHistory,
      writers: [owner, ...rest.slice(0, WRITERS_A_ROOM - 1)],
      outings: new Map(ofRoom.map(({ userId }) => [userId, []])),
    };
    rooms.push(place);
    guests.set(place, ofRoom);
  }
  for (const [index, accounts] of people.entries()) {
    const place = rooms[index];
    if (place === undefined) continue;
    for (const [number, account] of accounts.slice(WRITERS_A_ROOM).entries()) {
      if (clients.length === clientCount) break;
      const follows = followsAll(number) ? 'rooms' : 'room';
      const [first, ...others] = follows === 'rooms' && !isGuest(number) ? rooms : [place];
      clients.push(
        startClient({
          world,
          name: `client ${number} of room ${index} (${follows})`,
          account,
          rooms: [first ?? place, ...others],
          follows,
          seed,
          onFault,
        }),
      );
    }
  }
  await Promise.all(clients.map(({ follower }) => follower.begun));
  return { rooms, guests };
}

/** Something was acknowledged, and clients heard something, that was asked for since. */
async function isWellSince(
  since: number,
  progress: { readonly acknowledgedAt: number },
  clients: readonly ChaosClient[],
): Promise<void> {
  await until('something is acknowledged and heard again', async () => {
    const heard = clients.filter(({ follower }) => (follower.received.at(-1)?.atMs ?? 0) > since);
    return progress.acknowledgedAt > since && heard.length >= clients.length / 4;
  });
}

async function killAll(
  world: World,
  options: {
    readonly kills: number;
    readonly seed: number;
    readonly say: (line: string) => void;
    readonly isWell: () => Promise<void>;
    readonly faults: readonly string[];
  },
): Promise<Record<string, number>> {
  const { seed, say, isWell, faults } = options;
  const chance: Chance = createChance(seed, 'killer');
  const kills: Record<string, number> = {};
  const starting = new Map<Victim, Promise<void>>();
  for (let round = 1; round <= options.kills && faults.length < FAULTS_MAX; round += 1) {
    await isWell();
    await delay(chance.between(0, KILL_AFTER_MAX_MS));
    const victim = chance.pick(chance.pick(world.victims));
    await victim.kill();
    kills[victim.name] = (kills[victim.name] ?? 0) + 1;
    const start = victim.start();
    start.catch(() => {});
    starting.set(victim, start);
    if (round % SAY_EVERY === 0) say(`${round} of ${options.kills} kills`);
  }
  await Promise.all(starting.values());
  await isWell();
  return kills;
}

/** How much was followed by all of them together. */
async function judgeClients(
  world: World,
  clients: readonly ChaosClient[],
  onFault: (fault: string) => void,
): Promise<number> {
  await untilTakenUp(world).catch((error: unknown) => onFault(String(error)));
  const evidenceOf = await readLogs(world);
  const deadline = performance.now() + RECOVERY_MAX_MS;
  let followed = 0;
  for (const client of clients) {
    const { follower } = client;
    const isLevel = () => {
      const { head, log, absences = [], keepsHistory } = evidenceOf(client);
      const out = absences.find(({ back }) => back === null);
      if (out === undefined) return log.length === 0 || follower.position() >= head;
      return !keepsHistory || follower.position() >= out.leftPosition;
    };
    // What is still missing then is found by the judge.
    while (!isLevel() && performance.now() < deadline) await delay(50);
    const evidence = evidenceOf(client);
    followed += evidence.received.length;
    for (const fault of judgeRoomLog(evidence)) onFault(fault);
  }
  return followed;
}

/** The feed over all rooms has taken up all that happened. */
async function untilTakenUp(world: World): Promise<void> {
  await until('the feed over all rooms is level', async () => {
    const [row] = await world.query<{ behind: string }>(
      `SELECT (SELECT count(*) FROM room_event) - (SELECT count(*) FROM rooms_change) AS behind`,
    );
    return Number(row?.behind) === 0;
  });
}

async function judgeWriters(
  world: World,
  acknowledged: readonly AcknowledgedMessage[],
): Promise<string[]> {
  const stored = await world.query<{ id: string; clientMessageId: string }>(
    'SELECT id, client_message_id AS "clientMessageId" FROM chat_message',
  );
  const sent = await world.query<{ id: string }>(
    `SELECT message_id AS id FROM room_event WHERE kind = 'MESSAGE_SENT'`,
  );
  const holes = await world.query<{ id: string }>(
    `SELECT r.id FROM room r LEFT JOIN room_event e ON e.room_id = r.id
     GROUP BY r.id HAVING count(e.position) <> r.last_position OR max(e.position) <> r.last_position
       OR min(e.position) <> 1`,
  );
  const [left] = await world.query<{ count: string }>('SELECT count(*) FROM bus_failure');
  return [
    ...judgeAcknowledged(
      acknowledged.map((one) => ({ ...one, messageId: decodeGlobalId(one.messageId).id })),
      stored.map(({ id, clientMessageId }) => ({ clientMessageId, messageId: id })),
      sent.map(({ id }) => id),
    ),
    ...holes.map(({ id }) => `The log of room ${id} has a hole`),
    ...(left?.count === '0' ? [] : [`${left?.count} entries of the bus failed`]),
  ];
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + RECOVERY_MAX_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`Not within ${RECOVERY_MAX_MS} ms: ${what}`);
    await delay(50);
  }
}
