// Process entry of `npm run dev`.
import path from 'node:path';
import { StartError } from './start-error.ts';
import { supervise } from './supervisor.ts';

// The terminal may go first; children must still be stopped in order.
process.stdout.on('error', () => {});
process.stderr.on('error', () => {});

const root = path.resolve(import.meta.dirname, '..');
try {
  await supervise({ root, appEntry: path.join(root, 'src', 'main.ts'), env: process.env });
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  process.stderr.write(`naru: ${error.message}\n`);
  process.exitCode = 1;
}
