// What an entry looks like at rest, the same on both buses: one binary frame of
// [1 byte: 1 = payload only, 2 = payload and attachment][4 bytes: length of the JSON][JSON][attachment].

import { z } from 'zod';
import { PayloadTooLargeError } from '#lib/errors.ts';
import type { Entry, Place, PublishOptions } from './bus.ts';
import { decodeKey, encodeKey } from './key.ts';
import type { Topic } from './topic.ts';

const PAYLOAD_ONLY = 1;
const WITH_ATTACHMENT = 2;
export const FRAME_HEADER_BYTES = 5;

/** An entry on its way in. */
export interface SealedEntry {
  readonly id: string;
  /** As `encodeKey` made it. */
  readonly keyToken: string;
  readonly frame: Buffer;
}

/** An entry on its way out, not yet parsed. */
export interface StoredEntry extends SealedEntry {
  readonly place: Place;
  readonly publishedAt: Date;
}

/**
 * Parses and packs what `publish` was given. Throws `TypeError` for a payload or id that is no good (the
 * publisher's bug), `PayloadTooLargeError` above `bytesMax`, `InvalidInputError` for a bad key.
 */
export function sealEntry<P>(
  topic: Topic<P>,
  key: string,
  payload: P,
  { id, attachment }: PublishOptions,
  bytesMax: number,
): SealedEntry {
  if (!/^[\x21-\x7e]{1,128}$/.test(id)) {
    throw new TypeError(`Entry id ${JSON.stringify(id)} is not 1 to 128 visible ASCII characters`);
  }
  const keyToken = encodeKey(key);
  const json = encodePayload(topic, payload);
  const bytes = json.length + (attachment?.byteLength ?? 0);
  if (bytes > bytesMax) {
    const what = `An entry of ${bytes} bytes on ${topic.name}`;
    throw new PayloadTooLargeError(`${what} is over the limit of ${bytesMax} bytes`, bytesMax);
  }
  return { id, keyToken, frame: encodeFrame(json, attachment ?? null) };
}

/** Parses what was stored; throws when it does not fit the topic (another release may have written it). */
export function openEntry<P>(topic: Topic<P>, stored: StoredEntry): Entry<P> {
  const { id, place, publishedAt } = stored;
  const { json, attachment } = decodeFrame(stored.frame);
  const payload = z.decode(topic.payload, JSON.parse(json.toString()));
  return { id, key: decodeKey(stored.keyToken), payload, attachment, place, publishedAt };
}

export function encodeFrame(json: Uint8Array, attachment: Uint8Array | null): Buffer {
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  header.writeUInt8(attachment === null ? PAYLOAD_ONLY : WITH_ATTACHMENT, 0);
  header.writeUInt32BE(json.byteLength, 1);
  return Buffer.concat(attachment === null ? [header, json] : [header, json, attachment]);
}

/** Views into the frame, not copies. Throws `TypeError` for bytes that `encodeFrame` did not make. */
export function decodeFrame(frame: Buffer): { json: Buffer; attachment: Buffer | null } {
  const kind = frame[0];
  if (frame.length < FRAME_HEADER_BYTES || (kind !== PAYLOAD_ONLY && kind !== WITH_ATTACHMENT)) {
    throw new TypeError('Not a frame of this bus');
  }
  const end = FRAME_HEADER_BYTES + frame.readUInt32BE(1);
  if (end > frame.length || (kind === PAYLOAD_ONLY && end !== frame.length)) {
    throw new TypeError('A frame of this bus, cut short or with a tail');
  }
  return {
    json: frame.subarray(FRAME_HEADER_BYTES, end),
    attachment: kind === WITH_ATTACHMENT ? frame.subarray(end) : null,
  };
}

// Encoding, not parsing: a schema that turns text into a Date or bigint must be turned around.
function encodePayload<P>(topic: Topic<P>, payload: P): Buffer {
  try {
    return Buffer.from(JSON.stringify(z.encode(topic.payload, payload)));
  } catch (cause) {
    throw new TypeError(`Payload does not fit topic ${topic.name}: ${describe(cause)}`, { cause });
  }
}

function describe(cause: unknown): string {
  return cause instanceof z.ZodError ? z.prettifyError(cause) : String(cause);
}
