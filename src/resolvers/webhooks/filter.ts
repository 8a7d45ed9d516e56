import type { Services } from '#context.ts';
import { InvalidInputError } from '#lib/errors.ts';
import type { WebhookFeedItem } from './feed.ts';
import {
  findConditionFault,
  hasPayloadKeys,
  keysOfConditions,
  PAYLOAD_CONDITIONS_MAX,
  type PayloadCondition,
} from './payload-condition.ts';

/** All that is given must hold; an empty list matches nothing; null or absent asks for nothing. */
export interface WebhookFilter {
  readonly sources?: readonly string[] | null | undefined;
  readonly repositoryIds?: readonly string[] | null | undefined;
  readonly eventNames?: readonly string[] | null | undefined;
  readonly actions?: readonly string[] | null | undefined;
  readonly branches?: readonly string[] | null | undefined;
  readonly senders?: readonly string[] | null | undefined;
  /** Each must hold, so that none asks for nothing. */
  readonly payload?: readonly PayloadCondition[] | null | undefined;
  /** Inclusive. */
  readonly receivedFrom?: Date | null | undefined;
  /** Exclusive. */
  readonly receivedTo?: Date | null | undefined;
  /** The viewer's own; only where a page or a count is asked for. */
  readonly inboxStates?: readonly InboxState[] | null | undefined;
}

/** As a client gives it; `resolveFilter` puts what it saved in the place of the id. */
export interface GivenWebhookFilter extends WebhookFilter {
  readonly savedFilterId?: string | null | undefined;
}

/** How a message stands in one user's inbox. */
export type InboxState = 'PENDING' | 'LEASED' | 'ACKNOWLEDGED' | 'DEAD' | 'DISCARDED';

export const FILTER_VALUES_MAX = 100;

const TIME_MIN = Date.parse('0001-01-01T00:00:00Z');
const TIME_MAX = Date.parse('9999-12-31T23:59:59.999Z');

export interface FilterRules {
  readonly takesStates?: boolean;
  /** What the client calls it, e.g. `input.filter`; `filter` unless told. */
  readonly field?: string;
}

/**
 * Throws `InvalidInputError` that names the list with too many values, or the value that PostgreSQL
 * could not even compare with. `inboxStates` is refused where `takesStates` is not given, and a saved
 * filter always: ask `resolveFilter` where one may be given.
 */
export function assertFilter(filter: GivenWebhookFilter, rules: FilterRules = {}): void {
  const { takesStates = false, field = 'filter' } = rules;
  const { receivedFrom, receivedTo, payload, inboxStates, savedFilterId, ...lists } = filter;
  const refuse = (fault: string | null, name: string) => {
    if (fault !== null) throw new InvalidInputError(fault, `${field}.${name}`);
  };
  if (savedFilterId != null) refuse('No saved filter can be given here', 'savedFilterId');
  if (inboxStates && !takesStates) refuse('Only pages can be asked for by state', 'inboxStates');
  for (const [name, values] of Object.entries({ ...lists, inboxStates })) {
    refuse(findListFault(values ?? []), name);
  }
  for (const [name, time] of Object.entries({ receivedFrom, receivedTo })) {
    refuse(time ? findTimeFault(time) : null, name);
  }
  if ((payload?.length ?? 0) > PAYLOAD_CONDITIONS_MAX) {
    refuse(`At most ${PAYLOAD_CONDITIONS_MAX} conditions`, 'payload');
  }
  for (const [index, condition] of (payload ?? []).entries()) {
    const found = findConditionFault(condition);
    refuse(found?.fault ?? null, `payload.${index}.${found?.name}`);
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

/** What both let through. */
export function combineFilters(one: WebhookFilter, other: WebhookFilter): WebhookFilter {
  const both = (
    name: 'sources' | 'repositoryIds' | 'eventNames' | 'actions' | 'branches' | 'senders',
  ) => {
    const [left, right] = [one[name], other[name]];
    return left && right ? left.filter((value) => right.includes(value)) : (left ?? right);
  };
  const times = (name: 'receivedFrom' | 'receivedTo') =>
    [one[name], other[name]]
      .flatMap((time) => time ?? [])
      .toSorted((a, b) => Number(a) - Number(b));
  return {
    sources: both('sources'),
    repositoryIds: both('repositoryIds'),
    eventNames: both('eventNames'),
    actions: both('actions'),
    branches: both('branches'),
    senders: both('senders'),
    payload:
      one.payload || other.payload ? [...(one.payload ?? []), ...(other.payload ?? [])] : null,
    receivedFrom: times('receivedFrom').at(-1),
    receivedTo: times('receivedTo').at(0),
    inboxStates: one.inboxStates ?? other.inboxStates,
  };
}

/**
 * The filter for an item at hand, on the live path: reads the payload's keys only where it asks for some.
 * The condition of statements (`inbox/sql.ts`) is its twin: a test keeps them equal.
 */
export async function matchesFilter(
  { database }: Pick<Services, 'database'>,
  item: WebhookFeedItem,
  filter: WebhookFilter,
): Promise<boolean> {
  const isOfEnvelope =
    matchesLane(item, filter) &&
    isIn(item.eventName, filter.eventNames) &&
    isIn(item.action, filter.actions) &&
    isIn(item.branch, filter.branches) &&
    isIn(item.sender, filter.senders) &&
    (!filter.receivedFrom || item.receivedAt >= filter.receivedFrom) &&
    (!filter.receivedTo || item.receivedAt < filter.receivedTo);
  if (!isOfEnvelope || !filter.payload?.length) return isOfEnvelope;
  return hasPayloadKeys(database, item.id, keysOfConditions(filter.payload));
}

/** What of the filter says something of a whole lane, and nothing of the message. */
export function matchesLane(item: WebhookFeedItem, filter: WebhookFilter): boolean {
  return isIn(item.sourcePath, filter.sources) && isIn(item.repositoryId, filter.repositoryIds);
}

function isIn(value: string | null, allowed: readonly string[] | null | undefined): boolean {
  return !allowed || (value !== null && allowed.includes(value));
}
