import { z } from 'zod';
import { defineTopic } from '#pubsub/topic.ts';

const DAY_MS = 86_400_000;

/** One entry an account that was deleted; key: its id. Each domain erases what it keeps of it. */
export const userDeleted = defineTopic({
  name: 'users.deleted',
  payload: z.object({ userId: z.uuid() }),
  retainMs: 30 * DAY_MS,
  retainBytesMax: 64 * 2 ** 20,
});
