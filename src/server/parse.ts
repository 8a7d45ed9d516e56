import { type DocumentNode, GraphQLError, parse, Source } from 'graphql';
import { LIMITS, limitError } from './limits.ts';
import { restate } from './mask.ts';

/** Throws `GraphQLError` for what is no document, and for what is too long to be one. */
export function parseWithin(text: string): DocumentNode {
  try {
    return parse(new Source(text, 'GraphQL request'), { maxTokens: LIMITS.tokens });
  } catch (error) {
    // The parser calls itself for each level: brackets within brackets exhaust the stack first.
    if (error instanceof RangeError) {
      throw limitError('tokens', 'The document nests too deep to be read');
    }
    if (!(error instanceof GraphQLError)) throw error;
    if (error.message.includes('tokens')) {
      throw limitError('tokens', `A document has at most ${LIMITS.tokens} tokens`);
    }
    throw restate(error, error.message, { code: 'GRAPHQL_PARSE_FAILED' });
  }
}

/** An error of validation, by its code. */
export function withCode(error: GraphQLError): GraphQLError {
  return restate(error, error.message, { ...error.extensions, code: 'GRAPHQL_VALIDATION_FAILED' });
}

/** Where a document has none of that name, or several and no name was given. */
export function unknownOperation(operationName: string | null | undefined): GraphQLError {
  const message = operationName
    ? `The document has no operation ${JSON.stringify(operationName)}`
    : 'Name one operation to run';
  return new GraphQLError(message, { extensions: { code: 'INVALID_INPUT' } });
}
