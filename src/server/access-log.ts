// One line for each request that was answered, for those who operate Naru: what was asked, how it ended,
// and where its time went. Nothing in it is a text that a client chose, but for the request id.
import { hash } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Viewer } from '#auth/viewer.ts';
import type { Context, Services } from '#context.ts';
import { deriveKey } from '#lib/derive-key.ts';
import { networkPrefixOf } from '#lib/network-prefix.ts';

/**
 * Where the time of a request goes, in this order: reading its body, finding out who asks, reading the
 * document, running it (all that a plain route does), and handing the answer to the connection.
 */
export type Phase = 'receive' | 'authenticate' | 'prepare' | 'execute' | 'send';

export interface AskedOperation {
  /** Null where the document says nothing that can run. */
  readonly kind: 'query' | 'mutation' | 'subscription' | null;
  /** As the client calls it: never logged. */
  readonly name: string | null | undefined;
  /** Of a trusted document: from a list that the operator made. */
  readonly trustedName: string | null;
}

/** One operation of a socket, which has no request of its own. */
export interface SocketOperation extends AskedOperation {
  readonly context: Context;
}

/** What is remembered of a request until its line is written. */
export interface AccessNotes {
  readonly startedAt: number;
  /** Read at once: a connection that is gone has none. */
  readonly ipAddress: string | undefined;
  /** Null where the line is only written if the request fails. */
  readonly phaseSeconds: Partial<Record<Phase, number>> | null;
  phaseFrom: number;
  viewer: LoggedViewer | null;
  operation: LoggedOperation | null;
}

interface LoggedViewer {
  readonly kind: 'guest' | 'session' | 'token';
  readonly userId?: string;
}

interface LoggedOperation {
  readonly kind: string;
  /** A trusted document's; `other` for what a client named itself, `none` where it did not. */
  readonly name: string;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Null where there is no access log. */
    access: AccessNotes | null;
  }
}

export interface AccessLog {
  register(fastify: FastifyInstance): void;
  /** For a request that no hook sees. */
  watch(request: FastifyRequest, reply: FastifyReply): void;
  /** The answer, unchanged; its line is written when it is there, and a subscription's when that has begun. */
  watchOperation<Answer extends object>(
    operation: SocketOperation,
    answer: Promise<Answer>,
  ): Promise<Answer>;
}

/** The time since the last phase ended was this one's. Costs nothing where no line is to be written. */
export function endPhase({ access }: FastifyRequest, phase: Phase): void {
  if (access !== null) addPhase(access, phase, performance.now());
}

/** Ends the phase `authenticate`. */
export function noteViewer(request: FastifyRequest, viewer: Viewer | null): void {
  if (request.access === null) return;
  endPhase(request, 'authenticate');
  request.access.viewer = loggedViewer(viewer);
}

/** Ends the phase `prepare`. */
export function noteOperation(request: FastifyRequest, operation: AskedOperation): void {
  if (request.access === null) return;
  endPhase(request, 'prepare');
  request.access.operation = loggedOperation(operation);
}

/** Lines at `info` for the sampled part of all requests, and for each that was answered with 429 or 5xx. */
export function createAccessLog(app: Pick<Services, 'config' | 'log'>): AccessLog {
  const { config } = app;
  const isOn = config.accessLogSample > 0 && app.log.isLevelEnabled('info');
  // Looking for secrets costs six times what all the rest of a line does, and none of its fields has any.
  const log = app.log.child({}, { redact: [] });
  const isSampled = createSampler(config.accessLogSample, config.secretKey);

  const write = (request: FastifyRequest, reply: FastifyReply, notes: AccessNotes) => {
    const { statusCode, headersSent, writableFinished } = reply.raw;
    const isFailed = headersSent && (statusCode >= 500 || statusCode === 429);
    if (notes.phaseSeconds === null && !isFailed) return;
    const now = performance.now();
    // Who takes the reply over sends while it runs.
    const hasRun = notes.phaseSeconds?.execute !== undefined;
    addPhase(notes, hasRun ? 'send' : 'execute', now);
    const length = Number(reply.getHeader('content-length') ?? Number.NaN);
    log.info(
      {
        requestId: request.id,
        method: request.method,
        // The pattern: a path may be a secret, as that of a webhook often is.
        route: request.routeOptions.url ?? 'none',
        statusCode: headersSent ? statusCode : null,
        ...(!writableFinished && { aborted: true }),
        ...(Number.isFinite(length) && { bytes: length }),
        seconds: rounded((now - notes.startedAt) / 1000),
        ...(notes.phaseSeconds !== null && { phaseSeconds: notes.phaseSeconds }),
        ...(notes.operation !== null && { operation: notes.operation }),
        ...(notes.viewer !== null && { viewer: notes.viewer }),
        network: networkPrefixOf(notes.ipAddress),
      },
      'answered',
    );
  };

  const watch = (request: FastifyRequest, reply: FastifyReply) => {
    if (!isOn) return;
    const now = performance.now();
    const notes: AccessNotes = {
      startedAt: now,
      ipAddress: request.ip,
      phaseFrom: now,
      phaseSeconds: isSampled(request.id) ? {} : null,
      viewer: null,
      operation: null,
    };
    request.access = notes;
    // Also where the client left before it was answered, which no hook tells.
    reply.raw.once('close', () => write(request, reply, notes));
  };

  return {
    watch,
    register(fastify) {
      fastify.decorateRequest('access', null);
      if (!isOn) return;
      fastify.addHook('onRequest', (request, reply, done) => {
        watch(request, reply);
        done();
      });
      fastify.addHook('preHandler', (request, _reply, done) => {
        endPhase(request, 'receive');
        done();
      });
      fastify.addHook('onSend', (request, _reply, _payload, done) => {
        endPhase(request, 'execute');
        done();
      });
    },
    async watchOperation(given, answer) {
      const { context } = given;
      if (!isOn || !isSampled(context.requestId)) return answer;
      const startedAt = performance.now();
      const result = await answer;
      log.info(
        {
          requestId: context.requestId,
          operation: loggedOperation(given),
          outcome: 'errors' in result ? 'errors' : 'ok',
          seconds: rounded((performance.now() - startedAt) / 1000),
          viewer: loggedViewer(context.viewer),
          network: networkPrefixOf(context.origin.client.ipAddress),
        },
        'ran',
      );
      return result;
    },
  };
}

/**
 * The same answer for the same id on every node, so that what is told of a request is told wholly. Keyed:
 * a client names its requests, and must not know which names are overlooked.
 */
function createSampler(share: number, secretKey: string): (requestId: string) => boolean {
  if (share >= 1) return () => true;
  const key = deriveKey(secretKey, 'access-log').toString('hex');
  return (requestId) => hash('sha256', key + requestId, 'buffer').readUInt32BE(0) < share * 2 ** 32;
}

function addPhase(notes: AccessNotes, phase: Phase, now: number): void {
  if (notes.phaseSeconds === null) return;
  const seconds = (now - notes.phaseFrom) / 1000 + (notes.phaseSeconds[phase] ?? 0);
  notes.phaseSeconds[phase] = rounded(seconds);
  notes.phaseFrom = now;
}

function loggedViewer(viewer: Viewer | null): LoggedViewer {
  return viewer === null ? { kind: 'guest' } : { kind: viewer.proof.kind, userId: viewer.userId };
}

function loggedOperation({ kind, name, trustedName }: AskedOperation): LoggedOperation {
  return { kind: kind ?? 'none', name: trustedName ?? (name ? 'other' : 'none') };
}

function rounded(seconds: number): number {
  return Math.round(seconds * 1e6) / 1e6;
}
