// One connection of its own a node, for what belongs to a session: LISTEN, advisory locks, and the look
// at all topics' heads once a second that finds what a lost notification would have told.

import pg from 'pg';
import { backoffMs } from '#lib/backoff.ts';
import { withDeadline } from './deadline.ts';
import type { BusLog } from './log.ts';
import { createSignal } from './signal.ts';

export interface PostgresSession {
  /** `wake` is called when the topic may have new entries; the return value stops that. */
  watch(topicName: string, wake: () => void): () => void;
  /** Wakes this node at once and the others by NOTIFY. Never fails: their look each second is the net. */
  announce(topicName: string): void;
  /**
   * Runs `work` whenever this node holds the lock, on one node at a time: `signal` aborts when the lock
   * is lost with its connection. Another node may then begin before `work` has returned, so whatever it
   * writes must be refused if somebody else was faster.
   */
  lead(lockName: string, work: (signal: AbortSignal) => Promise<void>): Leadership;
  close(): Promise<void>;
}

export interface Leadership {
  /** Aborts `work`, waits for it and hands the lock over. */
  close(): Promise<void>;
}

interface Candidate {
  readonly lockName: string;
  readonly work: (signal: AbortSignal) => Promise<void>;
  /** Set while this candidate holds its lock, or its work has not yet returned. */
  term: { readonly controller: AbortController; readonly done: Promise<void> } | null;
}

const CHANNEL = 'naru_bus';
const LOOK_MS = 1_000;
const ANSWER_TIMEOUT_MS = 4_000;
const END_TIMEOUT_MS = 500;
// A node that vanished from the network without a word must lose its locks within 5 s.
const VANISHED =
  'SET tcp_keepalives_idle = 1; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3';
const LOCK = `pg_try_advisory_lock(hashtextextended('naru-bus ' || $1::text, 0))`;
const UNLOCK = `pg_advisory_unlock(hashtextextended('naru-bus ' || $1::text, 0))`;

/** Connects in the background and for ever; a node without its session publishes, but does not lead. */
export function createPostgresSession(connectionString: string, log: BusLog): PostgresSession {
  const watchers = new Map<string, Set<() => void>>();
  const candidates = new Set<Candidate>();
  const unannounced = new Set<string>();
  const handovers: { lockName: string; resolve: () => void }[] = [];
  const nudge = createSignal();
  let seenHeads = new Map<string, string>();
  let connected: pg.Client | null = null;
  let campaignDue = false;
  let closed = false;
  const ended = run();

  function wake(topicName: string): void {
    for (const call of watchers.get(topicName) ?? []) call();
  }

  async function run(): Promise<void> {
    for (let failures = 0; !closed; ) {
      const client = new pg.Client({
        connectionString,
        application_name: 'naru-bus',
        connectionTimeoutMillis: ANSWER_TIMEOUT_MS,
        query_timeout: ANSWER_TIMEOUT_MS,
        keepAlive: true,
      });
      try {
        await serve(client, () => {
          failures = 0;
        });
      } catch (error) {
        failures++;
        if (!closed) log.warn({ err: error, failures }, "The bus's PostgreSQL session was lost");
      }
      connected = null;
      for (const { resolve } of handovers.splice(0)) resolve();
      for (const { term } of candidates) term?.controller.abort();
      // The end of a connection that hangs may take minutes; nothing waits for that.
      await withDeadline(client.end(), END_TIMEOUT_MS).catch(() => {});
      if (!closed) {
        const random = Math.random();
        await nudge.wait(backoffMs(failures, { baseMs: 100, maxMs: 2_000, random }));
      }
    }
  }

  async function serve(client: pg.Client, onConnected: () => void): Promise<void> {
    let lost: Error | null = null;
    client.on('error', (error) => {
      lost = error;
      nudge.wake();
    });
    await client.connect();
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    client.on('notification', ({ payload, processId }) => {
      // What this node announced has woken it already.
      if (processId !== rows[0]?.pid) wake(payload ?? '');
    });
    await client.query(`${VANISHED}; LISTEN ${CHANNEL}`);
    onConnected();
    connected = client;
    seenHeads = new Map();
    for (const topicName of watchers.keys()) wake(topicName);
    for (let lookAt = 0; !closed && lost === null; ) {
      // One at a time: when the connection fails at one, the others are still there to be let go.
      for (let next = handovers.shift(); next !== undefined; next = handovers.shift()) {
        await client.query(`SELECT ${UNLOCK}`, [next.lockName]).finally(next.resolve);
      }
      for (const topicName of unannounced) {
        unannounced.delete(topicName);
        await client.query('SELECT pg_notify($1, $2)', [CHANNEL, topicName]);
      }
      const now = performance.now();
      if (now >= lookAt) {
        lookAt = now + LOOK_MS;
        campaignDue = true;
        await look(client);
      }
      if (campaignDue) {
        campaignDue = false;
        await campaign(client);
      }
      if (handovers.length === 0 && unannounced.size === 0)
        await nudge.wait(Math.max(1, lookAt - performance.now()));
    }
    if (lost !== null) throw lost;
  }

  async function look(client: pg.Client): Promise<void> {
    const heads = new Map<string, string>();
    const { rows } = await client.query<{ name: string; head: string }>(
      `SELECT name, incarnation || ' ' || last_sequence AS head FROM bus_topic`,
    );
    for (const { name, head } of rows) heads.set(name, head);
    for (const topicName of watchers.keys()) {
      if (heads.get(topicName) !== seenHeads.get(topicName)) wake(topicName);
    }
    seenHeads = heads;
  }

  // Locks belong to the session, so one session could take a lock twice: a name that is led here waits.
  async function campaign(client: pg.Client): Promise<void> {
    const led = new Set<string>();
    for (const { lockName, term } of candidates) if (term) led.add(lockName);
    for (const candidate of candidates) {
      if (led.has(candidate.lockName)) continue;
      const { rows } = await client.query<{ won: boolean }>(`SELECT ${LOCK} AS won`, [
        candidate.lockName,
      ]);
      if (!rows[0]?.won) continue;
      led.add(candidate.lockName);
      if (candidates.has(candidate)) begin(client, candidate);
      else await client.query(`SELECT ${UNLOCK}`, [candidate.lockName]);
    }
  }

  function begin(client: pg.Client, candidate: Candidate): void {
    const controller = new AbortController();
    const done = candidate
      .work(controller.signal)
      .catch((error) => log.error({ err: error, lock: candidate.lockName }, 'Leading failed'))
      .then(() => handOver(client, candidate.lockName))
      .then(() => {
        candidate.term = null;
        campaignDue = true;
        nudge.wake();
      });
    candidate.term = { controller, done };
  }

  /** Resolves when the session's loop has given the lock back; a lost session has lost it anyway. */
  function handOver(client: pg.Client, lockName: string): Promise<void> {
    if (connected !== client) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    handovers.push({ lockName, resolve });
    nudge.wake();
    return promise;
  }

  return {
    watch(topicName, call) {
      const calls = watchers.get(topicName) ?? new Set();
      watchers.set(topicName, calls.add(call));
      return () => {
        calls.delete(call);
        if (calls.size === 0) watchers.delete(topicName);
      };
    },
    announce(topicName) {
      wake(topicName);
      unannounced.add(topicName);
      nudge.wake();
    },
    lead(lockName, work) {
      const candidate: Candidate = { lockName, work, term: null };
      candidates.add(candidate);
      campaignDue = true;
      nudge.wake();
      return {
        async close() {
          candidates.delete(candidate);
          candidate.term?.controller.abort();
          await candidate.term?.done;
        },
      };
    },
    async close() {
      closed = true;
      nudge.wake();
      await ended;
    },
  };
}
