// Who may read the schema where not everybody may: by introspection, or by guessing at names.
import { BREAK, type DocumentNode, GraphQLError, Kind, visit } from 'graphql';
import { isOperator, type Viewer } from '#auth/viewer.ts';
import type { Config } from '#config.ts';

/** Where it is off: operators who are signed in, and tokens that were given the scope. */
export function mayReadSchema(
  { introspection }: Pick<Config, 'introspection'>,
  viewer: Viewer | null,
): boolean {
  if (introspection) return true;
  return viewer?.proof.kind === 'token' ? viewer.scopes.has('schema:read') : isOperator(viewer);
}

export function introspectionOff(): GraphQLError {
  return new GraphQLError(
    'The schema is not read here: use schema.graphql, or a token with the scope schema:read',
    { extensions: { code: 'INTROSPECTION_OFF' } },
  );
}

/** Anywhere, also in a fragment and under another name; `__typename` says no more than the answer does. */
export function readsSchema(document: DocumentNode): boolean {
  const known = readers.get(document);
  if (known !== undefined) return known;
  let found = false;
  visit(document, {
    [Kind.FIELD]: ({ name }) => {
      if (name.value !== '__schema' && name.value !== '__type') return undefined;
      found = true;
      return BREAK;
    },
  });
  readers.set(document, found);
  return found;
}

const readers = new WeakMap<DocumentNode, boolean>();
