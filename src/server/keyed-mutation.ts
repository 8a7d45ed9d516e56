import { GraphQLError, type GraphQLSchema, getNamedType, isInputObjectType } from 'graphql';
import type { RootField } from './root-fields.ts';

/**
 * The header is for one field, which knows such keys: which of several it is meant for cannot be known, and
 * one that does not know them would run again, against what the client relies on.
 */
export function requireOneKeyed(schema: GraphQLSchema, rootFields: readonly RootField[]): void {
  const fields = rootFields.filter(({ fieldName }) => fieldName !== '__typename');
  if (fields.length > 1) {
    throw misusedKey('is for one root field: give each field its own input.idempotencyKey');
  }
  const [{ fieldName } = { fieldName: '' }] = fields;
  const input = schema.getMutationType()?.getFields()[fieldName]?.args[0]?.type;
  const type = input && getNamedType(input);
  if (isInputObjectType(type) && 'idempotencyKey' in type.getFields()) return;
  throw misusedKey(`is not known to ${fieldName}, which would run again: send it without`);
}

function misusedKey(reason: string): GraphQLError {
  const extensions = { code: 'INVALID_INPUT', field: 'Idempotency-Key' };
  return new GraphQLError(`The header Idempotency-Key ${reason}`, { extensions });
}
