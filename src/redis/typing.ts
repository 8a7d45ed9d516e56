import { createBatcher } from '#lib/batch.ts';
import { UnavailableError } from '#lib/errors.ts';
import type { RedisClient } from './client.ts';
import { createScript } from './script.ts';

/** Who types in a channel, and until when that counts. Both throw `UnavailableError` while Redis is away. */
export interface TypingStore {
  /** Whether the others are to be told: they are of a beginning, of an end, and again each `againMs`. */
  set(channel: string, userId: string, isTyping: boolean): Promise<boolean>;
  find(channel: string): Promise<readonly string[]>;
}

export interface TypingTimes {
  /** How long it counts that somebody said that they type. */
  readonly typingMs: number;
  /** Who says the same again sooner is not heard. */
  readonly againMs: number;
}

const SET = `
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local key, userId, isTyping, typingMs = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now))
  if isTyping == '0' then return redis.call('ZREM', key, userId) end
  local ends = redis.call('ZSCORE', key, userId)
  if ends and now < tonumber(ends) - typingMs + ARGV[4] then return 0 end
  redis.call('ZADD', key, string.format('%.0f', now + typingMs), userId)
  redis.call('PEXPIRE', key, ARGV[3])
  return 1`;

const FIND = `
  local time = redis.call('TIME')
  local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  local answers = {}
  for _, key in ipairs(KEYS) do
    answers[#answers + 1] = redis.call('ZRANGEBYSCORE', key, '(' .. now, '+inf')
  end
  return answers`;

export function createTypingStore(
  redis: RedisClient,
  { typingMs, againMs }: TypingTimes,
): TypingStore {
  const set = createScript(redis, SET);
  const find = createScript(redis, FIND);
  const findMany = createBatcher<string, readonly string[]>(
    async (channels) => {
      const answers = await orUnavailable(redis, () => find(channels.map(keyOf), []));
      const typists = Array.isArray(answers) ? answers : [];
      return new Map(
        channels.map((channel, index): [string, readonly string[]] => [
          channel,
          Array.isArray(typists[index]) ? typists[index].map(String) : [],
        ]),
      );
    },
    { concurrency: 2, keysMax: 250 },
  );
  return {
    async set(channel, userId, isTyping) {
      const args = [userId, isTyping ? 1 : 0, typingMs, againMs];
      return (await orUnavailable(redis, () => set([keyOf(channel)], args))) === 1;
    },
    find: async (channel) => (await findMany(channel)) ?? [],
  };
}

function keyOf(channel: string): string {
  return `typing:${channel}`;
}

async function orUnavailable(redis: RedisClient, ask: () => Promise<unknown>): Promise<unknown> {
  const message = 'Who types is not known right now';
  // Else the command would wait for the connection, and whoever asks with it.
  if (redis.status !== 'ready') throw new UnavailableError(message);
  try {
    return await ask();
  } catch (cause) {
    throw new UnavailableError(message, { cause });
  }
}
