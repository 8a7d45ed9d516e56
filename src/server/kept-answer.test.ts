import Fastify from 'fastify';
import { expect, test } from 'vitest';
import { sendKept, textOfKept } from './kept-answer.ts';
import type { KeptAnswer } from './response-cache.ts';

const JSON_TYPE = 'application/json; charset=utf-8';
const MINE: KeptAnswer = {
  text: '{"data":{"diary":"mine"}}',
  digest: 'digest',
  scope: 'PRIVATE',
  secondsLeft: 12,
};

async function ask(answer: KeptAnswer, ifNoneMatch?: string) {
  const fastify = Fastify();
  fastify.get('/', (request, reply) =>
    sendKept(request, reply.header('vary', 'accept, cookie'), answer, JSON_TYPE),
  );
  const headers = ifNoneMatch === undefined ? {} : { 'if-none-match': ifNoneMatch };
  return fastify.inject({ url: '/', headers });
}

test('what is private is kept by nothing on the way, and for one credential only', async () => {
  for (const ifNoneMatch of [undefined, '"digest"']) {
    const { headers, statusCode } = await ask(MINE, ifNoneMatch);
    expect(statusCode).toBe(ifNoneMatch === undefined ? 200 : 304);
    expect(headers['cache-control']).toBe('private, max-age=12');
    expect(headers['vary']).toBe('accept, cookie, authorization');
  }
});

test('an answer that is not sent has no length and no type', async () => {
  const { headers, payload } = await ask(MINE, '"digest"');
  expect(payload).toBe('');
  expect(headers['content-length']).toBeUndefined();
  expect(headers['content-type']).toBeUndefined();
});

test('an answer that has grown old is asked for again each time', async () => {
  const { headers } = await ask({ ...MINE, secondsLeft: 0 });
  expect(headers['cache-control']).toBe('private, max-age=0');
});

test('what is said beside a kept answer to one request is JSON with it', () => {
  expect(textOfKept(MINE, {})).toBe(MINE.text);
  expect(JSON.parse(textOfKept(MINE, { cost: { actual: 1 } }))).toEqual({
    data: { diary: 'mine' },
    extensions: { cost: { actual: 1 } },
  });
});
