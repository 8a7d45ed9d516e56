// `node proof/rooms-retries.ts --rounds 100 --seed 1 --bus jetstream`: exit code 0 when every mutation of rooms, sent
// over and over, had one effect.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { proveRetries } from './prove-rooms-retries.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    bus: { type: 'string', default: 'jetstream' },
    only: { type: 'string' },
  },
});
if (values.bus !== 'jetstream' && values.bus !== 'postgres') {
  throw new TypeError(`There is no bus ${values.bus}`);
}

const say = (line: string) => process.stdout.write(`${line}\n`);
const folder = mkdtempSync(path.join(tmpdir(), 'naru-proof-'));
const [rounds, seed] = [Number(values.rounds), Number(values.seed)];
say(`rooms-retries: ${rounds} rounds, seed ${seed}, bus ${values.bus}`);
const proof = await proveRetries({
  rounds,
  seed,
  bus: values.bus,
  folder,
  only: values.only?.split(','),
  postgresBinFolder: process.env['NARU_POSTGRES_BIN'],
  say,
});
for (const [name, told] of proof.answers) {
  say(`answers ${name}: ${[...told].map(([type, count]) => `${type} ${count}`).join(', ')}`);
}
const counts = Object.entries(proof.counts).map(([name, count]) => `${name} ${count}`);
say(`counts  ${counts.join(', ')}`);
say(`time    ${proof.seconds.toFixed(0)} s`);
if (proof.faults.length === 0) {
  rmSync(folder, { recursive: true, force: true });
  say('result  one effect, one event, however often it was sent');
} else {
  for (const fault of proof.faults) say(`fault   ${fault}`);
  say(`result  ${proof.faults.length} faults; data and logs are kept in ${folder}`);
}
process.exit(proof.faults.length === 0 ? 0 : 1);
