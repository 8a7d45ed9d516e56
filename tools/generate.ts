// Writes what is generated and committed: the Prisma client, the schema as text, the SDK's types.
// With `--check DIR` it writes the last two below DIR instead, for the test that compares.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { generate } from '@graphql-codegen/cli';
import { createCodegenConfig } from '../codegen.ts';

const root = resolve(import.meta.dirname, '..');
execFileSync(process.execPath, [resolve(root, 'node_modules/prisma/build/index.js'), 'generate'], {
  cwd: root,
  stdio: ['ignore', 'ignore', 'inherit'],
});

// Imported only now: the schema needs the client that was just generated.
const { createSchema } = await import('#schema/index.ts');
const { printContract } = await import('#schema/print.ts');
const contract = resolve(root, 'schema.graphql');
mkdirSync(dirname(contract), { recursive: true });
writeFileSync(contract, printContract(createSchema()));
await generate(createCodegenConfig(root), true);
