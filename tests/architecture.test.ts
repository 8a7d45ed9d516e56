// Who may import whom. It is also the shortest description of the house: ARCHITECTURE.md points here.
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';

const ROOT = path.resolve(import.meta.dirname, '..');

/** What stands on the roof: it may import all, and nothing below may import it. */
const ROOF = ['main.ts', 'server.ts', 'server', 'app.ts', 'commands'];

const MACHINES = ['pubsub', 'redis', 'auth', 'outbound', 'database'];
const BUS_WORDS = ['pubsub/topics', 'pubsub/topic.ts', 'pubsub/bus.ts'];

/** What each floor may import beside itself: a floor, or a part of one. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  schema: ['resolvers', 'feeds', 'auth', 'lib', 'context.ts', 'generated'],
  http: ['resolvers', 'feeds', 'auth', 'lib', 'context.ts'],
  // The words of the bus, not the machine: jobs say which topic they consume.
  jobs: ['resolvers', 'feeds', 'auth', 'lib', 'context.ts', ...BUS_WORDS],
  resolvers: ['feeds', 'outbox.ts', ...MACHINES, 'generated', 'lib', 'context.ts'],
  feeds: ['pubsub', 'lib', 'context.ts'],
  pubsub: ['lib'],
  redis: ['lib'],
  auth: ['redis', 'lib'],
  outbound: ['lib'],
  database: ['generated', 'lib'],
  // What is announced in the transaction that makes it true: for rules only.
  'outbox.ts': ['pubsub', 'database', 'lib'],
  lib: [],
  'context.ts': [],
  'config.ts': ['lib'],
  'log.ts': [],
  'metrics.ts': [],
};

/** Types that every floor but the ground may name; who has a value of them was handed it. */
const TYPES_FOR_ALL = ['config.ts', 'log.ts', 'metrics.ts', 'context.ts'];

/** Between domains, on the rules floor. Everything else goes through a topic. */
const DOMAIN_CALLS: Readonly<Record<string, readonly string[]>> = {
  users: [],
  rooms: ['users'],
  webhooks: ['users'],
  relay: ['users', 'rooms'],
  events: ['users'],
};

/** Third parties that only some floors may import; the others are free. */
const FENCES: readonly (readonly [RegExp, readonly string[]])[] = [
  [/^@nats-io\//, ['pubsub']],
  [/^pg$/, ['database', 'pubsub']],
  [/^ioredis$/, ['redis']],
  [/^rate-limiter-flexible$/, ['redis']],
  [/^(graphql|graphql-[a-z]+|ws|@pothos|@envelop|@graphql-[a-z]+)(\/|$)/, ['schema', 'roof']],
  [/^@?fastify(\/|$)/, ['http', 'roof']],
  [/^@prisma\//, ['generated', 'database']],
  [/^(jose|argon2|@node-rs\/argon2|@zxcvbn-ts\/language-common)(\/|$)/, ['auth']],
  [/^(nodemailer|oauth4webapi)(\/|$)/, ['outbound']],
  [/^pino$/, ['log.ts']],
  [/^prom-client$/, ['metrics.ts']],
];

/** The one file that calls other people's servers over HTTP; whoever else wants to asks the guard. */
const CALLS_OUT = 'outbound/pinned-request.ts';
const HTTP_CLIENTS = /^(node:)?(https?|http2|undici)$/;
/** Node's clients that need no import. */
const GLOBAL_CLIENT =
  /(?<![\w.])(globalThis\.)?(fetch|new (globalThis\.)?(WebSocket|EventSource))\s*\(|\bglobalThis\.fetch\b/;

const RUNTIME_PACKAGES = Object.keys(
  (JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as PackageJson).dependencies,
);
const VAGUE_NAME = /(^|[/-])(utils?|helpers?|common|shared|misc|types)(?=[/.])/;
const KEBAB_CASE = /^([a-z0-9]+(-[a-z0-9]+)*\/)*[a-z0-9]+(-[a-z0-9]+)*(\.test)?\.ts$/;

interface PackageJson {
  readonly dependencies: Readonly<Record<string, string>>;
}

interface Import {
  readonly specifier: string;
  readonly isType: boolean;
  readonly isExport: boolean;
}

test('every file of src keeps to its floor', () => {
  const files = globSync('**/*.ts', { cwd: path.join(ROOT, 'src') });
  const faults = files.flatMap((file) =>
    faultsOf(file, readFileSync(path.join(ROOT, 'src', file), 'utf8')),
  );
  expect(files.length).toBeGreaterThan(50);
  expect(faults).toEqual([]);
});

test('the entry imports the seeds, and nothing else outside src', () => {
  expect(faultsOf('main.ts', `import { seed } from '../prisma/seed.ts';`)).toEqual([]);
  expect(faultsOf('app.ts', `import { seed } from '../prisma/seed.ts';`)).toHaveLength(1);
});

// Proof that the first test fails when it should: each made-up line breaks one rule, and only one.
test.each([
  [
    'a rule that imports a door',
    'resolvers/rooms/room.ts',
    `import { builder } from '#schema/builder.ts';`,
  ],
  ['a door that imports a door', 'http/rooms.ts', `import { topicJobs } from '#jobs/index.ts';`],
  ['a door that imports a machine', 'http/rooms.ts', `import { ping } from '#redis/client.ts';`],
  [
    'a job that imports the machine of the bus',
    'jobs/rooms.ts',
    `import { openPostgresBus } from '#pubsub/postgres.ts';`,
  ],
  ['a door that announces', 'http/rooms.ts', `import { transact } from '#outbox.ts';`],
  [
    'a feed that imports a rule',
    'feeds/follow.ts',
    `import type { Room } from '#resolvers/rooms/room.ts';`,
  ],
  [
    'a machine that imports another',
    'pubsub/bus.ts',
    `import { createRedis } from '#redis/client.ts';`,
  ],
  [
    'the ground that imports anything of ours',
    'lib/ids.ts',
    `import type { Context } from '#context.ts';`,
  ],
  [
    'a floor that imports the roof',
    'resolvers/rooms/room.ts',
    `import type { Server } from '#server.ts';`,
  ],
  [
    'a floor that imports a part of the roof',
    'http/rooms.ts',
    `import { LIMITS } from '#server/limits.ts';`,
  ],
  [
    'settings that are read below the roof',
    'resolvers/rooms/room.ts',
    `import { parseConfig } from '#config.ts';`,
  ],
  [
    'a context that imports more than types',
    'context.ts',
    `import { createRedis } from '#redis/client.ts';`,
  ],
  [
    'a domain that calls one it may not',
    'resolvers/webhooks/source.ts',
    `import { sendMessage } from '#resolvers/rooms/message.ts';`,
  ],
  [
    'a domain that nobody has declared',
    'resolvers/polls/poll.ts',
    `import { getUser } from '#resolvers/users/user.ts';`,
  ],
  ['a floor that nobody has declared', 'services/room.ts', ``],
  ['an import that climbs', 'resolvers/rooms/room.ts', `import { rule } from '../access.ts';`],
  ['an import of a test', 'lib/ids.ts', `import { at } from '../../tests/support/clock.ts';`],
  [
    'an import of the embedded servers',
    'lib/ids.ts',
    `import { start } from '../../embedded/redis.ts';`,
  ],
  ['GraphQL in a rule', 'resolvers/rooms/room.ts', `import { GraphQLError } from 'graphql';`],
  ['Pothos in a rule', 'resolvers/rooms/room.ts', `import type { X } from '@pothos/core';`],
  [
    'NATS outside the bus',
    'resolvers/rooms/room.ts',
    `import { connect } from '@nats-io/transport-node';`,
  ],
  [
    'a mail library outside outbound',
    'resolvers/users/mail.ts',
    `import { createTransport } from 'nodemailer';`,
  ],
  [
    'an OAuth client in a rule',
    'resolvers/users/github.ts',
    `import { validateAuthResponse } from 'oauth4webapi';`,
  ],
  ['pg outside database and bus', 'resolvers/rooms/room.ts', `import pg from 'pg';`],
  ['ioredis outside redis', 'resolvers/rooms/room.ts', `import { Redis } from 'ioredis';`],
  [
    'a limiter of its own outside redis',
    'resolvers/rooms/room.ts',
    `import { RateLimiterMemory } from 'rate-limiter-flexible';`,
  ],
  [
    'Fastify in a rule',
    'resolvers/rooms/room.ts',
    `import type { FastifyRequest } from 'fastify';`,
  ],
  [
    'the Prisma package in a rule',
    'resolvers/rooms/room.ts',
    `import { Prisma } from '@prisma/client';`,
  ],
  ['a call by fetch', 'resolvers/relay/reply.ts', `const answer = await fetch(url);`],
  ['a call by fetch beside the guard', 'outbound/kakao.ts', `return fetch(url, init);`],
  ['fetch handed on', 'outbound/kakao.ts', `const client = { call: globalThis.fetch };`],
  ['a socket to elsewhere', 'jobs/relay.ts', `const socket = new WebSocket(url);`],
  [
    'a client of Node’s in a rule',
    'resolvers/relay/reply.ts',
    `import { request } from 'node:https';`,
  ],
  ['a client of Node’s beside the guard', 'outbound/kakao.ts', `import http from 'node:http';`],
  ['a client of Node’s on the roof', 'server/proxy.ts', `import * as http2 from 'node:http2';`],
  ['a client imported late', 'lib/ids.ts', `const { get } = await import('node:https');`],
  ['a package that production does not have', 'lib/ids.ts', `import { expect } from 'vitest';`],
  ['a late import', 'resolvers/rooms/room.ts', `const gql = await import('graphql');`],
  ['a barrel', 'resolvers/rooms/all.ts', `export * from './room.ts';`],
  ['a re-export', 'resolvers/rooms/all.ts', `export { type Room } from './room.ts';`],
  ['a default export', 'lib/ids.ts', `export default function newId() {}`],
  ['the environment read below the roof', 'lib/ids.ts', `export const zone = process.env['TZ'];`],
  ['a vague name', 'lib/string-utils/trim.ts', ``],
  ['a name that says nothing', 'lib/helpers.ts', ``],
  ['a name with capitals', 'lib/newId.ts', ``],
])('%s is a fault', (_name, file, text) => {
  expect(faultsOf(file, text)).toHaveLength(1);
});

test('calls in stay free to name what they speak', () => {
  const text = `import type { IncomingHttpHeaders } from 'node:http';
    import { type WebSocket, WebSocketServer } from 'ws';
    const entries = await consumer.fetch({ max: 1 });
    const answer = await yoga.fetch(request);
    const prefetch = (url: string) => refetch(url);`;
  expect(faultsOf('server/websocket.ts', text)).toEqual([]);
});

test('what looks like a fault in a comment or a text is none', () => {
  const text = `// import { x } from 'graphql'; process.env is for config.ts
    /** export default, from '#server.ts' */
    const text = "import x from 'pg'";`;
  expect(faultsOf('lib/ids.ts', text)).toEqual([]);
});

/** `file` is the path below src. Each fault is one line that names the file and the rule. */
function faultsOf(file: string, text: string): string[] {
  if (file.startsWith('generated/')) return [];
  const say = (fault: string) => `src/${file} ${fault}`;
  const faults: string[] = [];
  if (VAGUE_NAME.test(file)) faults.push(say('has a name that says nothing'));
  else if (!KEBAB_CASE.test(file)) faults.push(say('is not named in kebab-case'));
  const code = withoutComments(text);
  if (/^export default\b/m.test(code)) faults.push(say('has a default export'));
  // A test stands beside its code and may reach for whatever it takes to prove it.
  if (file.endsWith('.test.ts')) return faults;

  const floor = floorOf(file);
  if (floor !== 'roof' && MAY_IMPORT[floor] === undefined) {
    faults.push(say(`is on a floor that is not declared: ${floor}`));
  }
  if (/\bprocess\.env\b/.test(code) && !readsEnvironment(file)) {
    faults.push(say('reads the environment'));
  }
  if (GLOBAL_CLIENT.test(code)) faults.push(say('calls out past the guard'));
  for (const found of importsOf(code)) {
    const fault = found.isExport ? 're-exports' : faultOfImport(file, floor, found);
    if (fault !== null) faults.push(say(`${fault}: ${found.specifier}`));
  }
  return faults;
}

function faultOfImport(file: string, floor: string, found: Import): string | null {
  const { specifier } = found;
  // Types of them are everywhere: a request that comes in has one.
  if (HTTP_CLIENTS.test(specifier) && !found.isType && file !== CALLS_OUT) {
    return 'calls out past the guard';
  }
  if (specifier.startsWith('node:')) return null;
  if (specifier.startsWith('./')) return null;
  if (specifier.startsWith('.')) {
    const isSeed = file === 'main.ts' && specifier === '../prisma/seed.ts';
    return isSeed ? null : 'leaves its folder by a relative import';
  }
  if (specifier.startsWith('#')) return faultOfFloors(file, floor, specifier.slice(1), found);
  const fence = FENCES.find(([pattern]) => pattern.test(specifier));
  if (fence !== undefined && !fence[1].includes(floor)) return 'imports over the fence';
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
  return RUNTIME_PACKAGES.includes(name) ? null : 'imports what is no dependency';
}

function faultOfFloors(file: string, floor: string, target: string, found: Import): string | null {
  if (floor === 'roof') return null;
  const targetFloor = floorOf(target);
  if (targetFloor === 'roof') return 'imports the roof';
  if (targetFloor === floor) return faultOfDomains(file, target);
  // The context names the types of all that it carries.
  if (floor === 'context.ts' && found.isType) return null;
  if (TYPES_FOR_ALL.includes(target) && found.isType && floor !== 'lib') return null;
  const allowed = MAY_IMPORT[floor] ?? [];
  const isAllowed = allowed.some((part) => target === part || target.startsWith(`${part}/`));
  return isAllowed ? null : 'imports a floor that it may not';
}

function faultOfDomains(file: string, target: string): string | null {
  const [floor, from = ''] = file.split('/');
  const [, to = ''] = target.split('/');
  if (floor !== 'resolvers' || from === to) return null;
  return DOMAIN_CALLS[from]?.includes(to) ? null : 'calls a domain that it may not';
}

function floorOf(file: string): string {
  const [first = ''] = file.split('/');
  return ROOF.includes(first) ? 'roof' : first;
}

function readsEnvironment(file: string): boolean {
  return file === 'config.ts' || file === 'main.ts' || file.startsWith('commands/');
}

function importsOf(code: string): Import[] {
  const statements = code.matchAll(
    /^[ \t]*(import|export)\b(\s+type\b)?(?:[^'";=()]*\bfrom)?\s*'([^']+)'/gm,
  );
  const calls = code.matchAll(/\bimport\(\s*'([^']+)'/g);
  return [
    ...[...statements].map(([, keyword, type, specifier = '']) => ({
      specifier,
      isType: type !== undefined,
      isExport: keyword === 'export',
    })),
    ...[...calls].map(([, specifier = '']) => ({ specifier, isType: false, isExport: false })),
  ];
}

/** Good enough for code that Biome has formatted: no comment marker stands inside a text there. */
function withoutComments(code: string): string {
  return code.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1');
}
