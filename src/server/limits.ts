import { type DocumentNode, GraphQLError } from 'graphql';
import { countRepeats, type DocumentShape, measureShape } from './document-shape.ts';

/** Every bound on an operation, over every transport. Numbers are the most that is taken. */
export const LIMITS = {
  /** Bytes of a request: an HTTP body, or one message of a socket. */
  requestBytes: 256 * 1024,
  /** Lexical tokens of a document. */
  tokens: 2_000,
  /** Fields within fields, fragments followed; introspection has its own. */
  depth: 12,
  introspectionDepth: 20,
  /** Renamed fields in a document, and uses of fragments. */
  aliases: 50,
  directives: 50,
  /** Fields, fragments followed each time they are used. */
  fields: 5_000,
  /** Fields of one name in one place of the answer, fragments followed. */
  repeats: 50,
  /** Fields weighed by `@cost` and by the size of the pages asked for. */
  cost: 5_000,
  /** Characters of all strings in the variables together. */
  variableCharacters: 128 * 1024,
  /** Lists and objects within each other in one variable. */
  variableDepth: 8,
  /** Values in the variables: scalars, list items and fields. */
  variableNodes: 2_000,
  /** Operations under way at once on one socket. */
  operationsPerSocket: 100,
} as const;

export type LimitName = keyof typeof LIMITS;

/** An operation passes a limit: it was not executed, and smaller ones will be. */
export function limitError(limit: LimitName, message: string): GraphQLError {
  return new GraphQLError(message, {
    extensions: { code: 'LIMIT_EXCEEDED', limit, maximum: LIMITS[limit] },
  });
}

/**
 * The limits that a document alone decides, before it is validated. Null when it keeps them.
 */
export function findDocumentFault(document: DocumentNode): GraphQLError | null {
  const shape = measureShape(document);
  for (const { limit, message } of SHAPE_LIMITS) {
    if (shape[limit] > LIMITS[limit]) return limitError(limit, message);
  }
  // Last: it follows fragments as far as those before allow.
  if (countRepeats(document) > LIMITS.repeats) {
    return limitError('repeats', `A field stands in one place at most ${LIMITS.repeats} times`);
  }
  return null;
}

const SHAPE_LIMITS: readonly { readonly limit: keyof DocumentShape; readonly message: string }[] = [
  { limit: 'aliases', message: `At most ${LIMITS.aliases} aliases and fragment uses` },
  { limit: 'directives', message: `At most ${LIMITS.directives} directives` },
  { limit: 'depth', message: `Fields nest at most ${LIMITS.depth} deep` },
  {
    limit: 'introspectionDepth',
    message: `Fields nest at most ${LIMITS.introspectionDepth} deep`,
  },
  { limit: 'fields', message: `At most ${LIMITS.fields} fields, fragments followed` },
];

/** The limits on variables, which no document shows. Null when they keep them. */
export function findVariablesFault(variables: unknown): GraphQLError | null {
  let nodes = 0;
  let characters = 0;
  const measure = (value: unknown, depth: number): GraphQLError | null => {
    nodes += 1;
    if (nodes > LIMITS.variableNodes) {
      return limitError('variableNodes', `Variables hold at most ${LIMITS.variableNodes} values`);
    }
    if (typeof value === 'string') characters += value.length;
    if (characters > LIMITS.variableCharacters) {
      return limitError(
        'variableCharacters',
        `Variables hold at most ${LIMITS.variableCharacters} characters`,
      );
    }
    if (typeof value !== 'object' || value === null) return null;
    if (depth > LIMITS.variableDepth) {
      return limitError('variableDepth', `Variables nest at most ${LIMITS.variableDepth} deep`);
    }
    if (Array.isArray(value)) return measureAll(value, depth + 1);
    for (const name of Object.keys(value)) characters += name.length;
    return measureAll(Object.values(value), depth + 1);
  };
  const measureAll = (values: readonly unknown[], depth: number): GraphQLError | null => {
    for (const value of values) {
      const fault = measure(value, depth);
      if (fault !== null) return fault;
    }
    return null;
  };
  return variables == null ? null : measure(variables, 0);
}
