import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { CursorExpiredError, CursorInvalidError, FeedResetError } from '#lib/errors.ts';
import type { FeedHead } from './feed.ts';

/** A place in a feed. It names no viewer: permission is checked again at every use. */
export interface CursorPlace {
  readonly feed: string;
  readonly key: string;
  readonly epoch: string;
  readonly position: bigint;
}

export interface CursorCodec {
  encode(place: CursorPlace): string;
  /** Throws `CursorInvalidError` for anything that `encode` did not make for this feed and key. */
  decode(cursor: string, expected: { readonly feed: string; readonly key: string }): CursorPlace;
}

const VERSION = 1;
const EPOCH_BYTES = 16;
const POSITION_BYTES = 8;
const SIGNATURE_BYTES = 16;
const HEAD_BYTES = 1 + EPOCH_BYTES + POSITION_BYTES;
/** Places whose cursors are kept: all who follow a key are told the same one at the same moment. */
const ENCODED_MAX = 1_000;

/**
 * Version, epoch, position and a 128-bit HMAC over those and over the feed and key, which both sides
 * know and the cursor need not carry.
 */
export function createCursorCodec(signingKey: Uint8Array): CursorCodec {
  const secret = createSecretKey(signingKey);
  const encoded = new LRUCache<string, string>({ max: ENCODED_MAX });
  const sign = (head: Uint8Array, feed: string, key: string) =>
    createHmac('sha256', secret)
      .update(JSON.stringify([feed, key]))
      .update(head)
      .digest()
      .subarray(0, SIGNATURE_BYTES);

  return {
    encode({ feed, key, epoch, position }) {
      // An epoch has no space in it and a feed's name none: the key comes last.
      const place = `${epoch} ${position} ${feed} ${key}`;
      const known = encoded.get(place);
      if (known !== undefined) return known;
      const head = Buffer.alloc(HEAD_BYTES);
      head.writeUInt8(VERSION, 0);
      head.write(epoch.replaceAll('-', ''), 1, 'hex');
      head.writeBigUInt64BE(position, 1 + EPOCH_BYTES);
      const cursor = Buffer.concat([head, sign(head, feed, key)]).toString('base64url');
      encoded.set(place, cursor);
      return cursor;
    },

    decode(cursor, { feed, key }) {
      const bytes = Buffer.from(cursor, 'base64url');
      const head = bytes.subarray(0, HEAD_BYTES);
      // Re-encoding refuses the second spellings that a lenient base64 decoder lets through.
      const isWellFormed =
        bytes.length === HEAD_BYTES + SIGNATURE_BYTES &&
        bytes.toString('base64url') === cursor &&
        head.readUInt8(0) === VERSION;
      if (!isWellFormed || !timingSafeEqual(bytes.subarray(HEAD_BYTES), sign(head, feed, key))) {
        throw new CursorInvalidError('The cursor was not given out by this feed');
      }
      const hex = head.toString('hex', 1, 1 + EPOCH_BYTES);
      const epoch = hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
      return { feed, key, epoch, position: head.readBigUInt64BE(1 + EPOCH_BYTES) };
    },
  };
}

/**
 * Why reading cannot go on after `place`, or null when it can. `head` must have been read after
 * `place` was learned: else a place that is merely newer would look like another history.
 */
export function judgePlace(
  cursors: CursorCodec,
  place: CursorPlace,
  head: FeedHead,
): CursorExpiredError | FeedResetError | null {
  if (place.epoch !== head.epoch || place.position > head.head) {
    return new FeedResetError('The feed was rebuilt since this place in it: read it afresh');
  }
  if (place.position < head.pruned) {
    const earliest = cursors.encode({ ...place, position: head.pruned });
    return new CursorExpiredError('What follows this place is no longer kept', earliest);
  }
  return null;
}
