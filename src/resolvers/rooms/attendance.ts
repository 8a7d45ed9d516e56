// Who of a room is there, and who types, as those see it who are in it.
import { type Context, perContext } from '#context.ts';
import { createBatcher } from '#lib/batch.ts';
import { isIn } from './membership.ts';
import type { PresenceState } from './presence-news.ts';

export interface ParticipantPresence extends PresenceState {
  readonly userId: string;
}

/** Nobody is known to who is not in the room: permission and participants are of one moment. */
const participants = perContext(({ viewer, database }) =>
  createBatcher<string, readonly string[]>(
    async (roomIds) => {
      const rows = await database.query<{ roomId: string; userIds: readonly string[] }>(
        `SELECT p.room_id AS "roomId", array_agg(p.user_id ORDER BY p.joined_position) AS "userIds"
         FROM room_participant viewer JOIN room_participant p USING (room_id)
         WHERE viewer.user_id = $1 AND viewer.room_id = ANY($2) AND viewer.left_position IS NULL
           AND p.left_position IS NULL
         GROUP BY p.room_id`,
        [viewer?.userId, roomIds],
        'load-room-attendance',
      );
      return new Map(rows.map(({ roomId, userIds }) => [roomId, userIds]));
    },
    { concurrency: 1, keysMax: 100 },
  ),
);

const states = perContext(({ presence }) =>
  createBatcher<string, PresenceState>((userIds) => presence.find(userIds), {
    concurrency: 1,
    keysMax: 10_000,
  }),
);

async function listParticipantIds(ctx: Context, roomId: string): Promise<readonly string[]> {
  if (!ctx.viewer?.scopes.has('rooms:read')) return [];
  return (await participants(ctx)(roomId)) ?? [];
}

/**
 * Who is online first, then by joining; nobody for who is not in the room. Rooms of one moment share a statement
 * and a round trip. Throws `UnavailableError` while Redis is away.
 */
export async function listPresence(
  ctx: Context,
  roomId: string,
): Promise<readonly ParticipantPresence[]> {
  const userIds = await listParticipantIds(ctx, roomId);
  const found = await Promise.all(
    userIds.map(async (userId): Promise<ParticipantPresence> => {
      const state = await states(ctx)(userId);
      return { userId, isOnline: state?.isOnline ?? false, changedAt: state?.changedAt ?? null };
    }),
  );
  return [...found.filter(({ isOnline }) => isOnline), ...found.filter((each) => !each.isOnline)];
}

/** Others who type now; nobody for who is not in the room. Throws `UnavailableError` while Redis is away. */
export async function listTypists(ctx: Context, roomId: string): Promise<readonly string[]> {
  const { viewer } = ctx;
  if (!viewer?.scopes.has('rooms:read')) return [];
  const typists = await ctx.typing.find(roomId);
  const others = typists.filter((userId) => userId !== viewer.userId);
  // Mostly nobody types, and then nobody is asked about.
  if (others.length === 0) return [];
  const [viewers, ...memberships] = await Promise.all(
    [viewer.userId, ...others].map((userId) => ctx.loadMembership(roomId, userId)),
  );
  return isIn(viewers) ? others.filter((_userId, index) => isIn(memberships[index])) : [];
}
