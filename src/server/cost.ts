import { getMappedArgumentValues } from '@pothos/core';
import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  getVariableValues,
  isCompositeType,
  isInterfaceType,
  isListType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from 'graphql';
import type { Context } from '#context.ts';

/** What an operation costs, by the weights that `@cost` and the sizes of its pages say. */
export interface Cost {
  /** The most that it can cost: each page as full as it was asked for. */
  readonly most: number;
  /** What an answer did cost that nothing went wrong with. */
  measure(data: unknown): number;
}

/** Throws what is wrong with the variables, and with arguments that say how large a page is. */
export type Estimate = (context: Context, variables: Variables) => Cost;

type Variables = Readonly<Record<string, unknown>>;

/** A field weighs `own`, and what is below it `multiplier` times. */
interface Weight {
  readonly own: number;
  readonly multiplier: number;
}

type Weigh = (variables: Variables, context: Context) => Weight;

/** What may answer under one response name: fields of several types, where fragments say so. */
interface Branch {
  readonly fields: Weigh[];
  readonly below: Branches;
}

type Branches = Map<string, Branch>;

/** How heavy a branch is in this operation, with these variables. */
type WeightOf = (branch: Branch) => Weight;

const PLAIN: Weight = { own: 1, multiplier: 1 };
/** Of a list that says nothing of its length. */
const ITEMS_UNLESS_TOLD = 10;

export function createEstimate(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
): Estimate {
  const { branches, hasPages, dependsOnVariables } = readBranches(schema, document, operation);
  let known: Cost | null = null;
  return (context, given) => {
    if (known !== null) return known;
    const variables = dependsOnVariables ? coerce(schema, operation, given) : given;
    const weights = new Map<Branch, Weight>();
    const most = estimate(branches, (branch) => {
      const weight = heaviest(branch, variables, context);
      weights.set(branch, weight);
      return weight;
    });
    const cost = hasPages ? costOfPages(most, branches, weights) : plainCost(most);
    if (!dependsOnVariables) known = cost;
    return cost;
  };
}

// Made apart from where the context is: a function keeps all that stands around it, and these are kept
// with the operation.
function plainCost(most: number): Cost {
  return { most, measure: () => most };
}

function costOfPages(most: number, branches: Branches, weights: ReadonlyMap<Branch, Weight>): Cost {
  // Of what was weighed now.
  const weightOf: WeightOf = (branch) => weights.get(branch) ?? PLAIN;
  return { most, measure: (data) => measure(branches, data, weightOf) };
}

function coerce(
  schema: GraphQLSchema,
  { variableDefinitions = [] }: OperationDefinitionNode,
  given: Variables,
): Variables {
  const { coerced, errors = [] } = getVariableValues(schema, variableDefinitions, given);
  if (coerced === undefined)
    throw errors[0] ?? new TypeError('Variables are neither good nor bad.');
  return coerced;
}

function readBranches(
  schema: GraphQLSchema,
  { definitions }: DocumentNode,
  operation: OperationDefinitionNode,
) {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) {
      fragments.set(definition.name.value, definition);
    }
  }
  const found = { branches: new Map() as Branches, hasPages: false, dependsOnVariables: false };

  const addAll = (
    { selections }: SelectionSetNode,
    type: GraphQLNamedType | null | undefined,
    into: Branches,
  ): void => {
    for (const selection of selections) {
      if (selection.kind === Kind.FIELD) {
        add(selection, type, into);
        continue;
      }
      const part =
        selection.kind === Kind.INLINE_FRAGMENT ? selection : fragments.get(selection.name.value);
      if (part === undefined) continue;
      const condition = part.typeCondition?.name.value;
      addAll(part.selectionSet, condition === undefined ? type : schema.getType(condition), into);
    }
  };

  const add = (node: FieldNode, parent: GraphQLNamedType | null | undefined, into: Branches) => {
    const isKnown = isObjectType(parent) || isInterfaceType(parent);
    const field = isKnown ? parent.getFields()[node.name.value] : undefined;
    const name = node.alias?.value ?? node.name.value;
    const branch: Branch = into.get(name) ?? { fields: [], below: new Map() };
    into.set(name, branch);
    if (typeof field?.extensions['complexity'] === 'function') {
      found.hasPages = true;
      found.dependsOnVariables ||= JSON.stringify(node.arguments).includes(`"${Kind.VARIABLE}"`);
    }
    branch.fields.push(field === undefined ? () => PLAIN : weigherOf(schema, field, node));
    if (field === undefined || node.selectionSet === undefined) return;
    found.hasPages ||= isListType(getNullableType(field.type));
    const named = getNamedType(field.type);
    if (isCompositeType(named)) addAll(node.selectionSet, named, branch.below);
  };

  addAll(operation.selectionSet, schema.getRootType(operation.operation), found.branches);
  return found;
}

function weigherOf(
  schema: GraphQLSchema,
  field: GraphQLField<unknown, unknown>,
  node: FieldNode,
): Weigh {
  const complexity: unknown = field.extensions['complexity'];
  const isList = isListType(getNullableType(field.type));
  if (typeof complexity !== 'function') {
    const weight = readWeight(complexity, isList);
    return () => weight;
  }
  return (variableValues, context) => {
    const info = { schema, fragments: {}, variableValues };
    const args = getMappedArgumentValues(field, node, context, info);
    return readWeight(complexity(args, context, field), isList);
  };
}

/** Of a number, or of `{ field, multiplier }`, as fields declare it. */
function readWeight(complexity: unknown, isList: boolean): Weight {
  const multiplier = isList ? ITEMS_UNLESS_TOLD : 1;
  if (typeof complexity === 'number') return { own: complexity, multiplier };
  const told = (complexity ?? {}) as { readonly field?: number; readonly multiplier?: number };
  return { own: told.field ?? 1, multiplier: Math.max(told.multiplier ?? multiplier, 0) };
}

function estimate(branches: Branches, weightOf: WeightOf): number {
  let total = 0;
  for (const branch of branches.values()) {
    const { own, multiplier } = weightOf(branch);
    total += own;
    if (branch.below.size > 0) total += multiplier * estimate(branch.below, weightOf);
  }
  return total;
}

/** Each field counts as often as the answer has it, and an item that is not there as one that was looked for. */
function measure(branches: Branches, value: unknown, weightOf: WeightOf): number {
  if (Array.isArray(value)) {
    return value.reduce<number>(
      (total, item) => total + (item === null ? 1 : measure(branches, item, weightOf)),
      0,
    );
  }
  if (typeof value !== 'object' || value === null) return 0;
  let total = 0;
  for (const [name, branch] of branches) {
    const child: unknown = (value as Readonly<Record<string, unknown>>)[name];
    if (child === undefined) continue;
    total += weightOf(branch).own;
    if (branch.below.size > 0) total += measure(branch.below, child, weightOf);
  }
  return total;
}

function heaviest({ fields }: Branch, variables: Variables, context: Context): Weight {
  if (fields.length === 1) return fields[0]?.(variables, context) ?? PLAIN;
  const weights = fields.map((weigh) => weigh(variables, context));
  return {
    own: Math.max(...weights.map(({ own }) => own)),
    multiplier: Math.max(...weights.map(({ multiplier }) => multiplier)),
  };
}
