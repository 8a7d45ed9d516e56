import { UnavailableError } from '#lib/errors.ts';
import type { ConsumeOptions, Entry } from './bus.ts';
import { openEntry, type StoredEntry } from './entry.ts';
import type { Topic } from './topic.ts';

export const BATCH_MAX_DEFAULT = 100;
export const ATTEMPTS_MAX_DEFAULT = 10;
export const RETRY = { baseMs: 250, maxMs: 60_000 };

export type Outcome =
  | { readonly kind: 'handled' }
  | { readonly kind: 'failed'; readonly reason: string }
  /** Nobody tried: the consumer is closing, or what the handler stands on is down. */
  | { readonly kind: 'untouched' };

export interface Attempt {
  /** One for each entry of the batch, in its order. */
  readonly outcomes: readonly Outcome[];
  readonly outage: UnavailableError | null;
}

/**
 * Hands a batch over; where that fails, its entries one by one, so that one poison entry fails alone.
 * `UnavailableError` from the handler speaks of the world and not of the entry: it counts as no attempt,
 * or an hour without a database would park everything.
 */
export async function attemptBatch<P>(
  topic: Topic<P>,
  batch: readonly StoredEntry[],
  handle: ConsumeOptions<P>['handle'],
  signal: AbortSignal,
): Promise<Attempt> {
  const outcomes: Outcome[] = batch.map(() => ({ kind: 'untouched' }));
  const readable: { index: number; entry: Entry<P> }[] = [];
  for (const [index, stored] of batch.entries()) {
    try {
      readable.push({ index, entry: openEntry(topic, stored) });
    } catch (error) {
      outcomes[index] = { kind: 'failed', reason: `Cannot be read: ${reasonOf(error)}` };
    }
  }
  const groups = [readable];
  for (let group = groups.shift(); group !== undefined; group = groups.shift()) {
    if (group.length === 0 || signal.aborted) continue;
    try {
      await handle(group.map(({ entry }) => entry));
      for (const { index } of group) outcomes[index] = { kind: 'handled' };
    } catch (error) {
      if (error instanceof UnavailableError) return { outcomes, outage: error };
      const [only] = group;
      if (group.length > 1) groups.push(...group.map((one) => [one]));
      else if (only) outcomes[only.index] = { kind: 'failed', reason: reasonOf(error) };
    }
  }
  return { outcomes, outage: null };
}

/** Short enough for a row or header; U+0000 would make PostgreSQL refuse the dead letter itself. */
function reasonOf(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return text.replaceAll('\u0000', '').toWellFormed().slice(0, 1000);
}
