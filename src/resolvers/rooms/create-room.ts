import { isOperator } from '#auth/viewer.ts';
import type { Context } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { ConflictError, ForbiddenError } from '#lib/errors.ts';
import { newId } from '#lib/ids.ts';
import { transact } from '#outbox.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { runOnce } from '#resolvers/users/idempotency.ts';
import { forgetMembership } from './access.ts';
import { findAccounts, type NamedAccounts } from './accounts.ts';
import { getRoom } from './change-room.ts';
import { enterRoom } from './enter-room.ts';
import { parseExternalId, parseRoomName } from './room-input.ts';
import type { HistoryVisibility, Room, RoomKind } from './room-row.ts';
import { lockRoom } from './write-room.ts';

/**
 * A new GROUP room with the viewer as its owner and the others as members; once for an idempotency key. Throws
 * `InvalidInputError`, also for who is not there, `ForbiddenError` for an external id by who is no operator,
 * `ConflictError` where the external id is taken and past the limits of `enterRoom`, and what `runOnce` does.
 */
export async function createRoom(
  ctx: Context,
  input: NamedAccounts & {
    readonly name: string;
    readonly historyVisibility: HistoryVisibility;
    readonly externalId?: string | null | undefined;
    readonly idempotencyKey?: string | null | undefined;
  },
): Promise<Room> {
  const viewer = requireViewer(ctx);
  const { userId } = viewer;
  const name = parseRoomName(input.name, 'input.name');
  const externalId =
    input.externalId == null ? null : parseExternalId(input.externalId, 'input.externalId');
  if (externalId !== null && !isOperator(viewer)) {
    throw new ForbiddenError('Only operators say which room another system means');
  }
  const roomId = await transact(ctx, (sql, announce) =>
    runOnce(sql, ctx, viewer, {
      field: 'createRoom',
      input,
      effect: async () => {
        const { historyVisibility } = input;
        const others = (await findAccounts(sql, input)).filter((id) => id !== userId);
        const id = await storeRoom(sql, {
          kind: 'GROUP',
          name,
          externalId,
          historyVisibility,
          directKey: null,
          createdById: userId,
        });
        if (id === null) throw new ConflictError('Another room has this external id');
        const write = await lockRoom(sql, announce, id);
        const members = others.map((other) => ({ userId: other, role: 'MEMBER' as const }));
        await enterRoom(write, [{ userId, role: 'OWNER' }, ...members], userId);
        await write.store();
        return { answer: id, reference: { id } };
      },
      replay: async ({ id }) => id,
    }),
  );
  forgetMembership(ctx, roomId);
  return getRoom(ctx, roomId);
}

interface NewRoom {
  readonly kind: RoomKind;
  readonly name: string | null;
  readonly externalId: string | null;
  readonly historyVisibility: HistoryVisibility;
  readonly directKey: string | null;
  readonly createdById: string;
}

/** Its id, still without anybody in it; null where there is one for the pair, or by the external id. */
export async function storeRoom(sql: Sql, room: NewRoom): Promise<string | null> {
  const id = newId();
  // Whoever makes the same one at the same moment is waited for: one of the two has it then.
  const [stored] = await sql.query(
    `INSERT INTO room (id, kind, name, external_id, history_visibility, direct_key, created_by_id)
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING id`,
    [
      id,
      room.kind,
      room.name,
      room.externalId,
      room.historyVisibility,
      room.directKey,
      room.createdById,
    ],
    'store-room',
  );
  return stored === undefined ? null : id;
}
