import { expect, test } from 'vitest';
import { createSlots } from './slots.ts';

test('so many work at once and no more, in the order in which they came, whatever becomes of them', async () => {
  const slots = createSlots(2);
  const log: string[] = [];
  const ends = new Map<string, (error?: Error) => void>();
  const work = (name: string) =>
    slots(() => {
      log.push(name);
      return new Promise<string>((resolve, reject) => {
        ends.set(name, (error) => (error === undefined ? resolve(name) : reject(error)));
      });
    });
  const works = ['a', 'b', 'c', 'd'].map(work);
  const settled = Promise.allSettled(works);
  expect(log).toEqual(['a', 'b']);
  ends.get('b')?.(new Error('failed'));
  await expect(works[1]).rejects.toThrow('failed');
  expect(log).toEqual(['a', 'b', 'c']);
  for (const name of ['a', 'c']) {
    ends.get(name)?.();
    await works[log.indexOf(name)];
  }
  ends.get('d')?.();
  expect((await settled).map(({ status }) => status)).toEqual([
    'fulfilled',
    'rejected',
    'fulfilled',
    'fulfilled',
  ]);
});
