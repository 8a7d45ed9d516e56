import type { JsMsg } from '@nats-io/jetstream';
import type { StoredEntry } from './entry.ts';
import { subjectKeyToken } from './key.ts';

const NANOS_PER_MS = 1_000_000n;

export function toStoredEntry(message: JsMsg, incarnation: string): StoredEntry {
  const { data, info, seq, subject } = message;
  return {
    id: message.headers?.get('Nats-Msg-Id') ?? '',
    keyToken: subjectKeyToken(subject),
    frame: Buffer.from(data.buffer, data.byteOffset, data.byteLength),
    place: { incarnation, sequence: BigInt(seq) },
    publishedAt: new Date(Number(BigInt(info.timestampNanos) / NANOS_PER_MS)),
  };
}
