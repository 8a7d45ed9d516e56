// Names the input that is no id, or one of another type: Relay's plugin, which decodes ids, knows no paths. It
// looks before that one does.
import SchemaBuilder, {
  BasePlugin,
  type PothosOutputFieldConfig,
  type SchemaTypes,
} from '@pothos/core';
import {
  type GraphQLInputType,
  isInputObjectType,
  isListType,
  isNonNullType,
  isObjectType,
} from 'graphql';
import { InvalidInputError } from '#lib/errors.ts';
import { decodeGlobalId } from '#lib/global-id.ts';

declare global {
  export namespace PothosSchemaTypes {
    export interface Plugins<Types extends SchemaTypes> {
      globalIdInputs: GlobalIdInputsPlugin<Types>;
    }
  }
}

type ArgumentMapper<Types extends SchemaTypes> = NonNullable<
  PothosOutputFieldConfig<Types>['argMappers']
>[number];

interface Input {
  readonly type: GraphQLInputType;
  readonly extensions: Readonly<Record<string, unknown>>;
}

class GlobalIdInputsPlugin<Types extends SchemaTypes> extends BasePlugin<Types> {
  override onOutputFieldConfig(
    field: PothosOutputFieldConfig<Types>,
  ): PothosOutputFieldConfig<Types> {
    if (Object.keys(field.args).length === 0) return field;
    const { parentType, name } = field;
    const look: ArgumentMapper<Types> = (args, _context, { schema }) => {
      const type = schema.getType(parentType);
      const inputs = isObjectType(type) ? (type.getFields()[name]?.args ?? []) : [];
      for (const input of inputs) lookAt(input, args[input.name], input.name);
      return args;
    };
    return { ...field, argMappers: [look, ...(field.argMappers ?? [])] };
  }
}

/** Throws `InvalidInputError` for what is no id of the type that is asked for. */
function lookAt({ type, extensions }: Input, value: unknown, path: string): void {
  if (value === null || value === undefined) return;
  if (isNonNullType(type)) {
    lookAt({ type: type.ofType, extensions }, value, path);
  } else if (isListType(type) && Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      lookAt({ type: type.ofType, extensions }, item, `${path}.${index}`);
    }
  } else if (isInputObjectType(type)) {
    for (const field of Object.values(type.getFields())) {
      lookAt(
        field,
        (value as Readonly<Record<string, unknown>>)[field.name],
        `${path}.${field.name}`,
      );
    }
  } else if (extensions['isRelayGlobalID'] === true && typeof value === 'string') {
    lookAtId(value, typenamesOf(extensions['relayGlobalIDFor']), path);
  }
}

function lookAtId(id: string, typenames: readonly string[] | null, path: string): void {
  let typename: string;
  try {
    typename = decodeGlobalId(id).typename;
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    throw new InvalidInputError(error.message, path);
  }
  if (typenames !== null && !typenames.includes(typename)) {
    throw new InvalidInputError(`Not the id of a ${typenames.join(' or ')}`, path);
  }
}

/** Null where any type will do. */
function typenamesOf(types: unknown): readonly string[] | null {
  if (!Array.isArray(types)) return null;
  return types.map(({ typename }: { readonly typename: string }) => typename);
}

/** Its name, by which a builder takes it. */
export const GLOBAL_ID_INPUTS_PLUGIN = 'globalIdInputs';

SchemaBuilder.registerPlugin(GLOBAL_ID_INPUTS_PLUGIN, GlobalIdInputsPlugin);
