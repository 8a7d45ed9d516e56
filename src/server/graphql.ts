import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type DocumentNode, type ExecutionResult, GraphQLError } from 'graphql';
import { createYoga, type Plugin } from 'graphql-yoga';
import type { Context, Services } from '#context.ts';
import { DomainError, UnavailableError } from '#lib/errors.ts';
import type { Engine } from './engine.ts';
import { sendExplorer, wantsExplorer } from './explorer.ts';
import { LIMITS } from './limits.ts';
import { restate } from './mask.ts';
import { contextOf } from './request.ts';
import { withErrorAsResult } from './stream.ts';

const JSON_TYPE = 'application/json; charset=utf-8';
const GRAPHQL_TYPE = 'application/graphql-response+json; charset=utf-8';

/** What a request carries through Yoga to our engine. */
interface YogaContext {
  readonly naru: Context;
}

interface Parameters {
  readonly query: string;
  readonly operationName?: string | null;
  readonly variables?: Record<string, unknown> | null;
}

/**
 * GraphQL over HTTP. A plain JSON query or mutation goes straight to the engine; all else (GET,
 * server-sent events, whatever is malformed) goes through Yoga, which runs it by the same engine.
 */
export async function registerGraphQL(
  fastify: FastifyInstance,
  app: Services,
  engine: Engine,
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
    scope.addHook('onRequest', async (_request, reply) => {
      reply.header('vary', 'accept');
    });
    scope.setErrorHandler((error, request, reply) => sendFailure(error, request, reply));
    scope.route({
      url: '/graphql',
      method: ['GET', 'POST'],
      exposeHeadRoute: false,
      bodyLimit: LIMITS.requestBytes,
      handler: async (request, reply) => {
        if (wantsExplorer(request)) return sendExplorer(app.config, request, reply);
        const naru = await contextOf(app, request);
        const fast = fastParameters(request);
        if (fast !== null) {
          const answer = await answerFast(engine, naru, fast);
          if (answer !== null) return sendAnswer(request, reply, answer);
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
    onSubscribe({ setSubscribeFn, args }) {
      setSubscribeFn(async () => {
        if (!acceptsEvents(args.contextValue.request.headers.get('accept'))) {
          return { errors: [notAcceptable()] };
        }
        const result = await engine.subscribe({
          document: args.document,
          operationName: args.operationName,
          variables: args.variableValues,
          context: args.contextValue.naru,
          transport: 'sse',
        });
        return Symbol.asyncIterator in result ? withErrorAsResult(result) : result;
      });
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

function acceptsEvents(accept: string | null): boolean {
  return accept === null || /text\/event-stream|text\/\*|\*\/\*/.test(accept);
}

function notAcceptable(): GraphQLError {
  return new GraphQLError('A subscription is answered with text/event-stream: accept it', {
    extensions: { code: 'INVALID_INPUT', http: { status: 406 } },
  });
}

/** The parameters of a well-formed JSON POST that wants one JSON answer; null for everything else. */
function fastParameters(request: FastifyRequest): Parameters | null {
  const { body } = request;
  if (request.method !== 'POST' || typeof body !== 'object' || body === null) return null;
  if (Array.isArray(body) || !acceptsOneAnswer(request.headers.accept)) return null;
  const { query, operationName, variables, extensions } = body as Record<string, unknown>;
  const isObject = (value: unknown) => typeof value === 'object' && !Array.isArray(value);
  if (typeof query !== 'string') return null;
  if (operationName != null && typeof operationName !== 'string') return null;
  if (variables != null && !isObject(variables)) return null;
  if (extensions != null && !isObject(extensions)) return null;
  return body as Parameters;
}

function acceptsOneAnswer(accept: string | undefined): boolean {
  if (accept === undefined || accept === '*/*') return true;
  if (accept.includes('text/event-stream') || accept.includes('multipart/')) return false;
  return /application\/(json|graphql-response\+json)|application\/\*|\*\/\*/.test(accept);
}

interface Answer {
  /** 400 where GraphQL over HTTP says so: nothing ran. */
  readonly isRequestError: boolean;
  readonly result: ExecutionResult;
}

/** Null for a subscription, which is no single answer. */
async function answerFast(
  engine: Engine,
  context: Context,
  parameters: Parameters,
): Promise<Answer | null> {
  const { query, operationName, variables } = parameters;
  let document: DocumentNode;
  try {
    document = engine.parse(query);
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error;
    return { isRequestError: true, result: { errors: [error] } };
  }
  const errors = engine.validate(document);
  if (errors.length > 0) return { isRequestError: true, result: { errors } };
  if (engine.kindOf(document, operationName) === 'subscription') return null;
  const result = await engine.execute({
    document,
    operationName,
    variables,
    context,
    transport: 'http',
  });
  return { isRequestError: !('data' in result), result };
}

function sendAnswer(request: FastifyRequest, reply: FastifyReply, answer: Answer): FastifyReply {
  const isModern = request.headers.accept?.includes('application/graphql-response+json') ?? false;
  reply.code(answer.isRequestError && isModern ? 400 : 200);
  reply.header('content-type', isModern ? GRAPHQL_TYPE : JSON_TYPE);
  return reply.send(JSON.stringify(answer.result));
}

/** What failed before GraphQL began: a body that is too large or no JSON, credentials, the server itself. */
function sendFailure(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { status, code, message } = describeFailure(error, request);
  const isModern = request.headers.accept?.includes('application/graphql-response+json') ?? false;
  if (status === 401) reply.header('www-authenticate', 'Bearer');
  if (error instanceof UnavailableError) {
    reply.header('retry-after', error.retryAfterSeconds);
    request.log.warn({ err: error.cause }, error.message);
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
  request.log.error({ err: error }, 'A GraphQL request failed');
  return { status: 500, code: 'INTERNAL_SERVER_ERROR', message: 'Unexpected error' };
}
