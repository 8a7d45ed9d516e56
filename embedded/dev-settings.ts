import { StartError } from './start-error.ts';

/**
 * What the environment says about `npm run dev`. A URL that is set means "use this one and start
 * nothing".
 */
export interface DevSettings {
  readonly databaseUrl: string | null;
  readonly redisUrl: string | null;
  /** May list several servers, with commas between. */
  readonly natsUrl: string | null;
  readonly host: string;
  /** Null: 4000, or another where that is taken. */
  readonly port: number | null;
  readonly postgresBinFolder: string | undefined;
  readonly forceJsRedis: boolean;
  readonly withoutNats: boolean;
}

/** Throws one `StartError` that lists every fault. */
export function readDevSettings(env: NodeJS.ProcessEnv): DevSettings {
  const faults: string[] = [];

  function readUrls(name: string, schemes: string[], separator?: string): string | null {
    const value = env[name]?.trim();
    if (!value) return null;
    for (const url of separator === undefined ? [value] : value.split(separator)) {
      const scheme = URL.canParse(url) ? new URL(url).protocol.slice(0, -1) : '';
      // The value itself may hold a password.
      if (!schemes.includes(scheme))
        faults.push(`${name} must be a URL: ${schemes.join(':// or ')}://`);
    }
    return value;
  }

  function readPort(): number | null {
    const value = env['PORT']?.trim();
    if (!value) return null;
    const port = Number(value);
    if (!Number.isInteger(port) || port < 1 || port > 65_535) {
      faults.push(`PORT must be a number from 1 to 65535, and is "${value}"`);
    }
    return port;
  }

  function readSwitch(name: string, on: string): boolean {
    const value = env[name]?.trim();
    if (value && value !== on) faults.push(`${name} must be "${on}" or unset, and is "${value}"`);
    return value === on;
  }

  const settings: DevSettings = {
    databaseUrl: readUrls('DATABASE_URL', ['postgresql', 'postgres']),
    redisUrl: readUrls('REDIS_URL', ['redis', 'rediss']),
    natsUrl: readUrls('NATS_URL', ['nats', 'tls'], ','),
    host: env['HOST']?.trim() || '127.0.0.1',
    port: readPort(),
    postgresBinFolder: env['NARU_POSTGRES_BIN']?.trim() || undefined,
    forceJsRedis: readSwitch('NARU_EMBEDDED_REDIS', 'js'),
    withoutNats: readSwitch('NARU_EMBEDDED_NATS', 'off'),
  };
  if (faults.length > 0) throw new StartError(faults.join('; '));
  return settings;
}
