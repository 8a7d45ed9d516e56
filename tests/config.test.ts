import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { ConfigError, parseConfig, SETTING_NAMES } from '#config.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
const SECRET = 'a-secret-key-of-more-than-thirty-two-characters';
const PRODUCTION = {
  DATABASE_URL: 'postgresql://naru:hunter2@db.example/naru',
  REDIS_URL: 'redis://redis.example',
  SECRET_KEY: SECRET,
};

interface Setting {
  readonly name: string;
  readonly value: string;
  /** Commented out, so that what it shows is the default. */
  readonly isDefault: boolean;
}

test('.env.example lists every setting, in the order of config.ts, and what Compose reads besides', () => {
  const names = readExample().map(({ name }) => name);
  const compose = readFileSync(path.join(ROOT, 'docker-compose.yml'), 'utf8');
  const read = [...compose.matchAll(/\$\{([A-Z_]+)/g)].map(([, name]) => name ?? '');
  const besides = [...new Set(read)].filter((name) => !SETTING_NAMES.includes(name));
  expect(names.slice(0, SETTING_NAMES.length)).toEqual(SETTING_NAMES);
  expect(names.slice(SETTING_NAMES.length).toSorted()).toEqual(besides.toSorted());
});

test('Compose hands on every setting, so that none in .env is ignored', () => {
  const compose = readFileSync(path.join(ROOT, 'docker-compose.yml'), 'utf8');
  const given = [...compose.matchAll(/^ {6}([A-Z_]+):/gm)].map(([, name = '']) => name);
  expect(given.filter((name) => SETTING_NAMES.includes(name))).toEqual(SETTING_NAMES);
});

test('.env.example shows the true defaults, and its other values are valid', () => {
  const example = readExample();
  const required = parseConfig(environmentOf(example.filter(({ isDefault }) => !isDefault)));
  expect(parseConfig(environmentOf(example))).toEqual(required);
});

test('production starts with nothing but its database, its Redis and its secret', () => {
  const config = parseConfig(PRODUCTION);
  expect(config.mode).toBe('production');
  expect(config.natsUrl).toBeNull();
  expect(config.githubWebhookSecret).toBeNull();
  expect(config.storeUnknownWebhooks).toBe(false);
  expect(config.operationsToken).toBeNull();
});

test('development needs no secret, and takes what production refuses', () => {
  const config = parseConfig({ ...PRODUCTION, NODE_ENV: 'development', SECRET_KEY: undefined });
  expect(config.secretKey.length).toBeGreaterThanOrEqual(32);
  expect(config.githubWebhookSecret).toBe("It's a Secret to Everybody");
  expect(config.storeUnknownWebhooks).toBe(true);
});

test('an empty value counts as not set', () => {
  const config = parseConfig({ ...PRODUCTION, NATS_URL: '', PORT: '', LOG_LEVEL: '' });
  expect(config).toEqual(parseConfig(PRODUCTION));
});

test('every fault is listed at once, by name', () => {
  const faults = faultsOf({ PORT: '70000', NATS_NAMESPACE: 'No Spaces', NATS_REPLICAS: 'three' });
  expect(faults.map((fault) => fault.replace(/ .*/, '')).toSorted()).toEqual([
    'DATABASE_URL',
    'NATS_NAMESPACE',
    'NATS_REPLICAS',
    'PORT',
    'REDIS_URL',
    'SECRET_KEY',
  ]);
});

test.each([
  ['DATABASE_URL', 'mysql://naru:hunter2@db.example/naru'],
  ['REDIS_URL', 'http://hunter2@redis.example'],
  ['NATS_URL', 'hunter2@nats.example:4222'],
  ['SECRET_KEY', 'hunter2'],
  ['OPERATIONS_TOKEN', 'hunter2'],
  ['LOG_LEVEL', 'hunter2'],
  ['PORT', 'hunter2'],
  ['WEBHOOK_BODY_BYTES_MAX', '12.5'],
])('a %s that is wrong is refused, and its value is not shown', (name, value) => {
  const [fault, ...others] = faultsOf({ ...PRODUCTION, [name]: value });
  expect(others).toEqual([]);
  expect(fault).toMatch(new RegExp(`^${name} `));
  expect(fault).not.toContain('hunter2');
});

test('npm start without its settings ends at once and says which are missing', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['src/main.ts'], {
    cwd: ROOT,
    env: { NODE_ENV: 'production' },
    encoding: 'utf8',
  });
  expect(status).toBe(1);
  expect(stdout).toBe('');
  for (const name of Object.keys(PRODUCTION)) expect(stderr).toContain(`${name} is not set`);
});

function faultsOf(environment: Readonly<Record<string, string>>): readonly string[] {
  try {
    parseConfig(environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
  throw new Error('These settings were taken');
}

function readExample(): Setting[] {
  const text = readFileSync(path.join(ROOT, '.env.example'), 'utf8');
  return [...text.matchAll(/^(# )?([A-Z][A-Z_]*)=(.*)$/gm)].map(([, mark, name, value]) => ({
    name: name ?? '',
    value: value ?? '',
    isDefault: mark !== undefined,
  }));
}

function environmentOf(settings: readonly Setting[]): Record<string, string> {
  const values = settings.map(({ name, value }) => [name, value] as const);
  // The only one without an example: a secret that is published would be used.
  return { ...Object.fromEntries(values), SECRET_KEY: SECRET };
}
