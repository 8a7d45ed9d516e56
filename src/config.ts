// The only reader of the environment: one list, however long. `.env.example` lists the same settings for operators; a test
// keeps the two equal.
import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import type { AddressRule } from '#lib/address-rule.ts';

const url = (protocols: readonly string[]) =>
  z.string().refine((value) => protocols.some((p) => value.startsWith(`${p}://`)), {
    message: `must start with ${protocols.map((p) => `${p}://`).join(' or ')}`,
  });
const wholeNumber = (minimum: number, maximum: number) =>
  z.coerce.number().int().min(minimum).max(maximum);

const list = (isItem: (item: string) => boolean, message: string) =>
  z
    .string()
    .transform((text) => text.split(',').map((item) => item.trim()))
    .refine((items) => items.every(isItem), { message });
const isOrigin = (text: string) =>
  URL.canParse(text) && new URL(text).origin === text && /^https?:/.test(text);
const isNetwork = (text: string) => {
  const [address = '', bits, ...rest] = text.split('/');
  const width = isIP(address) === 4 ? 32 : 128;
  return (
    isIP(address) !== 0 &&
    rest.length === 0 &&
    (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= width))
  );
};

const WORDS_MAX = 1_000;
const WORD_LENGTH_MAX = 100;
const words = z
  .string()
  .transform((text) => text.split(',').map((word) => word.trim()))
  .transform((all) => [...new Set(all.filter((word) => word !== ''))])
  .refine((all) => all.length <= WORDS_MAX, { message: `must list at most ${WORDS_MAX} words` })
  .refine((all) => all.every(({ length }) => length <= WORD_LENGTH_MAX), {
    message: `must list words of at most ${WORD_LENGTH_MAX} characters`,
  })
  .default([]);

const networks = list(isNetwork, 'must list addresses or networks, e.g. 10.0.0.0/8').default([]);

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
  PUBLIC_URL: url(['http', 'https']).refine(URL.canParse, 'must be a URL').optional(),
  ALLOWED_ORIGINS: list(isOrigin, 'must list origins, e.g. https://app.example.com').default([]),
  TRUSTED_PROXIES: networks,
  COOKIE_SECURE: z.enum(['true', 'false']).default('true'),
  SESSION_DAYS: wholeNumber(1, 90).default(7),
  SESSION_IDLE_HOURS: wholeNumber(1, 2_160).default(72),
  SESSION_POLICY: z
    .string()
    .regex(/^(single|multi:([1-9]|[1-9][0-9]|100))$/, 'must be single, or multi:1 to multi:100')
    .default('multi:20'),
  ACCESS_TOKEN_KEY: z.string().min(1).optional(),
  SIGNUP: z.enum(['open', 'invite', 'closed']).optional(),
  SMTP_URL: url(['smtp', 'smtps']).refine(URL.canParse, 'must be a URL').optional(),
  MAIL_FROM: z.string().min(3).max(320).optional(),
  PASSWORD_HASHES_AT_ONCE: wholeNumber(1, 64).optional(),
  GITHUB_URL: url(['https', 'http'])
    .refine(URL.canParse, 'must be a URL')
    .default('https://github.com'),
  GITHUB_API_URL: url(['https', 'http'])
    .refine(URL.canParse, 'must be a URL')
    .default('https://api.github.com'),
  GITHUB_CLIENT_ID: z.string().min(1).optional(),
  GITHUB_CLIENT_SECRET: z.string().min(1).optional(),
  GITHUB_CLIENT_TYPE: z.enum(['app', 'oauth']).default('oauth'),
  GITHUB_WEBHOOK_SECRET: z.string().min(1).optional(),
  WEBHOOK_UNKNOWN_SOURCES: z.enum(['refuse', 'store']).optional(),
  WEBHOOK_UNKNOWN_BYTES_PER_DAY: wholeNumber(0, Number.MAX_SAFE_INTEGER).default(50 * 2 ** 20),
  WEBHOOK_BODY_BYTES_MAX: wholeNumber(1024, 25 * 2 ** 20).default(25 * 2 ** 20),
  WEBHOOK_RETAIN_DAYS: wholeNumber(1, 3_650).default(30),
  WEBHOOK_RETAIN_BYTES: wholeNumber(2 ** 20, Number.MAX_SAFE_INTEGER).default(20 * 2 ** 30),
  WEBHOOKS_PER_MINUTE_SOURCE: wholeNumber(0, 100_000_000).default(60_000),
  WEBHOOKS_PER_MINUTE_NETWORK: wholeNumber(0, 100_000_000).default(6_000),
  WEBHOOK_TOKEN: z.string().min(16, 'must be at least 16 characters').optional(),
  BACKEND_ORIGIN: z
    .string()
    .refine(isOrigin, 'must be an origin, e.g. https://api.example.com')
    .optional(),
  ROOM_BLOCKED_WORDS: words,
  COST_PER_MINUTE: wholeNumber(0, 1_000_000_000).default(60_000),
  GUEST_COST_PER_MINUTE: wholeNumber(0, 1_000_000_000).default(12_000),
  TRUSTED_DOCUMENTS: z.string().min(1).optional(),
  DOCUMENTS: z.enum(['any', 'trusted-only']).default('any'),
  INTROSPECTION: z.enum(['on', 'off']).optional(),
  INGRESS_ALLOW: networks,
  INGRESS_DENY: networks,
  API_ALLOW: networks,
  API_DENY: networks,
  OPERATIONS_ALLOW: networks,
  OPERATIONS_DENY: networks,
  ACCESS_LOG_SAMPLE: z.coerce.number().min(0).max(1).optional(),
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
  /** Where browsers and GitHub find this Naru, e.g. `https://naru.example.com`; no slash at its end. */
  readonly publicUrl: string;
  /** Origins of other pages that may use the API with credentials. */
  readonly allowedOrigins: readonly string[];
  /** Addresses and networks whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[];
  readonly cookieSecure: boolean;
  readonly sessionDays: number;
  readonly sessionIdleHours: number;
  /** Sessions that an account may have at once: 1 with the policy `single`. */
  readonly sessionsMax: number;
  /** PKCS #8, base64; null where Naru makes and keeps its own. */
  readonly accessTokenKey: string | null;
  readonly signUp: 'open' | 'invite' | 'closed';
  readonly smtpUrl: string | null;
  readonly mailFrom: string;
  readonly passwordHashesAtOnce: number;
  readonly github: GitHubConfig;
  readonly githubWebhookSecret: string | null;
  readonly storeUnknownWebhooks: boolean;
  readonly unknownWebhookBytesPerDay: number;
  readonly webhookBodyBytesMax: number;
  readonly webhookRetainDays: number;
  readonly webhookRetainBytes: number;
  /** Webhooks that one source, and one network, may send a minute; 0 where there is no limit. */
  readonly webhooksPerMinute: { readonly source: number; readonly network: number };
  /** What the word filter looks for in rooms, as it was written; none: it does nothing. */
  readonly roomBlockedWords: readonly string[];
  /** What the operations of one session (or of an account’s tokens), and those of a network’s guests, may cost a minute; 0: no limit. */
  readonly costPerMinute: { readonly viewer: number; readonly guest: number };
  /** File of documents that are known beforehand; null where there are none. */
  readonly trustedDocuments: string | null;
  readonly onlyTrustedDocuments: boolean;
  /** Whether everybody may read the schema, and is told names that are close to a wrong one. */
  readonly introspection: boolean;
  /** Who may reach each group of routes: the denied never, and where some are allowed, only those. */
  readonly addresses: Readonly<Record<RouteGroup, AddressRule>>;
  /** Of all requests, how many the access log tells, 0–1; those that failed are all told, unless it is 0. */
  readonly accessLogSample: number;
  readonly operationsToken: string | null;
  /** With which a backend sends broadcasts into rooms. */
  readonly webhookToken: string | null;
  /** Of the backend that knows who takes part in rooms of its own; null where there is none. */
  readonly backendOrigin: string | null;
  readonly logLevel: string;
  readonly shutdownTimeoutMs: number;
}

export type RouteGroup = 'ingress' | 'api' | 'operations';

export interface GitHubConfig {
  readonly url: string;
  readonly apiUrl: string;
  /** Null where nobody signs in with GitHub. */
  readonly client: { readonly id: string; readonly secret: string } | null;
  /** A GitHub App's tokens expire and are refreshed; an OAuth App's have scopes. */
  readonly clientType: 'app' | 'oauth';
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
    faults.push('SECRET_KEY is not set: it signs cursors and seals keys (32 characters or more)');
  }
  if (production && given['COOKIE_SECURE'] === 'false') {
    faults.push(
      'COOKIE_SECURE=false is for development: a cookie without Secure can be read on the way',
    );
  }
  if ((given['GITHUB_CLIENT_ID'] === undefined) !== (given['GITHUB_CLIENT_SECRET'] === undefined)) {
    faults.push('GITHUB_CLIENT_ID and GITHUB_CLIENT_SECRET are set together, or neither');
  }
  if (given['SMTP_URL'] !== undefined && given['MAIL_FROM'] === undefined) {
    faults.push('MAIL_FROM is not set: mail by SMTP_URL needs a sender');
  }
  const sendsPeople = given['SMTP_URL'] ?? given['GITHUB_CLIENT_ID'];
  if (production && sendsPeople !== undefined && given['PUBLIC_URL'] === undefined) {
    faults.push('PUBLIC_URL is not set: mail and GitHub send browsers there');
  }
  for (const name of ['GITHUB_URL', 'GITHUB_API_URL']) {
    if (production && given[name]?.startsWith('http://')) {
      faults.push(`${name} starts with http://: what GitHub gives could be read on the way`);
    }
  }
  if (production && isReadOnItsWay(given['BACKEND_ORIGIN'])) {
    faults.push(
      'BACKEND_ORIGIN starts with http://: the tokens of clients could be read on the way',
    );
  }
  if (given['DOCUMENTS'] === 'trusted-only' && given['TRUSTED_DOCUMENTS'] === undefined) {
    faults.push('TRUSTED_DOCUMENTS is not set: with DOCUMENTS=trusted-only nothing could run');
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
    publicUrl: (set.PUBLIC_URL ?? `http://${set.HOST}:${set.PORT}`).replace(/\/+$/, ''),
    allowedOrigins: set.ALLOWED_ORIGINS,
    trustedProxies: set.TRUSTED_PROXIES,
    cookieSecure: set.COOKIE_SECURE === 'true',
    sessionDays: set.SESSION_DAYS,
    sessionIdleHours: set.SESSION_IDLE_HOURS,
    sessionsMax: Number(set.SESSION_POLICY.split(':')[1] ?? 1),
    accessTokenKey: set.ACCESS_TOKEN_KEY ?? null,
    signUp: set.SIGNUP ?? (production && set.SMTP_URL === undefined ? 'closed' : 'open'),
    smtpUrl: set.SMTP_URL ?? null,
    mailFrom: set.MAIL_FROM ?? 'Naru <naru@localhost>',
    passwordHashesAtOnce: set.PASSWORD_HASHES_AT_ONCE ?? availableParallelism(),
    github: {
      url: set.GITHUB_URL.replace(/\/+$/, ''),
      apiUrl: set.GITHUB_API_URL.replace(/\/+$/, ''),
      client:
        set.GITHUB_CLIENT_ID === undefined || set.GITHUB_CLIENT_SECRET === undefined
          ? null
          : { id: set.GITHUB_CLIENT_ID, secret: set.GITHUB_CLIENT_SECRET },
      clientType: set.GITHUB_CLIENT_TYPE,
    },
    githubWebhookSecret:
      set.GITHUB_WEBHOOK_SECRET ?? (production ? null : DEVELOPMENT_WEBHOOK_SECRET),
    storeUnknownWebhooks:
      (set.WEBHOOK_UNKNOWN_SOURCES ?? (set.NODE_ENV === 'development' ? 'store' : 'refuse')) ===
      'store',
    unknownWebhookBytesPerDay: set.WEBHOOK_UNKNOWN_BYTES_PER_DAY,
    webhookBodyBytesMax: set.WEBHOOK_BODY_BYTES_MAX,
    webhookRetainDays: set.WEBHOOK_RETAIN_DAYS,
    webhookRetainBytes: set.WEBHOOK_RETAIN_BYTES,
    webhooksPerMinute: {
      source: set.WEBHOOKS_PER_MINUTE_SOURCE,
      network: set.WEBHOOKS_PER_MINUTE_NETWORK,
    },
    roomBlockedWords: set.ROOM_BLOCKED_WORDS,
    costPerMinute: { viewer: set.COST_PER_MINUTE, guest: set.GUEST_COST_PER_MINUTE },
    trustedDocuments: set.TRUSTED_DOCUMENTS ?? null,
    onlyTrustedDocuments: set.DOCUMENTS === 'trusted-only',
    introspection: (set.INTROSPECTION ?? (production ? 'off' : 'on')) === 'on',
    addresses: {
      ingress: { allow: set.INGRESS_ALLOW, deny: set.INGRESS_DENY },
      api: { allow: set.API_ALLOW, deny: set.API_DENY },
      operations: { allow: set.OPERATIONS_ALLOW, deny: set.OPERATIONS_DENY },
    },
    accessLogSample: set.ACCESS_LOG_SAMPLE ?? (production ? 1 : 0),
    operationsToken: set.OPERATIONS_TOKEN ?? null,
    webhookToken: set.WEBHOOK_TOKEN ?? null,
    backendOrigin: set.BACKEND_ORIGIN ?? null,
    logLevel: set.LOG_LEVEL,
    shutdownTimeoutMs: set.SHUTDOWN_TIMEOUT_MS,
  };
}

/** What stays on this machine is on no way. */
function isReadOnItsWay(origin: string | undefined): boolean {
  const url = origin === undefined ? null : URL.parse(origin);
  return url?.protocol === 'http:' && !/^(localhost|127\..*|\[::1\])$/.test(url.hostname);
}

function describeFault(issue: z.core.$ZodIssue): string {
  const name = issue.path.join('.');
  const missing = issue.code === 'invalid_type' && issue.message.includes('undefined');
  return missing ? `${name} is not set` : `${name} ${issue.message}`;
}
