import { Redis } from 'ioredis';

export type RedisClient = Redis;

export interface RedisOptions {
  readonly url: string;
  readonly keyPrefix: string;
  readonly onError: (error: Error) => void;
}

const COMMAND_TIMEOUT_MS = 2_000;

/**
 * Connects in the background and reconnects for ever. A command fails within two seconds when Redis
 * is away instead of queueing without end.
 */
export function createRedis(options: RedisOptions): RedisClient {
  const redis = new Redis(options.url, {
    keyPrefix: options.keyPrefix,
    commandTimeout: COMMAND_TIMEOUT_MS,
    connectTimeout: COMMAND_TIMEOUT_MS,
    maxRetriesPerRequest: 1,
    retryStrategy: (attempt) => Math.min(50 * 2 ** attempt, 2_000),
  });
  redis.on('error', options.onError);
  return redis;
}
