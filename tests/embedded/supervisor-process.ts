// Process entry: embedded/dev.ts for another root and app. Usage: supervisor-process.ts <root> <app
// entry>
import { StartError } from '../../embedded/start-error.ts';
import { supervise } from '../../embedded/supervisor.ts';

const [root = '', appEntry = ''] = process.argv.slice(2);
try {
  await supervise({ root, appEntry, env: process.env });
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  process.stderr.write(`naru: ${error.message}\n`);
  process.exitCode = 1;
}
