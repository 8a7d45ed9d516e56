import { hash } from 'node:crypto';

export type PayloadScalar = string | number | boolean | null;

/** What is past these bounds is found by no filter; what stands higher counts first. */
export const PAYLOAD_KEYS_MAX = 2_000;
export const PAYLOAD_DEPTH_MAX = 12;
export const PAYLOAD_TEXT_LENGTH_MAX = 1_000;
/** Of the names of a path together, as JSON writes them: each is hashed with every value below it. */
export const PAYLOAD_PATH_LENGTH_MAX = 1_000;
/** Values looked at: ten million times the same text is one key, and is not to be walked through. */
const VALUES_MAX = 10_000;

/**
 * The numbers of what a payload says, one for each (path, scalar), so that a filter for equality is a look
 * at one array. Elements of an array stand at the array's own path.
 */
export function payloadKeysOf(payload: unknown): bigint[] {
  const keys = new Set<bigint>();
  const waiting: Branch[] = [];
  let left = VALUES_MAX;
  const visit = (value: unknown, path: string, depth: number) => {
    left -= 1;
    if (path.length > PAYLOAD_PATH_LENGTH_MAX) return left > 0;
    if (isScalar(value)) keys.add(keyOf(path, value));
    else if (typeof value === 'object' && value !== null && depth < PAYLOAD_DEPTH_MAX) {
      waiting.push({ value, path, depth });
    }
    return left > 0 && keys.size < PAYLOAD_KEYS_MAX;
  };
  if (!visit(payload, '', 0)) return [...keys];
  // Grows while it is walked: breadth first.
  for (const { value, path, depth } of waiting) {
    for (const [at, child] of childrenOf(value, path)) {
      if (!visit(child, at, depth + 1)) return [...keys];
    }
  }
  return [...keys];
}

/** The number of one scalar at a path of names; 1 is not "1". */
export function payloadKeyOf(path: readonly string[], value: PayloadScalar): bigint {
  return keyOf(path.reduce(stepInto, ''), value);
}

interface Branch {
  readonly value: object;
  readonly path: string;
  readonly depth: number;
}

/** One by one: most of what is very long is never looked at. */
function* childrenOf(value: object, path: string): Generator<readonly [string, unknown]> {
  if (Array.isArray(value)) {
    for (const element of value) yield [path, element];
    return;
  }
  for (const name in value) {
    if (name.length > PAYLOAD_PATH_LENGTH_MAX) continue;
    yield [stepInto(path, name), (value as Record<string, unknown>)[name]];
  }
}

// Names as JSON, because any separator may also stand in a name.
function stepInto(path: string, name: string): string {
  return `${path}${JSON.stringify(name)}.`;
}

function keyOf(path: string, value: PayloadScalar): bigint {
  return hash('sha256', path + JSON.stringify(value), 'buffer').readBigInt64BE();
}

/** JSON can write numbers that parse as infinite, which equal nothing. */
function isScalar(value: unknown): value is PayloadScalar {
  if (typeof value === 'string') return value.length <= PAYLOAD_TEXT_LENGTH_MAX;
  return value === null || typeof value === 'boolean' || Number.isFinite(value);
}
