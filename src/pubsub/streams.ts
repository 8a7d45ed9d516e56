// One stream a topic, made to match what the topic declares. A stream may be purged, removed or restored
// behind our back: its creation time is its incarnation, and whoever reads it is told when it changes.

import { setTimeout as delay } from 'node:timers/promises';
import {
  DiscardPolicy,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
  type StreamInfo,
} from '@nats-io/jetstream';
import { UnavailableError } from '#lib/errors.ts';
import type { JetStreamConnection } from './jetstream-connection.ts';
import { isMissing } from './jetstream-error.ts';
import { deadStreamName, deadSubject, streamName, topicSubject } from './key.ts';
import type { BusLog } from './log.ts';
import type { Topic } from './topic.ts';

export interface StreamHead {
  readonly incarnation: string;
  /** One above `lastSequence` when nothing is kept. */
  readonly firstSequence: bigint;
  readonly lastSequence: bigint;
}

export interface TopicStream {
  readonly name: string;
  /** As it was last seen, without asking. */
  readonly head: StreamHead;
  /** Asks the server; makes the stream again when it is gone. Throws `UnavailableError`. */
  readHead(): Promise<StreamHead>;
  /** Called when the stream was seen to be another one, or shorter; the return value stops that. */
  onChange(listener: () => void): () => void;
}

export type StreamSettings = Partial<StreamConfig> & { name: string; subjects: string[] };

const NANOS_PER_MS = 1_000_000;
const DEDUPE_WINDOW_MS = 120_000;
const REMOVAL_MS = 500;
const DEAD_BYTES_MAX = 64 * 2 ** 20;

export function topicStreamSettings(
  { name, retainMs, retainBytesMax }: Topic<unknown>,
  namespace: string,
  replicas: number,
): StreamSettings {
  return {
    name: streamName(namespace, name),
    subjects: [topicSubject(namespace, name, '*')],
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    discard: DiscardPolicy.Old,
    max_age: retainMs * NANOS_PER_MS,
    max_bytes: retainBytesMax,
    // The server refuses a window that is longer than entries live.
    duplicate_window: Math.min(DEDUPE_WINDOW_MS, retainMs) * NANOS_PER_MS,
    num_replicas: replicas,
  };
}

/** Full, it refuses: a dead letter is never pushed out by another one. */
export function deadStreamSettings(namespace: string, replicas: number): StreamSettings {
  return {
    name: deadStreamName(namespace),
    subjects: [deadSubject(namespace)],
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    discard: DiscardPolicy.New,
    max_bytes: DEAD_BYTES_MAX,
    duplicate_window: DEDUPE_WINDOW_MS * NANOS_PER_MS,
    num_replicas: replicas,
  };
}

/** Makes the stream, or brings it to these settings. Throws when the server did something else. */
export async function ensureStream(
  manager: JetStreamManager,
  settings: StreamSettings,
): Promise<StreamInfo> {
  const found = (await findStream(manager, settings.name)) ?? (await manager.streams.add(settings));
  const made =
    differences(settings, found.config).length === 0
      ? found
      : await manager.streams.update(settings.name, settings);
  // A server drops silently what it does not know.
  const ignored = differences(settings, made.config);
  if (ignored.length > 0) {
    throw new Error(`NATS did not take ${ignored.join(', ')} of stream ${settings.name}`);
  }
  return made;
}

/**
 * Makes the stream only where it is missing, after a pause: a server says that a stream is gone while it
 * is still removing the files, and would remove the new one's too. What is there stays as it is, so that
 * nodes of two releases do not undo each other's settings.
 */
export async function readStream(
  manager: JetStreamManager,
  settings: StreamSettings,
): Promise<StreamInfo> {
  const found = await findStream(manager, settings.name);
  if (found) return found;
  await delay(REMOVAL_MS);
  return (await findStream(manager, settings.name)) ?? manager.streams.add(settings);
}

async function findStream(manager: JetStreamManager, name: string): Promise<StreamInfo | null> {
  try {
    return await manager.streams.info(name);
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

function differences(wanted: StreamSettings, real: StreamConfig): string[] {
  return Object.entries(wanted)
    .filter(([field, value]) => {
      const other = real[field as keyof StreamConfig];
      return JSON.stringify(other) !== JSON.stringify(value);
    })
    .map(([field]) => field);
}

export async function openTopicStream(
  { manager }: JetStreamConnection,
  settings: StreamSettings,
  log: BusLog,
): Promise<TopicStream> {
  const listeners = new Set<() => void>();
  let head = toHead(await ensureStream(manager, settings));
  let asking: Promise<StreamHead> | null = null;

  async function ask(): Promise<StreamHead> {
    try {
      const next = toHead(await readStream(manager, settings));
      const renewed = next.incarnation !== head.incarnation;
      const changed = renewed || next.lastSequence < head.lastSequence;
      head = next;
      if (changed) {
        log.error({ stream: settings.name, renewed }, 'A stream was made anew or has lost its end');
        for (const listener of listeners) listener();
      }
      return next;
    } catch (cause) {
      throw new UnavailableError('The message log (NATS) cannot be reached', { cause });
    }
  }

  return {
    name: settings.name,
    get head() {
      return head;
    },
    async readHead() {
      // An answer that is already under way may be older than what the caller knows.
      while (asking) await asking.catch(() => {});
      asking = ask();
      try {
        return await asking;
      } finally {
        asking = null;
      }
    },
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

function toHead({ created, state }: StreamInfo): StreamHead {
  const lastSequence = BigInt(state.last_seq);
  const firstSequence = state.messages === 0 ? lastSequence + 1n : BigInt(state.first_seq);
  return { incarnation: created, firstSequence, lastSequence };
}
