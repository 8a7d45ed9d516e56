import { expect, test } from 'vitest';
import { createMarkerNews, type ReadMarkerSignal } from './marker-news.ts';

const marker = (userId: string, sequence: number): ReadMarkerSignal => ({
  type: 'READ_MARKER',
  userId,
  sequence: `${sequence}`,
  readAt: new Date(sequence).toISOString(),
});

test('the first marker is told at once, and of those that follow soon the furthest, alone', async () => {
  const told: string[] = [];
  const news = createMarkerNews({
    send: async (roomId, { userId, sequence }) => void told.push(`${roomId} ${userId} ${sequence}`),
    onError: () => {},
    againMs: 50,
  });
  for (const sequence of [1, 2, 10, 9]) news.tell('room', marker('mina', sequence));
  news.tell('room', marker('noor', 3));
  news.tell('other', marker('mina', 1));
  expect(told).toEqual(['room mina 1', 'room noor 3', 'other mina 1']);
  await expect.poll(() => told.slice(3)).toEqual(['room mina 10']);
  await expect
    .poll(() => {
      news.tell('other', marker('mina', 2));
      return told.at(-1);
    })
    .toBe('other mina 2');
  news.tell('other', marker('mina', 3));
  news.close();
});
