import type { Services } from '#context.ts';
import type { Database } from '#database/client.ts';
import { UnavailableError } from '#lib/errors.ts';
import { WEBHOOK_FEED, WEBHOOK_FEED_KEY } from '#resolvers/webhooks/feed.ts';

const LOOK_MS = 1_000;
/** Looks until an inbox is counted again although nothing was done to it: leases run out without any news. */
const LOOKS_UNTIL_DUE = 10;

/** Says when followed inboxes may stand otherwise than before: what was done to them, what arrived, time. */
export interface InboxWatch {
  /** Calls `onDue` when the user's inbox may stand otherwise, until the returned function is called. */
  follow(userId: string, onDue: () => void): () => void;
}

interface Followed {
  readonly listeners: Set<() => void>;
  version: string | null;
  looks: number;
}

const watches = new WeakMap<Database, InboxWatch>();

/** One a node, by the database that it looks at. */
export function inboxWatchOf(app: Pick<Services, 'database' | 'log'>): InboxWatch {
  const watch = watches.get(app.database) ?? createInboxWatch(app);
  watches.set(app.database, watch);
  return watch;
}

/** More than arrives within a look; of more, an inbox is counted again when it is due anyway. */
const ARRIVED_MAX = 20_000;

// Who might read something that arrived since the last look: whom GitHub let see it once is one of them,
// since counting decides. In the order of the positions, so that no more is read than has arrived.
const LOOK = `
  WITH head AS (
    SELECT last_position AS position FROM feed WHERE name = $3 AND key = $4
  ), arrived AS (
    SELECT DISTINCT l.source_id, l.github_id
    FROM (
      SELECT lane_id FROM webhook_message WHERE position > $2 ORDER BY position LIMIT ${ARRIVED_MAX}
    ) m JOIN webhook_lane l ON l.id = m.lane_id
  )
  SELECT u.id, coalesce(i.version, 0)::text AS version, (SELECT position FROM head) AS position,
    EXISTS (
      SELECT FROM arrived JOIN webhook_source_grant g ON g.source_id = arrived.source_id
      WHERE g.user_id = u.id OR g.role = ANY(u.roles)
    ) OR EXISTS (
      SELECT FROM arrived JOIN github_permission p ON p.repository_id = arrived.github_id
      WHERE p.user_id = u.id
    ) AS "hasNews"
  FROM users u LEFT JOIN webhook_inbox i ON i.user_id = u.id WHERE u.id = ANY($1)`;

/** It asks PostgreSQL once a second for everybody who is followed, whatever node changed it. */
function createInboxWatch({ database, log }: Pick<Services, 'database' | 'log'>): InboxWatch {
  const followed = new Map<string, Followed>();
  let position: string | null = null;
  let timer: NodeJS.Timeout | null = null;

  const look = async () => {
    const rows = await database.query<{
      id: string;
      version: string;
      position: string;
      hasNews: boolean;
    }>(LOOK, [[...followed.keys()], position, WEBHOOK_FEED, WEBHOOK_FEED_KEY], 'look-at-inboxes');
    position = rows[0]?.position ?? position;
    for (const { id, version, hasNews } of rows) {
      const user = followed.get(id);
      if (user === undefined) continue;
      user.looks += 1;
      const isDue = hasNews || user.version !== version || user.looks >= LOOKS_UNTIL_DUE;
      user.version = version;
      if (!isDue) continue;
      user.looks = 0;
      for (const onDue of user.listeners) onDue();
    }
  };

  const lookAgain = () => {
    if (followed.size === 0) {
      timer = null;
      position = null;
      return;
    }
    timer = setTimeout(() => {
      look()
        .catch((error: unknown) => {
          // What cannot be asked now is asked again.
          if (!(error instanceof UnavailableError)) log.error({ err: error }, 'A watch failed');
        })
        .finally(lookAgain);
    }, LOOK_MS);
  };

  return {
    follow(userId, onDue) {
      // The version is not known, so that the first look finds another: it may have changed in between.
      const user = followed.get(userId) ?? { listeners: new Set(), version: null, looks: 0 };
      followed.set(userId, user);
      const listener = () => onDue();
      user.listeners.add(listener);
      if (timer === null) lookAgain();
      return () => {
        user.listeners.delete(listener);
        if (user.listeners.size === 0 && followed.get(userId) === user) followed.delete(userId);
      };
    },
  };
}
