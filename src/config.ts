// The only reader of the environment. `.env.example` lists the same settings for operators; a test
// keeps the two equal.
import { z } from 'zod';

const url = (protocols: readonly string[]) =>
  z.string().refine((value) => protocols.some((p) => value.startsWith(`${p}://`)), {
    message: `must start with ${protocols.map((p) => `${p}://`).join(' or ')}`,
  });
const wholeNumber = (minimum: number, maximum: number) =>
  z.coerce.number().int().min(minimum).max(maximum);

/** GitHub's documented example secret: a default for development only. */
export const DEVELOPMENT_WEBHOOK_SECRET = "It's a Secret to Everybody";

const settings = z.object({
  NODE_ENV: z.enum(['development', 'test', 'production']).default('production'),
  HOST: z.string().min(1).default('127.0.0.1'),
  PORT: wholeNumber(0, 65_535).default(4000),
  DATABASE_URL: url(['postgresql', 'postgres']),
  DATABASE_POOL_MAX: wholeNumber(2, 200).default(10),
  REDIS_URL: url(['redis', 'rediss']),
  REDIS_KEY_PREFIX: z.string().max(64).default('naru:'),
  NATS_URL: url(['nats', 'tls']).optional(),
  NATS_NAMESPACE: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,31}$/, 'must be 1–32 lower-case letters, digits and dashes')
    .default('naru'),
  NATS_REPLICAS: wholeNumber(1, 5).default(1),
  SECRET_KEY: z.string().min(32, 'must be at least 32 characters').optional(),
  GITHUB_WEBHOOK_SECRET: z.string().min(1).optional(),
  WEBHOOK_UNKNOWN_SOURCES: z.enum(['refuse', 'store']).optional(),
  WEBHOOK_UNKNOWN_BYTES_PER_DAY: wholeNumber(0, Number.MAX_SAFE_INTEGER).default(50 * 2 ** 20),
  WEBHOOK_BODY_BYTES_MAX: wholeNumber(1024, 25 * 2 ** 20).default(2 ** 20),
  WEBHOOK_RETAIN_DAYS: wholeNumber(1, 3_650).default(30),
  WEBHOOK_RETAIN_BYTES: wholeNumber(2 ** 20, Number.MAX_SAFE_INTEGER).default(20 * 2 ** 30),
  OPERATIONS_TOKEN: z.string().min(16, 'must be at least 16 characters').optional(),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  SHUTDOWN_TIMEOUT_MS: wholeNumber(0, 300_000).default(10_000),
});

/** The names of every setting, for the test that keeps `.env.example` complete. */
export const SETTING_NAMES = Object.keys(settings.shape);

export interface Config {
  readonly mode: 'development' | 'test' | 'production';
  readonly host: string;
  readonly port: number;
  readonly databaseUrl: string;
  readonly databasePoolMax: number;
  readonly redisUrl: string;
  readonly redisKeyPrefix: string;
  readonly natsUrl: string | null;
  readonly natsNamespace: string;
  readonly natsReplicas: number;
  /** Everything that Naru signs or seals derives its own key from this one. */
  readonly secretKey: string;
  readonly githubWebhookSecret: string | null;
  readonly storeUnknownWebhooks: boolean;
  readonly unknownWebhookBytesPerDay: number;
  readonly webhookBodyBytesMax: number;
  readonly webhookRetainDays: number;
  readonly webhookRetainBytes: number;
  readonly operationsToken: string | null;
  readonly logLevel: string;
  readonly shutdownTimeoutMs: number;
}

/** One line a fault; nothing of a setting's value, which may be a secret. */
export class ConfigError extends Error {
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(`Naru cannot start with these settings:\n${faults.map((f) => `  ${f}`).join('\n')}`);
    this.name = 'ConfigError';
    this.faults = faults;
  }
}

/** Throws `ConfigError` that lists every fault at once. An empty value counts as not set. */
export function parseConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const given = Object.fromEntries(
    SETTING_NAMES.map((name) => [name, environment[name] || undefined]),
  );
  const parsed = settings.safeParse(given);
  const production = (given['NODE_ENV'] ?? 'production') === 'production';
  const faults = parsed.success ? [] : parsed.error.issues.map(describeFault);
  if (production && given['SECRET_KEY'] === undefined) {
    faults.push('SECRET_KEY is not set: it signs cursors (32 characters or more)');
  }
  if (!parsed.success || faults.length > 0) throw new ConfigError(faults);
  const set = parsed.data;
  return {
    mode: set.NODE_ENV,
    host: set.HOST,
    port: set.PORT,
    databaseUrl: set.DATABASE_URL,
    databasePoolMax: set.DATABASE_POOL_MAX,
    redisUrl: set.REDIS_URL,
    redisKeyPrefix: set.REDIS_KEY_PREFIX,
    natsUrl: set.NATS_URL ?? null,
    natsNamespace: set.NATS_NAMESPACE,
    natsReplicas: set.NATS_REPLICAS,
    secretKey: set.SECRET_KEY ?? 'development-only-key-never-used-in-production',
    githubWebhookSecret:
      set.GITHUB_WEBHOOK_SECRET ?? (production ? null : DEVELOPMENT_WEBHOOK_SECRET),
    storeUnknownWebhooks:
      (set.WEBHOOK_UNKNOWN_SOURCES ?? (set.NODE_ENV === 'development' ? 'store' : 'refuse')) ===
      'store',
    unknownWebhookBytesPerDay: set.WEBHOOK_UNKNOWN_BYTES_PER_DAY,
    webhookBodyBytesMax: set.WEBHOOK_BODY_BYTES_MAX,
    webhookRetainDays: set.WEBHOOK_RETAIN_DAYS,
    webhookRetainBytes: set.WEBHOOK_RETAIN_BYTES,
    operationsToken: set.OPERATIONS_TOKEN ?? null,
    logLevel: set.LOG_LEVEL,
    shutdownTimeoutMs: set.SHUTDOWN_TIMEOUT_MS,
  };
}

function describeFault(issue: z.core.$ZodIssue): string {
  const name = issue.path.join('.');
  const missing = issue.code === 'invalid_type' && issue.message.includes('undefined');
  return missing ? `${name} is not set` : `${name} ${issue.message}`;
}
