// What a document asks for, counted before it is validated: validation, and the reckoning of costs, are
// what some hostile documents are slow at. Every count here takes time in proportion to what it counts.
import {
  type DefinitionNode,
  type DocumentNode,
  type FragmentDefinitionNode,
  Kind,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from 'graphql';

export interface DocumentShape {
  readonly aliases: number;
  readonly directives: number;
  readonly depth: number;
  readonly introspectionDepth: number;
  readonly fields: number;
}

type Executable = OperationDefinitionNode | FragmentDefinitionNode;
type Fragments = ReadonlyMap<string, FragmentDefinitionNode>;

export function measureShape(document: DocumentNode): DocumentShape {
  const count = { aliases: 0, directives: 0 };
  const measure = createMeasure(fragmentsOf(document));
  let [depth, introspectionDepth, fields] = [0, 0, 0];
  for (const definition of document.definitions) {
    if ('directives' in definition) count.directives += definition.directives?.length ?? 0;
    if (!isExecutable(definition)) continue;
    countSelections(definition.selectionSet, count);
    const { selections } = definition.selectionSet;
    const isIntrospection = (selection: (typeof selections)[number]) =>
      selection.kind === Kind.FIELD && selection.name.value.startsWith('__');
    const [asked, introspected] = [
      measure(selections.filter((selection) => !isIntrospection(selection))),
      measure(selections.filter(isIntrospection)),
    ];
    fields = Math.max(fields, asked.fields + introspected.fields);
    if (definition.kind !== Kind.OPERATION_DEFINITION) continue;
    depth = Math.max(depth, asked.depth);
    introspectionDepth = Math.max(introspectionDepth, introspected.depth);
  }
  return { ...count, depth, introspectionDepth, fields };
}

/**
 * How often the field that is repeated most stands in one place of an answer, however it got there:
 * validation compares all of one place with each other. Only for a document without cycles.
 */
export function countRepeats(document: DocumentNode): number {
  const fragments = fragmentsOf(document);
  const countIn = (sets: readonly SelectionSetNode[]): number => {
    const places = new Map<string, Place>();
    collectPlaces(sets, fragments, places, new Set());
    let most = 0;
    for (const { fields, sets: inner } of places.values()) {
      most = Math.max(most, fields, inner.length === 0 ? 0 : countIn(inner));
    }
    return most;
  };
  const counts = document.definitions
    .filter(isExecutable)
    .map(({ selectionSet }) => countIn([selectionSet]));
  return Math.max(0, ...counts);
}

interface Place {
  fields: number;
  readonly sets: SelectionSetNode[];
}

function collectPlaces(
  sets: readonly SelectionSetNode[],
  fragments: Fragments,
  places: Map<string, Place>,
  spread: Set<string>,
): void {
  for (const selection of sets.flatMap(({ selections }) => selections)) {
    if (selection.kind === Kind.FIELD) {
      const name = (selection.alias ?? selection.name).value;
      const place = places.get(name) ?? { fields: 0, sets: [] };
      places.set(name, place);
      place.fields += 1;
      if (selection.selectionSet) place.sets.push(selection.selectionSet);
    } else if (selection.kind === Kind.INLINE_FRAGMENT) {
      collectPlaces([selection.selectionSet], fragments, places, spread);
    } else if (!spread.has(selection.name.value)) {
      spread.add(selection.name.value);
      const fragment = fragments.get(selection.name.value);
      if (fragment) collectPlaces([fragment.selectionSet], fragments, places, spread);
    }
  }
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

interface Extent {
  readonly depth: number;
  /** Fields and fragments, each as often as it is come to. */
  readonly fields: number;
}

const ENDLESS: Extent = { depth: Number.POSITIVE_INFINITY, fields: Number.POSITIVE_INFINITY };

/** Fragments are measured once each, and one that contains itself counts as endless. */
function createMeasure(fragments: Fragments) {
  const known = new Map<string, Extent>();

  const ofFragment = (name: string): Extent => {
    const fragment = fragments.get(name);
    if (fragment && !known.has(name)) {
      known.set(name, ENDLESS);
      known.set(name, measure(fragment.selectionSet.selections));
    }
    return known.get(name) ?? { depth: 0, fields: 0 };
  };

  const measure = (selections: SelectionSetNode['selections']): Extent => {
    let [depth, fields] = [0, 0];
    for (const selection of selections) {
      const inner =
        selection.kind === Kind.FRAGMENT_SPREAD
          ? ofFragment(selection.name.value)
          : measure(selection.selectionSet?.selections ?? []);
      depth = Math.max(depth, inner.depth + (selection.kind === Kind.FIELD ? 1 : 0));
      fields += inner.fields + 1;
    }
    return { depth, fields };
  };
  return measure;
}

function fragmentsOf({ definitions }: DocumentNode): Fragments {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) {
      fragments.set(definition.name.value, definition);
    }
  }
  return fragments;
}

function isExecutable(definition: DefinitionNode): definition is Executable {
  return (
    definition.kind === Kind.OPERATION_DEFINITION || definition.kind === Kind.FRAGMENT_DEFINITION
  );
}
