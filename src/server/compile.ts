import {
  BREAK,
  type DocumentNode,
  type ExecutionResult,
  type GraphQLSchema,
  Kind,
  visit,
} from 'graphql';
import { compileQuery, isCompiledQuery } from 'graphql-jit';
import type { Context } from '#context.ts';

export type CompiledOperation = (
  rootValue: unknown,
  context: Context,
  variables: Readonly<Record<string, unknown>>,
) => Promise<ExecutionResult> | ExecutionResult;

/** The operation as compiled JavaScript; null for what the compiler cannot do, which is interpreted. */
export function compileOperation(
  schema: GraphQLSchema,
  document: DocumentNode,
  operationName: string | null | undefined,
): CompiledOperation | null {
  if (usesIncrementalDelivery(document)) return null;
  const compiled = compileQuery(schema, document, operationName ?? undefined);
  if (!isCompiledQuery(compiled)) return null;
  return (rootValue, context, variables) => compiled.query(rootValue, context, { ...variables });
}

function usesIncrementalDelivery(document: DocumentNode): boolean {
  let found = false;
  visit(document, {
    [Kind.DIRECTIVE](directive) {
      if (directive.name.value !== 'defer' && directive.name.value !== 'stream') return undefined;
      found = true;
      return BREAK;
    },
  });
  return found;
}
