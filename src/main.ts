import { seed } from '../prisma/seed.ts';
import { createApp } from './app.ts';
import { ConfigError, parseConfig } from './config.ts';
import { createLog } from './log.ts';
import { createServer } from './server.ts';

await main();

async function main(): Promise<void> {
  const config = readConfig();
  // Whoever read the log has left: that is no reason to end.
  process.stdout.on('error', () => {});
  const log = createLog(config.logLevel);
  try {
    const app = await createApp(config, { log });
    if (config.mode === 'development') await seed(app);
    const server = await createServer(app);
    stopOnSignal(config.shutdownTimeoutMs, async () => {
      log.info('Stopping: finishing what is under way');
      await server.close();
      await app.close();
    });
    const url = await server.listen();
    log.info({ url, bus: app.bus.kind, mode: config.mode }, 'Naru is ready');
    process.send?.({ ready: url });
  } catch (error) {
    fail(`Naru cannot start: ${describe(error, config.host, config.port)}`);
  }
}

function readConfig() {
  try {
    return parseConfig(process.env);
  } catch (error) {
    if (error instanceof ConfigError) fail(error.message);
    throw error;
  }
}

/** The first signal stops in order; a second one, or the deadline, stops at once. */
function stopOnSignal(timeoutMs: number, stop: () => Promise<void>): void {
  let stopping = false;
  const onSignal = () => {
    if (stopping) process.exit(1);
    stopping = true;
    setTimeout(() => fail('Naru did not stop in time'), timeoutMs).unref();
    stop().then(
      () => process.exit(0),
      (error: unknown) => fail(`Naru did not stop cleanly: ${String(error)}`),
    );
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

function describe(error: unknown, host: string, port: number): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error ? error.code : null;
  if (code === 'EADDRINUSE') return `${host}:${port} is taken (set PORT to another)`;
  // Node wraps a refused connection to a name with several addresses in an error without a message.
  if (error instanceof AggregateError) return error.errors.map(String).join('; ');
  return error.message;
}
