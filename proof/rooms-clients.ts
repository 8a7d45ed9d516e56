// The clients of the chaos: each an account of its own that follows one room, or all of its rooms, for as long as it
// lasts, and what the database says that each of them may have been told.
import type { Absence, LoggedEvent, RoomLogEvidence } from '../tests/support/room-log.ts';
import { createChance } from './random.ts';
import { changeOf, EVENT_COLUMNS, ROOMS_CHANGED } from './rooms-listener.ts';
import { followForEver, type LongFollower } from './rooms-long-follower.ts';
import type { RoomAccount, StoredRoom } from './rooms-scene.ts';
import type { World } from './world.ts';

/** When a guest was told to go, and was let in again, by the proof's own clock. */
export interface Outing {
  readonly removeAskedAtMs: number;
  /** Null while it is out. */
  addAskedAtMs: number | null;
}

export interface ChaosClient {
  readonly account: RoomAccount;
  readonly rooms: readonly ChaosRoom[];
  readonly follower: LongFollower;
  readonly follows: 'room' | 'rooms';
}

export interface ChaosRoom {
  readonly room: StoredRoom;
  readonly keepsHistory: boolean;
  readonly writers: readonly [RoomAccount, ...RoomAccount[]];
  /** Of each that is removed at times. */
  readonly outings: ReadonlyMap<string, Outing[]>;
}

export interface NewClient {
  readonly world: World;
  readonly name: string;
  readonly account: RoomAccount;
  readonly rooms: readonly [ChaosRoom, ...ChaosRoom[]];
  readonly follows: 'room' | 'rooms';
  readonly seed: number;
  readonly onFault: (fault: string) => void;
}

const CUT_AFTER_MS = 8_000;

export function startClient(given: NewClient): ChaosClient {
  const { world, name, account, rooms, follows, seed, onFault } = given;
  const chance = createChance(seed, name);
  const follower = followForEver({
    name,
    account,
    nodeUrls: chance.happens(0.5) ? world.nodeUrls : [world.nodeUrls[1], world.nodeUrls[0]],
    way: chance.happens(0.5) ? 'socket' : 'event-stream',
    chance,
    cutAfterMs: CUT_AFTER_MS,
    mayBeOut: true,
    onFault,
    ...(follows === 'room'
      ? { roomId: rooms[0].room.id }
      : { stream: { query: ROOMS_CHANGED, eventOf: changeOf } }),
  });
  return { account, rooms, follower, follows };
}

interface StayRow {
  readonly roomId: string;
  readonly userId: string;
  readonly joined: string;
  readonly left: string | null;
}

/** All that is needed to judge every client, read once all is quiet. */
export async function readLogs(
  world: World,
): Promise<(client: ChaosClient) => RoomLogEvidence & { readonly head: bigint }> {
  const events = await world.query<{ roomId: string; position: string; what: string }>(
    `SELECT room_id AS "roomId", ${EVENT_COLUMNS} FROM room_event ORDER BY room_id, position`,
  );
  const changes = await world.query<ChangeRow>(
    `SELECT c.position, c.room_id AS "roomId", c.room_position AS "roomPosition",
            e.kind || ' ' || rtrim(translate(encode(convert_to('Room:' || c.room_id, 'UTF8'), 'base64'),
              E'+/\\n', '-_'), '=') AS what
     FROM rooms_change c JOIN room_event e ON e.room_id = c.room_id AND e.position = c.room_position
     ORDER BY c.position`,
  );
  const stays = await world.query<StayRow>(
    `SELECT room_id AS "roomId", user_id AS "userId", joined_position AS joined, left_position AS left
     FROM room_stay ORDER BY joined_position`,
  );
  const eventsOf = Map.groupBy(events, ({ roomId }) => roomId);
  const staysOf = Map.groupBy(stays, ({ roomId, userId }) => `${roomId} ${userId}`);
  const feedPositionOf = new Map(
    changes.map((row) => [`${row.roomId} ${row.roomPosition}`, BigInt(row.position)]),
  );
  return (client) => {
    const { account, rooms, follower, follows } = client;
    const from = follower.from();
    const ofRoom = (room: ChaosRoom) => staysOf.get(`${room.room.roomId} ${account.userId}`) ?? [];
    const log =
      follows === 'room'
        ? rooms.flatMap(({ room }) => (eventsOf.get(room.roomId) ?? []).map(asLogged))
        : changes.filter((row) => wasThere(rooms, ofRoom, row)).map(asLogged);
    const due = log.filter(({ position }) => position > from);
    const placeOf = (room: ChaosRoom, position: string) =>
      follows === 'room'
        ? BigInt(position)
        : (feedPositionOf.get(`${room.room.roomId} ${position}`) ?? 0n);
    return {
      client: follower.name,
      log: due,
      received: follower.received,
      absences: rooms.flatMap((room) => absencesOf(room, account, ofRoom(room), placeOf)),
      keepsHistory: rooms.every(({ keepsHistory }) => keepsHistory),
      head: due.at(-1)?.position ?? from,
    };
  };
}

interface ChangeRow {
  readonly position: string;
  readonly roomId: string;
  readonly roomPosition: string;
  readonly what: string;
}

function asLogged({ position, what }: { position: string; what: string }): LoggedEvent {
  return { position: BigInt(position), what };
}

/** In the room when it happened, coming and going included. */
function wasThere(
  rooms: readonly ChaosRoom[],
  staysOf: (room: ChaosRoom) => readonly StayRow[],
  { roomId, roomPosition }: ChangeRow,
): boolean {
  const room = rooms.find((one) => one.room.roomId === roomId);
  if (room === undefined) return false;
  const position = BigInt(roomPosition);
  return staysOf(room).some(
    ({ joined, left }) => BigInt(joined) <= position && (left === null || BigInt(left) >= position),
  );
}

/** Between one stay and the next, with the times that were written down. */
function absencesOf(
  room: ChaosRoom,
  account: RoomAccount,
  stays: readonly StayRow[],
  placeOf: (room: ChaosRoom, position: string) => bigint,
): Absence[] {
  const outings = room.outings.get(account.userId) ?? [];
  return stays.flatMap(({ left }, index) => {
    const outing = outings[index];
    if (left === null || outing === undefined) return [];
    const next = stays[index + 1];
    const back =
      next === undefined
        ? null
        : { position: placeOf(room, next.joined), askedAtMs: outing.addAskedAtMs ?? 0 };
    const leftPosition = placeOf(room, left);
    return [{ askedAtMs: outing.removeAskedAtMs, leftPosition, back }];
  });
}
