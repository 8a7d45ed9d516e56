// What documents claim and code decides, compared.
import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parse, validate } from 'graphql';
import { CloseCode } from 'graphql-ws';
import { describe, expect, test } from 'vitest';
import { ERROR_STATUS } from '#lib/errors.ts';
import { VERSION } from '#lib/version.ts';
import { createMetrics } from '#metrics.ts';
import { topics } from '#pubsub/topics.ts';
import { CREDENTIAL_LIMITS } from '#resolvers/users/credential-limits.ts';
import { createSchema } from '#schema/index.ts';
import { EXAMPLES } from '#server/examples.ts';
import { LIMITS } from '#server/limits.ts';
import { CLOSE } from '#server/socket.ts';
import { SEED_PASSWORD } from '../prisma/seed.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
const GRAPHQL_CODES = [
  'LIMIT_EXCEEDED',
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'PERSISTED_QUERY_NOT_FOUND',
  'DOCUMENT_NOT_TRUSTED',
  'INTROSPECTION_OFF',
  'INTERNAL_SERVER_ERROR',
];
const DAY_MS = 86_400_000;

describe('docs/errors.md', () => {
  const rows = tableRows(read('docs/errors.md'));

  test('lists every code, with meaning, status and whether to try again, and no other', () => {
    const documented = rows.filter(([code = '']) => /^`[A-Z_]+`$/.test(code));
    const codes = [...Object.keys(ERROR_STATUS), ...GRAPHQL_CODES];
    expect(documented.map(([code = '']) => code.slice(1, -1)).toSorted()).toEqual(codes.toSorted());
    for (const cells of documented) {
      expect(cells).toHaveLength(4);
      expect(cells.every((cell) => cell !== '')).toBe(true);
    }
  });

  test.each(Object.entries(ERROR_STATUS))('%s has the status %i', (code, status) => {
    expect(rowOf(rows, code)[2]).toBe(String(status));
  });

  test('explains every code that a socket is closed with', () => {
    const { Unauthorized, Forbidden, ConnectionInitialisationTimeout } = CloseCode;
    const ours = Object.values(CLOSE).map(({ code }) => code);
    const codes = [...ours, Unauthorized, Forbidden, ConnectionInitialisationTimeout];
    const documented = rows.flatMap(([cell = '']) => (/^\d{4}$/.test(cell) ? [Number(cell)] : []));
    expect(documented).toEqual(codes.toSorted((left, right) => left - right));
  });

  test.each(Object.entries(LIMITS))('the limit %s has the maximum %i', (limit, maximum) => {
    expect(rowOf(rows, limit)[1]).toBe(String(maximum));
  });
});

describe('docs/topics.md', () => {
  const sections = read('docs/topics.md').split(/^## /m);

  test('describes no topic that does not exist', () => {
    const documented = sections.flatMap((section) => /^`([^`]+)`/.exec(section)?.[1] ?? []);
    expect(documented.toSorted()).toEqual(topics.map(({ name }) => name).toSorted());
  });

  test.each(topics)('describes key, id, payload and retention of $name', (topic) => {
    const section = sections.find((text) => text.startsWith(`\`${topic.name}\``)) ?? '';
    const rows = tableRows(section);
    const days = topic.retainMs / DAY_MS;
    const retention = `${days} ${days === 1 ? 'day' : 'days'}, ${inBinaryUnits(topic.retainBytesMax)}`;
    expect(rows.find(([name]) => name === 'retention')?.[1]).toBe(retention);
    for (const name of ['key', 'id', 'attachment']) {
      expect(rows.find(([cell]) => cell === name)?.[1]).toBeTruthy();
    }
    const fields = rows.flatMap(([cell = '']) => /^`([^`]+)`$/.exec(cell)?.[1] ?? []);
    expect(fields).toEqual(fieldsOf(topic.payload));
  });
});

test('docs/operations.md explains every metric, and none that does not exist', async () => {
  const { registry } = createMetrics();
  const known = (await registry.getMetricsAsJSON()).map(({ name }) => name);
  const ours = known.filter((name) => !/^naru_(process|nodejs)_/.test(name));
  const documented = tableRows(read('docs/operations.md')).flatMap(
    ([cell = '']) => /^`(naru_\w+)`$/.exec(cell)?.[1] ?? [],
  );
  expect(documented.toSorted()).toEqual(ours.toSorted());
});

describe('docs/operations.md', () => {
  const rows = tableRows(read('docs/operations.md'));

  test('lists every limit on credentials, and none that does not exist', () => {
    const start = rows.findIndex(([cell]) => cell === 'limit') + 2;
    const names = rows
      .slice(start)
      .slice(0, Object.keys(CREDENTIAL_LIMITS).length + 1)
      .flatMap(([cell = '']) => /^`([a-z-]+)`$/.exec(cell)?.[1] ?? []);
    expect(names).toEqual(Object.keys(CREDENTIAL_LIMITS));
  });

  test.each(Object.entries(CREDENTIAL_LIMITS))('says how much %s allows', (name, limit) => {
    expect(rowOf(rows, name)[1]).toBe(`${limit.points} in ${inWords(limit.perSeconds)}`);
  });
});

describe('the README', () => {
  test('names the password that seeded accounts have, and so does GraphiQL', () => {
    expect(read('README.md')).toContain(`\`${SEED_PASSWORD}\``);
    expect(EXAMPLES[0]).toContain(`"${SEED_PASSWORD}"`);
  });

  const operations = [...read('README.md').matchAll(/^```graphql\n([\s\S]*?)^```$/gm)].map(
    ([, text = '']) => text,
  );

  test('shows what GraphiQL opens with', () => {
    expect(operations).toEqual(EXAMPLES);
  });

  test('shows queries, mutations and a subscription, each valid', () => {
    const schema = createSchema();
    const documents = operations.map((text) => parse(text));
    for (const document of documents) expect(validate(schema, document)).toEqual([]);
    const kinds = documents.flatMap(({ definitions }) =>
      definitions.map((definition) => ('operation' in definition ? definition.operation : '')),
    );
    expect([...new Set(kinds)].toSorted()).toEqual(['mutation', 'query', 'subscription']);
  });

  test('has operations to paste into a shell that are valid', () => {
    const bodies = [...read('README.md').matchAll(/ -d '(\{"query".*\})'(?:;| \||\)| &|$)/gm)].map(
      ([, body = '']) =>
        // The shell's own quotes around a variable of its own.
        body.replaceAll(/'"\$\w+"'/g, 'value'),
    );
    expect(bodies).toHaveLength(7);
    const schema = createSchema();
    for (const body of bodies) {
      const { query } = JSON.parse(body) as { query: string };
      expect(validate(schema, parse(query))).toEqual([]);
    }
  });

  test('maps every folder of src, and none that does not exist', () => {
    const map = /^```\nprisma\/[\s\S]*?^```$/m.exec(read('README.md'))?.[0] ?? '';
    const mapped = [...map.matchAll(/^ {2}([a-z]+)\/ /gm)].map(([, name]) => name);
    const folders = globSync('src/*/', { cwd: ROOT }).map((folder) => path.basename(folder));
    const named = folders.filter((name) => map.includes(`${name}/`));
    expect(named.toSorted()).toEqual(folders.toSorted());
    expect(mapped.filter((name) => name !== undefined && !folders.includes(name))).toEqual([]);
  });
});

test('package.json, the server, the SDK and the changelog agree on the version', () => {
  const newest = /^## (\S+)/m.exec(read('CHANGELOG.md'))?.[1];
  const versionIn = (file: string) => (JSON.parse(read(file)) as { version: string }).version;
  expect([versionIn('package.json'), versionIn('sdk/package.json'), newest]).toEqual([
    VERSION,
    VERSION,
    VERSION,
  ]);
});

test.each(globSync(['*.md', 'docs/**/*.md'], { cwd: ROOT }).toSorted())(
  'every link of %s leads to a file',
  (file) => {
    const links = [...read(file).matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, to = '']) => to);
    const broken = links.filter((to) => !existsSync(path.resolve(ROOT, path.dirname(file), to)));
    expect(broken).toEqual([]);
  },
);

test('every decision is numbered once and listed', () => {
  const files = globSync('docs/decisions/[0-9]*.md', { cwd: ROOT }).map((f) => path.basename(f));
  const list = read('docs/decisions/README.md');
  const numbers = files.toSorted().map((file) => Number(file.slice(0, 4)));
  expect(numbers).toEqual(files.map((_file, index) => index + 1));
  expect(files.filter((file) => !list.includes(`(${file})`))).toEqual([]);
});

function read(file: string): string {
  return readFileSync(path.join(ROOT, file), 'utf8');
}

/** The cells of every table's rows, trimmed. */
function tableRows(text: string): string[][] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

function rowOf(rows: readonly string[][], code: string): string[] {
  return rows.find(([cell]) => cell === `\`${code}\``) ?? [];
}

function fieldsOf(payload: unknown): string[] {
  const { shape, options } = payload as { shape?: object; options?: readonly unknown[] };
  // What is one of several has the fields of all of them.
  if (options !== undefined) return [...new Set(options.flatMap(fieldsOf))];
  return Object.keys(shape ?? {});
}

function inWords(seconds: number): string {
  const [count, unit] =
    seconds % 3_600 === 0 ? [seconds / 3_600, 'hour'] : [seconds / 60, 'minute'];
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}

function inBinaryUnits(bytes: number): string {
  return bytes >= 2 ** 30 ? `${bytes / 2 ** 30} GiB` : `${bytes / 2 ** 20} MiB`;
}
