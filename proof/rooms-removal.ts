// `node proof/rooms-removal.ts --trials 1000 --per-second 1000 --seed 1 --bus jetstream`: exit code 0 when nobody was
// told of anything past their removal, and nobody else missed anything.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { proveRemoval } from './prove-rooms-removal.ts';

const { values } = parseArgs({
  options: {
    trials: { type: 'string', default: '1000' },
    rooms: { type: 'string', default: '10' },
    'per-second': { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    bus: { type: 'string', default: 'jetstream' },
  },
});
if (values.bus !== 'jetstream' && values.bus !== 'postgres') {
  throw new TypeError(`There is no bus ${values.bus}`);
}
const options = {
  trials: Number(values.trials),
  rooms: Number(values.rooms),
  perSecond: Number(values['per-second']),
  seed: Number(values.seed),
  bus: values.bus,
} as const;

const say = (line: string) => process.stdout.write(`${line}\n`);
const describe = (counts: Iterable<readonly [string, number]>) =>
  [...counts].map(([name, count]) => `${name} ${count}`).join(', ');

const folder = mkdtempSync(path.join(tmpdir(), 'naru-proof-'));
say(
  `rooms-removal: ${Object.entries(options)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')}`,
);
const postgresBinFolder = process.env['NARU_POSTGRES_BIN'];
const proof = await proveRemoval({ ...options, folder, postgresBinFolder, say });
say(`counts  ${describe(Object.entries(proof.counts))}`);
say(`told    ${describe(proof.refusals)}`);
say(`ended   p50 ${proof.endedMs.p50} ms, most ${proof.endedMs.max} ms after the removal's answer`);
say(
  `time    ${proof.seconds.toFixed(0)} s, ${proof.messagesPerSecond.toFixed(0)} messages a second`,
);
if (proof.faults.length === 0) {
  rmSync(folder, { recursive: true, force: true });
  say('result  nothing past a removal, and nothing missed by the others');
} else {
  for (const fault of proof.faults.slice(0, 20)) say(`fault   ${fault}`);
  say(`result  ${proof.faults.length} faults; data and logs are kept in ${folder}`);
}
process.exit(proof.faults.length === 0 ? 0 : 1);
