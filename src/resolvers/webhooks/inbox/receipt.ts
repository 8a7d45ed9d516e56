import { createHmac, timingSafeEqual } from 'node:crypto';

/** What a receipt stands for: one lease of one message by one user. */
export interface Lease {
  readonly userId: string;
  readonly messageId: string;
  /** Which lease: each hand-out and each extension has a number of its own. */
  readonly lease: bigint;
}

export interface ReceiptCodec {
  encode(lease: Lease): string;
  /** Null for anything that `encode` did not make. Says nothing of whether the lease still counts. */
  decode(receipt: string): Lease | null;
}

const VERSION = 1;
const UUID_BYTES = 16;
const SIGNATURE_BYTES = 16;
const HEAD_BYTES = 1 + 2 * UUID_BYTES + 8;

/** Receipts carry no deadline: the lease's row decides that, so that it can be extended. */
export function createReceiptCodec(signingKey: Uint8Array): ReceiptCodec {
  const sign = (head: Uint8Array) =>
    createHmac('sha256', signingKey).update(head).digest().subarray(0, SIGNATURE_BYTES);
  return {
    encode({ userId, messageId, lease }) {
      const head = Buffer.alloc(HEAD_BYTES);
      head.writeUInt8(VERSION, 0);
      head.write(userId.replaceAll('-', ''), 1, 'hex');
      head.write(messageId.replaceAll('-', ''), 1 + UUID_BYTES, 'hex');
      head.writeBigUInt64BE(lease, 1 + 2 * UUID_BYTES);
      return Buffer.concat([head, sign(head)]).toString('base64url');
    },
    decode(receipt) {
      const bytes = Buffer.from(receipt, 'base64url');
      const head = bytes.subarray(0, HEAD_BYTES);
      // Re-encoding refuses the second spellings that a lenient base64 decoder lets through.
      const isWellFormed =
        bytes.length === HEAD_BYTES + SIGNATURE_BYTES &&
        bytes.toString('base64url') === receipt &&
        head.readUInt8(0) === VERSION;
      if (!isWellFormed || !timingSafeEqual(bytes.subarray(HEAD_BYTES), sign(head))) return null;
      return {
        userId: uuidAt(head, 1),
        messageId: uuidAt(head, 1 + UUID_BYTES),
        lease: head.readBigUInt64BE(1 + 2 * UUID_BYTES),
      };
    },
  };
}

function uuidAt(bytes: Buffer, start: number): string {
  const hex = bytes.toString('hex', start, start + UUID_BYTES);
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
