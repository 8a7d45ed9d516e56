// `node proof/broker-scale.ts --messages 1000000 --repositories 1000 --users 100 --pulls 300 --seed 1`: exit code 0
// when a pull of the large broker takes at most twice as long as one of the small, and users cost rows only.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import type { PullWay } from './measured-broker.ts';
import { type PullTimes, proveBrokerScale } from './prove-broker-scale.ts';

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '1000000' },
    repositories: { type: 'string', default: '1000' },
    users: { type: 'string', default: '100' },
    pulls: { type: 'string', default: '300' },
    seed: { type: 'string', default: '1' },
  },
});
const [messages, repositories, users, pulls, seed] = [
  values.messages,
  values.repositories,
  values.users,
  values.pulls,
  values.seed,
].map(Number) as [number, number, number, number, number];

const say = (line: string) => process.stdout.write(`${line}\n`);
const folder = mkdtempSync(path.join(tmpdir(), 'naru-proof-'));
say(
  `broker-scale: ${users} users × ${repositories} repositories × ${messages} messages, seed ${seed}`,
);
const postgresBinFolder = process.env['NARU_POSTGRES_BIN'];
const size = { users, repositories, messages, seed };
const proof = await proveBrokerScale({ ...size, pulls, folder, postgresBinFolder, say });

for (const way of ['lease', 'door', 'ack'] as const) {
  say(`${way.padEnd(9)} large ${describe('large', way)}, small ${describe('small', way)}`);
  const ratio = (part: keyof PullTimes) =>
    (proof.large[way][part] / proof.small[way][part]).toFixed(2);
  say(
    `${''.padEnd(9)} ratio p50 ${ratio('p50')}, p99 ${ratio('p99')} of ${proof.pulls} pulls each`,
  );
}
const { none, idle, waiting } = proof.consumers;
say(`consumers ${none} without users, ${idle} with idle ones, ${waiting} while all wait`);
for (const [kind, rows] of Object.entries(proof.rows)) say(`rows      ${kind} ${list(rows)}`);
rmSync(folder, { recursive: true, force: true });
for (const fault of proof.faults) say(`fault     ${fault}`);
say(`result    ${proof.faults.length === 0 ? 'within twice, and rows only' : 'not as claimed'}`);
process.exit(proof.faults.length === 0 ? 0 : 1);

function describe(broker: 'large' | 'small', way: PullWay): string {
  const { p50, p99, max } = proof[broker][way];
  return `p50 ${p50.toFixed(1)} p99 ${p99.toFixed(1)} most ${max.toFixed(1)} ms`;
}

function list(rows: Readonly<Record<string, number>>): string {
  return Object.entries(rows)
    .map(([table, count]) => `${table} ${count}`)
    .join(', ');
}
