import type { Asides } from '#feeds/follow.ts';
import type { Bus, Entry, Subscription } from '#pubsub/bus.ts';
import { type WebhookPermissions, webhookPermissions } from '#pubsub/topics/webhook-permissions.ts';

/** GitHub's answer for a user about one repository has become another. */
export interface PermissionChange {
  readonly repositoryId: string;
  readonly isAllowed: boolean;
}

/** Tells open streams on this node what changed for their users. Nothing is decided by it: it is only told. */
export interface PermissionNews {
  /** What changes from now on, one a repository: what is not taken yet gives way to what came after. */
  follow(
    userId: string,
    isWanted: (change: PermissionChange) => boolean,
  ): Asides<PermissionChange> & { stop(): void };
  close(): Promise<void>;
}

type Listener = (change: PermissionChange) => void;

const RETRY_MS = 1_000;

/** One tail a node, open while anybody follows. */
export function createPermissionNews({
  bus,
  isAsked,
  onError,
}: {
  readonly bus: Pick<Bus, 'tail'>;
  /** Whether there is a GitHub to ask: else nothing changes, and nothing is listened to. */
  readonly isAsked: boolean;
  readonly onError: (error: unknown) => void;
}): PermissionNews {
  const listeners = new Map<string, Set<Listener>>();
  let tail: Promise<Subscription | null> | null = null;
  let retry: NodeJS.Timeout | null = null;

  const onEntry = ({ payload }: Entry<WebhookPermissions>) => {
    for (const listener of listeners.get(payload.userId) ?? []) {
      for (const change of payload.changes) listener(change);
    }
  };

  const open = () => {
    if (!isAsked || listeners.size === 0) return;
    if (tail !== null) return;
    const opening: Promise<Subscription | null> = bus
      .tail(webhookPermissions, { from: 'head', onEntry, onLoss: () => {} })
      .catch((error: unknown) => {
        onError(error);
        if (tail === opening) tail = null;
        retry = setTimeout(open, RETRY_MS).unref();
        return null;
      });
    tail = opening;
  };

  const close = async () => {
    if (retry !== null) clearTimeout(retry);
    const closing = tail;
    tail = null;
    await (await closing)?.close();
  };

  return {
    follow(userId, isWanted) {
      const changed = new Map<string, boolean>();
      const listener: Listener = (change) => {
        if (isWanted(change)) changed.set(change.repositoryId, change.isAllowed);
      };
      const ofUser = listeners.get(userId) ?? new Set();
      listeners.set(userId, ofUser.add(listener));
      open();
      return {
        isEmpty: () => changed.size === 0,
        take() {
          const [first] = changed;
          if (first === undefined) return null;
          const [repositoryId, isAllowed] = first;
          changed.delete(repositoryId);
          return { repositoryId, isAllowed };
        },
        stop() {
          ofUser.delete(listener);
          if (ofUser.size === 0 && listeners.get(userId) === ofUser) listeners.delete(userId);
          if (listeners.size === 0) close().catch(onError);
        },
      };
    },
    close() {
      listeners.clear();
      return close();
    },
  };
}
