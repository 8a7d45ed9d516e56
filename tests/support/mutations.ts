// Mutations by the name of their field, and what accounts are proven with beside them: mail, places that
// requests come from, locks.
import { getNamedType, isUnionType } from 'graphql';
import pg from 'pg';
import { createApp } from '#app.ts';
import { parseConfig } from '#config.ts';
import type { App } from '#context.ts';
import { createLog } from '#log.ts';
import type { SentMail } from '#outbound/mail.ts';
import { sendDueMail } from '#resolvers/users/mail.ts';
import { createSchema } from '#schema/index.ts';
import { createServer } from '#server.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { type Answer, type Operation, post } from './graphql-client.ts';
import type { TestNaru } from './naru.ts';
import { testRedisUrl } from './servers.ts';

/** Lets `fromElsewhere` say where a request comes from. */
export const BEHIND_PROXY = { TRUSTED_PROXIES: '127.0.0.1' } as const;
/** Of no account, and good enough for any. */
export const GOOD_PASSWORD = 'seven quiet lanterns';

let places = 0;

/** As from an address that nobody else uses: limits by network are not what most tests are about. */
export function fromElsewhere(): Record<string, string> {
  places += 1;
  return { 'x-forwarded-for': `10.${places >> 16}.${(places >> 8) & 255}.${places & 255}` };
}

const mutations = createSchema().getMutationType()?.getFields() ?? {};

type Input = Readonly<Record<string, unknown>> | null;

/** Asks for `__typename`, for what every error has, and for `selection` of a success. */
export function operationOf(field: string, input: Input, selection = ''): Operation {
  const definition = mutations[field];
  const result = definition && getNamedType(definition.type);
  if (definition === undefined || !isUnionType(result)) throw new Error(`No mutation ${field}`);
  const members = result.getTypes();
  const hasField = members.some(({ name }) => name === 'InvalidInputError');
  const success = members.find(
    (type) => !type.getInterfaces().some(({ name }) => name === 'Error'),
  );
  const selected = [
    '__typename ... on Error { code message }',
    hasField ? '... on InvalidInputError { field }' : '',
    selection === '' ? '' : `... on ${success?.name} { ${selection} }`,
  ].join(' ');
  const [argument] = definition.args;
  if (argument === undefined) return { query: `mutation { ${field} { ${selected} } }` };
  return {
    query: `mutation ($input: ${String(argument.type)}) { ${field}(input: $input) { ${selected} } }`,
    variables: { input },
  };
}

export interface GivenRequest {
  readonly token?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
  /** Of the success. */
  readonly selection?: string;
}

export function sendMutation(
  url: string,
  field: string,
  input: Input,
  { token = null, headers = {}, selection }: GivenRequest = {},
): Promise<Answer> {
  const operation = operationOf(field, input, selection);
  return post(url, operation, token, { ...fromElsewhere(), ...headers });
}

/** What came of it. Throws where the operation itself failed. */
export async function mutate(
  url: string,
  field: string,
  input: Input,
  given: GivenRequest = {},
  // biome-ignore lint/suspicious/noExplicitAny: the shape is the field's
): Promise<any> {
  const { result } = await sendMutation(url, field, input, given);
  if (result.errors !== undefined) throw new Error(JSON.stringify(result.errors));
  return result.data[field];
}

/** The names of the types that came of it. */
export async function outcomesOf(
  answers: readonly Promise<{ readonly __typename: string }>[],
): Promise<string[]> {
  return (await Promise.all(answers)).map(({ __typename }) => __typename);
}

/** Sends what is due, and answers all mail to this address, oldest first. */
export async function readMail(
  { app }: Pick<TestNaru, 'app'>,
  address: string,
): Promise<SentMail[]> {
  await sendDueMail(app);
  return app.mailer.recent.filter(({ to }) => to === address);
}

/** The newest mail's token; throws where it has none. */
export async function mailedToken(naru: Pick<TestNaru, 'app'>, address: string): Promise<string> {
  const mail = (await readMail(naru, address)).at(-1);
  const token = /naru_ott_[A-Za-z0-9_-]{43}/.exec(mail?.text ?? '')?.[0];
  if (token === undefined) throw new Error(`No token in ${JSON.stringify(mail)}`);
  return token;
}

/** How many passwords were hashed or verified so far. */
export async function countHashes({ metrics }: Pick<App, 'metrics'>): Promise<number> {
  const { values } = await metrics.passwordHashSeconds.get();
  return values
    .filter(({ metricName }) => metricName?.endsWith('_count'))
    .reduce((sum, { value }) => sum + value, 0);
}

/** A connection of the test's own, e.g. to hold locks with. */
export async function connectTo({ url }: Pick<TestDatabase, 'url'>): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** How many wait for a lock at this moment. */
export async function countWaiting(client: pg.Client): Promise<number> {
  // Within a transaction the view is as it was at its first look.
  await client.query('SELECT pg_stat_clear_snapshot()');
  const { rows } = await client.query<{ count: string }>(
    `SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock'`,
  );
  return Number(rows[0]?.count);
}

/** A Naru as in production, without mail unless told and without seeds, which never run there. */
export async function startProduction(
  settings: Readonly<Record<string, string>> = {},
): Promise<Pick<TestNaru, 'url' | 'app' | 'close'>> {
  const database = await createTestDatabase();
  const redis = testRedisUrl();
  const config = parseConfig({
    NODE_ENV: 'production',
    HOST: '127.0.0.1',
    PORT: '0',
    SECRET_KEY: 'a key of this test that is long enough',
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
    REDIS_KEY_PREFIX: redis.keyPrefix,
    LOG_LEVEL: 'silent',
    ...BEHIND_PROXY,
    ...settings,
  });
  const app = await createApp(config, { log: createLog('silent'), runsJobs: false });
  const server = await createServer(app);
  const url = await server.listen();
  return {
    url,
    app,
    async close() {
      await server.close();
      await app.close();
      await database.drop();
    },
  };
}
