import { hash } from 'node:crypto';
import type { RedisClient } from './client.ts';

export type RunScript = (
  keys: readonly string[],
  args: readonly (string | number)[],
) => Promise<unknown>;

/** A Lua script, sent by its hash: in full only to a Redis that does not know it yet, or no more. */
export function createScript(redis: RedisClient, text: string): RunScript {
  const scriptHash = hash('sha1', text, 'hex');
  return async (keys, args) => {
    try {
      return await redis.evalsha(scriptHash, keys.length, ...keys, ...args);
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      return redis.eval(text, keys.length, ...keys, ...args);
    }
  };
}
