// The schema as its readers meet it. What it says about each thing is checked by reading it.
import {
  type GraphQLNamedType,
  getNamedType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isNonNullType,
  isObjectType,
  isSpecifiedDirective,
  isSpecifiedScalarType,
  isUnionType,
} from 'graphql';
import { describe, expect, test } from 'vitest';
import { ERROR_STATUS } from '#lib/errors.ts';
import { createSchema } from '#schema/index.ts';

const schema = createSchema();
const types = Object.values(schema.getTypeMap()).filter(
  (type) => !isIntrospectionType(type) && !isSpecifiedScalarType(type),
);

interface Described {
  readonly name: string;
  readonly description?: string | null | undefined;
}

const silent = (place: string, { name, description }: Described) =>
  description?.trim() ? [] : [`${place}${name}`];

function silentWithin(type: GraphQLNamedType): string[] {
  if (isEnumType(type)) return type.getValues().flatMap((value) => silent(`${type.name}.`, value));
  if (isInputObjectType(type)) {
    return Object.values(type.getFields()).flatMap((field) => silent(`${type.name}.`, field));
  }
  if (!isObjectType(type) && !isInterfaceType(type)) return [];
  return Object.values(type.getFields()).flatMap((field) => [
    ...silent(`${type.name}.`, field),
    ...field.args.flatMap((argument) => silent(`${type.name}.${field.name}:`, argument)),
  ]);
}

describe('the schema', () => {
  test('describes every type, field, argument, value and directive', () => {
    const directives = schema.getDirectives().filter((one) => !isSpecifiedDirective(one));
    expect([
      ...types.flatMap((type) => [...silent('', type), ...silentWithin(type)]),
      ...directives.flatMap((one) => [
        ...silent('@', one),
        ...one.args.flatMap((argument) => silent(`@${one.name}:`, argument)),
      ]),
    ]).toEqual([]);
  });

  test('has a rule of access for every type that has an id', () => {
    const nodes = types
      .filter(isObjectType)
      .filter((type) => type.getInterfaces().some(({ name }) => name === 'Node'));
    expect(nodes.length).toBeGreaterThan(3);
    const open = nodes.filter(({ extensions }) => {
      const options = extensions['pothosOptions'] as { authScopes?: unknown } | undefined;
      return options?.authScopes === undefined;
    });
    expect(open.map(({ name }) => name)).toEqual([]);
  });

  test('answers each mutation with a union of what happened and of errors', () => {
    for (const field of Object.values(schema.getMutationType()?.getFields() ?? {})) {
      const result = getNamedType(field.type);
      expect(isUnionType(result), field.name).toBe(true);
      if (!isUnionType(result)) continue;
      const successes = result
        .getTypes()
        .filter((type) => !type.getInterfaces().some(({ name }) => name === 'Error'));
      expect(result.name.toLowerCase()).toBe(`${field.name}Result`.toLowerCase());
      expect(successes, field.name).toHaveLength(1);
      expect(result.getTypes().length, field.name).toBeGreaterThan(1);
      const [input, ...others] = field.args;
      if (input) expect(input.name, field.name).toBe('input');
      expect(others, field.name).toEqual([]);
      // Only where nothing in it is required may it be left out.
      if (input && !isNonNullType(input.type)) {
        const type = getNamedType(input.type);
        const fields = isInputObjectType(type) ? Object.values(type.getFields()) : [];
        expect(
          fields.some((each) => isNonNullType(each.type)),
          field.name,
        ).toBe(false);
      }
    }
  });

  test('answers each subscription with a union of stream items, checkpoints among them', () => {
    // A state and not a log has no places: it is told anew to whoever comes back.
    const states = new Set(['webhookInboxChanged']);
    for (const field of Object.values(schema.getSubscriptionType()?.getFields() ?? {})) {
      if (states.has(field.name)) continue;
      const item = getNamedType(field.type);
      const members = isUnionType(item) ? item.getTypes() : [];
      expect(
        members.map(({ name }) => name),
        field.name,
      ).toContain('StreamCheckpoint');
      for (const member of members) {
        expect(member.getInterfaces().map(({ name }) => name)).toContain('StreamItem');
      }
    }
  });

  // Else nobody could ask for both in one selection without giving one of them another name.
  test('gives fields of one name one type, within a union', () => {
    // GitHub has named its own.
    const unions = types.filter(isUnionType).filter(({ name }) => name !== 'GitHubPayload');
    for (const union of unions) {
      const typesOf = new Map<string, Set<string>>();
      for (const field of union.getTypes().flatMap((member) => Object.values(member.getFields()))) {
        const known = typesOf.get(field.name) ?? new Set();
        typesOf.set(field.name, known.add(String(field.type)));
      }
      const torn = [...typesOf].filter(([, known]) => known.size > 1);
      expect(torn.map(([name, known]) => [union.name, name, ...known])).toEqual([]);
    }
  });

  test('has the error codes of the house, and each error type is one of theirs', () => {
    const codes = schema.getType('ErrorCode');
    if (!isEnumType(codes)) throw new Error('ErrorCode is no enum');
    expect(codes.getValues().map(({ name }) => name)).toEqual(Object.keys(ERROR_STATUS));
    const errors = types
      .filter(isObjectType)
      .filter((type) => type.getInterfaces().some(({ name }) => name === 'Error'));
    for (const { name } of errors) expect(name).toMatch(/Error$/);
  });

  test('says who may use each field of the roots that is not open to everybody', () => {
    const open = new Set(['node', 'nodes', 'serverInfo']);
    const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()];
    const fields = roots.flatMap((root) => Object.values(root?.getFields() ?? {}));
    const unsaid = fields.filter(
      ({ name, extensions }) =>
        !open.has(name) && !JSON.stringify(extensions['directives'] ?? null).includes('"auth"'),
    );
    expect(unsaid.map(({ name }) => name)).toEqual([]);
  });

  test('pages with connections, from both ends', () => {
    for (const type of types.filter(isObjectType)) {
      for (const field of Object.values(type.getFields())) {
        if (!field.args.some(({ name }) => name === 'first')) continue;
        expect(getNamedType(field.type).name, `${type.name}.${field.name}`).toMatch(/Connection$/);
        expect(field.args.map(({ name }) => name)).toEqual(
          expect.arrayContaining(['first', 'after', 'last', 'before']),
        );
      }
    }
  });
});
