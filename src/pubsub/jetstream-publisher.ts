import { type JetStreamClient, jetstream, type PubAck } from '@nats-io/jetstream';
import { UnavailableError } from '#lib/errors.ts';
import type { Place } from './bus.ts';
import type { SealedEntry } from './entry.ts';
import type { JetStreamConnection } from './jetstream-connection.ts';
import { isUnheard } from './jetstream-error.ts';
import type { TopicStream } from './streams.ts';

const PUBLISH_TIMEOUT_MS = 4_500;

/** Publishes on one stream, in the order of the calls; rejects with `UnavailableError` within 5 s. */
export function createJetStreamPublisher(connection: JetStreamConnection, stream: TopicStream) {
  const client: JetStreamClient = jetstream(connection.nats, { timeout: PUBLISH_TIMEOUT_MS });
  let repairing: Promise<unknown> | null = null;
  let lastSequence = 0;

  return async function publish(subject: string, entry: SealedEntry): Promise<Place> {
    const deadlineAt = performance.now() + PUBLISH_TIMEOUT_MS;
    const leftMs = () => Math.max(1, deadlineAt - performance.now());
    const send = () =>
      client.publish(subject, entry.frame, { msgID: entry.id, timeout: leftMs(), retries: 1 });
    try {
      // Nothing is given to a client without a server: it would keep it, and every repetition, in memory.
      if (!connection.isConnected()) await connection.whenConnected(leftMs());
      if (repairing) await repairing;
      let ack: PubAck;
      try {
        ack = await send();
      } catch (error) {
        if (!isUnheard(error)) throw error;
        // All that was refused waits for the one repair, so that it is sent again in its order.
        repairing ??= stream.readHead().finally(() => {
          repairing = null;
        });
        await repairing;
        ack = await send();
      }
      // Numbers that go back are another stream's: its incarnation has to be read before it is told.
      if (!ack.duplicate && ack.seq <= lastSequence) await stream.readHead();
      lastSequence = ack.duplicate ? lastSequence : ack.seq;
      return { incarnation: stream.head.incarnation, sequence: BigInt(ack.seq) };
    } catch (cause) {
      if (cause instanceof UnavailableError) throw cause;
      throw new UnavailableError('The message log (NATS) did not take the entry', { cause });
    }
  };
}
