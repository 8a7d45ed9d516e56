import {
  type DocumentNode,
  type FragmentDefinitionNode,
  GraphQLError,
  Kind,
  type SelectionSetNode,
} from 'graphql';

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
 * The limits that a document alone decides, before it is validated: validation itself is what some
 * hostile documents are slow at. Null when it keeps them.
 */
export function findDocumentFault(document: DocumentNode): GraphQLError | null {
  const count = { aliases: 0, directives: 0 };
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION)
      fragments.set(definition.name.value, definition);
    if ('directives' in definition) count.directives += definition.directives?.length ?? 0;
    if ('selectionSet' in definition) countSelections(definition.selectionSet, count);
  }
  if (count.aliases > LIMITS.aliases) {
    return limitError('aliases', `At most ${LIMITS.aliases} aliases and fragment uses`);
  }
  if (count.directives > LIMITS.directives) {
    return limitError('directives', `At most ${LIMITS.directives} directives`);
  }
  const depths = new Map<string, number>();
  for (const definition of document.definitions) {
    if (definition.kind !== Kind.OPERATION_DEFINITION) continue;
    for (const isIntrospection of [false, true]) {
      const limit = isIntrospection ? 'introspectionDepth' : 'depth';
      const selections = definition.selectionSet.selections.filter(
        (selection) =>
          isIntrospection ===
          (selection.kind === Kind.FIELD && selection.name.value.startsWith('__')),
      );
      const depth = depthOf({ kind: Kind.SELECTION_SET, selections }, fragments, depths);
      if (depth > LIMITS[limit])
        return limitError(limit, `Fields nest at most ${LIMITS[limit]} deep`);
    }
  }
  return null;
}

function countSelections(
  set: SelectionSetNode,
  count: { aliases: number; directives: number },
): void {
  for (const selection of set.selections) {
    count.directives += selection.directives?.length ?? 0;
    if (selection.kind === Kind.FRAGMENT_SPREAD) count.aliases += 1;
    else if (selection.kind === Kind.FIELD && selection.alias) count.aliases += 1;
    if ('selectionSet' in selection && selection.selectionSet) {
      countSelections(selection.selectionSet, count);
    }
  }
}

/** Fragments are measured once each, and one that contains itself counts as endless. */
function depthOf(
  set: SelectionSetNode,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
  depths: Map<string, number>,
): number {
  let deepest = 0;
  for (const selection of set.selections) {
    let depth = 0;
    if (selection.kind === Kind.FIELD) {
      depth = 1 + (selection.selectionSet ? depthOf(selection.selectionSet, fragments, depths) : 0);
    } else if (selection.kind === Kind.INLINE_FRAGMENT) {
      depth = depthOf(selection.selectionSet, fragments, depths);
    } else {
      const name = selection.name.value;
      const fragment = fragments.get(name);
      if (fragment && !depths.has(name)) {
        depths.set(name, Number.POSITIVE_INFINITY);
        depths.set(name, depthOf(fragment.selectionSet, fragments, depths));
      }
      depth = depths.get(name) ?? 0;
    }
    deepest = Math.max(deepest, depth);
  }
  return deepest;
}

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
    for (const [name, child] of Object.entries(value)) {
      characters += Array.isArray(value) ? 0 : name.length;
      const fault = measure(child, depth + 1);
      if (fault !== null) return fault;
    }
    return null;
  };
  return variables == null ? null : measure(variables, 0);
}
