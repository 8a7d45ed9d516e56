// Dead letters are entries of a stream of their own: the letter is the payload, the whole entry the
// attachment, so that what could not be handled outlives its topic's retention.

import { jetstream } from '@nats-io/jetstream';
import { z } from 'zod';
import type { DeadLetter } from './bus.ts';
import { decodeFrame, encodeFrame } from './entry.ts';
import type { JetStreamConnection } from './jetstream-connection.ts';
import { isUnheard } from './jetstream-error.ts';
import { deadSubject } from './key.ts';
import { deadStreamSettings, ensureStream, readStream } from './streams.ts';

export interface DeadLetterStore {
  /** Resolves when the letter is stored; the same letter twice within minutes is one. */
  park(letter: Omit<DeadLetter, 'parkedAt'>, frame: Buffer): Promise<void>;
  /** Newest first. */
  list(limit: number): Promise<readonly DeadLetter[]>;
}

/** What a letter adds to its entry's frame at most: key, names and reason, escaped. */
export const LETTER_BYTES_MAX = 8_192;

const letterSchema = z.object({
  topic: z.string(),
  consumer: z.string(),
  entryId: z.string(),
  key: z.string(),
  reason: z.string(),
  attempts: z.number(),
});

export async function openDeadLetters(
  { nats, manager }: JetStreamConnection,
  namespace: string,
  replicas: number,
): Promise<DeadLetterStore> {
  const settings = deadStreamSettings(namespace, replicas);
  await ensureStream(manager, settings);
  const client = jetstream(nats);
  const subject = deadSubject(namespace);

  return {
    async park(letter, frame) {
      const data = encodeFrame(Buffer.from(JSON.stringify(letter)), frame);
      const msgID = `${letter.topic}:${letter.consumer}:${letter.entryId}`;
      try {
        await client.publish(subject, data, { msgID });
      } catch (error) {
        if (!isUnheard(error)) throw error;
        await readStream(manager, settings);
        await client.publish(subject, data, { msgID });
      }
    },
    async list(limit) {
      const { state } = await readStream(manager, settings);
      const letters: DeadLetter[] = [];
      for (let seq = state.last_seq; seq >= state.first_seq && letters.length < limit; seq--) {
        // Null where one was removed by hand.
        const message = seq === 0 ? null : await manager.streams.getMessage(settings.name, { seq });
        if (message === null) continue;
        const { json } = decodeFrame(Buffer.from(message.data));
        const letter = letterSchema.parse(JSON.parse(json.toString()));
        letters.push({ ...letter, parkedAt: message.time });
      }
      return letters;
    },
  };
}
