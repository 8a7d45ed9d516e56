// A bird sings in every secret that comes in, is set, or is handed out. It must be heard nowhere: in no line
// of the log at its most talkative, no answer to somebody else's mistake, no metric, and no row.
import { type GraphQLInputType, getNamedType, isInputObjectType, isNonNullType } from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sendDueMail } from '#resolvers/users/mail.ts';
import { createSchema } from '#schema/index.ts';
import { anyPorts } from '../../embedded/ports.ts';
import type { EmbeddedServer } from '../../embedded/server.ts';
import { SEED_PASSWORD } from '../../prisma/seed.ts';
import { get, openBareSocket, post, until } from '../support/graphql-client.ts';
import { BEHIND_PROXY, fromElsewhere, operationOf } from '../support/mutations.ts';
import { postGitHubWebhook, startNaru, type TestNaru } from '../support/naru.ts';
import { startTestPostgres } from '../support/servers.ts';
import { pageHeaders, signIn, tokensOf } from '../support/sessions.ts';

const BIRD = 'kanarienvogel';
const TOKEN_BODY = BIRD.padEnd(43, 'A');
const PASSWORD = `${BIRD} sings at dawn`;
const TOKEN_JWT = `${Buffer.from('{"alg":"EdDSA","typ":"at+jwt","kid":"x"}').toString('base64url')}.${BIRD}.${BIRD}`;

let naru: TestNaru;
let postgres: EmbeddedServer;
const lines: string[] = [];
/** What was handed out: as secret as what comes in. */
const handedOut: string[] = [];

beforeAll(async () => {
  postgres = await startTestPostgres();
  const closedPort = await anyPorts.choose('smtp', 0);
  naru = await startNaru({
    database: { url: postgres.url, drop: async () => {} },
    logTo: (line) => lines.push(JSON.stringify(line)),
    settings: {
      ACCESS_LOG_SAMPLE: '1',
      ...BEHIND_PROXY,
      LOG_LEVEL: 'trace',
      SECRET_KEY: `${BIRD} is the key of everything`,
      OPERATIONS_TOKEN: `${BIRD}-operations`,
      GITHUB_WEBHOOK_SECRET: `${BIRD}-webhook`,
      GITHUB_CLIENT_ID: 'client',
      GITHUB_CLIENT_SECRET: `${BIRD}-client`,
      GITHUB_URL: `http://127.0.0.1:${closedPort}`,
      SMTP_URL: `smtp://naru:${BIRD}@127.0.0.1:${closedPort}`,
      MAIL_FROM: 'naru@mail.example',
    },
  });
});
afterAll(async () => {
  await naru?.close();
  await postgres?.stop();
});

function heardIn(text: string): string[] {
  const heard = text.toLowerCase();
  const songs = [
    BIRD,
    Buffer.from(BIRD).toString('hex'),
    ...handedOut.map((one) => one.toLowerCase()),
  ];
  return songs.filter((song) => heard.includes(song));
}

function expectSilence(): void {
  const loud = lines.filter((line) => heardIn(line).length > 0);
  expect(loud).toEqual([]);
}

const SECRET_NAMES = [
  'password',
  'currentPassword',
  'newPassword',
  'token',
  'refreshToken',
  'invitation',
  'idempotencyKey',
  'secret',
];
const secretOf = (name: string) => {
  if (name === 'refreshToken') return `naru_rt_${TOKEN_BODY}`;
  return name === 'token' || name === 'invitation' ? `naru_ott_${TOKEN_BODY}` : PASSWORD;
};

/** Something for every leaf; the bird in those that are secret. */
function inputOf(type: GraphQLInputType, secret: (name: string) => unknown): unknown {
  const named = getNamedType(type);
  if (!isInputObjectType(named)) return null;
  const fields = Object.values(named.getFields());
  const chosen = named.isOneOf ? fields.slice(0, 1) : fields;
  return Object.fromEntries(
    chosen.map(({ name, type: inner }) => {
      if (SECRET_NAMES.includes(name)) return [name, secret(name)];
      const leaf = getNamedType(inner).name;
      const isList = String(inner).includes('[');
      if (name === 'transport') return [name, 'TOKENS'];
      if (name === 'roles') return [name, ['USER']];
      if (name === 'email') return [name, 'somebody@mail.example'];
      if (leaf === 'String' || leaf === 'ID') return [name, isList ? ['x'] : 'somebody'];
      return [name, isNonNullType(inner) ? 1 : undefined];
    }),
  );
}

const mutations = Object.values(createSchema().getMutationType()?.getFields() ?? {});

const CREDENTIALS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  none: {},
  'a personal access token': { authorization: `Bearer naru_pat_${TOKEN_BODY}` },
  'an access token': { authorization: `Bearer ${TOKEN_JWT}` },
  'a refresh token': { authorization: `Bearer naru_rt_${TOKEN_BODY}` },
  'a login and password': { authorization: `Basic ${BIRD}` },
  'a cookie': pageHeaders(`__Host-naru=${TOKEN_BODY}`),
  'the cookie of a foreign page': {
    cookie: `__Host-naru=${TOKEN_BODY}`,
    origin: 'https://evil.example',
  },
  'two cookies': pageHeaders(`__Host-naru=${TOKEN_BODY}; __Host-naru=${TOKEN_BODY}`),
};

const SECRETS: Readonly<Record<string, (name: string) => unknown>> = {
  'as they should be': secretOf,
  'far too long': (name) => `${secretOf(name)}${BIRD.repeat(3_000)}`,
  'with U+0000': (name) => `${secretOf(name)}\u0000`,
  'no text': (name) => ({ [name]: secretOf(name) }),
  'a list': (name) => [secretOf(name), 'a "; b'],
  missing: () => undefined,
};

/** Sends every mutation with the bird in it. */
async function singEverywhere(headers: Readonly<Record<string, string>>): Promise<string[]> {
  const answers: string[] = [];
  for (const { name, args } of mutations) {
    const [argument] = args;
    for (const secret of Object.values(SECRETS)) {
      const input = argument === undefined ? null : inputOf(argument.type, secret);
      const operation = operationOf(name, input as never);
      const { text } = await post(naru.url, operation, null, { ...fromElsewhere(), ...headers });
      answers.push(text);
      if (!JSON.stringify(input).includes(BIRD)) break;
    }
  }
  return answers;
}

describe('nothing is heard of', () => {
  test('any secret that the inputs have: the names are known', () => {
    const names = mutations.flatMap(({ args: [argument] }) => {
      const type = argument && getNamedType(argument.type);
      return isInputObjectType(type) ? Object.keys(type.getFields()) : [];
    });
    const suspicious = names.filter((name) =>
      /password|token|secret|code|invitation|key/i.test(name),
    );
    expect(new Set(suspicious)).toEqual(new Set(SECRET_NAMES));
  });

  test.each(Object.entries(CREDENTIALS))(
    'what mutations are sent with %s',
    async (_name, headers) => {
      const answers = await singEverywhere(headers);
      expect(answers.filter((answer) => heardIn(answer).length > 0)).toEqual([]);
      expectSilence();
    },
    60_000,
  );

  test('secrets of somebody who is signed in and mistaken', async () => {
    const { accessToken, refreshToken } = await tokensOf(naru.url);
    handedOut.push(accessToken, refreshToken);
    const headers = { authorization: `Bearer ${accessToken}` };
    const answers = await singEverywhere(headers);
    expect(answers.filter((answer) => answer.includes(BIRD))).toEqual([]);
    expectSilence();
  }, 60_000);

  test('secrets that are right', async () => {
    const { headers } = await signIn(naru.url, { transport: 'COOKIE' }, pageHeaders());
    const cookie = headers.getSetCookie()[0]?.split(/[=;]/)[1] ?? '';
    const script = await naru.tokenFor('admin');
    const { accessToken, refreshToken } = await tokensOf(naru.url, { login: 'bob' });
    handedOut.push(cookie, script, accessToken, refreshToken);
    expect(handedOut.every((secret) => secret.length > 40)).toBe(true);
    const change = operationOf('changePassword', {
      currentPassword: SEED_PASSWORD,
      newPassword: PASSWORD,
    });
    expect((await post(naru.url, change, accessToken)).text).toContain('PasswordChanged');
    const again = await tokensOf(naru.url, { login: 'bob', password: PASSWORD });
    handedOut.push(again.accessToken, again.refreshToken);
    // Not a secret, but whatever a client makes its keys of.
    const creating = operationOf('createPersonalAccessToken', {
      name: 'keyed',
      scopes: ['viewer:read'],
      idempotencyKey: BIRD,
    });
    for (const _time of ['first', 'second']) {
      expect((await post(naru.url, creating, again.accessToken)).text).toContain('TokenCreated');
    }
    await post(naru.url, '{ viewer { id } }', null, pageHeaders(`__Host-naru=${cookie}`));
    const refreshing = operationOf('refreshSession', { refreshToken: again.refreshToken });
    expect((await post(naru.url, refreshing)).text).toContain('SessionRefreshed');
    expectSilence();
  });

  test('bodies that are no JSON, no GraphQL, or no request', async () => {
    const bodies = [
      `{"query":"mutation { signIn(input: { password: \\"${PASSWORD}\\"`,
      `{"password":"${PASSWORD}",}`,
      `password=${PASSWORD}`,
      JSON.stringify({ query: `mutation { signIn(input: { password: "${PASSWORD}` }),
      JSON.stringify({ query: '{ viewer { id } }', variables: PASSWORD }),
      JSON.stringify({ query: '{ viewer { id } }', extensions: { token: PASSWORD } }),
    ];
    for (const body of bodies) {
      await post(naru.url, body, null, fromElsewhere());
      await post(naru.url, body, null, { 'content-type': 'application/x-www-form-urlencoded' });
    }
    expectSilence();
  });

  test('addresses that carry secrets, as they should not', async () => {
    const operation = { query: '{ viewer { id } }', variables: { password: PASSWORD } };
    await get(naru.url, operation, `naru_pat_${TOKEN_BODY}`);
    const paths = [
      `/graphql?access_token=${BIRD}&query={viewer{id}}`,
      `/auth/github/callback?code=${BIRD}&state=${BIRD}`,
      `/auth/github?returnTo=/&token=${BIRD}`,
      `/nowhere/${BIRD}?token=${BIRD}`,
      `/webhook/nowhere?token=${BIRD}`,
      `/%ZZ${BIRD}`,
      `/metrics?token=${BIRD}`,
    ];
    for (const path of paths) {
      await fetch(`${naru.url}${path}`, {
        headers: { authorization: `Bearer ${BIRD}` },
        redirect: 'manual',
      });
    }
    expectSilence();
  });

  test('webhooks and what they are signed with', async () => {
    await postGitHubWebhook(naru.url, { zen: 'x' }, { 'x-hub-signature-256': `sha256=${BIRD}` });
    await postGitHubWebhook(naru.url, { zen: 'x' }, { authorization: `Bearer ${BIRD}` });
    expectSilence();
  });

  test('what a socket says of itself', async () => {
    for (const authorization of [`Bearer naru_pat_${TOKEN_BODY}`, `Bearer ${TOKEN_JWT}`, BIRD]) {
      const socket = openBareSocket(naru.url);
      await new Promise((resolve) => socket.ws.once('open', resolve));
      socket.send({ type: 'connection_init', payload: { authorization, token: BIRD } });
      const { reason } = await socket.closed;
      expect(heardIn(reason)).toEqual([]);
    }
    expectSilence();
  });

  test('mail that cannot be sent, and the server that it was to go by', async () => {
    await post(naru.url, operationOf('requestPasswordReset', { email: 'alice@example.com' }));
    await sendDueMail(naru.app);
    await until(() => lines.some((line) => line.includes('Mail could not be sent')));
    expectSilence();
  });

  test('metrics', async () => {
    const headers = { authorization: `Bearer ${BIRD}-operations` };
    const text = await (await fetch(`${naru.url}/metrics`, { headers })).text();
    expect(text).toContain('naru_sign_ins_total');
    expect(heardIn(text)).toEqual([]);
  });

  test('any row of any table, the outbox and the bus among them', async () => {
    const { database } = naru.app;
    const tables = await database.query<{ name: string }>(
      `SELECT table_name AS name FROM information_schema.tables
       WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`,
    );
    expect(tables.map(({ name }) => name)).toEqual(expect.arrayContaining(['outbox', 'bus_entry']));
    for (const { name } of tables) {
      const rows = await database.query<{ text: string }>(
        `SELECT t::text AS text FROM "${name}" t`,
      );
      const loud = rows.filter(({ text }) => heardIn(text).length > 0);
      expect(loud, name).toEqual([]);
    }
  });

  test('all of it with PostgreSQL gone', async () => {
    await postgres.kill();
    const before = lines.length;
    for (const headers of Object.values(CREDENTIALS)) {
      const answers = await singEverywhere(headers);
      expect(answers.filter((answer) => heardIn(answer).length > 0)).toEqual([]);
    }
    expect(lines.length).toBeGreaterThan(before);
    expectSilence();
    await postgres.restart();
  }, 120_000);

  test('all of it to the end', () => {
    expect(lines.length).toBeGreaterThan(100);
    expectSilence();
  });
});
