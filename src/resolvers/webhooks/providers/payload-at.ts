import { storableText } from '#lib/storable-text.ts';

/** The value at a path of own properties of plain objects; undefined where there is none. */
export function payloadAt(value: unknown, ...path: readonly string[]): unknown {
  let current = value;
  for (const name of path) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, name)) {
      return undefined;
    }
    current = (current as Record<string, unknown>)[name];
  }
  return current;
}

/** The text there, in a form that can be stored; null where there is none. */
export function textAt(value: unknown, ...path: readonly string[]): string | null {
  return storableText(payloadAt(value, ...path));
}
