// Whether anything was handed out that was withdrawn, and whether anything was kept back that was not.
import type { HandOut, Subscriber } from './audience.ts';

/** From when on, and until when, somebody was not to be handed a repository. */
export interface Denial {
  readonly personId: number;
  readonly repository: number;
  /** `event`: GitHub's own word of it was projected. `bound`: nobody said so, and what was known had expired. */
  readonly by: 'event' | 'bound';
  /** The feed's position at that moment: of the event, or of its head. */
  readonly position: bigint;
  /** When this process knew that it was so. */
  readonly from: number;
  /** When GitHub was about to allow it again. */
  readonly until: number;
}

export interface StoredMessage {
  readonly repository: number;
  readonly position: bigint;
}

export interface DenialVerdict {
  readonly faults: readonly string[];
  /** Begun before a withdrawal counted, and on their way when it did. */
  readonly onTheirWay: number;
  /** How long after it the last of those arrived, in milliseconds. */
  readonly onTheirWayMs: number;
}

// What was decided before may take this long to arrive, on a machine that is busy with all of this.
const ON_THE_WAY_MS_MAX = 5_000;

export function judgeDenials(
  denials: readonly Denial[],
  handOuts: readonly HandOut[],
  stored: ReadonlyMap<string, StoredMessage>,
): DenialVerdict {
  const faults: string[] = [];
  let onTheirWay = 0;
  let onTheirWayMs = 0;
  const byPerson = Map.groupBy(denials, ({ personId }) => personId);
  for (const { personId, messageId, way, askedAt, at, attempt } of handOuts) {
    const message = stored.get(messageId);
    if (message === undefined) {
      faults.push(`${messageId} was handed out and is not stored`);
      continue;
    }
    const denial = byPerson
      .get(personId)
      ?.find(
        ({ repository, from, until }) =>
          repository === message.repository && at >= from && at < until,
      );
    if (denial === undefined) continue;
    const lateMs = at - denial.from;
    const isLater = message.position > denial.position;
    // Of an item that came before, the socket does not say when it was decided.
    const isAskedLater = way === 'pull' && askedAt >= denial.from;
    if (isLater || isAskedLater || lateMs > ON_THE_WAY_MS_MAX) {
      const why = isLater ? 'was stored after it' : 'was asked for after it';
      faults.push(
        `${way}, attempt ${attempt}, ${lateMs.toFixed(0)} ms after the ${denial.by}: a message that ${why}`,
      );
    } else {
      onTheirWay += 1;
      onTheirWayMs = Math.max(onTheirWayMs, lateMs);
    }
  }
  return { faults, onTheirWay, onTheirWayMs };
}

/** What a subscriber followed and never lost came once each, in order, and all of it. */
export function judgeSubscribers(
  subscribers: readonly Subscriber[],
  denials: readonly Denial[],
  stored: ReadonlyMap<string, StoredMessage>,
): string[] {
  const lost = new Set(denials.map((d) => `${d.personId} ${d.repository}`));
  const inOrder = [...stored].toSorted(([, one], [, other]) =>
    one.position < other.position ? -1 : 1,
  );
  return subscribers.flatMap(({ personId, repository, seen }) => {
    const isKept = (of: number) =>
      (repository === null || repository === of) && !lost.has(`${personId} ${of}`);
    const expected = inOrder.filter(([, message]) => isKept(message.repository));
    const came = seen.filter((id) => isKept(stored.get(id)?.repository ?? 0));
    const at = expected.findIndex(([id], index) => came[index] !== id);
    const of = `A subscriber of ${repository ?? 'all'}, person ${personId},`;
    if (came.length !== expected.length) {
      return [
        `${of} saw ${came.length} of ${expected.length} messages that were theirs throughout`,
      ];
    }
    return at === -1 ? [] : [`${of} left the feed's order at item ${at + 1}`];
  });
}
