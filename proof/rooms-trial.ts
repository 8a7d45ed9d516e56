// One removal while messages flow: who is removed listens on both nodes, and tries everything afterwards.
import { setTimeout as delay } from 'node:timers/promises';
import type { Chance } from './random.ts';
import { callRooms, succeeded } from './rooms-calls.ts';
import {
  changeOf,
  type Ending,
  eventOf,
  type Listening,
  listen,
  positionOf,
  ROOM_EVENTS,
  ROOMS_CHANGED,
  type StreamItem,
  type Way,
} from './rooms-listener.ts';
import type { RoomAccount, StoredRoom } from './rooms-scene.ts';
import type { World } from './world.ts';

export interface TrialRoom {
  readonly room: StoredRoom;
  readonly owner: RoomAccount;
}

export interface TrialOptions {
  readonly world: World;
  readonly trialRoom: TrialRoom;
  readonly victim: RoomAccount;
  readonly chance: Chance;
  readonly onFault: (fault: string) => void;
}

export interface Trial {
  /** Events that the removed was told of, live, before it was removed. */
  readonly live: number;
  /** From the removal's answer until both streams had ended, in milliseconds. */
  readonly endedMs: number;
  /** What a stream that was to go on was told, and on how many. */
  readonly refusals: readonly string[];
}

const WAIT_MS_MAX = 60_000;
const REMOVALS = ['removeParticipant', 'banParticipant', 'leaveRoom'] as const;
const PAGE = `query ($roomId: ID!) { room(id: $roomId) { id followCursor messages(last: 50) {
  edges { cursor node { id } } } lastMessage { id } } }`;

export async function tryRemoval(options: TrialOptions): Promise<Trial> {
  const opened: Closable[] = [];
  try {
    return await removeWatched(options, opened);
  } finally {
    for (const one of opened) one.close();
  }
}

interface Closable {
  close(): void;
}

async function removeWatched(options: TrialOptions, opened: Closable[]): Promise<Trial> {
  const { world, trialRoom, victim, chance, onFault } = options;
  const { room, owner } = trialRoom;
  const items: StreamItem[] = [];
  const [one, other] = world.nodeUrls;
  const open = (nodeUrl: string, way: Way, after: string | null): Listening => {
    const listening = listen({
      nodeUrl,
      token: victim.token,
      way,
      query: ROOM_EVENTS,
      variables: { roomId: room.id, after },
      onItem: (item) => void items.push(item),
    });
    opened.push(listening);
    return listening;
  };
  const listening = [open(one, 'socket', null), open(other, 'event-stream', null)];
  const overAll = listenOverAll(options, null);
  opened.push(overAll);
  // One that reads behind the others: it replays when the removal comes.
  await until('the streams have begun', () => items.length >= 2 && overAll.items.length > 0);
  await delay(chance.between(0, 60));
  const [first] = items;
  if (first === undefined) throw new Error('Nothing was heard');
  listening.push(open(chance.pick(world.nodeUrls), 'socket', first.cursor));
  await delay(chance.between(0, 40));

  const how = chance.pick(REMOVALS);
  const by = how === 'leaveRoom' ? victim : owner;
  const input = { roomId: room.id, ...(how !== 'leaveRoom' && { userId: victim.id }) };
  await mustSucceed(chance.pick(world.nodeUrls), by, how, input);
  const removedAt = performance.now();
  const left = await findLeftPosition(world, room, victim);
  const endings = await endingsOf(listening);
  const endedMs = performance.now() - removedAt;
  if (endings === null) onFault(`A stream of who was removed (${how}) went on`);
  for (const each of listening) each.close();
  const live = items.filter((item) => eventOf(item) !== null).length;

  const resumed = await resume({ ...options, items, open });
  await readPages(options, left);
  const replayed = listenOverAll(options, overAll.items[0]?.cursor ?? null);
  opened.push(replayed);
  await judgeOverAll(options, left, [overAll, replayed]);
  for (const item of items) {
    const position = positionOf(item.cursor);
    const event = eventOf(item);
    if (event !== null && position > left) {
      onFault(`${event.what} at ${position} came though ${how} was at ${left}`);
    } else if (event === null && position > left) {
      onFault(`A ${item.__typename} at ${position} came though ${how} was at ${left}`);
    }
  }
  await comeBack(options, how);
  const told = [...(endings ?? []), ...resumed];
  return { live, endedMs, refusals: told.map(describe) };
}

/** With its last cursor, on either node, in either way, at once and after a moment of flow. */
async function resume(
  options: TrialOptions & {
    readonly items: readonly StreamItem[];
    readonly open: (nodeUrl: string, way: Way, after: string | null) => Listening;
  },
): Promise<readonly Ending[]> {
  const { world, chance, onFault, items, open } = options;
  const last = items.reduce<StreamItem | null>(
    (latest, item) =>
      latest === null || positionOf(item.cursor) > positionOf(latest.cursor) ? item : latest,
    null,
  );
  const [one, other] = world.nodeUrls;
  const tried = [
    open(one, 'event-stream', last?.cursor ?? null),
    open(other, 'socket', last?.cursor ?? null),
    open(chance.pick(world.nodeUrls), 'socket', null),
  ];
  const endings = await endingsOf(tried);
  for (const each of tried) each.close();
  if (endings === null) onFault('Who was removed could resume');
  return endings ?? [];
}

/** Null when one of them does not end. */
async function endingsOf(listening: readonly Listening[]): Promise<readonly Ending[] | null> {
  const controller = new AbortController();
  const late = delay(WAIT_MS_MAX, null, { signal: controller.signal }).catch(() => null);
  const all = Promise.all(listening.map(({ ended }) => ended));
  return Promise.race([all, late]).finally(() => controller.abort());
}

interface OverAll {
  readonly items: readonly StreamItem[];
  close(): void;
}

/** What the stream over all of the victim's rooms tells, which are this one. */
function listenOverAll(
  { world, victim, chance, onFault }: TrialOptions,
  after: string | null,
): OverAll {
  const items: StreamItem[] = [];
  let isClosed = false;
  const { ended, close } = listen({
    nodeUrl: chance.pick(world.nodeUrls),
    token: victim.token,
    way: 'socket',
    query: ROOMS_CHANGED,
    variables: { after },
    onItem: (item) => {
      if (!isClosed) items.push(item);
    },
  });
  void ended.then((ending) => {
    if (!isClosed) onFault(`The stream over all rooms ended: ${describe(ending)}`);
  });
  return {
    items,
    close() {
      isClosed = true;
      close();
    },
  };
}

/** It goes on, as the account does: live and replayed the removal is the last that it tells of the room. */
async function judgeOverAll(
  options: TrialOptions,
  left: bigint,
  streams: readonly OverAll[],
): Promise<void> {
  const { world, trialRoom, onFault } = options;
  const hasLeft = ({ items }: OverAll) => items.some((item) => item.__typename === 'RoomLeft');
  await until('the stream over all rooms tells of the removal', () => streams.every(hasLeft));
  // Whatever would come wrongly has had its time: that of the flow, and of both readings.
  await delay(100);
  for (const each of streams) each.close();
  const [row] = await world.query<{ position: string }>(
    'SELECT position FROM rooms_change WHERE room_id = $1 AND room_position = $2',
    [trialRoom.room.roomId, left.toString()],
  );
  if (row === undefined) throw new Error('The removal is told of and not in the feed');
  for (const item of streams.flatMap(({ items }) => items)) {
    const change = changeOf(item);
    if (change !== null && change.position > BigInt(row.position)) {
      onFault(`${change.what} at ${change.position} of all rooms came past ${row.position}`);
    }
  }
}

interface Page {
  readonly data?: {
    readonly room?: {
      readonly followCursor: string;
      readonly messages: { readonly edges: readonly { readonly cursor: string }[] };
    } | null;
  } | null;
}

/** By both nodes: what is not there for them, or nothing past the removal. */
async function readPages({ world, trialRoom, victim, onFault }: TrialOptions, left: bigint) {
  for (const nodeUrl of world.nodeUrls) {
    const response = await fetch(`${nodeUrl}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${victim.token}` },
      body: JSON.stringify({ query: PAGE, variables: { roomId: trialRoom.room.id } }),
    });
    const { data } = (await response.json()) as Page;
    for (const { cursor } of data?.room?.messages.edges ?? []) {
      if (positionOf(cursor) > left) onFault(`A page showed ${positionOf(cursor)} past ${left}`);
    }
  }
}

async function findLeftPosition(
  world: World,
  room: StoredRoom,
  { userId }: RoomAccount,
): Promise<bigint> {
  const [row] = await world.query<{ left: string }>(
    `SELECT left_position AS left FROM room_participant
     WHERE room_id = $1 AND user_id = $2 AND left_position IS NOT NULL`,
    [room.roomId, userId],
  );
  if (row === undefined) throw new Error('A removal that succeeded removed nobody');
  return BigInt(row.left);
}

async function comeBack(
  { world, trialRoom, victim, chance }: TrialOptions,
  how: (typeof REMOVALS)[number],
): Promise<void> {
  const { room, owner } = trialRoom;
  const nodeUrl = chance.pick(world.nodeUrls);
  const roomId = room.id;
  if (how === 'banParticipant') {
    await mustSucceed(nodeUrl, owner, 'unbanParticipant', { roomId, userId: victim.id });
  }
  await mustSucceed(nodeUrl, owner, 'addParticipants', { roomId, userIds: [victim.id] });
}

async function mustSucceed(
  nodeUrl: string,
  { token }: RoomAccount,
  name: string,
  input: Readonly<Record<string, unknown>>,
): Promise<void> {
  const deadline = performance.now() + WAIT_MS_MAX;
  for (;;) {
    const { type, message } = await callRooms({ nodeUrl, token, name, input });
    if (type === succeeded(name)) return;
    const isPassing = type === null || type === 'RateLimitedError';
    if (!isPassing || performance.now() > deadline) throw new Error(`${name}: ${type} ${message}`);
    await delay(200);
  }
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + WAIT_MS_MAX;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`Not within ${WAIT_MS_MAX} ms: ${what}`);
    await delay(5);
  }
}

function describe(ending: Ending): string {
  return ending.why === 'refused' ? `refused ${ending.code}` : ending.why;
}
