// `npm run bench [name …]`: each scenario in its turn, alone on the machine. Every one prints its tables in Markdown,
// for RESULTS.md, with its control run beside it.
import { spawnSync } from 'node:child_process';
import { cpus } from 'node:os';

const SCENARIOS = [
  'graphql',
  'ingest',
  'pull',
  'live',
  'auth',
  'policies',
  'webhooks',
  'rooms',
] as const;

const asked = process.argv.slice(2);
const unknown = asked.find((name) => !SCENARIOS.some((scenario) => scenario === name));
if (unknown !== undefined) {
  process.stderr.write(`There is no scenario ${unknown}: ${SCENARIOS.join(', ')}\n`);
  process.exit(1);
}
console.log(
  `Node ${process.versions.node}, ${cpus().length} processors, ${cpus()[0]?.model ?? ''}`,
);
for (const scenario of asked.length > 0 ? asked : SCENARIOS) {
  console.log(`\n## ${scenario}`);
  const file = new URL(`./${scenario}.ts`, import.meta.url).pathname;
  const { status } = spawnSync(process.execPath, [file], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
