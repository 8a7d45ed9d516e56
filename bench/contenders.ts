// Run as a child: one server of one kind on a free port, told by IPC what to serve and where.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import Fastify from 'fastify';
import mercurius from 'mercurius';
import { createApp } from '#app.ts';
import { parseConfig } from '#config.ts';
import { createSchema } from '#schema/index.ts';
import { contextOf } from '#server/request.ts';
import { createServer } from '#server.ts';

interface Order {
  readonly kind: 'naru' | 'mercurius-jit' | 'bare-fastify';
  readonly environment: Record<string, string>;
  /** What bare Fastify answers with, whatever it is asked. */
  readonly answer: unknown;
}

process.once('message', (order: Order) => void serve(order));
process.once('disconnect', () => process.exit(0));

async function serve({ kind, environment, answer }: Order): Promise<void> {
  const config = parseConfig({ ...environment, PORT: '0', LOG_LEVEL: 'silent' });
  if (kind === 'bare-fastify') {
    const fastify = Fastify();
    fastify.post('/graphql', async () => answer);
    process.send?.({ url: await fastify.listen({ host: '127.0.0.1', port: 0 }) });
    return;
  }
  const app = await createApp(config, { runsJobs: false });
  if (kind === 'naru') {
    const server = await createServer(app);
    process.send?.({ url: await server.listen() });
    tellOfTheLoop();
    return;
  }
  const fastify = Fastify();
  await fastify.register(mercurius, {
    schema: createSchema(),
    context: (request, reply) => contextOf(app, request, reply, 'answer'),
    jit: 1,
  });
  process.send?.({ url: await fastify.listen({ host: '127.0.0.1', port: 0 }) });
}

/** Asked `loop`, tells the longest that the event loop stood still since it was asked last. */
function tellOfTheLoop(): void {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  process.on('message', (question) => {
    if (question !== 'loop') return;
    process.send?.({ longestMs: delay.max / 1e6 });
    delay.reset();
  });
}
