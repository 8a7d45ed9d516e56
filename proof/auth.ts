// `node proof/auth.ts --rounds 500 --closings 100 --seed 1`: exit code 0 when no credential outlived its end.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { proveAuth } from './prove-auth.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '500' },
    closings: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
  },
});

const say = (line: string) => process.stdout.write(`${line}\n`);
const [rounds, closings, seed] = [values.rounds, values.closings, values.seed].map(Number) as [
  number,
  number,
  number,
];
const folder = mkdtempSync(path.join(tmpdir(), 'naru-proof-'));
say(`auth: ${rounds} rounds, ${closings} closings, seed ${seed}`);
const postgresBinFolder = process.env['NARU_POSTGRES_BIN'];
const proof = await proveAuth({ rounds, closings, seed, folder, postgresBinFolder, say });
for (const [name, outcome] of Object.entries(proof.races)) {
  const { rounds: raced, handedOut, beaten } = outcome;
  say(
    `${name.padEnd(28)} ${raced} rounds, ${handedOut} credentials handed out, ${beaten} calls refused`,
  );
}
const { samples, p50Ms, p99Ms, maxMs } = proof.closing;
say(
  `closed after a revocation    p50 ${p50Ms} ms, p99 ${p99Ms} ms, most ${maxMs} ms, of ${samples}`,
);
say(`time    ${proof.seconds.toFixed(0)} s`);
if (proof.faults.length === 0) {
  rmSync(folder, { recursive: true, force: true });
  say('result  nothing that was ended was taken again');
} else {
  for (const fault of proof.faults) say(`fault   ${fault}`);
  say(`result  ${proof.faults.length} faults; data and logs are kept in ${folder}`);
}
process.exit(proof.faults.length === 0 ? 0 : 1);
