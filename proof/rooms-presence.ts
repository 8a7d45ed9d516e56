// `node proof/rooms-presence.ts --sessions 1000 --seed 1 --bus jetstream`: exit code 0 when everybody on the killed
// node was gone in time, and nobody else.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { proveRoomsPresence } from './prove-rooms-presence.ts';

const { values } = parseArgs({
  options: {
    sessions: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    bus: { type: 'string', default: 'jetstream' },
  },
});
if (values.bus !== 'jetstream' && values.bus !== 'postgres') {
  throw new TypeError(`There is no bus ${values.bus}`);
}
const options = {
  sessions: Number(values.sessions),
  seed: Number(values.seed),
  bus: values.bus,
} as const;

const say = (line: string) => process.stdout.write(`${line}\n`);
const describe = (counts: Readonly<Record<string, number>>) =>
  Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');

const folder = mkdtempSync(path.join(tmpdir(), 'naru-proof-'));
say(`rooms-presence: sessions ${options.sessions}, seed ${options.seed}, bus ${options.bus}`);
const proof = await proveRoomsPresence({
  ...options,
  killWithinMs: 15_000,
  leftWithinMs: 2_000,
  folder,
  postgresBinFolder: process.env['NARU_POSTGRES_BIN'],
  say,
});
say(`counts  ${describe(proof.counts)}`);
say(`ghosts  p50 ${proof.ghostMs.p50} ms, most ${proof.ghostMs.max} ms after the kill`);
say(`left    p50 ${proof.leftMs.p50} ms, most ${proof.leftMs.max} ms after the last connection`);
say(`time    ${proof.seconds.toFixed(0)} s`);
if (proof.faults.length === 0) {
  rmSync(folder, { recursive: true, force: true });
  say('result  all gone within 45 s, once, and nobody who has a second device');
} else {
  for (const fault of proof.faults.slice(0, 20)) say(`fault   ${fault}`);
  say(`result  ${proof.faults.length} faults; data and logs are kept in ${folder}`);
}
process.exit(proof.faults.length === 0 ? 0 : 1);
