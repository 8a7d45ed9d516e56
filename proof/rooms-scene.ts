// Accounts and rooms of a proof's own, stored straight: what is proven begins after they are there.
import { createToken, hashToken } from '#auth/tokens.ts';
import { encodeGlobalId } from '#lib/global-id.ts';
import { newId } from '#lib/ids.ts';
import type { HistoryVisibility } from '#resolvers/rooms/room-row.ts';
import type { World } from './world.ts';

/** With every scope of rooms. */
export interface RoomAccount {
  readonly userId: string;
  /** As the API writes it. */
  readonly id: string;
  readonly token: string;
}

export interface StoredRoom {
  readonly roomId: string;
  /** As the API writes it. */
  readonly id: string;
}

type Query = World['query'];

const SCOPES = '{rooms:read,rooms:write,rooms:broadcast,rooms:moderate}';

export async function addAccounts(
  query: Query,
  prefix: string,
  count: number,
): Promise<RoomAccount[]> {
  const accounts = Array.from({ length: count }, () => {
    const userId = newId();
    const token = createToken('personalAccessToken');
    return { userId, id: encodeGlobalId('User', userId), token };
  });
  await query(
    `WITH given AS (
       SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bytea[]) WITH ORDINALITY
         AS given (user_id, token_id, hash, number)
     ), account AS (
       INSERT INTO users (id, username, display_name, roles)
       SELECT user_id, $4 || '-' || number, $4 || ' ' || number, '{USER}' FROM given
     )
     INSERT INTO personal_access_token (id, user_id, name, token_hash, scopes, expires_at)
     SELECT token_id, user_id, 'proof', hash, '${SCOPES}', now() + interval '1 day' FROM given`,
    [
      accounts.map(({ userId }) => userId),
      accounts.map(() => newId()),
      accounts.map(({ token }) => hashToken(token)),
      prefix,
    ],
  );
  return accounts;
}

export interface NewRoom {
  readonly owner: RoomAccount;
  readonly moderators?: readonly RoomAccount[];
  readonly members: readonly RoomAccount[];
  readonly historyVisibility?: HistoryVisibility;
}

/** As if its owner had made it with all of them in it: a joining is the first event of each. */
export async function storeRoom(query: Query, given: NewRoom): Promise<StoredRoom> {
  const { owner, moderators = [], members, historyVisibility = 'SHARED' } = given;
  const roomId = newId();
  const people = [
    { role: 'OWNER', userId: owner.userId },
    ...moderators.map(({ userId }) => ({ role: 'MODERATOR', userId })),
    ...members.map(({ userId }) => ({ role: 'MEMBER', userId })),
  ];
  await query(
    `WITH person AS (
       SELECT * FROM unnest($3::uuid[], $4::participant_role[]) WITH ORDINALITY
         AS person (user_id, role, position)
     ), made AS (
       INSERT INTO room (id, kind, name, history_visibility, created_by_id, last_position, participant_count)
       SELECT $1, 'GROUP', 'Proof', $5::history_visibility, $2, count(*), count(*) FROM person
       RETURNING id
     ), participant AS (
       INSERT INTO room_participant (room_id, user_id, role, joined_position, joined_sequence)
       SELECT made.id, user_id, role, position, 0 FROM person, made
     ), stay AS (
       INSERT INTO room_stay (room_id, user_id, joined_position)
       SELECT made.id, user_id, position FROM person, made
     )
     INSERT INTO room_event (room_id, position, kind, user_id, actor_id)
     SELECT made.id, position, 'PARTICIPANT_JOINED', user_id, $2 FROM person, made`,
    [
      roomId,
      owner.userId,
      people.map(({ userId }) => userId),
      people.map(({ role }) => role),
      historyVisibility,
    ],
  );
  return { roomId, id: encodeGlobalId('Room', roomId) };
}
