import type { Topic } from './topic.ts';
import { roomLogged, roomSignalled, roomsMoved } from './topics/rooms.ts';
import { userDeleted } from './topics/users.ts';
import { webhookPermissions } from './topics/webhook-permissions.ts';
import { webhookReceived, webhookStored } from './topics/webhooks.ts';

/** Every topic of Naru: what a bus makes ready at start. `docs/topics.md` describes each one. */
export const topics: readonly Topic<unknown>[] = [
  webhookReceived,
  webhookStored,
  webhookPermissions,
  userDeleted,
  roomLogged,
  roomsMoved,
  roomSignalled,
];
