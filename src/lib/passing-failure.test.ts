import pg from 'pg';
import { expect, test } from 'vitest';
import { isPassing } from './passing-failure.ts';

const withCode = (error: Error, code: string) => Object.assign(error, { code });
const ofPostgres = (code: string) => withCode(new pg.DatabaseError('no', 2, 'error'), code);

test('a lost connection, a restart and a lost race pass', () => {
  const refused = withCode(new Error('connect ECONNREFUSED'), 'ECONNREFUSED');
  const passing = [
    refused,
    new AggregateError([refused, refused]),
    new Error('Connection terminated unexpectedly'),
    ...['08006', '57P01', '57P03', '40001', '40P01', '53300', '25006'].map(ofPostgres),
  ];
  for (const error of passing) expect(isPassing(error), String(error)).toBe(true);
});

test('what PostgreSQL refuses for what it is, and a mistake of ours, do not', () => {
  const lasting = [
    ...['22P05', '22021', '23505', '42P01', 'P0001'].map(ofPostgres),
    new TypeError('x is not a function'),
    new RangeError('Maximum call stack size exceeded'),
    'a string',
    null,
  ];
  for (const error of lasting) expect(isPassing(error), String(error)).toBe(false);
});
