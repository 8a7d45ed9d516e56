// Reading the audit log; `audit.ts` writes it, `audit-chain.ts` seals and verifies it.
import DataLoader from 'dataloader';
import { type Context, perContext } from '#context.ts';
import type { AuditEntry, Prisma, User } from '#generated/prisma/client.ts';
import { InvalidInputError } from '#lib/errors.ts';
import { isUuid } from '#lib/ids.ts';
import { readableAuditEntries, readableUsers } from './access.ts';
import type { AuditAction } from './audit.ts';

/** All that is given must hold; an empty list matches nothing; null or absent asks for nothing. */
export interface AuditFilter {
  readonly actorId?: string | null | undefined;
  readonly subject?: { readonly type: string; readonly id: string } | null | undefined;
  readonly actions?: readonly AuditAction[] | null | undefined;
  /** Inclusive. */
  readonly from?: Date | null | undefined;
  /** Exclusive. */
  readonly to?: Date | null | undefined;
}

const TIME_MIN = Date.parse('0001-01-01T00:00:00Z');
const TIME_MAX = Date.parse('9999-12-31T23:59:59.999Z');

/**
 * Entries in the order of their ids, ascending. `query` is a page as Pothos asks for it: a negative
 * `take` reads down from its cursor. Throws `InvalidInputError`.
 */
export async function listAuditEntries(
  ctx: Context,
  filter: AuditFilter,
  query: Prisma.AuditEntryFindManyArgs,
): Promise<AuditEntry[]> {
  const { actorId, subject, actions, from, to } = filter;
  // Compared, because Prisma's own cursors answer an empty page for an entry that is not there, and
  // skip one that they should not where the filter has no place for the cursor's.
  const { cursor, skip: _skip, ...page } = query;
  const place = cursor?.id;
  if (place !== undefined && !isUuid(String(place))) {
    throw new InvalidInputError('Not a cursor of this list');
  }
  const isBackward = (page.take ?? 0) < 0;
  return ctx.prisma.auditEntry.findMany({
    ...page,
    where: {
      AND: [
        readableAuditEntries(ctx),
        place === undefined ? {} : { id: isBackward ? { lt: place } : { gt: place } },
        actorId ? { actorId } : {},
        subject ? { subjectType: subject.type, subjectId: subject.id } : {},
        actions ? { action: { in: [...actions] } } : {},
        from ? { at: { gte: checkedTime(from, 'from') } } : {},
        to ? { at: { lt: checkedTime(to, 'to') } } : {},
      ],
    },
    orderBy: { id: 'asc' },
  });
}

/** Within what PostgreSQL can compare with. */
function checkedTime(time: Date, name: string): Date {
  if (time.getTime() >= TIME_MIN && time.getTime() <= TIME_MAX) return time;
  throw new InvalidInputError('A time lies in the years 1 to 9999', `filter.${name}`);
}

/** Those who acted, as far as the viewer may know of them; null for who has deleted their account. */
export const actorLoader = perContext(
  (ctx) =>
    new DataLoader<string, User | null>(async (ids) => {
      const users = await ctx.prisma.user.findMany({
        where: { AND: [{ id: { in: [...ids] }, deletedAt: null }, readableUsers(ctx)] },
      });
      const byId = new Map(users.map((user) => [user.id, user]));
      return ids.map((id) => byId.get(id) ?? null);
    }),
);
