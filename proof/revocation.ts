// `node proof/revocation.ts --withdrawals 100 --seed 1 --bus jetstream`: exit code 0 when nothing that was withdrawn
// was handed out.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { proveRevocation } from './prove-revocation.ts';

const { values } = parseArgs({
  options: {
    withdrawals: { type: 'string', default: '100' },
    people: { type: 'string', default: '4' },
    repositories: { type: 'string', default: '40' },
    subscribers: { type: 'string', default: '160' },
    pullers: { type: 'string', default: '40' },
    'per-second': { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    bus: { type: 'string', default: 'jetstream' },
  },
});
if (values.bus !== 'jetstream' && values.bus !== 'postgres') {
  throw new TypeError(`There is no bus ${values.bus}`);
}
const options = {
  withdrawals: Number(values.withdrawals),
  people: Number(values.people),
  repositories: Number(values.repositories),
  subscribers: Number(values.subscribers),
  pullers: Number(values.pullers),
  perSecond: Number(values['per-second']),
  seed: Number(values.seed),
  bus: values.bus,
} as const;

const say = (line: string) => process.stdout.write(`${line}\n`);
const describe = (counts: Readonly<Record<string, number>>) =>
  Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');

const folder = mkdtempSync(path.join(tmpdir(), 'naru-proof-'));
say(
  `revocation: ${Object.entries(options)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')}`,
);
const postgresBinFolder = process.env['NARU_POSTGRES_BIN'];
const proof = await proveRevocation({ ...options, folder, postgresBinFolder, say });
say(`withdrawn ${describe(proof.withdrawals)}`);
say(`counts    ${describe(proof.counts)}`);
say(`history   p50 ${proof.historyMs.p50} ms, most ${proof.historyMs.max} ms after GitHub's word`);
say(`time      ${proof.seconds.toFixed(0)} s, ${proof.sentPerSecond.toFixed(0)} sent a second`);
if (proof.faults.length === 0) {
  rmSync(folder, { recursive: true, force: true });
  say('result    nothing that was withdrawn was handed out');
} else {
  for (const fault of proof.faults.slice(0, 20)) say(`fault     ${fault}`);
  say(`result    ${proof.faults.length} faults; data and logs are kept in ${folder}`);
}
process.exit(proof.faults.length === 0 ? 0 : 1);
