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
}

export const FILTER_VALUES_MAX = 100;

/** Throws `InvalidInputError` that names the list with too many values. */
export function assertFilter(filter: WebhookFilter): void {
  for (const [name, values] of Object.entries(filter)) {
    if (Array.isArray(values) && values.length > FILTER_VALUES_MAX) {
      throw new InvalidInputError(`At most ${FILTER_VALUES_MAX} values`, `filter.${name}`);
    }
  }
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
