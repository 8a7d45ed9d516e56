import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type DocumentNode, type ExecutionResult, GraphQLError } from 'graphql';
import { createYoga, type Plugin } from 'graphql-yoga';
import type { Context, Services } from '#context.ts';
import { DomainError, UnavailableError } from '#lib/errors.ts';
import { type Engine, unknownOperation } from './engine.ts';
import { sendExplorer, wantsExplorer } from './explorer.ts';
import { LIMITS } from './limits.ts';
import { restate } from './mask.ts';
import { acceptsEvents, acceptsJson, type Parameters, readParameters } from './parameters.ts';
import { contextOf, type Wanted } from './request.ts';
import type { EventStreamDoor } from './sse.ts';

const JSON_TYPE = 'application/json; charset=utf-8';
const GRAPHQL_TYPE = 'application/graphql-response+json; charset=utf-8';

/** What a request carries through Yoga to our engine. */
interface YogaContext {
  readonly naru: Context;
}

/**
 * GraphQL over HTTP. A plain JSON query or mutation goes straight to the engine, and so does what is
 * answered as an event stream; all else (other GETs, whatever is malformed) goes through Yoga, which
 * runs it by the same engine.
 */
export async function registerGraphQL(
  fastify: FastifyInstance,
  app: Services,
  engine: Engine,
  streams: EventStreamDoor,
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
        const parameters = readParameters(request);
        if (parameters === null) return yoga.handleNodeRequestAndResponse(request, reply, { naru });
        const asked = readOperation(engine, parameters);
        if (asked.kind === 'subscription' || wantsOnlyEvents(request)) {
          return answerByEvents(streams, request, reply, { ...parameters, context: naru, asked });
        }
        if (wantsOneAnswer(request)) {
          return sendAnswer(request, reply, await answerOnce(engine, naru, parameters, asked));
        }
        return yoga.handleNodeRequestAndResponse(request, reply, { naru });
      },
    });
  });
}

/** Hands Yoga's parse, validate, execute and subscribe to the engine, so that no path has its own. */
function useEngine(engine: Engine): Plugin<YogaContext> {
  return {
    onParse({ setParseFn }) {
      setParseFn((source: string | { body: string }) =>
        engine.parse(typeof source === 'string' ? source : source.body),
      );
    },
    onValidate({ setValidationFn }) {
      // Copies: Yoga writes into what it is given, and ours are remembered with the document.
      setValidationFn((_schema: unknown, document: DocumentNode) =>
        engine.validate(document).map((error) => restate(error, error.message, error.extensions)),
      );
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

/** What a request asks to run, or why nothing can. */
type Asked =
  | { readonly document: DocumentNode; readonly kind: ReturnType<Engine['kindOf']> }
  | { readonly errors: readonly GraphQLError[]; readonly kind: null };

function readOperation(engine: Engine, { query, operationName }: Parameters): Asked {
  try {
    const document = engine.parse(query);
    const errors = engine.validate(document);
    if (errors.length > 0) return { errors, kind: null };
    return { document, kind: engine.kindOf(document, operationName) };
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error;
    return { errors: [error], kind: null };
  }
}

function wantedOf(request: FastifyRequest): Wanted {
  if (wantsOneAnswer(request)) return 'answer';
  return request.method === 'GET' && wantsOnlyEvents(request) ? 'event-stream' : 'other';
}

/** Who would also take several parts, as GraphiQL would, gets one answer: there is nothing in parts here. */
function wantsOneAnswer({ method, headers: { accept } }: FastifyRequest): boolean {
  return method === 'POST' && !accept?.includes('text/event-stream') && acceptsJson(accept);
}

function wantsOnlyEvents({ headers: { accept } }: FastifyRequest): boolean {
  return acceptsEvents(accept) && !acceptsJson(accept);
}

async function answerOnce(
  engine: Engine,
  context: Context,
  { operationName, variables }: Parameters,
  asked: Asked,
): Promise<ExecutionResult> {
  if ('errors' in asked) return { errors: asked.errors };
  const { document } = asked;
  return engine.execute({ document, operationName, variables, context, transport: 'http' });
}

function sendAnswer(
  request: FastifyRequest,
  reply: FastifyReply,
  result: ExecutionResult,
): FastifyReply {
  const isModern = request.headers.accept?.includes('application/graphql-response+json') ?? false;
  // 400 where GraphQL over HTTP says so: nothing ran.
  reply.code(isModern && !('data' in result) ? 400 : 200);
  reply.header('content-type', isModern ? GRAPHQL_TYPE : JSON_TYPE);
  return reply.send(JSON.stringify(result));
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
  if ('errors' in asked) return refuse(reply, 400, asked.errors);
  const { document, kind } = asked;
  if (kind === null) return refuse(reply, 400, [unknownOperation(operationName)]);
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
  if (error instanceof UnavailableError) {
    reply.header('retry-after', error.retryAfterSeconds);
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
