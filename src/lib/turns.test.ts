import { expect, test } from 'vitest';
import { createTurns } from './turns.ts';

test('the work of one key runs one after another, in the order of asking, and another key does not wait', async () => {
  const turns = createTurns();
  const order: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = turns('a', async () => {
    await gate.promise;
    order.push('a1');
  });
  const second = turns('a', async () => {
    order.push('a2');
  });
  await turns('b', async () => {
    order.push('b');
  });
  gate.resolve();
  await Promise.all([first, second]);
  expect(order).toEqual(['b', 'a1', 'a2']);
});

test('work that fails is told to whoever asked, and the next has its turn', async () => {
  const turns = createTurns();
  const failing = turns('a', () => Promise.reject(new Error('broken')));
  const next = turns('a', async () => 'done');
  await expect(failing).rejects.toThrow('broken');
  expect(await next).toBe('done');
});
