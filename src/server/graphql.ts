import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type DocumentNode, type ExecutionResult, GraphQLError } from 'graphql';
import { createYoga, type Plugin } from 'graphql-yoga';
import type { Context, Services } from '#context.ts';
import { DomainError, RateLimitedError, UnavailableError } from '#lib/errors.ts';
import { noteOperation, noteViewer } from './access-log.ts';
import { type Asked, DOCUMENT_STATUS, type Documents } from './documents.ts';
import type { Engine } from './engine.ts';
import { sendExplorer, wantsExplorer } from './explorer.ts';
import { sendKept, textOfKept } from './kept-answer.ts';
import { LIMITS } from './limits.ts';
import { restate } from './mask.ts';
import { acceptsEvents, acceptsJson, type Parameters, readParameters } from './parameters.ts';
import { contextOf, type Wanted } from './request.ts';
import type { CacheSlot, KeptAnswer, ResponseCache } from './response-cache.ts';
import type { EventStreamDoor } from './sse.ts';

const JSON_TYPE = 'application/json; charset=utf-8';
const GRAPHQL_TYPE = 'application/graphql-response+json; charset=utf-8';

/** What a request carries through Yoga to our engine. */
interface YogaContext {
  readonly naru: Context;
  /** Absent where the parameters are none, which Yoga says. */
  readonly asked?: Asked;
}

/**
 * GraphQL over HTTP. A plain JSON query or mutation goes straight to the engine, and so does what is
 * answered as an event stream; all else (other GETs, whatever is malformed) goes through Yoga, which
 * runs it by the same engine.
 */
export async function registerGraphQL(
  fastify: FastifyInstance,
  app: Services,
  { engine, documents }: { readonly engine: Engine; readonly documents: Documents },
  streams: EventStreamDoor,
  cache: ResponseCache,
): Promise<void> {
  const yoga = createYoga<YogaContext>({
    schema: engine.schema,
    plugins: [useEngine(engine)],
    graphqlEndpoint: '/graphql',
    graphiql: false,
    landingPage: false,
    logging: false,
    cors: false,
    multipart: false,
    batching: false,
    maskedErrors: false,
    // Fastify has bounded the body already.
    maxRequestBodySize: false,
  });

  await fastify.register(async (scope) => {
    scope.removeContentTypeParser('text/plain');
    scope.addHook('onRequest', (_request, reply, done) => {
      reply.header('vary', 'accept, origin, cookie');
      done();
    });
    scope.setErrorHandler((error, request, reply) => sendFailure(error, request, reply));
    scope.route({
      url: '/graphql',
      method: ['GET', 'POST'],
      exposeHeadRoute: false,
      bodyLimit: LIMITS.requestBytes,
      handler: async (request, reply) => {
        if (wantsExplorer(request)) return sendExplorer(request, reply);
        const naru = await contextOf(app, request, reply, wantedOf(request));
        noteViewer(request, naru.viewer);
        const parameters = readParameters(request);
        if (parameters === null) return yoga.handleNodeRequestAndResponse(request, reply, { naru });
        engine.policies.requireBudget(naru);
        const asked = documents.resolve(parameters, naru.viewer);
        if (asked.kind === null) await engine.policies.chargeRefused(naru);
        const { operationName: name } = parameters;
        noteOperation(request, { kind: asked.kind, name, trustedName: asked.trustedName });
        if (asked.kind === 'subscription' || wantsOnlyEvents(request)) {
          return answerByEvents(streams, request, reply, { ...parameters, context: naru, asked });
        }
        if (
          asked.kind === null ||
          wantsOneAnswer(request) ||
          (asked.kind === 'query' && wantsQueryByGet(request))
        ) {
          const slot =
            'errors' in asked ? null : cache.slotFor({ ...parameters, ...asked, context: naru });
          const result = await answerOnce(engine, { ...parameters, context: naru, asked, slot });
          const kept = slot?.answer ?? null;
          // What stands between may keep it, for others: it says nothing of who asked first.
          const isForAll = kept?.scope === 'PUBLIC' && request.method === 'GET';
          if (!isForAll) reply.headers(naru.origin.notes.headers);
          return sendAnswer(request, reply, result, kept);
        }
        return yoga.handleNodeRequestAndResponse(request, reply, { naru, asked });
      },
    });
  });
}

/** Hands Yoga's parse, validate, execute and subscribe to the engine, so that no path has its own. */
function useEngine(engine: Engine): Plugin<YogaContext> {
  return {
    onParams({ params: { operationName, variables }, setParams, setResult, context }) {
      const { asked } = context as unknown as YogaContext;
      if (asked === undefined || 'errors' in asked) {
        // Yoga reads, e.g., the second of two queries in a URL: what nobody has looked at does not run.
        const message = 'The parameters are not those of GraphQL over HTTP';
        const http = { spec: true, status: 400 };
        setResult({ errors: [restate(null, message, { code: 'INVALID_INPUT', http })] });
        return;
      }
      // Whatever the document was meant by, Yoga knows texts.
      setParams({
        query: asked.document.loc?.source.body ?? '',
        ...(operationName != null && { operationName }),
        ...(variables != null && { variables }),
      });
    },
    onParse({ setParseFn }) {
      setParseFn((source: string | { body: string }) =>
        engine.parse(typeof source === 'string' ? source : source.body),
      );
    },
    onValidate({ setValidationFn }) {
      setValidationFn((_schema: unknown, document: DocumentNode) => engine.validate(document));
    },
    onExecute({ setExecuteFn, args }) {
      setExecuteFn(() =>
        engine.execute({
          document: args.document,
          operationName: args.operationName,
          variables: args.variableValues,
          context: args.contextValue.naru,
          transport: 'http',
        }),
      );
    },
    onSubscribe({ setSubscribeFn }) {
      // Answered before Yoga is asked; and should that ever be missed, not by a second engine.
      setSubscribeFn(() => ({
        errors: [refusal('A subscription is answered as an event stream')],
      }));
    },
    onResultProcess({ result, setResult }) {
      if ('errors' in result && result.errors) {
        setResult({ ...result, errors: result.errors.map(withOurCode) });
      }
    },
  };
}

/** Yoga's own refusals, of parameters that are none, have codes that are not in our list. */
function withOurCode(error: GraphQLError): GraphQLError {
  const isOurs =
    error.extensions['code'] !== 'BAD_REQUEST' &&
    error.extensions['code'] !== 'OPERATION_RESOLUTION_FAILURE';
  if (isOurs) return error;
  return restate(error, error.message, { ...error.extensions, code: 'INVALID_INPUT' });
}

function wantedOf(request: FastifyRequest): Wanted {
  if (wantsOneAnswer(request)) return 'answer';
  return request.method === 'GET' && wantsOnlyEvents(request) ? 'event-stream' : 'other';
}

/** Who would also take several parts, as GraphiQL would, gets one answer: there is nothing in parts here. */
function wantsOneAnswer({ method, headers: { accept } }: FastifyRequest): boolean {
  return method === 'POST' && acceptsJson(accept);
}

/** A query that comes so is answered as by POST, and may be kept on the way. */
function wantsQueryByGet({ method, headers: { accept } }: FastifyRequest): boolean {
  return method === 'GET' && acceptsJson(accept);
}

function wantsOnlyEvents({ headers: { accept } }: FastifyRequest): boolean {
  return acceptsEvents(accept) && !acceptsJson(accept);
}

async function answerOnce(
  engine: Engine,
  {
    operationName,
    variables,
    context,
    asked,
    slot,
  }: Omit<Parameters, 'query'> & {
    readonly context: Context;
    readonly asked: Asked;
    readonly slot: CacheSlot | null;
  },
): Promise<ExecutionResult> {
  if ('errors' in asked) return { errors: asked.errors };
  const { document } = asked;
  return engine.execute({ document, operationName, variables, context, transport: 'http', slot });
}

function sendAnswer(
  request: FastifyRequest,
  reply: FastifyReply,
  result: ExecutionResult,
  kept: KeptAnswer | null,
): FastifyReply {
  const isModern = request.headers.accept?.includes('application/graphql-response+json') ?? false;
  const mediaType = isModern ? GRAPHQL_TYPE : JSON_TYPE;
  if (kept !== null) {
    if (request.method === 'GET') return sendKept(request, reply, kept, mediaType);
    return reply.header('content-type', mediaType).send(textOfKept(kept, result.extensions ?? {}));
  }
  // An error's status where GraphQL over HTTP says so: nothing ran.
  reply.code(isModern && !('data' in result) ? statusOf(result) : 200);
  reply.header('content-type', mediaType);
  return reply.send(JSON.stringify(result));
}

function statusOf({ errors }: Pick<ExecutionResult, 'errors'>): number {
  const code = String(errors?.[0]?.extensions['code']);
  return code === 'RATE_LIMITED' ? 429 : (DOCUMENT_STATUS[code] ?? 400);
}

async function answerByEvents(
  streams: EventStreamDoor,
  request: FastifyRequest,
  reply: FastifyReply,
  {
    operationName,
    variables,
    context,
    asked,
  }: Omit<Parameters, 'query'> & {
    readonly context: Context;
    readonly asked: Asked;
  },
): Promise<FastifyReply> {
  if ('errors' in asked) return refuse(reply, statusOf(asked), asked.errors);
  const { document, kind } = asked;
  if (!acceptsEvents(request.headers.accept)) {
    return refuse(reply, 406, [
      refusal('A subscription is answered with text/event-stream: accept it'),
    ]);
  }
  if (kind === 'mutation' && request.method === 'GET') {
    return refuse(reply.header('allow', 'POST'), 405, [refusal('A mutation is sent by POST')]);
  }
  await streams.serve(reply, { document, operationName, variables, context });
  return reply;
}

/** Before a stream begins there is a status to say it with. */
function refuse(
  reply: FastifyReply,
  status: number,
  errors: readonly GraphQLError[],
): FastifyReply {
  return reply.code(status).header('content-type', GRAPHQL_TYPE).send(JSON.stringify({ errors }));
}

function refusal(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'INVALID_INPUT' } });
}

/** What failed before GraphQL began: a body that is too large or no JSON, credentials, the server itself. */
function sendFailure(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { status, code, message } = describeFailure(error, request);
  const isModern = request.headers.accept?.includes('application/graphql-response+json') ?? false;
  if (status === 401) reply.header('www-authenticate', 'Bearer');
  if (error instanceof RateLimitedError || error instanceof UnavailableError) {
    reply.header('retry-after', error.retryAfterSeconds);
  }
  if (error instanceof UnavailableError) {
    request.log.warn({ err: error.cause, requestId: request.id }, error.message);
  }
  reply.code(status).header('content-type', isModern ? GRAPHQL_TYPE : JSON_TYPE);
  const extensions = { code, requestId: request.id };
  return reply.send(JSON.stringify({ errors: [{ message, extensions }] }));
}

function describeFailure(error: unknown, request: FastifyRequest) {
  if (error instanceof DomainError) {
    return { status: error.status, code: error.code, message: error.message };
  }
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500;
  if (status === 413) {
    const message = `A request has at most ${LIMITS.requestBytes} bytes`;
    return { status, code: 'PAYLOAD_TOO_LARGE', message };
  }
  if (status === 415) {
    return { status, code: 'UNSUPPORTED_MEDIA_TYPE', message: 'Send application/json' };
  }
  if (status >= 400 && status < 500) {
    return { status, code: 'INVALID_INPUT', message: 'The body is not JSON' };
  }
  request.log.error({ err: error, requestId: request.id }, 'A GraphQL request failed');
  return { status: 500, code: 'INTERNAL_SERVER_ERROR', message: 'Unexpected error' };
}
