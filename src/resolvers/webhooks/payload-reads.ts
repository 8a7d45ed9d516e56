import { createSlots } from '#lib/slots.ts';
import type { WebhookFilter } from './filter.ts';

/** Each reads the bodies' keys of all candidates: on a large store for seconds, with a connection of the pool. */
const AT_ONCE_MAX = 2;
const slots = createSlots(AT_ONCE_MAX);

/** Lets few statements at a time look into payloads, so that whoever asks for that holds up nobody else. */
export function boundPayloadReads<Result>(
  filter: WebhookFilter,
  read: () => Promise<Result>,
): Promise<Result> {
  return filter.payload?.length ? slots(read) : read();
}
