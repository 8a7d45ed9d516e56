// Rooms as the API makes them, in one statement: for suites whose matter is what happens in them.
import { randomUUID } from 'node:crypto';
import { ALL_SCOPES, type Scope } from '#auth/scopes.ts';
import { createToken, hashToken } from '#auth/tokens.ts';
import { encodeGlobalId } from '#lib/global-id.ts';
import { newId } from '#lib/ids.ts';
import type { Query } from './accounts.ts';

/** How a suite reaches its database: a Naru's own, or that of its nodes. */
type World = { readonly app: { readonly database: { query: Query } } } | { readonly query: Query };

/** An account and a token of it. */
export interface Member {
  readonly userId: string;
  /** As the API writes it. */
  readonly id: string;
  readonly username: string;
  readonly token: string;
}

export interface MadeRoom {
  readonly roomId: string;
  /** As the API writes it. */
  readonly id: string;
  /** Of its log: one PARTICIPANT_JOINED each. */
  readonly head: number;
}

export interface NewRoom {
  /** The first is who made it. */
  readonly owner: Pick<Member, 'userId'>;
  readonly moderators?: readonly Pick<Member, 'userId'>[];
  readonly members?: readonly Pick<Member, 'userId'>[];
  readonly name?: string;
  readonly historyVisibility?: 'SHARED' | 'SINCE_JOINED' | 'KEPT';
  readonly externalId?: string;
}

function queryOf(world: World): Query {
  return 'query' in world ? world.query : (text, values) => world.app.database.query(text, values);
}

/** A new account with a personal access token, with every scope unless told. */
export async function addMember(
  world: World,
  scopes: readonly Scope[] = ALL_SCOPES,
): Promise<Member> {
  const userId = newId();
  const username = `m-${randomUUID().slice(0, 23)}`;
  const token = createToken('personalAccessToken');
  await queryOf(world)(
    `WITH account AS (
       INSERT INTO users (id, username, display_name, email, email_verified_at, roles)
       VALUES ($1, $2, 'Somebody', $2 || '@example.com', naru_now(), '{USER}')
     )
     INSERT INTO personal_access_token (id, user_id, name, token_hash, scopes, expires_at)
     VALUES ($3, $1, 'test', $4, $5, naru_now() + interval '1 year')`,
    [userId, username, newId(), hashToken(token), scopes],
  );
  return { userId, id: encodeGlobalId('User', userId), username, token };
}

export async function addMembers(world: World, count: number): Promise<Member[]> {
  return Promise.all(Array.from({ length: count }, () => addMember(world)));
}

/** As `createRoom` leaves it; nobody is told. */
export async function makeRoom(world: World, room: NewRoom): Promise<MadeRoom> {
  const { owner, moderators = [], members = [], name = 'A room' } = room;
  const roomId = newId();
  const ids = [owner, ...moderators, ...members].map(({ userId }) => userId);
  const roles = ['OWNER', ...moderators.map(() => 'MODERATOR'), ...members.map(() => 'MEMBER')];
  await storeRoom(queryOf(world), {
    roomId,
    ids,
    roles,
    name,
    directKey: null,
    historyVisibility: room.historyVisibility ?? 'SHARED',
    externalId: room.externalId ?? null,
  });
  return { roomId, id: encodeGlobalId('Room', roomId), head: ids.length };
}

/** As `openDirectRoom` leaves it; the first one opened it. */
export async function makeDirectRoom(
  world: World,
  pair: readonly [Pick<Member, 'userId'>, Pick<Member, 'userId'>],
): Promise<MadeRoom> {
  const roomId = newId();
  const ids = pair.map(({ userId }) => userId);
  await storeRoom(queryOf(world), {
    roomId,
    ids,
    roles: ['MEMBER', 'MEMBER'],
    name: null,
    directKey: ids.toSorted().join(':'),
    historyVisibility: 'SHARED',
    externalId: null,
  });
  return { roomId, id: encodeGlobalId('Room', roomId), head: 2 };
}

interface StoredRoom {
  readonly roomId: string;
  readonly ids: readonly string[];
  readonly roles: readonly string[];
  readonly name: string | null;
  readonly directKey: string | null;
  readonly historyVisibility: string;
  readonly externalId: string | null;
}

async function storeRoom(query: Query, room: StoredRoom): Promise<void> {
  const { roomId, ids, roles, name, directKey, historyVisibility, externalId } = room;
  await query(
    `WITH made AS (
       INSERT INTO room (id, kind, name, direct_key, history_visibility, external_id, created_by_id,
         last_position, participant_count)
       VALUES ($1, CASE WHEN $5::text IS NULL THEN 'GROUP' ELSE 'DIRECT' END::room_kind, $4, $5,
         $6::history_visibility, $7, ($2::uuid[])[1], cardinality($2::uuid[]), cardinality($2::uuid[]))
     ), joining AS (
       SELECT * FROM unnest($2::uuid[], $3::participant_role[]) WITH ORDINALITY
         AS row (user_id, role, position)
     ), participants AS (
       INSERT INTO room_participant (room_id, user_id, role, joined_position, joined_sequence,
         joined_at, added_by_id)
       SELECT $1, user_id, role, position, 0, naru_now(), ($2::uuid[])[1] FROM joining
     ), stays AS (
       INSERT INTO room_stay (room_id, user_id, joined_position)
       SELECT $1, user_id, position FROM joining
     )
     INSERT INTO room_event (room_id, position, kind, user_id, actor_id)
     SELECT $1, position, 'PARTICIPANT_JOINED', user_id, ($2::uuid[])[1] FROM joining`,
    [roomId, ids, roles, name, directKey, historyVisibility, externalId],
  );
}
