// Kills a node that holds the live connections of many accounts and looks what the other one's people are told of
// them: everybody gone in time, once, and nobody who has a second device. docs/proofs.md says how to repeat it.
import { setTimeout as delay } from 'node:timers/promises';
import { ask } from './graphql.ts';
import { createChance } from './random.ts';
import { type Listening, listen, ROOMS_CHANGED, type StreamItem } from './rooms-listener.ts';
import { addAccounts, type RoomAccount, type StoredRoom, storeRoom } from './rooms-scene.ts';
import { type BusKind, createWorld, type World } from './world.ts';

export interface PresenceProofOptions {
  /** Live connections on the node that is killed, each of an account of its own. */
  readonly sessions: number;
  readonly seed: number;
  readonly bus: BusKind;
  /** The kill comes at some time of this long: heartbeats are every 15 seconds. */
  readonly killWithinMs: number;
  /** How long who leaves by themselves may be shown. */
  readonly leftWithinMs: number;
  /** Data and logs of this run; the caller removes it. */
  readonly folder: string;
  readonly postgresBinFolder?: string | undefined;
  readonly say?: (line: string) => void;
}

export interface Spread {
  readonly p50: number;
  readonly max: number;
}

export interface PresenceProof {
  readonly faults: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
  /** From the kill to what the others were told, in milliseconds. */
  readonly ghostMs: Spread;
  /** From the end of a last connection. */
  readonly leftMs: Spread;
  readonly seconds: number;
}

const GHOST_MS_MAX = 45_000;
/** What would come late, or twice, has come by then. */
const QUIET_MS = 3_000;
/** Of each so many one has a second device. */
const SECOND_DEVICE_EVERY = 5;
const PEOPLE_A_ROOM = 100;
const OPENED_AT_ONCE = 10;
const ATTEMPTS_MAX = 10;
const WAIT_MS_MAX = 60_000;
const FAULTS_MAX = 20;

const PRESENCE_EVENTS = `subscription ($roomId: ID!) {
  item: roomEvents(roomId: $roomId) {
    __typename ... on StreamItem { cursor }
    ... on PresenceChanged { user { id } presence { isOnline } } } }`;
const PRESENCE = `query ($id: ID!) {
  room(id: $id) { presence(limit: 200) { isOnline user { id } } } }`;

/** What the people of the other node were told of somebody, and when, by the clock of this process. */
interface Told {
  readonly userId: string;
  readonly isOnline: boolean;
  readonly at: number;
}

/** Resolves with what was found wrong, which should be nothing. Rejects when it could not be tried. */
export async function proveRoomsPresence(options: PresenceProofOptions): Promise<PresenceProof> {
  const { say = () => {}, sessions, seed, killWithinMs, leftWithinMs } = options;
  const startedAt = performance.now();
  const faults: string[] = [];
  const onFault = (fault: string) => {
    if (faults.length < FAULTS_MAX) say(`FAULT ${fault}`);
    faults.push(fault);
  };
  const { bus, folder, postgresBinFolder } = options;
  const world = await createWorld({ bus, folder, postgresBinFolder, onFault });
  const open: Listening[] = [];
  try {
    const told: Told[] = [];
    const scene = await setScene(world, sessions);
    const { observer, people, rooms } = scene;
    const [dying, living] = world.nodeUrls;
    for (const { id } of rooms) {
      await begin(open, living, observer, PRESENCE_EVENTS, { roomId: id }, (item) =>
        write(told, item),
      );
    }
    await openAll(people, (person) => begin(open, dying, person, ROOMS_CHANGED, {}));
    const stayers = people.filter((_person, index) => index % SECOND_DEVICE_EVERY === 0);
    const seconds: Listening[] = [];
    await openAll(stayers, (person) => begin(seconds, living, person, ROOMS_CHANGED, {}));
    open.push(...seconds);
    await until(async () => (await onlineOf(living, observer, rooms)).size === sessions + 1);
    say(`${sessions} are there, ${stayers.length} of them by two devices`);

    await delay(createChance(seed, 'kill').between(0, killWithinMs));
    told.length = 0;
    const killedAt = performance.now();
    await world.victims[0][0].kill();
    const stays = new Set(stayers.map(({ id }) => id));
    const goers = people.filter(({ id }) => !stays.has(id));
    await until(() => told.length >= goers.length || since(killedAt) > GHOST_MS_MAX + QUIET_MS);
    await delay(QUIET_MS);
    const afterKill = told.splice(0);
    const ghosts = judge(afterKill, goers, killedAt, GHOST_MS_MAX, onFault);
    for (const { userId } of afterKill) {
      if (stays.has(userId)) onFault(`${userId} is there by another device and was told to be not`);
    }
    const left = await onlineOf(living, observer, rooms);
    for (const { id } of stayers) if (!left.has(id)) onFault(`${id} is not shown to be there`);
    for (const { id } of goers) if (left.has(id)) onFault(`${id} is shown to be there`);
    say(`${ghosts.length} are gone`);

    const closedAt = performance.now();
    for (const each of seconds) each.close();
    await until(() => told.length >= stayers.length || since(closedAt) > WAIT_MS_MAX / 2);
    const leavings = judge(told, stayers, closedAt, leftWithinMs, onFault);
    return {
      faults,
      counts: {
        sessions,
        'second devices': stayers.length,
        'gone by the kill': ghosts.length,
        'gone by leaving': leavings.length,
      },
      ghostMs: spread(ghosts),
      leftMs: spread(leavings),
      seconds: (performance.now() - startedAt) / 1_000,
    };
  } finally {
    for (const each of open) each.close();
    await world.close();
  }
}

async function setScene({ query }: World, sessions: number) {
  const [observer, ...people] = await addAccounts(query, 'person', sessions + 1);
  if (observer === undefined) throw new Error('Somebody must look');
  const rooms: StoredRoom[] = [];
  for (let start = 0; start < people.length; start += PEOPLE_A_ROOM) {
    const members = people.slice(start, start + PEOPLE_A_ROOM);
    rooms.push(await storeRoom(query, { owner: observer, members }));
  }
  return { observer, people, rooms };
}

/** Resolves once the stream has begun; told that something is away for a moment, it comes back as a client does. */
async function begin(
  open: Listening[],
  nodeUrl: string,
  { token }: RoomAccount,
  query: string,
  variables: Readonly<Record<string, unknown>>,
  onItem: (item: StreamItem) => void = () => {},
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const begun = Promise.withResolvers<'begun'>();
    const listening = listen({
      nodeUrl,
      token,
      way: 'socket',
      query,
      variables,
      onItem(item) {
        begun.resolve('begun');
        onItem(item);
      },
    });
    const ending = await Promise.race([begun.promise, listening.ended]);
    if (ending === 'begun') return void open.push(listening);
    const isAway = ending.why === 'refused' && ending.code === 'UNAVAILABLE';
    if (!isAway || attempt === ATTEMPTS_MAX) throw new Error(JSON.stringify(ending));
    await delay(attempt * 100);
  }
}

async function openAll(
  people: readonly RoomAccount[],
  openOne: (person: RoomAccount) => Promise<void>,
): Promise<void> {
  const left = [...people];
  const work = async () => {
    for (let person = left.pop(); person !== undefined; person = left.pop()) await openOne(person);
  };
  await Promise.all(Array.from({ length: OPENED_AT_ONCE }, work));
}

function write(told: Told[], item: StreamItem): void {
  if (item.__typename !== 'PresenceChanged') return;
  const { id } = item['user'] as { readonly id: string };
  const { isOnline } = item['presence'] as { readonly isOnline: boolean };
  told.push({ userId: id, isOnline, at: performance.now() });
}

interface Shown {
  readonly room: {
    readonly presence: readonly {
      readonly isOnline: boolean;
      readonly user: { readonly id: string };
    }[];
  };
}

/** Whom the observer, who is there, too, is shown as online. */
async function onlineOf(
  nodeUrl: string,
  observer: RoomAccount,
  rooms: readonly StoredRoom[],
): Promise<Set<string>> {
  const online = new Set<string>();
  for (const { id } of rooms) {
    const answer = await ask<Shown>(nodeUrl, observer.token, PRESENCE, { id });
    for (const { isOnline, user } of answer?.room.presence ?? []) {
      if (isOnline) online.add(user.id);
    }
  }
  return online;
}

/** How long each of them took to be told to be gone: all, once, and in time. */
function judge(
  told: readonly Told[],
  people: readonly RoomAccount[],
  from: number,
  withinMs: number,
  onFault: (fault: string) => void,
): number[] {
  const of = new Map<string, Told[]>();
  for (const each of told) of.set(each.userId, [...(of.get(each.userId) ?? []), each]);
  return people.flatMap(({ id }) => {
    const [first, ...more] = of.get(id) ?? [];
    if (first === undefined || first.isOnline || more.length > 0) {
      onFault(`${id} was told to be gone ${first === undefined ? 'never' : 'wrongly'}`);
      return [];
    }
    const tookMs = first.at - from;
    if (tookMs > withinMs) onFault(`${id} was gone after ${tookMs.toFixed(0)} ms`);
    return [tookMs];
  });
}

function spread(times: readonly number[]): Spread {
  const sorted = times.toSorted((one, other) => one - other);
  const at = (index: number) => Math.round(sorted[index] ?? 0);
  return { p50: at(Math.floor(sorted.length / 2)), max: at(sorted.length - 1) };
}

function since(at: number): number {
  return performance.now() - at;
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WAIT_MS_MAX;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`Never came true: ${condition.toString()}`);
    await delay(50);
  }
}
