import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  Kind,
  type OperationDefinitionNode,
  type SelectionNode,
} from 'graphql';

/** A field of the operation's root as it would be executed: once for each response name. */
export interface RootField {
  readonly responseName: string;
  readonly fieldName: string;
}

type Variables = Readonly<Record<string, unknown>>;

/** In the order of the document, without what `@skip` and `@include` leave out. */
export function rootFieldsOf(
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Variables,
): RootField[] {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) {
      fragments.set(definition.name.value, definition);
    }
  }
  const given = { ...defaultsOf(operation), ...variables };
  const found = new Map<string, RootField>();
  const visited = new Set<string>();
  const collect = (selections: readonly SelectionNode[]): void => {
    for (const selection of selections) {
      if (isLeftOut(selection, given)) continue;
      if (selection.kind === Kind.FIELD) add(selection);
      else if (selection.kind === Kind.INLINE_FRAGMENT) collect(selection.selectionSet.selections);
      else if (!visited.has(selection.name.value)) {
        visited.add(selection.name.value);
        collect(fragments.get(selection.name.value)?.selectionSet.selections ?? []);
      }
    }
  };
  const add = ({ name, alias }: FieldNode): void => {
    const responseName = alias?.value ?? name.value;
    found.set(responseName, { responseName, fieldName: name.value });
  };
  collect(operation.selectionSet.selections);
  return [...found.values()];
}

function defaultsOf({ variableDefinitions = [] }: OperationDefinitionNode): Variables {
  return Object.fromEntries(
    variableDefinitions.flatMap(({ variable, defaultValue }) =>
      defaultValue?.kind === Kind.BOOLEAN ? [[variable.name.value, defaultValue.value]] : [],
    ),
  );
}

function isLeftOut({ directives = [] }: SelectionNode, variables: Variables): boolean {
  return directives.some(({ name, arguments: [condition] = [] }) => {
    if (condition === undefined) return false;
    const { value } = condition;
    const isTrue =
      value.kind === Kind.VARIABLE
        ? variables[value.name.value]
        : value.kind === Kind.BOOLEAN && value.value;
    if (name.value === 'skip') return isTrue === true;
    return name.value === 'include' && isTrue === false;
  });
}
