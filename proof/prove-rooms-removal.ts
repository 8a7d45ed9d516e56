// Removes people from rooms while messages flow, and looks whether anything that happened afterwards reached them, on
// any path, and whether everybody else saw all of it. docs/proofs.md says what is claimed and how to repeat it.
import { setTimeout as delay } from 'node:timers/promises';
import { decodeGlobalId } from '#lib/global-id.ts';
import { judgeAcknowledged, judgeRoomLog, type LoggedEvent } from '../tests/support/room-log.ts';
import { type Chance, createChance } from './random.ts';
import { authorsFor, type Flow, startFlow } from './rooms-flow.ts';
import { EVENT_COLUMNS } from './rooms-listener.ts';
import { followForEver, type LongFollower } from './rooms-long-follower.ts';
import { addAccounts, type RoomAccount, type StoredRoom, storeRoom } from './rooms-scene.ts';
import { type Trial, tryRemoval } from './rooms-trial.ts';
import { type BusKind, createWorld, type World } from './world.ts';

export interface RemovalProofOptions {
  readonly trials: number;
  readonly rooms: number;
  /** Messages, in all rooms together; the machine may manage fewer. */
  readonly perSecond: number;
  readonly seed: number;
  readonly bus: BusKind;
  /** Data and logs of this run; the caller removes it. */
  readonly folder: string;
  readonly postgresBinFolder?: string | undefined;
  readonly say?: (line: string) => void;
}

export interface RemovalProof {
  readonly faults: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
  readonly refusals: ReadonlyMap<string, number>;
  /** From the removal's answer to the end of the removed's streams. */
  readonly endedMs: { readonly p50: number; readonly max: number };
  readonly messagesPerSecond: number;
  readonly seconds: number;
}

const STEADY_A_ROOM = 4;
const FAULTS_MAX = 20;
const LEVEL_MS_MAX = 120_000;
/** Events of a room that a steady follower may be behind while more is sent. */
const BEHIND_MAX = 100;
const LOOK_MS = 200;

interface Place {
  readonly room: StoredRoom;
  readonly owner: RoomAccount;
  readonly authors: readonly RoomAccount[];
  readonly victim: RoomAccount;
  readonly steady: readonly LongFollower[];
}

/** Resolves with what was found wrong, which should be nothing. Rejects when it could not be tried. */
export async function proveRemoval(options: RemovalProofOptions): Promise<RemovalProof> {
  const { trials, seed, perSecond, bus, folder, postgresBinFolder, say = () => {} } = options;
  const faults: string[] = [];
  const onFault = (fault: string) => {
    if (faults.length < FAULTS_MAX) say(`FAULT ${fault}`);
    faults.push(fault);
  };
  const world = await createWorld({ folder, bus, onFault, postgresBinFolder });
  let flow: Flow | null = null;
  let lag: Lag | null = null;
  const places: Place[] = [];
  try {
    places.push(...(await setPlaces(world, options, onFault)));
    const startedAt = performance.now();
    lag = watchLag(world, places);
    const flowing = { nodeUrls: world.nodeUrls, rooms: places, perSecond, onFault };
    flow = startFlow({ ...flowing, isBehind: lag.isBehind, chance: createChance(seed, 'flow') });
    const done: Trial[] = [];
    let begun = 0;
    // In each room one trial after the other, in all of them at once.
    await Promise.all(
      places.map(async (place, index) => {
        const chance = createChance(seed, `removals-${index}`);
        while (begun < trials && faults.length < FAULTS_MAX) {
          begun += 1;
          const trial = await tryOne(world, place, chance, onFault);
          // Who is in the room is not known then.
          if (trial === null) return;
          done.push(trial);
          if (done.length % 50 === 0) {
            say(`${done.length} of ${trials}, ${flow?.perSecond().toFixed(0)} messages a second`);
          }
        }
      }),
    );
    const messagesPerSecond = flow.perSecond();
    const seconds = (performance.now() - startedAt) / 1_000;
    await flow.stop();
    let followed = 0;
    for (const place of places) followed += await judgeSteady(world, place, onFault);
    for (const fault of await judgeFlow(world, flow)) onFault(fault);
    const refusals = new Map<string, number>();
    for (const told of done.flatMap((trial) => trial.refusals)) {
      refusals.set(told, (refusals.get(told) ?? 0) + 1);
    }
    const ended = done.map(({ endedMs }) => endedMs).toSorted((one, other) => one - other);
    return {
      faults,
      counts: {
        trials: done.length,
        messages: flow.acknowledged.length,
        live: done.reduce((sum, trial) => sum + trial.live, 0),
        followed,
      },
      refusals,
      endedMs: {
        p50: Math.round(ended[Math.floor(ended.length / 2)] ?? 0),
        max: Math.round(ended.at(-1) ?? 0),
      },
      messagesPerSecond,
      seconds,
    };
  } finally {
    await lag?.stop();
    await flow?.stop();
    await Promise.all(places.flatMap(({ steady }) => steady.map((one) => one.stop())));
    await world.close();
  }
}

/** Null where it could not be brought to its end, which is a fault. */
async function tryOne(
  world: World,
  place: Place,
  chance: Chance,
  onFault: (fault: string) => void,
): Promise<Trial | null> {
  const trying = tryRemoval({ world, trialRoom: place, victim: place.victim, chance, onFault });
  return trying.catch((error: unknown) => {
    onFault(String(error));
    return null;
  });
}

async function setPlaces(
  world: World,
  { rooms, perSecond, seed }: RemovalProofOptions,
  onFault: (fault: string) => void,
): Promise<Place[]> {
  const places: Place[] = [];
  for (let index = 0; index < rooms; index += 1) {
    const authors = await addAccounts(
      world.query,
      `author-${index}`,
      authorsFor(perSecond / rooms),
    );
    const [owner, victim, ...followers] = await addAccounts(
      world.query,
      `place-${index}`,
      2 + STEADY_A_ROOM,
    );
    if (owner === undefined || victim === undefined) throw new Error('Nobody is there');
    const members = [...authors, victim, ...followers];
    // Both kinds of rule about what those see who left.
    const historyVisibility = index % 2 === 0 ? 'SHARED' : 'KEPT';
    const room = await storeRoom(world.query, { owner, members, historyVisibility });
    const steady = followers.map((account, number) =>
      followForEver({
        name: `follower ${number} of room ${index}`,
        account,
        roomId: room.id,
        nodeUrls: number % 2 === 0 ? world.nodeUrls : [world.nodeUrls[1], world.nodeUrls[0]],
        way: number % 3 === 0 ? 'event-stream' : 'socket',
        chance: createChance(seed, `follower-${index}-${number}`),
        cutAfterMs: null,
        onFault,
      }),
    );
    places.push({ room, owner, authors, victim, steady });
  }
  await Promise.all(places.flatMap(({ steady }) => steady.map((one) => one.begun)));
  return places;
}

interface Lag {
  readonly isBehind: () => boolean;
  stop(): Promise<void>;
}

/** The machine is what bounds the rate: a removal among what nobody has heard yet would prove little. */
function watchLag(world: World, places: readonly Place[]): Lag {
  const stopping = new AbortController();
  let behind = false;
  const run = async () => {
    while (!stopping.signal.aborted) {
      const rows = await world.query<{ id: string; head: string }>(
        'SELECT id, last_position AS head FROM room',
      );
      const heads = new Map(rows.map(({ id, head }) => [id, Number(head)]));
      behind = places.some(({ room, steady }) =>
        steady.some((one) => {
          const head = heads.get(room.roomId) ?? 0;
          return head - Number(one.position()) > BEHIND_MAX;
        }),
      );
      await delay(LOOK_MS, undefined, { signal: stopping.signal }).catch(() => {});
    }
  };
  const running = run();
  return {
    isBehind: () => behind,
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

/** Everything that happened since they began, once, in order; how much that was. */
async function judgeSteady(
  world: World,
  { room, steady }: Place,
  onFault: (fault: string) => void,
): Promise<number> {
  const rows = await world.query<{ position: string; what: string }>(
    `SELECT ${EVENT_COLUMNS} FROM room_event WHERE room_id = $1 ORDER BY position`,
    [room.roomId],
  );
  const log: LoggedEvent[] = rows.map(({ position, what }) => ({
    position: BigInt(position),
    what,
  }));
  const head = log.at(-1)?.position ?? 0n;
  const deadline = performance.now() + LEVEL_MS_MAX;
  let followed = 0;
  for (const one of steady) {
    while (one.position() < head && performance.now() < deadline) await delay(50);
    const from = one.from();
    const due = log.filter(({ position }) => position > from);
    followed += due.length;
    const evidence = { client: one.name, log: due, received: one.received };
    for (const fault of judgeRoomLog(evidence)) onFault(fault);
  }
  return followed;
}

async function judgeFlow(world: World, { acknowledged }: Flow): Promise<string[]> {
  const stored = await world.query<{ id: string; client_message_id: string }>(
    'SELECT id, client_message_id FROM chat_message',
  );
  const sent = await world.query<{ id: string }>(
    `SELECT message_id AS id FROM room_event WHERE kind = 'MESSAGE_SENT'`,
  );
  return judgeAcknowledged(
    acknowledged.map((one) => ({ ...one, messageId: decodeGlobalId(one.messageId).id })),
    stored.map((row) => ({ clientMessageId: row.client_message_id, messageId: row.id })),
    sent.map(({ id }) => id),
  );
}
