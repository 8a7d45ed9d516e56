import { resolve } from 'node:path';
import type { CodegenConfig } from '@graphql-codegen/cli';

/** The SDK's types: operations as typed strings, with no need for `graphql` at run time. */
export function createCodegenConfig(root: string, target: string): CodegenConfig {
  return {
    cwd: root,
    schema: resolve(target, 'schema.graphql'),
    documents: resolve(root, 'sdk/operations/**/*.graphql'),
    importExtension: '.js',
    silent: true,
    generates: {
      [`${resolve(target, 'sdk/src/generated')}/`]: {
        preset: 'client',
        presetConfig: { fragmentMasking: false },
        config: {
          documentMode: 'string',
          enumType: 'const',
          useTypeImports: true,
          scalars: { Cursor: 'string', DateTime: 'string', JSON: 'unknown' },
        },
      },
    },
  };
}
