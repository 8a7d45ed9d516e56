import type { Role } from '#auth/viewer.ts';
import type { Prisma } from '#generated/prisma/client.ts';
import { InvalidInputError } from '#lib/errors.ts';

const SEARCH_CHARACTERS_MAX = 100;

export interface UserFilter {
  readonly search?: string | null | undefined;
  readonly roles?: readonly Role[] | null | undefined;
  readonly isDisabled?: boolean | null | undefined;
  readonly isDeleted?: boolean | null | undefined;
}

/** Every condition that is given. Throws `InvalidInputError`. */
export function matchUsers({
  search,
  roles,
  isDisabled,
  isDeleted,
}: UserFilter): Prisma.UserWhereInput {
  const conditions: Prisma.UserWhereInput[] = [];
  if (search != null) {
    const isText = search.length <= SEARCH_CHARACTERS_MAX && !search.includes('\u0000');
    if (!isText || !search.isWellFormed()) {
      throw new InvalidInputError(
        `What is searched for has at most ${SEARCH_CHARACTERS_MAX} characters`,
        'filter.search',
      );
    }
    // Prisma hands it to ILIKE as it is.
    const text = search.replaceAll(/[\\%_]/g, '\\$&');
    const contains = { contains: text, mode: 'insensitive' } as const;
    conditions.push({
      OR: [{ username: contains }, { displayName: contains }, { email: contains }],
    });
  }
  if (roles != null) conditions.push({ roles: { hasSome: [...roles] } });
  if (isDisabled != null) conditions.push({ disabledAt: isDisabled ? { not: null } : null });
  if (isDeleted != null) conditions.push({ deletedAt: isDeleted ? { not: null } : null });
  return { AND: conditions };
}
