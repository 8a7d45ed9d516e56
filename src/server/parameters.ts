import type { FastifyRequest } from 'fastify';

/** What GraphQL over HTTP calls the parameters of a request. */
export interface Parameters {
  /** Absent, or empty, where the document is meant by its id or hash. */
  readonly query?: string | null;
  readonly documentId?: string | null;
  readonly operationName?: string | null;
  readonly variables?: Record<string, unknown> | null;
  readonly extensions?: Record<string, unknown> | null;
}

/** Of a well-formed JSON POST or GET; null for everything else, which Yoga refuses in the words of the rules. */
export function readParameters(request: FastifyRequest): Parameters | null {
  return asParameters(request.method === 'POST' ? request.body : fromSearch(request.query));
}

/** Null for what means no document, or is no such thing. */
export function asParameters(given: unknown): Parameters | null {
  if (!isObject(given)) return null;
  const { query, documentId, operationName, variables, extensions } = given;
  if (query == null && documentId == null && !isObject(extensions)) return null;
  if (query != null && typeof query !== 'string') return null;
  if (documentId != null && typeof documentId !== 'string') return null;
  if (operationName != null && typeof operationName !== 'string') return null;
  if (variables != null && !isObject(variables)) return null;
  if (extensions != null && !isObject(extensions)) return null;
  return given as Parameters;
}

function fromSearch(search: unknown): unknown {
  if (!isObject(search)) return null;
  try {
    const { query, documentId, operationName } = search;
    return {
      query,
      documentId,
      operationName,
      variables: parseIfGiven(search['variables']),
      extensions: parseIfGiven(search['extensions']),
    };
  } catch {
    return null;
  }
}

function parseIfGiven(text: unknown): unknown {
  return typeof text === 'string' && text !== '' ? JSON.parse(text) : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether one JSON answer would do. */
export function acceptsJson(accept: string | undefined): boolean {
  return accept === undefined || /application\/(graphql-response\+)?(json|\*)|\*\/\*/.test(accept);
}

/** Whether an event stream would do. */
export function acceptsEvents(accept: string | undefined): boolean {
  return accept === undefined || /text\/(event-stream|\*)|\*\/\*/.test(accept);
}
