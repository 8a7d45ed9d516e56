import type { Prisma } from '#generated/prisma/client.ts';
import { InvalidInputError } from '#lib/errors.ts';
import type { WebhookFeedItem } from './feed.ts';

/** All that is given must hold; an empty list matches nothing; null or absent asks for nothing. */
export interface WebhookFilter {
  readonly sources?: readonly string[] | null | undefined;
  readonly repositoryIds?: readonly string[] | null | undefined;
  readonly eventNames?: readonly string[] | null | undefined;
  readonly actions?: readonly string[] | null | undefined;
  readonly branches?: readonly string[] | null | undefined;
  /** Inclusive. */
  readonly receivedFrom?: Date | null | undefined;
  /** Exclusive. */
  readonly receivedTo?: Date | null | undefined;
  /** The viewer's own; only where a page or a count is asked for. */
  readonly inboxStates?: readonly InboxState[] | null | undefined;
}

/** How a message stands in one user's inbox. */
export type InboxState = 'PENDING' | 'LEASED' | 'ACKNOWLEDGED' | 'DEAD';

export const FILTER_VALUES_MAX = 100;

const TIME_MIN = Date.parse('0001-01-01T00:00:00Z');
const TIME_MAX = Date.parse('9999-12-31T23:59:59.999Z');

/**
 * Throws `InvalidInputError` that names the list with too many values, or the value that PostgreSQL
 * could not even compare with. `inboxStates` is refused where `takesStates` is not given.
 */
export function assertFilter(
  filter: WebhookFilter,
  { takesStates = false }: { readonly takesStates?: boolean } = {},
): void {
  if (filter.inboxStates && !takesStates) {
    throw new InvalidInputError('Only pages can be asked for by state', 'filter.inboxStates');
  }
  for (const [name, value] of Object.entries(filter)) {
    const fault = value instanceof Date ? findTimeFault(value) : findListFault(value ?? []);
    if (fault !== null) throw new InvalidInputError(fault, `filter.${name}`);
  }
}

function findTimeFault(time: Date): string | null {
  const isWithin = time.getTime() >= TIME_MIN && time.getTime() <= TIME_MAX;
  return isWithin ? null : 'A time lies in the years 1 to 9999';
}

function findListFault(values: readonly string[]): string | null {
  if (values.length > FILTER_VALUES_MAX) return `At most ${FILTER_VALUES_MAX} values`;
  const isText = (value: string) => !value.includes('\u0000') && value.isWellFormed();
  return values.every(isText) ? null : 'No text here holds U+0000 or half a surrogate pair';
}

/** The filter as a condition of a statement. `matchesFilter` is its twin: a test keeps them equal. */
export function messagesMatching(filter: WebhookFilter): Prisma.WebhookMessageWhereInput {
  const { sources, repositoryIds, eventNames, actions, branches, receivedFrom, receivedTo } =
    filter;
  return {
    AND: [
      sources ? { source: { path: { in: [...sources] } } } : {},
      repositoryIds ? { repositoryId: { in: [...repositoryIds] } } : {},
      eventNames ? { eventName: { in: [...eventNames] } } : {},
      actions ? { action: { in: [...actions] } } : {},
      branches ? { branch: { in: [...branches] } } : {},
      receivedFrom ? { receivedAt: { gte: receivedFrom } } : {},
      receivedTo ? { receivedAt: { lt: receivedTo } } : {},
    ],
  };
}

/** The filter for an item at hand, on the live path. */
export function matchesFilter(item: WebhookFeedItem, filter: WebhookFilter): boolean {
  const isIn = (value: string | null, allowed: readonly string[] | null | undefined) =>
    !allowed || (value !== null && allowed.includes(value));
  return (
    isIn(item.sourcePath, filter.sources) &&
    isIn(item.repositoryId, filter.repositoryIds) &&
    isIn(item.eventName, filter.eventNames) &&
    isIn(item.action, filter.actions) &&
    isIn(item.branch, filter.branches) &&
    (!filter.receivedFrom || item.receivedAt >= filter.receivedFrom) &&
    (!filter.receivedTo || item.receivedAt < filter.receivedTo)
  );
}
