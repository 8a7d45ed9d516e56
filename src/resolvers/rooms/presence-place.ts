// What a node says of the accounts whose connections it has.
import type { RedisClient } from '#redis/client.ts';
import type { Change, PresenceStore } from '#redis/presence.ts';

export interface PresencePlace {
  attend(userId: string): () => void;
  /** All of them will have left soon; who comes to another node meanwhile does not leave at all. */
  close(): Promise<void>;
}

export interface PlaceTimes {
  readonly heartbeatMs: number;
  /** From the end of an account's last connection until it has left: as long as a page takes to load again. */
  readonly graceMs: number;
  readonly retryMs: number;
}

/** An account on this node, by however many connections. */
interface Attendee {
  readonly userId: string;
  connections: number;
  /** Since when it is online, once Redis has said so. */
  since: number | null;
  grace: NodeJS.Timeout | null;
}

/**
 * It goes to Redis one after another, in few round trips: who left, who came, and every `heartbeatMs` who is
 * there. What Redis did not take is said again.
 */
export function createPresencePlace({
  name,
  redis,
  store,
  times,
  tellAll,
  onTrouble,
}: {
  readonly name: string;
  readonly redis: RedisClient;
  readonly store: PresenceStore;
  readonly times: PlaceTimes;
  readonly tellAll: (changes: readonly Change[]) => void;
  /** Of these accounts nobody knows what came of a step: its answer was lost. */
  readonly onTrouble: (userIds: readonly string[], error: unknown) => void;
}): PresencePlace {
  const here = new Map<string, Attendee>();
  const arriving = new Set<Attendee>();
  const leaving = new Map<string, Attendee>();
  let isBeatDue = false;
  let working: Promise<void> | null = null;
  let retry: NodeJS.Timeout | null = null;
  let isClosed = false;

  async function sayWhoLeft(): Promise<void> {
    const attendees = [...leaving.values()];
    leaving.clear();
    try {
      tellAll(await store.leave(name, attendees, 0));
    } catch (error) {
      for (const attendee of attendees) {
        if (!here.has(attendee.userId)) leaving.set(attendee.userId, attendee);
      }
      onTrouble(idsOf(attendees), error);
      throw error;
    }
  }

  async function sayWhoIsHere(attendees: readonly Attendee[]): Promise<void> {
    const answers = await store.attend(name, attendees);
    const came: Change[] = [];
    attendees.forEach((attendee, index) => {
      const answer = answers[index];
      if (answer === undefined) return;
      attendee.since = answer.since;
      const { userId } = attendee;
      if (answer.hasCome) came.push({ userId, isOnline: true, at: answer.since });
    });
    tellAll(came);
  }

  async function sayWhoCame(): Promise<void> {
    const attendees = [...arriving];
    arriving.clear();
    try {
      await sayWhoIsHere(attendees);
    } catch (error) {
      // Who left meanwhile leaves later, whether or not this arrived.
      for (const attendee of attendees) {
        if (here.get(attendee.userId) === attendee) arriving.add(attendee);
      }
      onTrouble(idsOf(attendees), error);
      throw error;
    }
  }

  async function beat(): Promise<void> {
    isBeatDue = false;
    try {
      await sayWhoIsHere([...here.values()].filter((attendee) => !arriving.has(attendee)));
    } catch (error) {
      isBeatDue = true;
      onTrouble([], error);
      throw error;
    }
  }

  async function work(): Promise<void> {
    while (leaving.size > 0 || arriving.size > 0 || isBeatDue) {
      if (leaving.size > 0) await sayWhoLeft();
      else if (arriving.size > 0) await sayWhoCame();
      else await beat();
    }
  }

  /** One step at a time: none overtakes another on its way to Redis. */
  function wake(): void {
    if (working !== null || retry !== null || isClosed) return;
    if (leaving.size === 0 && arriving.size === 0 && !isBeatDue) return;
    // After the turn's other connections have been counted, so that they go along.
    working = new Promise<void>((resolve) => setImmediate(resolve))
      .then(work)
      .catch(() => {
        if (!isClosed) retry = setTimeout(tryAgain, times.retryMs).unref();
      })
      .finally(() => {
        working = null;
        // What came after the last look.
        wake();
      });
  }

  function tryAgain(): void {
    if (retry !== null) clearTimeout(retry);
    retry = null;
    wake();
  }

  function beatNow(): void {
    isBeatDue = here.size > 0;
    wake();
  }

  // Redis may have come back empty: that is not left to the next heartbeat.
  const onReady = () => {
    isBeatDue = here.size > 0;
    tryAgain();
  };
  redis.on('ready', onReady);
  const heart = setInterval(beatNow, times.heartbeatMs).unref();

  function depart(attendee: Attendee): void {
    attendee.grace = null;
    here.delete(attendee.userId);
    arriving.delete(attendee);
    leaving.set(attendee.userId, attendee);
    wake();
  }

  function enter(userId: string): Attendee {
    // Who has not been said to have left yet has not.
    const known = leaving.get(userId);
    const attendee = known ?? { userId, connections: 0, since: null, grace: null };
    leaving.delete(userId);
    here.set(userId, attendee);
    arriving.add(attendee);
    wake();
    return attendee;
  }

  return {
    attend(userId) {
      if (isClosed) return () => {};
      const attendee = here.get(userId) ?? enter(userId);
      if (attendee.grace !== null) clearTimeout(attendee.grace);
      attendee.grace = null;
      attendee.connections += 1;
      let isOver = false;
      return () => {
        if (isOver || isClosed) return;
        isOver = true;
        attendee.connections -= 1;
        if (attendee.connections > 0) return;
        attendee.grace = setTimeout(() => depart(attendee), times.graceMs).unref();
      };
    },
    async close() {
      if (isClosed) return;
      isClosed = true;
      redis.off('ready', onReady);
      clearInterval(heart);
      if (retry !== null) clearTimeout(retry);
      await working;
      const attendees = [...here.values(), ...leaving.values()];
      for (const { grace } of attendees) if (grace !== null) clearTimeout(grace);
      if (redis.status !== 'ready') return;
      // Nobody is told here: the sweeper of another node finds who did not come to it.
      await store
        .leave(name, attendees, times.graceMs)
        .catch((error: unknown) => onTrouble([], error));
    },
  };
}

function idsOf(attendees: readonly Attendee[]): string[] {
  return attendees.map(({ userId }) => userId);
}
