import { createHash } from 'node:crypto';
import { uuidv7 } from 'uuidv7';

/** A new UUIDv7: unique, and close to creation order, which keeps indexes small. */
export function newId(): string {
  return uuidv7();
}

/** The same UUID (version 8) for the same parts, on every node and after every restart. */
export function derivedId(...parts: readonly string[]): string {
  const digest = createHash('sha256').update(JSON.stringify(parts)).digest().subarray(0, 16);
  digest[6] = ((digest[6] ?? 0) & 0x0f) | 0x80;
  digest[8] = ((digest[8] ?? 0) & 0x3f) | 0x80;
  const hex = digest.toString('hex');
  return [8, 12, 16, 20, 32]
    .map((end, index) => hex.slice([0, 8, 12, 16, 20][index], end))
    .join('-');
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Whether PostgreSQL would take the text as a `uuid` in the form that Naru writes. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}
