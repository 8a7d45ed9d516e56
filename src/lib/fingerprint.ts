import { createHash } from 'node:crypto';

/**
 * SHA-256 of a value as JSON, whatever the order of its fields. A field that is undefined is none, and a
 * date is its ISO text.
 */
export function fingerprintOf(value: unknown): Buffer<ArrayBuffer> {
  return createHash('sha256').update(writeSorted(value)).digest() as Buffer<ArrayBuffer>;
}

// Written and not rebuilt: an object cannot be given every order, nor every name, e.g. `__proto__`.
function writeSorted(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => writeSorted(item ?? null)).join()}]`;
  // A number too large for JSON is another than null.
  if (typeof value === 'number') return String(value);
  if (typeof value !== 'object' || value === null || value instanceof Date) {
    return JSON.stringify(value);
  }
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, field]) => `${JSON.stringify(name)}:${writeSorted(field)}`);
  return `{${fields.join()}}`;
}
