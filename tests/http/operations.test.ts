import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EmbeddedServer } from '../../embedded/server.ts';
import { bearer, openSocket, post, until } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { startTestPostgres, startTestRedis } from '../support/servers.ts';

const OPERATIONS_TOKEN = 'operations-token-of-the-tests';
const operations = { authorization: `Bearer ${OPERATIONS_TOKEN}` };

let naru: TestNaru;
beforeAll(async () => {
  naru = await startNaru({ settings: { OPERATIONS_TOKEN } });
});
afterAll(() => naru?.close());

const ask = (path: string, headers: Record<string, string> = {}) =>
  fetch(`${naru.url}${path}`, { headers });

describe('/health', () => {
  test('says that the process lives, to anybody, by GET and HEAD', async () => {
    const answer = await ask('/health');
    expect([answer.status, await answer.json()]).toEqual([200, { status: 'ok' }]);
    expect((await fetch(`${naru.url}/health`, { method: 'HEAD' })).status).toBe(200);
  });
});

describe('/ready', () => {
  test('is 200 when all that it stands on answers; the parts are for operators', async () => {
    const answer = await ask('/ready');
    expect([answer.status, await answer.json()]).toEqual([200, { status: 'ready' }]);
    const told = await ask('/ready', operations);
    expect(await told.json()).toEqual({
      status: 'ready',
      parts: { postgresql: true, redis: true, bus: true },
    });
  });

  test('a wrong token is told no more than nobody', async () => {
    for (const authorization of ['Bearer x', `Bearer ${OPERATIONS_TOKEN}x`, 'Basic eDp5']) {
      const answer = await ask('/ready', { authorization });
      expect([answer.status, await answer.json()]).toEqual([200, { status: 'ready' }]);
    }
  });
});

describe('/metrics', () => {
  test('is 401 for nobody and 403 for who is no operator or whose token has not the scope', async () => {
    const anonymous = await ask('/metrics');
    expect(anonymous.status).toBe(401);
    expect(await anonymous.json()).toMatchObject({ error: { code: 'UNAUTHENTICATED' } });
    for (const token of [
      await naru.tokenFor('alice'),
      await naru.tokenFor('oscar', ['viewer:read']),
    ]) {
      const refused = await ask('/metrics', bearer(token));
      expect(refused.status).toBe(403);
      expect(await refused.json()).toMatchObject({ error: { code: 'FORBIDDEN' } });
    }
  });

  test('is for the operations token and for operators', async () => {
    for (const headers of [operations, bearer(await naru.tokenFor('oscar'))]) {
      const answer = await ask('/metrics', { ...headers });
      expect(answer.status).toBe(200);
      expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    }
  });

  test('has names of ours, base units, and labels from closed sets', async () => {
    await fetch(`${naru.url}/nowhere-${Math.random()}`);
    await post(naru.url, { query: '{ serverInfo { version } }' });
    await post(naru.url, { query: 'query Chosen { nothing }', operationName: 'Chosen' });
    const text = await (await ask('/metrics', operations)).text();
    const names = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
    expect(names.filter((name) => !name?.startsWith('naru_'))).toEqual([]);
    expect(names.filter((name) => /_(ms|milliseconds|kb|mb)(_|$)/.test(name ?? ''))).toEqual([]);
    expect(text).not.toMatch(/nowhere|Chosen/);
    expect(text).toMatch(
      /naru_graphql_operation_duration_seconds_count\{transport="http",kind="query",outcome="ok"\} [1-9]/,
    );
    expect(text).toMatch(/naru_http_request_duration_seconds_count\{route="none",status="4xx"\} 1/);
  });
});

describe('with OPERATIONS_ALLOW', () => {
  let listed: TestNaru;
  beforeAll(async () => {
    const settings = {
      OPERATIONS_TOKEN,
      TRUSTED_PROXIES: '127.0.0.1',
      OPERATIONS_ALLOW: '10.0.0.0/8',
      OPERATIONS_DENY: '10.0.0.66',
    };
    listed = await startNaru({ settings, runsJobs: false });
  });
  afterAll(() => listed?.close());

  const from = (address: string, path: string, headers: Record<string, string> = {}) =>
    fetch(`${listed.url}${path}`, { headers: { 'x-forwarded-for': address, ...headers } });

  test('its addresses need no token, and a wrong one does no harm', async () => {
    for (const headers of [{}, { authorization: 'Bearer x' }, operations]) {
      expect((await from('10.0.0.1', '/metrics', headers)).status).toBe(200);
      const ready = await from('10.0.0.1', '/ready', headers);
      expect(await ready.json()).toMatchObject({ parts: { postgresql: true } });
    }
  });

  test('from elsewhere no token helps; readiness is told to all, its parts are not', async () => {
    const oscar = { ...bearer(await listed.tokenFor('oscar')) };
    for (const address of ['11.0.0.1', '10.0.0.66', 'nonsense']) {
      for (const headers of [{}, operations, oscar]) {
        const metrics = await from(address, '/metrics', headers);
        expect(metrics.status).toBe(403);
        expect(await metrics.json()).toMatchObject({ error: { code: 'FORBIDDEN' } });
        const ready = await from(address, '/ready', headers);
        expect([ready.status, await ready.json()]).toEqual([200, { status: 'ready' }]);
      }
    }
  });
});

test('with OPERATIONS_DENY alone the others still need a token', async () => {
  const settings = { OPERATIONS_TOKEN, TRUSTED_PROXIES: '127.0.0.1', OPERATIONS_DENY: '10.0.0.66' };
  const denying = await startNaru({ settings, runsJobs: false });
  const from = async (address: string, headers: Record<string, string>) => {
    const asked = { headers: { 'x-forwarded-for': address, ...headers } };
    const metrics = await fetch(`${denying.url}/metrics`, asked);
    const ready = await fetch(`${denying.url}/ready`, asked);
    return [metrics.status, 'parts' in ((await ready.json()) as object)];
  };
  expect(await from('10.0.0.1', {})).toEqual([401, false]);
  expect(await from('10.0.0.1', operations)).toEqual([200, true]);
  expect(await from('10.0.0.66', operations)).toEqual([403, false]);
  await denying.close();
});

test('a route that is not there is 404, typed, with the request id', async () => {
  const answer = await ask('/nowhere', { 'x-request-id': 'r-1' });
  expect([answer.status, await answer.json()]).toEqual([
    404,
    { error: { code: 'NOT_FOUND', message: 'No such route', requestId: 'r-1' } },
  ]);
});

describe('when something it stands on is away', () => {
  let postgres: EmbeddedServer;
  let redis: EmbeddedServer;
  let lone: TestNaru;
  beforeAll(async () => {
    [postgres, redis] = await Promise.all([startTestPostgres(), startTestRedis()]);
    lone = await startNaru({
      settings: { OPERATIONS_TOKEN, REDIS_URL: redis.url },
      database: { url: postgres.url, drop: async () => {} },
    });
  });
  afterAll(async () => {
    await lone?.close();
    await Promise.all([postgres?.stop(), redis?.stop()]);
  });

  test('readiness is 503 soon, and says to operators which part; health stays 200', async () => {
    await redis.stop();
    const started = performance.now();
    const answer = await fetch(`${lone.url}/ready`);
    expect([answer.status, await answer.json()]).toEqual([503, { status: 'unavailable' }]);
    expect(performance.now() - started).toBeLessThan(4_000);
    const told = await fetch(`${lone.url}/ready`, { headers: operations });
    expect(await told.json()).toEqual({
      status: 'unavailable',
      parts: { postgresql: true, redis: false, bus: true },
    });

    const oscar = await lone.tokenFor('oscar');
    await postgres.stop();
    const later = performance.now();
    const bare = await fetch(`${lone.url}/ready`, { headers: bearer(oscar) });
    expect([bare.status, await bare.json()]).toEqual([503, { status: 'unavailable' }]);
    expect(performance.now() - later).toBeLessThan(6_000);
    const both = await fetch(`${lone.url}/ready`, { headers: operations });
    expect(await both.json()).toEqual({
      status: 'unavailable',
      parts: { postgresql: false, redis: false, bus: false },
    });
    expect((await fetch(`${lone.url}/health`)).status).toBe(200);
  });
});

describe('a stop in order', () => {
  test('sockets get 1012 and no complete, event streams end, what is under way is answered', async () => {
    const one = await startNaru();
    const token = await one.tokenFor('alice');
    const query = 'subscription { webhookMessageReceived { __typename } }';
    const socket = await openSocket(one.url, token);
    socket.subscribe('1', { query });
    await socket.next('1');
    const stream = await fetch(`${one.url}/graphql?query=${encodeURIComponent(query)}`, {
      headers: { accept: 'text/event-stream', ...bearer(token) },
    });
    await until(() =>
      one.app.metrics.subscriptions.get().then(({ values }) => values[0]?.value === 2),
    );

    // A lock holds the query until the stop has begun.
    const blocker = await one.app.database.pool.connect();
    await blocker.query('BEGIN; LOCK TABLE webhook_message IN ACCESS EXCLUSIVE MODE');
    const slow = post(one.url, { query: '{ webhookMessages { nodes { id } } }' }, token);
    await until(async () => {
      const { rows } = await blocker.query(
        `SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
         WHERE NOT l.granted AND l.relation = 'webhook_message'::regclass
           AND d.datname = current_database()`,
      );
      return rows.length > 0;
    });

    const stopping = one.server.close();
    const frame = socket.next('1').catch((error: Error) => error.message);
    expect(await socket.closed).toMatchObject({ code: 1012 });
    expect(await frame).toBe('closed with 1012');
    // It ends without being complete, so that a client comes back.
    expect(await stream.text()).not.toContain('event: complete');
    await blocker.query('COMMIT');
    blocker.release();
    expect((await slow).result.data).toEqual({ webhookMessages: { nodes: [] } });
    await stopping;
    await expect(fetch(`${one.url}/health`)).rejects.toThrow();
    await one.server.close();
    await one.close();
    await one.close();
  });
});
