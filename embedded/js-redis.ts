// Process entry: Redis in JavaScript, for machines without a native one. Usage: node js-redis.ts
// <port>
import net from 'node:net';

// The package listens on all interfaces and has no option for it.
const { prototype } = net.Server;
prototype.listen = new Proxy(Reflect.get(prototype, 'listen'), {
  apply(listen, server, [port, ...rest]) {
    const local = typeof port === 'number' ? [port, '127.0.0.1', ...rest] : [port, ...rest];
    return Reflect.apply(listen, server, local);
  },
});

// Its own handling waits for connected clients; everything is in memory, so there is nothing to
// wait for.
process.once('SIGTERM', () => process.exit(0));

const { createRedisServer } = await import('js-redis-server');
await createRedisServer({ port: Number(process.argv[2]) });
process.stdout.write('Ready to accept connections\n');
