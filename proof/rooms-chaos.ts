// `node proof/rooms-chaos.ts --kills 50 --clients 200 --rooms 20 --seed 1 --bus jetstream`: exit code 0 when every
// client was told all that it may see, once and in order.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { proveRoomsChaos } from './prove-rooms-chaos.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '50' },
    clients: { type: 'string', default: '200' },
    rooms: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    bus: { type: 'string', default: 'jetstream' },
  },
});
if (values.bus !== 'jetstream' && values.bus !== 'postgres') {
  throw new TypeError(`There is no bus ${values.bus}`);
}
const options = {
  kills: Number(values.kills),
  clients: Number(values.clients),
  rooms: Number(values.rooms),
  seed: Number(values.seed),
  bus: values.bus,
} as const;

const say = (line: string) => process.stdout.write(`${line}\n`);
const describe = (counts: Readonly<Record<string, number | string>>) =>
  Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');

const folder = mkdtempSync(path.join(tmpdir(), 'naru-proof-'));
say(`rooms-chaos: ${describe(options)}`);
const postgresBinFolder = process.env['NARU_POSTGRES_BIN'];
const proof = await proveRoomsChaos({ ...options, folder, postgresBinFolder, say });
say(`kills   ${describe(proof.kills)}`);
say(`counts  ${describe(proof.counts)}`);
say(`time    ${proof.seconds.toFixed(0)} s`);
if (proof.faults.length === 0) {
  rmSync(folder, { recursive: true, force: true });
  say('result  nothing missing, nothing twice, nothing out of order, nothing past a removal');
} else {
  for (const fault of proof.faults.slice(0, 20)) say(`fault   ${fault}`);
  say(`result  ${proof.faults.length} faults; data and logs are kept in ${folder}`);
}
process.exit(proof.faults.length === 0 ? 0 : 1);
