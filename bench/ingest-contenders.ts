// Run as a child: one way of taking 8 KB bodies to the bus, told by IPC which and where.
import { randomUUID } from 'node:crypto';
import Fastify from 'fastify';
import { createApp } from '#app.ts';
import { parseConfig } from '#config.ts';
import type { App } from '#context.ts';
import { webhookReceived } from '#pubsub/topics/webhooks.ts';
import { createServer } from '#server.ts';

export type IngestKind = 'naru' | 'naru-without-jobs' | 'fastify-publish' | 'publish';

interface Order {
  readonly kind: IngestKind;
  readonly environment: Record<string, string>;
  readonly body: string;
}

interface Run {
  readonly publishers: number;
  readonly seconds: number;
}

process.once('message', (order: Order) => void serve(order));
process.once('disconnect', () => process.exit(0));

async function serve({ kind, environment, body }: Order): Promise<void> {
  const config = parseConfig({ ...environment, PORT: '0', LOG_LEVEL: 'error' });
  const app = await createApp(config, { runsJobs: kind === 'naru' });
  if (kind === 'publish') {
    process.send?.({ url: null });
    process.on('message', (run: Run) => void publishFor(app, Buffer.from(body), run));
    return;
  }
  if (kind === 'fastify-publish') {
    const fastify = Fastify();
    fastify.removeAllContentTypeParsers();
    fastify.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, bytes, done) => {
      done(null, bytes);
    });
    fastify.post<{ Body: Buffer }>('/webhook/github', async (request, reply) => {
      await publish(app, request.body);
      return reply.code(202).send({ status: 'accepted' });
    });
    process.send?.({ url: await fastify.listen({ host: '127.0.0.1', port: 0 }) });
    return;
  }
  const server = await createServer(app);
  process.send?.({ url: await server.listen() });
}

/** The same entry that ingress makes, of the same bytes, with nothing decided about it. */
async function publish(app: App, bytes: Buffer): Promise<void> {
  const messageId = randomUUID();
  const payload = {
    messageId,
    sourceId: null,
    provider: 'NONE' as const,
    verification: 'UNVERIFIED' as const,
    path: '/webhook/github',
    method: 'POST',
    headers: [],
    contentType: 'application/json',
    deliveryId: null,
    receivedAt: new Date().toISOString(),
  };
  await app.bus.publish(webhookReceived, 'bench', payload, { id: messageId, attachment: bytes });
}

/** As many publishers as the HTTP runs have connections, each waiting for its own answer. */
async function publishFor(app: App, bytes: Buffer, { publishers, seconds }: Run): Promise<void> {
  const end = performance.now() + seconds * 1_000;
  const latencies: number[] = [];
  await Promise.all(
    Array.from({ length: publishers }, async () => {
      while (performance.now() < end) {
        const start = performance.now();
        await publish(app, bytes);
        latencies.push(performance.now() - start);
      }
    }),
  );
  latencies.sort((left, right) => left - right);
  const at = (share: number) => latencies[Math.floor(latencies.length * share)] ?? 0;
  process.send?.({ rate: latencies.length / seconds, p50: at(0.5), p99: at(0.99) });
}
