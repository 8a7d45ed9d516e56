// Writes what is generated and committed: the Prisma client and Pothos types, the schema as text, the
// SDK's types. `npm run generate` writes them into the checkout; the test that compares names a folder.
import { execFileSync } from 'node:child_process';
import { cpSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { generate } from '@graphql-codegen/cli';
import { createCodegenConfig } from '../codegen.ts';

const root = path.resolve(import.meta.dirname, '..');
const target = path.resolve(process.argv[2] ?? root);

generatePrisma();
// Imported only now: the schema needs the client that was just generated.
const { createSchema } = await import('#schema/index.ts');
const { printContract } = await import('#schema/print.ts');
writeFileSync(path.join(target, 'schema.graphql'), printContract(createSchema()));
await generate(createCodegenConfig(root, target), true);

/** Prisma writes beside the schema that it reads, so for another target it reads a copy. */
function generatePrisma(): void {
  const models = path.join(target, 'prisma');
  if (target !== root) cpSync(path.join(root, 'prisma'), models, { recursive: true });
  const cli = path.join(root, 'node_modules/prisma/build/index.js');
  const programs = path.join(root, 'node_modules/.bin');
  execFileSync(process.execPath, [cli, 'generate', '--schema', models], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
    // The generator of the Pothos types is looked up on PATH.
    env: { ...process.env, PATH: `${programs}${path.delimiter}${process.env['PATH']}` },
  });
}
