import {
  BREAK,
  type DocumentNode,
  type ExecutionResult,
  GraphQLError,
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

/** The operation as compiled JavaScript; null for what must not be compiled, which is interpreted. */
export function compileOperation(
  schema: GraphQLSchema,
  document: DocumentNode,
  operationName: string | null | undefined,
): CompiledOperation | null {
  if (!isCompilable(document)) return null;
  const compiled = compileQuery(schema, document, operationName ?? undefined);
  if (!isCompiledQuery(compiled)) return null;
  return async (rootValue, context, variables) => {
    const result = await compiled.query(rootValue, context, { ...variables });
    if (!result.errors?.length) return result;
    return { ...result, errors: result.errors.map((error) => asInterpreted(error, document)) };
  };
}

/**
 * The compiler writes the literals of a document into JavaScript, and lets some texts through that
 * are then run (graphql-jit 0.8.9: `__MAGIC_DATE__…`). So it never sees a text that a client wrote:
 * those belong in variables. Names like `__proto__` it takes for what every object inherits;
 * `@defer` and `@stream` it drops.
 */
function isCompilable(document: DocumentNode): boolean {
  let found = false;
  const refuse = () => {
    found = true;
    return BREAK;
  };
  visit(document, {
    [Kind.STRING]: refuse,
    [Kind.NAME]: ({ value }) => (value in Object.prototype ? refuse() : undefined),
    [Kind.DIRECTIVE]: ({ name: { value } }) =>
      value === 'defer' || value === 'stream' ? refuse() : undefined,
  });
  return !found;
}

/**
 * The compiler's own errors have lines and columns in place of nodes, and no cause where a field of
 * ours answered with what its type forbids. Here they become what interpreting would have made.
 */
function asInterpreted(error: GraphQLError, document: DocumentNode): GraphQLError {
  const { message, path, originalError, locations, source } = error;
  const isOurFault = path !== undefined && !message.startsWith('Argument "');
  const cause = originalError ?? (isOurFault ? new Error(message) : undefined);
  return new GraphQLError(message, {
    source: source ?? document.loc?.source ?? null,
    positions: error.positions ?? locations?.map((at) => positionOf(document, at)) ?? null,
    path: path ?? null,
    originalError: cause,
  });
}

function positionOf(document: DocumentNode, { line, column }: { line: number; column: number }) {
  const breaks = [...(document.loc?.source.body ?? '').matchAll(/\r\n|[\n\r]/g)];
  const before = breaks[line - 2];
  return (before === undefined ? 0 : before.index + before[0].length) + column - 1;
}
