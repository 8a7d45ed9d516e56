// Which document a request means, whatever carries it: by its text, by a name of the manifest, or by the
// hash of its text. And whether this viewer may run it.
import { type DocumentNode, GraphQLError, getOperationAST, type OperationTypeNode } from 'graphql';
import { LRUCache } from 'lru-cache';
import type { Viewer } from '#auth/viewer.ts';
import type { Config } from '#config.ts';
import type { Engine } from './engine.ts';
import { introspectionOff, mayReadSchema, readsSchema } from './introspection.ts';
import { withoutSuggestion } from './mask.ts';
import type { Parameters } from './parameters.ts';
import { unknownOperation } from './parse.ts';
import { hashId, readTrustedDocuments } from './trusted-documents.ts';

export type DocumentParameters = Omit<Parameters, 'variables'>;

/** What a request asks to run, or why nothing can. */
export type Asked =
  | {
      readonly document: DocumentNode;
      readonly kind: `${OperationTypeNode}`;
      /** The operation's name, where it is one of the manifest: the list of those is closed. */
      readonly trustedName: string | null;
    }
  | {
      readonly errors: readonly GraphQLError[];
      readonly kind: null;
      readonly trustedName: null;
    };

export interface Documents {
  /** Of the manifest, for logs and metrics: no client can make it longer. */
  readonly operationNames: ReadonlySet<string>;
  /** Asked once a request, with its viewer: what one may run, another may not. */
  resolve(parameters: DocumentParameters, viewer: Viewer | null): Asked;
  /** The operation's name, where the document is one of the manifest. */
  trustedNameOf(document: DocumentNode, operationName?: string | null): string | null;
}

/** Statuses of what is refused before it runs; everything else is 400. */
export const DOCUMENT_STATUS: Readonly<Record<string, number>> = {
  DOCUMENT_NOT_TRUSTED: 403,
  INTROSPECTION_OFF: 403,
};

/** What clients registered themselves. A node that forgot a text is told it again. */
const REMEMBERED_BYTES_MAX = 16 * 2 ** 20;

/** Reads the manifest once. Throws where one of its documents could not run. */
export async function createDocuments(
  engine: Engine,
  config: Pick<Config, 'trustedDocuments' | 'onlyTrustedDocuments' | 'introspection'>,
): Promise<Documents> {
  const trusted = await readTrustedDocuments(config.trustedDocuments, engine);
  const remembered = new LRUCache<string, string>({
    maxSize: REMEMBERED_BYTES_MAX,
    // Comments make a text long, and a few of those would push out everybody else's.
    maxEntrySize: REMEMBERED_BYTES_MAX / 128,
    sizeCalculation: (text, id) => 2 * (text.length + id.length),
  });

  const find = ({ text, id }: Wanted, isTrustedOnly: boolean): DocumentNode => {
    const known = text === null ? trusted.byId.get(id) : trusted.byText.get(text);
    if (known !== undefined) return known;
    if (isTrustedOnly)
      throw refusal('DOCUMENT_NOT_TRUSTED', 'Only documents of the manifest run here');
    const meant = text ?? remembered.get(id);
    // The words that clients look for, to send the text along next time.
    if (meant === undefined) throw refusal('PERSISTED_QUERY_NOT_FOUND', 'PersistedQueryNotFound');
    return engine.parse(meant);
  };

  const run = (parameters: DocumentParameters, viewer: Viewer | null, mayRead: boolean): Asked => {
    const wanted = readWanted(parameters);
    const document = find(wanted, config.onlyTrustedDocuments || isTrustedOnly(viewer));
    const errors = engine.validate(document);
    if (errors.length > 0) return refused(errors);
    // Valid, and called by its content: whoever else means this hash means this text.
    if (wanted.text !== null && wanted.id !== null) remembered.set(wanted.id, wanted.text);
    if (!mayRead && readsSchema(document)) throw introspectionOff();
    const { operationName } = parameters;
    const operation = getOperationAST(document, operationName);
    if (!operation) throw unknownOperation(operationName);
    const trustedName = trustedNameOf(document, operationName);
    return { document, kind: operation.operation, trustedName };
  };

  const trustedNameOf: Documents['trustedNameOf'] = (document, operationName) => {
    const isTrusted = trusted.byText.get(document.loc?.source.body ?? '') === document;
    return isTrusted ? (getOperationAST(document, operationName)?.name?.value ?? null) : null;
  };

  return {
    operationNames: trusted.operationNames,
    trustedNameOf,
    resolve(parameters, viewer) {
      const mayRead = mayReadSchema(config, viewer);
      const asked = refuseThrown(() => run(parameters, viewer, mayRead));
      if (mayRead || !('errors' in asked)) return asked;
      return { ...asked, errors: asked.errors.map(withoutSuggestion) };
    },
  };
}

/** What is no set of parameters, where no HTTP library says so. */
export function malformedParameters(): GraphQLError {
  return refusal('INVALID_INPUT', 'Send query or documentId, each a text');
}

/** Of the two at least one. With both, the id is the text's hash. */
type Wanted =
  | { readonly text: string; readonly id: string | null }
  | { readonly text: null; readonly id: string };

/** Throws `GraphQLError` for what contradicts itself, a text with another's hash above all. */
function readWanted({ query, documentId, extensions }: DocumentParameters): Wanted {
  const hash = readHash(extensions?.['persistedQuery']);
  const id = hash ?? documentId ?? null;
  // Over a socket there is always a query, and an empty one where it is meant by its id.
  const text = id !== null && query === '' ? null : (query ?? null);
  if (text === null) {
    if (id === null) throw refusal('INVALID_INPUT', 'Send query or documentId');
    if (hash !== null && documentId != null) throw contradiction();
    return { text, id };
  }
  if (documentId != null) throw contradiction();
  // What is no Unicode hashes like another text that is.
  if (hash !== null && (hash !== hashId(text) || !text.isWellFormed())) {
    throw refusal('INVALID_INPUT', 'sha256Hash is not that of the query');
  }
  return { text, id: hash };
}

/** Of what Apollo's clients send; null where there is nothing of it. */
function readHash(persistedQuery: unknown): string | null {
  if (persistedQuery == null) return null;
  const { version, sha256Hash } = persistedQuery as { version?: unknown; sha256Hash?: unknown };
  if (version !== 1 || typeof sha256Hash !== 'string' || !/^[\da-f]{64}$/i.test(sha256Hash)) {
    throw refusal(
      'INVALID_INPUT',
      'extensions.persistedQuery is { "version": 1, "sha256Hash": "<64 hexadecimal digits>" }',
    );
  }
  return `sha256:${sha256Hash.toLowerCase()}`;
}

function contradiction(): GraphQLError {
  return refusal('INVALID_INPUT', 'Send one of query, documentId and a hash alone');
}

function isTrustedOnly(viewer: Viewer | null): boolean {
  return viewer?.proof.kind === 'token' && viewer.proof.trustedDocumentsOnly;
}

function refuseThrown(run: () => Asked): Asked {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error;
    return refused([error]);
  }
}

function refused(errors: readonly GraphQLError[]): Asked {
  return { errors, kind: null, trustedName: null };
}

function refusal(code: string, message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code } });
}
