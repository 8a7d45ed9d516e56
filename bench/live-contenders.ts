// Run as a child: one node that takes webhooks in and hands them to subscribers, told by IPC of which kind. The bare
// ones do nothing but carry the same bytes: POST, one message on NATS or one NOTIFY, one frame a socket.
import { connect } from '@nats-io/transport-node';
import Fastify from 'fastify';
import pg from 'pg';
import { WebSocketServer } from 'ws';
import { createApp } from '#app.ts';
import { parseConfig } from '#config.ts';
import { createServer } from '#server.ts';

export type LiveKind = 'naru' | 'bare';

export interface LiveOrder {
  readonly kind: LiveKind;
  readonly environment: Readonly<Record<string, string>>;
}

const CHANNEL = 'bench_live';

process.once('message', (order: LiveOrder) => void serve(order));
process.once('disconnect', () => process.exit(0));

async function serve({ kind, environment }: LiveOrder): Promise<void> {
  if (kind === 'naru') {
    const config = parseConfig({ ...environment, PORT: '0', LOG_LEVEL: 'error' });
    const server = await createServer(await createApp(config));
    process.send?.({ url: await server.listen() });
    return;
  }
  const fastify = Fastify();
  const sockets = new WebSocketServer({ server: fastify.server, perMessageDeflate: false });
  const publish = await openChannel(environment, (frame) => {
    for (const socket of sockets.clients) socket.send(frame);
  });
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    done(null, body);
  });
  fastify.post('/webhook/*', async (request, reply) => {
    await publish(frameOf(String(request.headers['x-github-delivery'])));
    return reply.code(202).send({ status: 'accepted' });
  });
  process.send?.({ url: await fastify.listen({ host: '127.0.0.1', port: 0 }) });
}

/** Byte for byte what Naru sends for the subscription of this bench. */
function frameOf(deliveryId: string): string {
  const data = { webhookMessageReceived: { message: { deliveryId } } };
  return JSON.stringify({ id: '1', type: 'next', payload: { data } });
}

async function openChannel(
  environment: LiveOrder['environment'],
  onFrame: (frame: string) => void,
): Promise<(frame: string) => Promise<unknown>> {
  const { NATS_URL: natsUrl, DATABASE_URL: connectionString } = environment;
  if (natsUrl !== undefined) {
    const nats = await connect({ servers: natsUrl });
    nats.subscribe(CHANNEL, { callback: (_error, message) => onFrame(message.string()) });
    await nats.flush();
    return (frame) => {
      nats.publish(CHANNEL, frame);
      return nats.flush();
    };
  }
  const listener = new pg.Client({ connectionString });
  await listener.connect();
  listener.on('notification', ({ payload = '' }) => onFrame(payload));
  await listener.query(`LISTEN ${CHANNEL}`);
  const pool = new pg.Pool({ connectionString, max: 4 });
  return (frame) => pool.query('SELECT pg_notify($1, $2)', [CHANNEL, frame]);
}
