import { InvalidInputError } from './errors.ts';
import { isUuid } from './ids.ts';

/** Opaque to clients: the type's name and the row's UUID. */
export function encodeGlobalId(typename: string, id: string): string {
  return Buffer.from(`${typename}:${id}`).toString('base64url');
}

/** Throws `InvalidInputError` for anything that `encodeGlobalId` did not make. */
export function decodeGlobalId(globalId: string): { typename: string; id: string } {
  const [typename = '', id = '', ...rest] = Buffer.from(globalId, 'base64url')
    .toString()
    .split(':');
  const isOurs = rest.length === 0 && /^[A-Za-z]+$/.test(typename) && isUuid(id);
  if (!isOurs || encodeGlobalId(typename, id) !== globalId) {
    throw new InvalidInputError('Not an id of this API', 'id');
  }
  return { typename, id };
}
