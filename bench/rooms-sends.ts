// Messages a second into one room, whose lock they all wait for, and over many rooms. The control runs the statements
// that one message was seen to take, by a pool of the same size, and nothing else: no permission, no parsing, no answer.
import pg from 'pg';
import { createApp } from '#app.ts';
import { parseConfig } from '#config.ts';
import type { App } from '#context.ts';
import { newId } from '#lib/ids.ts';
import { sendMessage } from '#resolvers/rooms/send-message.ts';
import { createServer } from '#server.ts';
import { callRooms, succeeded } from '../proof/rooms-calls.ts';
import { addAccounts, type RoomAccount, type StoredRoom, storeRoom } from '../proof/rooms-scene.ts';
import { contextFor } from '../tests/support/inbox.ts';
import { median, printTable, spread } from './table.ts';
import { createBenchWorld } from './world.ts';

interface SendsOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly rooms: number;
}

/** As many as a room has at most; each may say 20 things in 10 seconds. */
const AUTHORS = 1_000;
const MEMBERS_A_ROOM = 10;
const SENDERS = 16;
const BODY = 'Is the build green again? I would like to ship before lunch.';

interface Place {
  readonly room: StoredRoom;
  readonly author: RoomAccount;
}

interface Contender {
  readonly title: string;
  send(place: Place): Promise<void>;
}

interface Round {
  readonly perSecond: number;
  readonly tookMs: readonly number[];
}

export async function benchRoomsSends({ rounds, seconds, rooms }: SendsOptions): Promise<void> {
  const world = await createBenchWorld();
  await world.stopNode();
  const app = await createApp(parseConfig({ ...world.environment, PORT: '0' }));
  const server = await createServer(app);
  const url = await server.listen();
  const { databaseUrl: connectionString, databasePoolMax } = app.config;
  const pool = new pg.Pool({ connectionString, max: databasePoolMax });
  try {
    const query = <Row extends object>(text: string, values: readonly unknown[] = []) =>
      app.database.query<Row>(text, values);
    const authors = await addAccounts(query, 'author', AUTHORS);
    const one = await placesInOneRoom(query, authors);
    const many = await placesInMany(query, authors, rooms);
    await query('ANALYZE');
    const statements = await recordSend(app, one[0]);
    const contenders = [byStatements(pool, statements), byRule(app), byDoor(url)];
    const rows: string[][] = [];
    for (const [title, places] of [
      ['one room', one],
      [`${rooms} rooms`, many],
    ] as const) {
      const measured = new Map<Contender, Round[]>(contenders.map((each) => [each, []]));
      // The first round warms up.
      for (let round = -1; round < rounds; round += 1) {
        for (const each of contenders) {
          const found = await work(each, places, round < 0 ? 1 : seconds);
          if (round >= 0) measured.get(each)?.push(found);
        }
      }
      rows.push(...describe(title, measured));
    }
    console.log(
      `\nsends, ${SENDERS} at once, pools of ${databasePoolMax}, ${rounds} rounds of ${seconds} s\n`,
    );
    printTable(
      ['into', 'path', 'messages/s (median)', 'spread', 'of the control', 'p50 ms', 'p99 ms'],
      rows,
    );
  } finally {
    await pool.end();
    await server.close();
    await app.close();
    await world.close();
  }
}

type Query = <Row extends object>(text: string, values?: readonly unknown[]) => Promise<Row[]>;

async function placesInOneRoom(query: Query, authors: readonly RoomAccount[]): Promise<Place[]> {
  const [owner, ...members] = authors;
  if (owner === undefined) throw new Error('There are no authors');
  const room = await storeRoom(query, { owner, members });
  return authors.map((author) => ({ room, author }));
}

/** Each author speaks in one room and listens in others. */
async function placesInMany(
  query: Query,
  authors: readonly RoomAccount[],
  rooms: number,
): Promise<Place[]> {
  const made: StoredRoom[] = [];
  const around = [...authors, ...authors];
  for (let index = 0; index < rooms; index += 1) {
    const from = index % authors.length;
    const [owner, ...members] = around.slice(from, from + MEMBERS_A_ROOM);
    if (owner === undefined) throw new Error('There are no authors');
    made.push(await storeRoom(query, { owner, members }));
  }
  return authors.flatMap((author, index) => {
    const room = made[index % made.length];
    return room === undefined ? [] : [{ room, author }];
  });
}

async function work(
  { send }: Contender,
  places: readonly Place[],
  seconds: number,
): Promise<Round> {
  const tookMs: number[] = [];
  const from = performance.now();
  let next = 0;
  await Promise.all(
    Array.from({ length: SENDERS }, async () => {
      while (performance.now() < from + seconds * 1_000) {
        const place = places[next % places.length];
        next += 1;
        if (place === undefined) throw new Error('There is no room');
        const askedAt = performance.now();
        await send(place);
        tookMs.push(performance.now() - askedAt);
      }
    }),
  );
  return { perSecond: tookMs.length / ((performance.now() - from) / 1_000), tookMs };
}

function describe(into: string, measured: ReadonlyMap<Contender, readonly Round[]>): string[][] {
  const rateOf = (found: readonly Round[]) => median(found.map(({ perSecond }) => perSecond));
  const control = rateOf([...measured.values()][0] ?? []);
  return [...measured].map(([{ title }, found]) => {
    const took = found.flatMap(({ tookMs }) => tookMs).toSorted((left, right) => left - right);
    const at = (share: number) => (took[Math.floor(took.length * share)] ?? 0).toFixed(1);
    return [
      into,
      title,
      rateOf(found).toFixed(0),
      spread(found.map(({ perSecond }) => perSecond)),
      `${((100 * rateOf(found)) / control).toFixed(0)} %`,
      at(0.5),
      at(0.99),
    ];
  });
}

function byRule(app: App): Contender {
  return {
    title: 'Naru, the rule alone',
    async send({ room, author }) {
      const ctx = await contextFor({ app }, author.token);
      await sendMessage(ctx, newMessage(room.roomId));
    },
  };
}

function newMessage(roomId: string) {
  return { roomId, clientMessageId: newId(), body: BODY, mentionIds: [], attachments: [] };
}

function byDoor(nodeUrl: string): Contender {
  const name = 'sendMessage';
  return {
    title: 'Naru, GraphQL over HTTP',
    async send({ room, author: { token } }) {
      const input = { roomId: room.id, clientMessageId: newId(), body: BODY };
      const { type, message } = await callRooms({ nodeUrl, token, name, input });
      if (type !== succeeded(name)) throw new Error(`${type}: ${message}`);
    },
  };
}

interface Statement {
  readonly name: string | undefined;
  readonly text: string;
}

/** The statements of one message, in their order, as the driver was given them. */
async function recordSend(app: App, place: Place | undefined): Promise<readonly Statement[]> {
  if (place === undefined) throw new Error('There is no room');
  const ctx = await contextFor({ app }, place.author.token);
  const statements: Statement[] = [];
  const { database } = app;
  const recording: typeof database = {
    ...database,
    query(text, values, name) {
      statements.push({ text, name });
      return database.query(text, values, name);
    },
    transaction: (transacted) =>
      database.transaction(async (sql) => {
        statements.push({ text: 'BEGIN', name: undefined });
        const result = await transacted({
          query(text, values, name) {
            statements.push({ text, name });
            return sql.query(text, values, name);
          },
        });
        statements.push({ text: 'COMMIT', name: undefined });
        return result;
      }),
  };
  const recorded = Object.create(ctx, { database: { value: recording } }) as typeof ctx;
  await sendMessage(recorded, newMessage(place.room.roomId));
  return statements;
}

interface LockedRow {
  readonly lastPosition: string;
  readonly lastSequence: string;
}

const FINGERPRINT = Buffer.alloc(32);

function byStatements(pool: pg.Pool, statements: readonly Statement[]): Contender {
  return {
    title: 'the same statements by pg',
    async send({ room: { roomId }, author: { userId } }) {
      const [messageId, clientMessageId] = [newId(), newId()];
      let [position, sequence] = ['', ''];
      const valuesOf = (name: string): readonly unknown[] => {
        switch (name) {
          case 'decide-send':
            return [roomId, userId, clientMessageId, null, []];
          case 'lock-room':
            return [roomId];
          case 'store-message': {
            const place = [messageId, roomId, sequence, position, userId, clientMessageId];
            return [...place, FINGERPRINT, BODY, null, '[]', []];
          }
          case 'store-room-events': {
            const event = { position, kind: 'MESSAGE_SENT', message_id: messageId };
            const rows = JSON.stringify([{ ...event, actor_id: userId }]);
            return [roomId, rows, position, sequence, 0];
          }
          case 'announce':
            return ['rooms.logged', roomId, JSON.stringify({ position })];
          default:
            throw new Error(`A message takes a statement that this bench does not know: ${name}`);
        }
      };
      const client = await pool.connect();
      try {
        for (const { text, name } of statements) {
          if (name === undefined) await client.query(text);
          else {
            const { rows } = await client.query<LockedRow>({
              name,
              text,
              values: [...valuesOf(name)],
            });
            if (name === 'lock-room') {
              position = String(BigInt(rows[0]?.lastPosition ?? 0) + 1n);
              sequence = String(BigInt(rows[0]?.lastSequence ?? 0) + 1n);
            }
          }
        }
      } finally {
        client.release();
      }
    },
  };
}
