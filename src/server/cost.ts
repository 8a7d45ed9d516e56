import { complexityFromQuery } from '@pothos/plugin-complexity';
import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLNamedType,
  type GraphQLSchema,
  getNamedType,
  isCompositeType,
  isInterfaceType,
  isListType,
  isNonNullType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from 'graphql';
import type { Context } from '#context.ts';

/** What an operation costs, by the weights that `@cost` and the sizes of its pages say. */
export interface Cost {
  /** The most that it can cost: each page as full as it was asked for. */
  estimate(context: Context, variables: Readonly<Record<string, unknown>>): number;
  /** What the answer did cost; null where that is always the estimate. */
  readonly measure: ((data: unknown) => number) | null;
}

/** What a field of the answer weighs, and what is below it, by response name. */
interface Weight {
  own: number;
  readonly below: Map<string, Weight>;
}

const WEIGHT_UNLESS_TOLD = 1;

export function createCost(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
): Cost {
  const fragments = document.definitions.filter((d) => d.kind === Kind.FRAGMENT_DEFINITION);
  const alone = { kind: Kind.DOCUMENT, definitions: [operation, ...fragments] } as const;
  const weighed = weigh(schema, operation, fragments);
  let known: number | null = null;
  return {
    estimate(context, variables) {
      if (known !== null) return known;
      const { complexity } = complexityFromQuery(alone, { schema, ctx: context, variables });
      if (!weighed.dependsOnVariables) known = complexity;
      return complexity;
    },
    measure: weighed.hasPages ? (data) => sum(weighed.fields, data) : null,
  };
}

function weigh(
  schema: GraphQLSchema,
  operation: OperationDefinitionNode,
  fragments: readonly FragmentDefinitionNode[],
) {
  const byName = new Map(fragments.map((fragment) => [fragment.name.value, fragment]));
  const fields = new Map<string, Weight>();
  const found = { fields, hasPages: false, dependsOnVariables: false };

  const addAll = (
    { selections }: SelectionSetNode,
    type: GraphQLNamedType | undefined,
    into: Map<string, Weight>,
  ): void => {
    for (const selection of selections) {
      if (selection.kind === Kind.FIELD) {
        add(selection, type, into);
        continue;
      }
      const part =
        selection.kind === Kind.INLINE_FRAGMENT ? selection : byName.get(selection.name.value);
      if (part === undefined) continue;
      const condition = part.typeCondition?.name.value;
      addAll(part.selectionSet, condition === undefined ? type : schema.getType(condition), into);
    }
  };

  const add = (
    node: FieldNode,
    parent: GraphQLNamedType | undefined,
    into: Map<string, Weight>,
  ) => {
    const isKnown = isObjectType(parent) || isInterfaceType(parent);
    const field = isKnown ? parent.getFields()[node.name.value] : undefined;
    const complexity: unknown = field?.extensions['complexity'];
    if (typeof complexity === 'function') {
      found.hasPages = true;
      found.dependsOnVariables ||= JSON.stringify(node.arguments).includes(`"${Kind.VARIABLE}"`);
    }
    const type = field && (isNonNullType(field.type) ? field.type.ofType : field.type);
    const name = node.alias?.value ?? node.name.value;
    const weight = into.get(name) ?? { own: 0, below: new Map<string, Weight>() };
    // Types that share a response name: what weighs more.
    weight.own = Math.max(weight.own, ownWeight(complexity));
    into.set(name, weight);
    if (field === undefined || node.selectionSet === undefined) return;
    found.hasPages ||= isListType(type);
    const named = getNamedType(field.type);
    if (isCompositeType(named)) addAll(node.selectionSet, named, weight.below);
  };

  const root = schema.getRootType(operation.operation);
  addAll(operation.selectionSet, root ?? undefined, fields);
  return found;
}

function ownWeight(complexity: unknown): number {
  if (typeof complexity === 'number') return complexity;
  if (typeof complexity !== 'object' || complexity === null) return WEIGHT_UNLESS_TOLD;
  return 'field' in complexity && typeof complexity.field === 'number'
    ? complexity.field
    : WEIGHT_UNLESS_TOLD;
}

/** Each field counts as often as the answer has it. */
function sum(fields: ReadonlyMap<string, Weight>, value: unknown): number {
  if (Array.isArray(value)) {
    return value.reduce<number>((total, item) => total + sum(fields, item), 0);
  }
  if (typeof value !== 'object' || value === null) return 0;
  let total = 0;
  for (const [name, { own, below }] of fields) {
    const child: unknown = (value as Readonly<Record<string, unknown>>)[name];
    if (child === undefined) continue;
    total += own;
    if (below.size > 0) total += sum(below, child);
  }
  return total;
}
