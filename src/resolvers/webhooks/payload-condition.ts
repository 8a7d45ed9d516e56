// A filter on what a payload says: each condition is one number, and a message has the numbers of all that
// its payload says (`payload-keys.ts`).
import { LRUCache } from 'lru-cache';
import type { Database } from '#database/client.ts';
import { createBatcher } from '#lib/batch.ts';
import { payloadKeyOf } from './payload-keys.ts';

/** Some value at the path is this one; in an array, some element's. */
export interface PayloadCondition {
  /** Names joined by dots, e.g. `pull_request.draft`, with or without `$.` before them. */
  readonly path: string;
  /** Text, a number or a boolean. */
  readonly equals?: unknown;
}

export const PAYLOAD_CONDITIONS_MAX = 10;
export const PATH_LENGTH_MAX = 500;
export const EQUALS_LENGTH_MAX = 1_000;

/** What is wrong with it and with which field; null where nothing is. */
export function findConditionFault({
  path,
  equals,
}: PayloadCondition): { readonly name: 'path' | 'equals'; readonly fault: string } | null {
  const names = namesOf(path);
  const isPath =
    path.length <= PATH_LENGTH_MAX && isStorable(path) && names.every((name) => name !== '');
  if (!isPath) return { name: 'path', fault: 'A path is names joined by dots' };
  if (typeof equals === 'boolean' || Number.isFinite(equals)) return null;
  const isText =
    typeof equals === 'string' && equals.length <= EQUALS_LENGTH_MAX && isStorable(equals);
  if (isText) return null;
  return {
    name: 'equals',
    fault: `Text of at most ${EQUALS_LENGTH_MAX} characters, a number, true or false`,
  };
}

function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes('\u0000');
}

function namesOf(path: string): string[] {
  return path.replace(/^\$\./, '').split('.');
}

/** Of conditions without a fault. */
export function keysOfConditions(conditions: readonly PayloadCondition[]): bigint[] {
  const keys = conditions.map(({ path, equals }) =>
    payloadKeyOf(namesOf(path), equals as string | number | boolean),
  );
  return [...new Set(keys)];
}

type KeyLoader = (messageId: string) => Promise<BigInt64Array | undefined>;

const loaders = new WeakMap<Database, KeyLoader>();

/** Whether the payload says all of it; what is no longer kept says nothing. */
export async function hasPayloadKeys(
  database: Database,
  messageId: string,
  keys: readonly bigint[],
): Promise<boolean> {
  const load = loaders.get(database) ?? createKeyLoader(database);
  loaders.set(database, load);
  const found = await load(messageId);
  return found !== undefined && keys.every((key) => found.includes(key));
}

/** At most 16 kB each: what all followers of the newest messages ask for is read once a node. */
const MESSAGES_MAX = 500;

function createKeyLoader(database: Database): KeyLoader {
  const known = new LRUCache<string, BigInt64Array>({ max: MESSAGES_MAX });
  const read = createBatcher<string, BigInt64Array>(
    async (messageIds) => {
      const rows = await database.query<{ id: string; keys: string[] }>(
        'SELECT message_id AS id, payload_keys AS keys FROM webhook_body WHERE message_id = ANY($1)',
        [messageIds],
        'load-payload-keys',
      );
      return new Map(rows.map(({ id, keys }) => [id, BigInt64Array.from(keys, BigInt)]));
    },
    { concurrency: 2, keysMax: 100 },
  );
  return async (messageId) => {
    const keys = known.get(messageId) ?? (await read(messageId));
    if (keys !== undefined) known.set(messageId, keys);
    return keys;
  };
}
