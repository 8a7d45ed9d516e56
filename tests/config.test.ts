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

/** Production that sends people to itself has to know where it is. */
const FOUND = { ...PRODUCTION, PUBLIC_URL: 'https://naru.example.com' };

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
  ['PUBLIC_URL', 'ftp://hunter2.example.com'],
  ['PUBLIC_URL', 'https://hunter2:port'],
  ['ALLOWED_ORIGINS', 'https://app.example.com,https://hunter2.example.com/path'],
  ['ALLOWED_ORIGINS', 'https://*.hunter2.example.com,*'],
  ['ALLOWED_ORIGINS', 'null'],
  ['TRUSTED_PROXIES', '10.0.0.0/8,hunter2'],
  ['TRUSTED_PROXIES', '10.0.0.0/33'],
  ['TRUSTED_PROXIES', '::1/129'],
  ['COOKIE_SECURE', 'hunter2'],
  ['SESSION_DAYS', '0'],
  ['SESSION_IDLE_HOURS', '2161'],
  ['SESSION_POLICY', 'multi:101'],
  ['SESSION_POLICY', 'multi'],
  ['SIGNUP', 'hunter2'],
  ['PASSWORD_HASHES_AT_ONCE', '65'],
  ['GITHUB_URL', 'ftp://github.com/hunter2'],
  ['GITHUB_CLIENT_TYPE', 'hunter2'],
])('a %s that is wrong is refused, and its value is not shown', (name, value) => {
  const [fault, ...others] = faultsOf({ ...PRODUCTION, [name]: value });
  expect(others).toEqual([]);
  expect(fault).toMatch(new RegExp(`^${name} `));
  expect(fault).not.toContain('hunter2');
});

test('a cookie without Secure is refused in production, and taken elsewhere', () => {
  const given = { ...PRODUCTION, COOKIE_SECURE: 'false' };
  expect(faultsOf(given)).toEqual([expect.stringMatching(/^COOKIE_SECURE=false /)]);
  expect(parseConfig({ ...given, NODE_ENV: 'development' }).cookieSecure).toBe(false);
});

test('a client of GitHub has an id and a secret', () => {
  const fault = 'GITHUB_CLIENT_ID and GITHUB_CLIENT_SECRET are set together, or neither';
  expect(faultsOf({ ...FOUND, GITHUB_CLIENT_SECRET: 'hunter2' })).toEqual([fault]);
  expect(faultsOf({ ...FOUND, GITHUB_CLIENT_ID: 'hunter2' })).toEqual([fault]);
});

test('mail needs a server and a sender', () => {
  const wrong = { SMTP_URL: 'https://hunter2@mail.example', MAIL_FROM: 'naru@example.com' };
  const [unknown] = faultsOf({ ...PRODUCTION, ...wrong });
  expect(unknown).toBe('SMTP_URL must start with smtp:// or smtps://');
  const faults = faultsOf({ ...FOUND, SMTP_URL: 'smtp://naru:hunter2@mail.example' });
  expect(faults).toEqual(['MAIL_FROM is not set: mail by SMTP_URL needs a sender']);
});

test('who may sign up, unless told: anybody where mail proves an address, nobody in production without', () => {
  const mail = { SMTP_URL: 'smtp://mail.example', MAIL_FROM: 'naru@example.com' };
  expect(parseConfig(PRODUCTION).signUp).toBe('closed');
  expect(parseConfig({ ...FOUND, ...mail }).signUp).toBe('open');
  expect(parseConfig({ ...FOUND, ...mail, SIGNUP: 'invite' }).signUp).toBe('invite');
  expect(parseConfig({ ...PRODUCTION, NODE_ENV: 'development' }).signUp).toBe('open');
});

test.each([
  ['single', 1],
  ['multi:1', 1],
  ['multi:100', 100],
])('SESSION_POLICY=%s is %i sessions at once', (policy, sessions) => {
  expect(parseConfig({ ...PRODUCTION, SESSION_POLICY: policy }).sessionsMax).toBe(sessions);
});

test('without a PUBLIC_URL it is where Naru listens, and one with a slash at its end is the same', () => {
  expect(parseConfig(PRODUCTION).publicUrl).toBe('http://127.0.0.1:4000');
  const given = parseConfig({ ...PRODUCTION, PUBLIC_URL: 'https://naru.example.com/' });
  expect(given.publicUrl).toBe('https://naru.example.com');
});

test('production that sends people by mail or GitHub has to know where it is found', () => {
  const mail = { SMTP_URL: 'smtp://mail.example', MAIL_FROM: 'naru@example.com' };
  const github = { GITHUB_CLIENT_ID: 'hunter2', GITHUB_CLIENT_SECRET: 'hunter2' };
  for (const settings of [mail, github]) {
    expect(faultsOf({ ...PRODUCTION, ...settings })).toEqual([
      'PUBLIC_URL is not set: mail and GitHub send browsers there',
    ]);
  }
  expect(faultsOf({ ...FOUND, ...github, GITHUB_URL: 'http://github.example.com' })).toEqual([
    'GITHUB_URL starts with http://: what GitHub gives could be read on the way',
  ]);
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
