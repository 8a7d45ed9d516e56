// `node proof/crash.ts --rounds 1000 --seed 1 --bus jetstream`: exit code 0 when nothing was lost or doubled.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { proveCrashes } from './prove-crashes.ts';
import type { BusKind } from './world.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '50' },
    seed: { type: 'string', default: '1' },
    bus: { type: 'string', default: 'jetstream,postgres' },
  },
});

const say = (line: string) => process.stdout.write(`${line}\n`);

for (const bus of values.bus.split(',')) {
  if (bus !== 'jetstream' && bus !== 'postgres') throw new TypeError(`There is no bus ${bus}`);
  await prove(bus);
}
process.exit(process.exitCode ?? 0);

async function prove(bus: BusKind): Promise<void> {
  const [rounds, seed] = [Number(values.rounds), Number(values.seed)];
  const folder = mkdtempSync(path.join(tmpdir(), 'naru-proof-'));
  say(`crash: ${rounds} rounds, seed ${seed}, bus ${bus}`);
  const postgresBinFolder = process.env['NARU_POSTGRES_BIN'];
  const proof = await proveCrashes({ rounds, seed, bus, folder, postgresBinFolder, say });
  say(`kills   ${describe(proof.kills)}`);
  say(`counts  ${describe(proof.counts)}`);
  say(`time    ${proof.seconds.toFixed(0)} s, ${proof.roundsPerSecond.toFixed(2)} rounds a second`);
  if (proof.faults.length === 0) {
    rmSync(folder, { recursive: true, force: true });
    say('result  nothing missing, nothing twice, nothing out of order');
    return;
  }
  for (const fault of proof.faults) say(`fault   ${fault}`);
  say(`result  ${proof.faults.length} faults; data and logs are kept in ${folder}`);
  process.exitCode = 1;
}

function describe(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}
