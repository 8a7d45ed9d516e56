const LENGTH_MAX = 1_024;

/**
 * Text from other people's bodies in a form that PostgreSQL's text and jsonb can hold: no U+0000, no
 * lone surrogates. Null for what is not a string, is empty, or has more than 1,024 bytes of UTF-8, which an
 * index still holds: half of a name would be a wrong name.
 */
export function storableText(value: unknown): string | null {
  if (typeof value !== 'string' || value.length > LENGTH_MAX) return null;
  if (Buffer.byteLength(value) > LENGTH_MAX) return null;
  return value.replaceAll('\u0000', '').toWellFormed() || null;
}
