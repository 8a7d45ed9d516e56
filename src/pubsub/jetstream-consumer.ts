// A durable pull consumer that all nodes share. The server hands an entry to another node when nobody has
// spoken for it for ACK_WAIT_MS; what a handler works on is spoken for each HEARTBEAT_MS.

import {
  AckPolicy,
  type ConsumerMessages,
  DeliverPolicy,
  type JsMsg,
  jetstream,
  ReplayPolicy,
} from '@nats-io/jetstream';
import { backoffMs } from '#lib/backoff.ts';
import { ATTEMPTS_MAX_DEFAULT, attemptBatch, BATCH_MAX_DEFAULT, RETRY } from './attempt.ts';
import type { ConsumeOptions, Subscription } from './bus.ts';
import type { StoredEntry } from './entry.ts';
import type { JetStreamConnection } from './jetstream-connection.ts';
import type { DeadLetterStore } from './jetstream-dead-letters.ts';
import { isMissing } from './jetstream-error.ts';
import { toStoredEntry } from './jetstream-message.ts';
import { decodeKey } from './key.ts';
import type { BusLog } from './log.ts';
import { createSignal } from './signal.ts';
import type { TopicStream } from './streams.ts';
import type { Topic } from './topic.ts';

const ACK_WAIT_MS = 3_000;
const HEARTBEAT_MS = 1_000;
const PULL_EXPIRES_MS = 5_000;
// Entries that wait for their next attempt count as well.
const UNSETTLED_MAX = 10_000;
const NANOS_PER_MS = 1_000_000;

interface Held {
  readonly message: JsMsg;
  readonly stored: StoredEntry;
}

interface Durable {
  readonly durable: string;
  readonly incarnation: string;
}

export function openJetStreamConsumer<P>(
  connection: JetStreamConnection,
  stream: TopicStream,
  deadLetters: DeadLetterStore,
  topic: Topic<P>,
  options: ConsumeOptions<P>,
  pullMax: number,
  log: BusLog,
): Subscription {
  const { name, handle } = options;
  const batchMax = Math.min(options.batchMax ?? BATCH_MAX_DEFAULT, pullMax);
  const attemptsMax = options.attemptsMax ?? ATTEMPTS_MAX_DEFAULT;
  const about = { topic: topic.name, consumer: name };
  const closing = new AbortController();
  const arrived = createSignal();
  const paused = createSignal();
  /** In hand: arrived and not settled, in the order of arrival. */
  const held = new Set<Held>();
  const unwatch = [
    stream.onChange(() => messages?.stop()),
    connection.onReconnect(() => messages?.stop()),
  ];
  let messages: ConsumerMessages | null = null;
  let noticedUpTo = 0n;
  const ended = run();

  async function run(): Promise<void> {
    const heartbeat = setInterval(() => {
      if (connection.isConnected()) for (const { message } of held) message.working();
    }, HEARTBEAT_MS);
    for (let failures = 0; !closing.signal.aborted; ) {
      try {
        const durable = await ensureConsumer();
        failures = 0;
        while (!closing.signal.aborted) await pull(durable);
      } catch (error) {
        failures++;
        log.warn({ ...about, err: error, failures }, 'A consumer waits for its stream');
        await pause(backoffMs(failures, { baseMs: 100, maxMs: 2_000, random: Math.random() }));
      }
    }
    clearInterval(heartbeat);
    for (const stop of unwatch) stop();
  }

  /** Asks for entries once, and handles them as they come. */
  async function pull({ durable, incarnation }: Durable): Promise<void> {
    const consumer = await jetstream(connection.nats).consumers.get(stream.name, durable);
    noticeLoss((await consumer.info(true)).delivered);
    messages = await consumer.fetch({
      max_messages: batchMax,
      expires: PULL_EXPIRES_MS,
      idle_heartbeat: HEARTBEAT_MS,
    });
    const pulled = collect(messages, incarnation).finally(() => {
      messages = null;
      arrived.wake();
    });
    // Its failure is thrown below, after what came before it was handled.
    pulled.catch(() => {});
    if (closing.signal.aborted) messages?.stop();
    while (messages || held.size > 0) {
      if (held.size === 0) await arrived.wait();
      else await settleBatch([...held]);
      if (closing.signal.aborted) break;
    }
    try {
      await pulled;
    } finally {
      // Given back at once, for another node.
      if (closing.signal.aborted) release([...held], 0);
    }
  }

  // Only what was never handed over: the server says nothing of entries that it removed unread.
  function noticeLoss(delivered: { consumer_seq: number; stream_seq: number }): void {
    const { firstSequence } = stream.head;
    const next = BigInt(delivered.stream_seq) + 1n;
    if (delivered.consumer_seq === 0 || next >= firstSequence || noticedUpTo >= firstSequence)
      return;
    noticedUpTo = firstSequence;
    const fields = { ...about, from: next, to: firstSequence - 1n };
    log.error(fields, 'A consumer has lost entries that were not handled');
  }

  async function collect(source: ConsumerMessages, incarnation: string): Promise<void> {
    for await (const message of source) {
      held.add({ message, stored: toStoredEntry(message, incarnation) });
      arrived.wake();
    }
  }

  async function settleBatch(batch: readonly Held[]): Promise<void> {
    let rest = batch;
    for (let outages = 0; rest.length > 0 && !closing.signal.aborted; ) {
      const entries = rest.map((one) => one.stored);
      const { outcomes, outage } = await attemptBatch(topic, entries, handle, closing.signal);
      const untouched: Held[] = [];
      for (const [index, one] of rest.entries()) {
        const outcome = outcomes[index];
        if (outcome?.kind === 'handled') {
          one.message.ack();
          held.delete(one);
        } else if (outcome?.kind === 'failed') await settleFailure(one, outcome.reason);
        else untouched.push(one);
      }
      rest = untouched;
      if (outage) {
        outages++;
        log.warn({ ...about, err: outage, outages }, 'A consumer waits');
        await pause(backoffMs(outages, { baseMs: 250, maxMs: 5_000, random: Math.random() }));
      }
    }
  }

  async function settleFailure(one: Held, reason: string): Promise<void> {
    const { message, stored } = one;
    // A delivery that ended with its node counts as well: an entry that kills is poison, too.
    const attempts = message.info.deliveryCount;
    const fields = { ...about, entryId: stored.id, attempts, reason };
    const random = Math.random();
    const retryInMs = backoffMs(attempts, { ...RETRY, random });
    if (attempts < attemptsMax) {
      log.warn(fields, 'An entry could not be handled; it is tried again');
      release([one], retryInMs);
      return;
    }
    try {
      const key = decodeKey(stored.keyToken);
      await deadLetters.park({ ...about, entryId: stored.id, key, reason, attempts }, stored.frame);
      log.error(fields, 'An entry is parked as a dead letter');
      message.ack();
      held.delete(one);
    } catch (error) {
      log.error({ ...fields, err: error }, 'A dead letter could not be stored; tried again later');
      release([one], Math.max(1_000, retryInMs));
    }
  }

  function release(batch: readonly Held[], waitMs: number): void {
    for (const one of batch) {
      one.message.nak(waitMs > 0 ? waitMs : undefined);
      held.delete(one);
    }
  }

  async function ensureConsumer(): Promise<Durable> {
    await connection.whenConnected(PULL_EXPIRES_MS);
    // Makes the stream again when it is gone; a consumer goes with its stream.
    const { incarnation } = await stream.readHead();
    const durable = durableName(name, incarnation);
    const { consumers } = connection.manager;
    const settings = {
      ack_wait: ACK_WAIT_MS * NANOS_PER_MS,
      max_ack_pending: UNSETTLED_MAX,
      max_deliver: -1,
    };
    const found = await consumers.info(stream.name, durable).catch((error) => {
      if (isMissing(error)) return null;
      throw error;
    });
    if (!found) {
      await consumers.add(stream.name, {
        durable_name: durable,
        ack_policy: AckPolicy.Explicit,
        deliver_policy: DeliverPolicy.All,
        replay_policy: ReplayPolicy.Instant,
        ...settings,
      });
    } else if (
      found.config.ack_wait !== settings.ack_wait ||
      found.config.max_ack_pending !== settings.max_ack_pending
    ) {
      await consumers.update(stream.name, durable, settings);
    }
    return { durable, incarnation };
  }

  /** Ends early when the consumer is closed. */
  async function pause(timeoutMs: number): Promise<void> {
    if (!closing.signal.aborted) await paused.wait(timeoutMs);
  }

  return {
    async close() {
      closing.abort();
      messages?.stop();
      paused.wake();
      arrived.wake();
      await ended;
    },
  };
}

/**
 * Of one incarnation: an acknowledgement names only consumer and numbers, so that one of a removed stream
 * would settle an entry of the new one that nobody has seen.
 */
function durableName(name: string, incarnation: string): string {
  return `${name}_${incarnation.replaceAll(/[^0-9]/g, '')}`;
}
