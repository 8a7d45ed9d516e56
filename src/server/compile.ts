import {
  BREAK,
  type DocumentNode,
  type ExecutionResult,
  GraphQLError,
  GraphQLScalarType,
  type GraphQLSchema,
  getOperationAST,
  getVariableValues,
  Kind,
  type OperationDefinitionNode,
  type VariableDefinitionNode,
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
  const operation = getOperationAST(document, operationName);
  if (!operation || !isCompilable(document)) return null;
  const compiled = compileQuery(
    withCoerced(schema),
    withoutVariableTypes(document, operation),
    operationName ?? undefined,
  );
  if (!isCompiledQuery(compiled)) return null;
  return async (rootValue, context, variables) => {
    const { coerced, errors } = getVariableValues(
      schema,
      operation.variableDefinitions ?? [],
      variables,
    );
    if (errors) return { errors };
    const result = await compiled.query(rootValue, context, coerced);
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
  let isRefused = false;
  const refuse = () => {
    isRefused = true;
    return BREAK;
  };
  visit(document, {
    [Kind.STRING]: refuse,
    [Kind.NAME]: ({ value }) => (value in Object.prototype ? refuse() : undefined),
    [Kind.DIRECTIVE]: ({ name: { value } }) =>
      value === 'defer' || value === 'stream' ? refuse() : undefined,
  });
  return !isRefused;
}

/** Takes what is coerced already. The compiler's own coercion ignores defaults of input fields. */
const Coerced = new GraphQLScalarType({ name: 'Coerced__', parseValue: (value) => value });

function withCoerced(schema: GraphQLSchema): GraphQLSchema {
  const getType: GraphQLSchema['getType'] = (name) =>
    name === Coerced.name ? Coerced : schema.getType(name);
  return Object.create(schema, { getType: { value: getType } }) as GraphQLSchema;
}

function withoutVariableTypes(
  document: DocumentNode,
  operation: OperationDefinitionNode,
): DocumentNode {
  const type = { kind: Kind.NAMED_TYPE, name: { kind: Kind.NAME, value: Coerced.name } } as const;
  const variableDefinitions = operation.variableDefinitions?.map(
    ({ variable }): VariableDefinitionNode => ({ kind: Kind.VARIABLE_DEFINITION, variable, type }),
  );
  const definitions = document.definitions.map((definition) =>
    definition === operation && variableDefinitions
      ? { ...operation, variableDefinitions }
      : definition,
  );
  return { ...document, definitions };
}

/**
 * The compiler's own errors have lines and columns in place of nodes, and no cause where a field of
 * ours answered with what its type forbids. Here they become what interpreting would have made.
 */
function asInterpreted(error: GraphQLError, document: DocumentNode): GraphQLError {
  const { message, path, originalError, locations } = error;
  const isOurFault = path !== undefined && !message.startsWith('Argument "');
  return new GraphQLError(message, {
    source: error.source ?? document.loc?.source ?? null,
    positions: error.positions ?? locations?.map((at) => positionOf(document, at)) ?? null,
    path: path ?? null,
    originalError: originalError ?? (isOurFault ? new Error(message) : null),
  });
}

function positionOf(document: DocumentNode, { line, column }: { line: number; column: number }) {
  const breaks = [...(document.loc?.source.body ?? '').matchAll(/\r\n|[\n\r]/g)];
  const before = breaks[line - 2];
  return (before === undefined ? 0 : before.index + before[0].length) + column - 1;
}
