import { z } from 'zod';
import { defineTopic } from '#pubsub/topic.ts';

const DAY_MS = 86_400_000;

/** One entry a transaction that changed a room; key: the room's id; position: the head that its log reached. */
export const roomLogged = defineTopic({
  name: 'rooms.logged',
  payload: z.object({ position: z.string().regex(/^[0-9]+$/) }),
  retainMs: 7 * DAY_MS,
  retainBytesMax: 256 * 2 ** 20,
});

/** One entry a batch that the feed `rooms` took up; key: the feed's key; position: the head it reached. */
export const roomsMoved = defineTopic({
  name: 'rooms.moved',
  payload: z.object({ position: z.string().regex(/^[0-9]+$/) }),
  retainMs: DAY_MS,
  retainBytesMax: 64 * 2 ** 20,
});

/**
 * What is live only: it has no position, is stored nowhere else and never replayed. Key: the channel (a room's
 * id, or `external:` and another system's id for it), or `user:` and the account's id for what concerns all of
 * its rooms.
 */
export const roomSignalled = defineTopic({
  name: 'rooms.signalled',
  payload: z.discriminatedUnion('type', [
    z.object({
      type: z.literal('READ_MARKER'),
      userId: z.uuid(),
      /** As a decimal number. */
      sequence: z.string().regex(/^[0-9]+$/),
      readAt: z.iso.datetime(),
    }),
    z.object({
      type: z.literal('TYPING'),
      userId: z.string().max(200),
      isTyping: z.boolean(),
      /** Whose connection it came by, so that it is not told of itself. */
      connectionId: z.string().nullable(),
    }),
    z.object({
      type: z.literal('PRESENCE'),
      userId: z.uuid(),
      isOnline: z.boolean(),
      changedAt: z.iso.datetime(),
    }),
    z.object({
      type: z.literal('BROADCAST'),
      broadcastId: z.uuid(),
      message: z.record(z.string(), z.unknown()),
      excludeConnectionIds: z.array(z.string().max(64)).max(100),
      sentAt: z.iso.datetime(),
      /** The broadcast before it, where no message came between; else null: what message came, each client is told by its own permission. */
      before: z.record(z.string(), z.unknown()).nullable(),
    }),
  ]),
  retainMs: DAY_MS,
  retainBytesMax: 64 * 2 ** 20,
});

export type RoomSignal = z.infer<typeof roomSignalled.payload>;
