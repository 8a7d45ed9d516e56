// All tails of a topic on this node read through one ephemeral consumer. It is never mended: whatever
// looks wrong (the stream, the connection, a number out of turn) ends it, and the next one is made from
// the place furthest back, after a look at how the stream stands.

import { randomUUID } from 'node:crypto';
import { AckPolicy, DeliverPolicy, type JsMsg, jetstream, ReplayPolicy } from '@nats-io/jetstream';
import { backoffMs } from '#lib/backoff.ts';
import type { Subscription, TailOptions } from './bus.ts';
import type { JetStreamConnection } from './jetstream-connection.ts';
import { toStoredEntry } from './jetstream-message.ts';
import type { BusLog } from './log.ts';
import { createSignal } from './signal.ts';
import type { TopicStream } from './streams.ts';
import { createTailGroup } from './tail-group.ts';
import type { Topic } from './topic.ts';

export interface JetStreamTails<P> {
  /** Throws `UnavailableError` when the head cannot be read. */
  open(options: TailOptions<P>): Promise<Subscription>;
  close(): Promise<void>;
}

const HEARTBEAT_MS = 1_000;
const PULL_EXPIRES_MS = 30_000;
// A killed node's consumer is gone after this; our own is removed at once.
const INACTIVE_MS = 30_000;
const NANOS_PER_MS = 1_000_000;

export function createJetStreamTails<P>(
  connection: JetStreamConnection,
  stream: TopicStream,
  topic: Topic<P>,
  pullMax: number,
  log: BusLog,
): JetStreamTails<P> {
  const group = createTailGroup(topic, log);
  const signal = createSignal();
  let running: Promise<void> | null = null;
  let stale = false;
  /** Up to here the present consumer has read. */
  let readUpTo = 0n;

  function restart(): void {
    stale = true;
    signal.wake();
  }

  async function run(): Promise<void> {
    const stops = [stream.onChange(restart), connection.onReconnect(restart)];
    for (let failures = 0; !group.isEmpty(); ) {
      try {
        stale = false;
        await read();
        failures = 0;
      } catch (error) {
        failures++;
        log.warn({ err: error, topic: topic.name, failures }, 'A topic could not be read');
        const random = Math.random();
        await signal.wait(backoffMs(failures, { baseMs: 100, maxMs: 2_000, random }));
      }
    }
    for (const stop of stops) stop();
    running = null;
    if (!group.isEmpty()) running = run();
  }

  /** Reads until something ends this consumer. */
  async function read(): Promise<void> {
    const mark = group.mark();
    const head = await stream.readHead();
    const { incarnation } = head;
    if (group.observe(mark, incarnation, head.lastSequence)) return;
    const from = group.furthestBack();
    if (from === null) return;
    readUpTo = from.sequence;
    if (head.firstSequence - 1n > readUpTo) {
      group.skipTo(readUpTo, head.firstSequence - 1n);
      readUpTo = head.firstSequence - 1n;
    }
    const name = `tail-${randomUUID()}`;
    await connection.manager.consumers.add(stream.name, {
      name,
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: Number(readUpTo + 1n),
      replay_policy: ReplayPolicy.Instant,
      max_deliver: 1,
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: INACTIVE_MS * NANOS_PER_MS,
    });
    try {
      // A consumer dies with its stream, so that from here on it can only be of this incarnation.
      if ((await stream.readHead()).incarnation === incarnation) await pull(name, incarnation);
    } finally {
      if (connection.isConnected()) {
        await connection.manager.consumers.delete(stream.name, name).catch(() => {});
      }
    }
  }

  async function pull(name: string, incarnation: string): Promise<void> {
    const consumer = await jetstream(connection.nats).consumers.get(stream.name, name);
    let delivered = 0;
    const messages = await consumer.consume({
      max_messages: pullMax,
      expires: PULL_EXPIRES_MS,
      idle_heartbeat: HEARTBEAT_MS,
      abort_on_missing_resource: true,
      callback(message: JsMsg) {
        delivered++;
        // One went missing between the server and us; what follows it must wait for the next consumer.
        if (message.info.deliverySequence !== delivered) restart();
        if (stale) return;
        const entry = toStoredEntry(message, incarnation);
        group.deliver(readUpTo, entry);
        readUpTo = entry.place.sequence;
      },
    });
    const ended = messages.closed().then(restart, restart);
    while (!stale && !group.isEmpty()) await signal.wait();
    stale = true;
    messages.stop();
    await ended;
  }

  return {
    async open(options) {
      const { from } = options;
      const place = from === 'head' ? await readPlace() : from;
      group.add(place, options);
      // A place that somebody kept may be of another stream or too far ahead: that needs a new look.
      if (from !== 'head' || place.sequence < readUpTo) restart();
      running ??= run();
      return {
        async close() {
          group.remove(options);
          signal.wake();
          if (group.isEmpty()) await running;
        },
      };
    },
    async close() {
      group.clear();
      signal.wake();
      await running;
    },
  };

  async function readPlace() {
    const { incarnation, lastSequence } = await stream.readHead();
    return { incarnation, sequence: lastSequence };
  }
}
