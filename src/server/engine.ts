// The one way in which operations run, whatever carries them: HTTP, server-sent events, graphql-ws.
import {
  createSourceEventStream,
  type DocumentNode,
  type ExecutionResult,
  execute,
  type GraphQLError,
  type GraphQLSchema,
  getOperationAST,
  type OperationDefinitionNode,
  validate,
} from 'graphql';
import { LRUCache } from 'lru-cache';
import type { Context } from '#context.ts';
import { contextOfEntry } from '#feeds/entry-context.ts';
import { RateLimitedError } from '#lib/errors.ts';
import type { Metrics } from '#metrics.ts';
import { type CompiledOperation, compileOperation } from './compile.ts';
import { createEstimate, type Estimate } from './cost.ts';
import { requireOneKeyed } from './keyed-mutation.ts';
import { findDocumentFault, findVariablesFault, LIMITS, limitError } from './limits.ts';
import { maskError, maskResult } from './mask.ts';
import { parseWithin, unknownOperation, withCode } from './parse.ts';
import type { Policies } from './policies.ts';
import { withNotes } from './policy-notes.ts';
import type { CacheSlot } from './response-cache.ts';
import { type RootField, rootFieldsOf } from './root-fields.ts';
import { createStream, type ResultStream } from './stream.ts';

export type Transport = 'http' | 'sse' | 'websocket';

export interface OperationRequest {
  readonly document: DocumentNode;
  readonly operationName?: string | null | undefined;
  readonly variables?: Readonly<Record<string, unknown>> | null | undefined;
  readonly context: Context;
  readonly transport: Transport;
  /** Where the answer may be kept. What is found there does not run: then it is in the slot, and the result is empty. */
  readonly slot?: CacheSlot | null;
}

export interface Engine {
  readonly schema: GraphQLSchema;
  readonly policies: Policies;
  /** The document: the one remembered for this text once it was found valid. Throws `GraphQLError`. */
  parse(text: string): DocumentNode;
  /** What forbids it to run; empty when nothing does. Remembered with the document. */
  validate(document: DocumentNode): readonly GraphQLError[];
  /** The kind of the operation that would run; null when none or several could. */
  kindOf(
    document: DocumentNode,
    operationName?: string | null,
  ): OperationDefinitionNode['operation'] | null;
  execute(request: OperationRequest): Promise<ExecutionResult>;
  subscribe(request: OperationRequest): Promise<ResultStream | ExecutionResult>;
  /** Ends every stream, so that a stopping server can finish its answers. */
  endStreams(): Promise<void>;
}

/** What remembered documents may weigh: their nodes weigh up to this much for a character of text. */
const DOCUMENT_BYTES_MAX = 64 * 2 ** 20;
const BYTES_PER_CHARACTER = 256;
/** A document is compiled once it has come this often: one that comes once is not worth it. */
const COMPILE_FROM_USE = 3;

interface Prepared {
  errors?: readonly GraphQLError[];
  uses: number;
  readonly operations: Map<string | null | undefined, PreparedOperation>;
}

interface Admitted {
  readonly prepared: PreparedOperation;
  readonly rootFields: readonly RootField[];
  /** To be told what came of it. */
  settle(result: ExecutionResult): void;
}

interface PreparedOperation {
  readonly operation: OperationDefinitionNode;
  readonly estimate: Estimate;
  /** Null where variables may leave some out. */
  readonly rootFields: readonly RootField[] | null;
  compiled: CompiledOperation | null;
}

export function createEngine(
  schema: GraphQLSchema,
  { metrics, policies }: { readonly metrics: Metrics; readonly policies: Policies },
): Engine {
  const documents = new LRUCache<string, DocumentNode>({
    maxSize: DOCUMENT_BYTES_MAX,
    // Or one valid text of comments would make all others be forgotten.
    maxEntrySize: DOCUMENT_BYTES_MAX / 8,
    sizeCalculation: (_document, text) => (text.length + 1) * BYTES_PER_CHARACTER,
  });
  const preparedOf = new WeakMap<DocumentNode, Prepared>();
  const streams = new Set<ResultStream>();

  const prepare = (document: DocumentNode): Prepared => {
    const known = preparedOf.get(document);
    if (known !== undefined) return known;
    const fresh: Prepared = { uses: 0, operations: new Map() };
    preparedOf.set(document, fresh);
    return fresh;
  };

  const prepareOperation = (document: DocumentNode, name: string | null | undefined) => {
    const { operations } = prepare(document);
    const known = operations.get(name);
    if (known !== undefined) return known;
    const operation = getOperationAST(document, name);
    if (!operation) return null;
    const estimate = createEstimate(schema, document, operation);
    // Without directives nothing is left out, whatever the variables.
    const isFixed = document.loc?.source.body.includes('@') === false;
    const rootFields = isFixed ? rootFieldsOf(document, operation, {}) : null;
    const fresh: PreparedOperation = { operation, estimate, rootFields, compiled: null };
    operations.set(name, fresh);
    return fresh;
  };

  /** Everything that is checked before anything runs. Throws `GraphQLError` and `RateLimitedError`. */
  const admit = async (request: OperationRequest): Promise<Admitted> => {
    try {
      return await take(request, check(request));
    } catch (error) {
      // Over a limit, nothing more is taken.
      if (!(error instanceof RateLimitedError)) await policies.chargeRefused(request.context);
      throw error;
    }
  };

  const check = (request: OperationRequest) => {
    const { document, operationName, context } = request;
    const variables = request.variables ?? {};
    const prepared = prepareOperation(document, operationName);
    if (prepared === null) throw unknownOperation(operationName);
    const fault = findVariablesFault(variables);
    if (fault !== null) throw fault;
    const cost = prepared.estimate(context, variables);
    if (cost.most > LIMITS.cost) {
      throw limitError(
        'cost',
        `This operation costs ${cost.most}, and one costs at most ${LIMITS.cost}: ask for fewer or smaller pages`,
      );
    }
    const kind = prepared.operation.operation;
    const rootFields = prepared.rootFields ?? rootFieldsOf(document, prepared.operation, variables);
    if (kind === 'mutation' && context.origin.idempotencyKey !== null) {
      requireOneKeyed(schema, rootFields);
    }
    return { prepared, kind, rootFields, cost };
  };

  const take = async (
    { context }: OperationRequest,
    { prepared, kind, rootFields, cost }: ReturnType<typeof check>,
  ): Promise<Admitted> => {
    const admission = await policies.admit({ context, kind, rootFields, cost: cost.most });
    const settle = ({ data, errors }: ExecutionResult) => {
      // What failed is not in the answer, and may have cost all that it could.
      admission.settle(errors === undefined ? cost.measure(data) : cost.most);
    };
    return { prepared, rootFields, settle };
  };

  const run = async (
    request: OperationRequest,
    rootValue: unknown,
    prepared: PreparedOperation,
  ) => {
    const { document, operationName, variables, context } = request;
    const compiled = compiledOf(request, prepared);
    const result = await (compiled === null
      ? execute({
          schema,
          document,
          operationName,
          variableValues: variables,
          contextValue: context,
          rootValue,
        })
      : compiled(rootValue, context, variables ?? {}));
    return maskResult(result, context);
  };

  const compiledOf = (
    { document, operationName }: OperationRequest,
    prepared: PreparedOperation,
  ) => {
    const entry = prepare(document);
    entry.uses += 1;
    if (
      prepared.compiled === null &&
      entry.uses >= COMPILE_FROM_USE &&
      prepared.operation.operation !== 'subscription'
    ) {
      prepared.compiled = compileOperation(schema, document, operationName);
    }
    return prepared.compiled;
  };

  const observe = (request: OperationRequest, kind: string) => {
    const startedAt = performance.now();
    return (result: ExecutionResult) => {
      const outcome = result.errors ? 'errors' : 'ok';
      const { transport } = request;
      const seconds = (performance.now() - startedAt) / 1000;
      metrics.graphqlOperationSeconds.observe({ transport, kind, outcome }, seconds);
      return result;
    };
  };

  return {
    schema,
    policies,

    parse(text) {
      return documents.get(text) ?? parseWithin(text);
    },

    validate(document) {
      const prepared = prepare(document);
      if (prepared.errors === undefined) {
        const fault = findDocumentFault(document);
        prepared.errors =
          fault === null
            ? validate(schema, document, undefined, { maxErrors: 10 }).map(withCode)
            : [fault];
        // Only what can run is worth remembering.
        const text = document.loc?.source.body;
        if (prepared.errors.length === 0 && text !== undefined) documents.set(text, document);
      }
      return prepared.errors;
    },

    kindOf: (document, operationName) =>
      prepareOperation(document, operationName)?.operation.operation ?? null,

    async execute(request) {
      try {
        const { prepared, rootFields, settle } = await admit(request);
        const done = observe(request, prepared.operation.operation);
        if (request.slot?.find(rootFields)) {
          settle({ data: null });
          return withNotes(done({}), request.context);
        }
        const result = done(await run(request, undefined, prepared));
        request.slot?.keep(result);
        settle(result);
        return withNotes(result, request.context);
      } catch (error) {
        return withNotes({ errors: [maskError(error, request.context)] }, request.context);
      }
    },

    async subscribe(request) {
      const { document, operationName, variables, context } = request;
      try {
        const { prepared, settle } = await admit(request);
        const source = await createSourceEventStream({
          schema,
          document,
          operationName,
          variableValues: variables,
          contextValue: context,
        });
        if (!(Symbol.asyncIterator in source)) {
          settle(source);
          return withNotes(maskResult(source, context), context);
        }
        settle({});
        const stream = createStream(source[Symbol.asyncIterator](), {
          // A fresh context for each entry, so that nothing remembered outlives it.
          execute: async (entry) => {
            const done = observe(request, 'subscription');
            const fresh = contextOfEntry(entry) ?? (await context.refresh());
            return done(await run({ ...request, context: fresh }, entry, prepared));
          },
          toError: (error) => maskError(error, context),
          onEnd: () => {
            streams.delete(stream);
            metrics.subscriptions.set(streams.size);
          },
        });
        streams.add(stream);
        metrics.subscriptions.set(streams.size);
        return stream;
      } catch (error) {
        return withNotes({ errors: [maskError(error, context)] }, context);
      }
    },

    async endStreams() {
      await Promise.all([...streams].map((stream) => stream.return()));
    },
  };
}
