import { expect, test } from 'vitest';
import {
  judgeAcknowledged,
  judgeRoomLog,
  type LoggedEvent,
  type ReceivedEvent,
  type RoomLogEvidence,
} from './room-log.ts';

const LOG: readonly LoggedEvent[] = [1n, 2n, 3n, 4n, 5n, 6n].map((position) => ({
  position,
  what: `MESSAGE_SENT m${position}`,
}));
const RECEIVED: readonly ReceivedEvent[] = LOG.map((event, index) => ({ ...event, atMs: index }));

function judge(given: Partial<RoomLogEvidence>): string[] {
  return judgeRoomLog({ client: 'c', log: LOG, received: RECEIVED, ...given });
}

test('who has seen the whole log once and in order is at no fault', () => {
  expect(judge({})).toEqual([]);
  expect(judge({ log: [], received: [] })).toEqual([]);
});

test('an event that did not come is missing, wherever it stands', () => {
  for (const index of LOG.keys()) {
    const received = RECEIVED.toSpliced(index, 1);
    expect(judge({ received })).toEqual([
      `c: ${index + 1} (MESSAGE_SENT m${index + 1}) is missing`,
    ]);
  }
});

test('an event that came twice is found, at once or later', () => {
  const [first] = RECEIVED;
  if (first === undefined) throw new Error('There is a first');
  expect(judge({ received: RECEIVED.toSpliced(1, 0, first) })).toEqual(['c: 1 came twice']);
  expect(judge({ received: [...RECEIVED, first] })).toEqual(['c: 1 came twice']);
});

test('a swapped pair is found', () => {
  const [first, second, third, ...rest] = RECEIVED;
  if (first === undefined || second === undefined || third === undefined) throw new Error('Three');
  expect(judge({ received: [first, third, second, ...rest] })).toEqual(['c: 2 came after 3']);
});

test('an event that nobody wrote, or another one in its place, is found', () => {
  const invented = { position: 7n, what: 'MESSAGE_SENT m7', atMs: 9 };
  expect(judge({ received: [...RECEIVED, invented] })).toEqual([
    'c: 7 (MESSAGE_SENT m7) is nothing that it may see',
  ]);
  const received = RECEIVED.with(2, { position: 3n, what: 'MESSAGE_SENT m9', atMs: 2 });
  expect(judge({ received })).toEqual(['c: 3 was MESSAGE_SENT m3 and came as MESSAGE_SENT m9']);
});

test('an event past a removal is found, and nobody is owed it', () => {
  const absences = [{ askedAtMs: 3, leftPosition: 4n, back: null }];
  expect(judge({ absences, received: RECEIVED.slice(0, 4) })).toEqual([]);
  expect(judge({ absences, received: RECEIVED.slice(0, 5) })).toEqual([
    'c: 5 came though it was removed at 4',
  ]);
});

test('what had not come when it was removed is owed only where history is kept', () => {
  const absences = [{ askedAtMs: 2, leftPosition: 4n, back: null }];
  const late = RECEIVED.toSpliced(2, 1).slice(0, 3);
  expect(judge({ absences, received: RECEIVED.slice(0, 2) })).toEqual([]);
  expect(judge({ absences, received: late })).toEqual([]);
  expect(judge({ absences, received: late, keepsHistory: true })).toEqual([
    'c: 3 (MESSAGE_SENT m3) is missing',
  ]);
  const asked = [{ askedAtMs: 4, leftPosition: 4n, back: null }];
  expect(judge({ absences: asked, received: late })).toEqual(['c: 3 (MESSAGE_SENT m3) is missing']);
});

test('who came back may be told of what happened meanwhile, and not before', () => {
  const back = { position: 5n, askedAtMs: 10 };
  const absences = [{ askedAtMs: 1, leftPosition: 2n, back }];
  const late = RECEIVED.map((event) => (event.position > 2n ? { ...event, atMs: 11 } : event));
  expect(judge({ absences, received: late })).toEqual([]);
  expect(judge({ absences })).toEqual([
    'c: 3 came though it was removed at 2',
    'c: 4 came though it was removed at 2',
  ]);
  expect(judge({ absences, received: late.slice(0, 2) })).toHaveLength(4);
});

test('an acknowledged message is stored once, under its id, with one event', () => {
  const one = { clientMessageId: 'a', messageId: 'm1' };
  expect(judgeAcknowledged([one], [one], ['m1'])).toEqual([]);
  expect(judgeAcknowledged([one], [], [])).toEqual(['a was acknowledged and is missing']);
  expect(judgeAcknowledged([one], [one], [])).toEqual(['a is 0 times in the log']);
  expect(judgeAcknowledged([one], [one], ['m1', 'm1'])).toEqual(['a is 2 times in the log']);
  const other = { clientMessageId: 'a', messageId: 'm2' };
  expect(judgeAcknowledged([one], [one, other], ['m1', 'm2'])).toEqual([
    'a has another id than its sender was told',
    'a is stored 2 times',
  ]);
});
