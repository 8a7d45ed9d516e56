// Runs what `npm run dev` needs: servers first, the app on top, and the other way round at the end.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { startApp } from './app-process.ts';
import { type Child, readLogEnd } from './child.ts';
import { type DevSettings, readDevSettings } from './dev-settings.ts';
import { describeParts } from './dev-table.ts';
import { startNats } from './nats.ts';
import { claimPidFile, removePidFile, stopLeftovers } from './pid-file.ts';
import { createRememberedPorts, isPortFree, listenError, type Ports } from './ports.ts';
import { startPostgres } from './postgres.ts';
import { startRedis } from './redis.ts';
import type { EmbeddedServer } from './server.ts';
import { StartError } from './start-error.ts';
import { watchForStop } from './stop-request.ts';

export interface SupervisorOptions {
  /** The checkout; everything that is written goes to its `.data`. */
  readonly root: string;
  /** The app's process entry, e.g. src/main.ts. */
  readonly appEntry: string;
  readonly env: NodeJS.ProcessEnv;
}

/** What can end, and be ended. */
interface Part {
  readonly name: string;
  readonly logFile: string;
  readonly exited: Promise<string>;
  stop(): Promise<void>;
  kill(): Promise<void>;
}

interface Run {
  readonly options: SupervisorOptions;
  readonly settings: DevSettings;
  readonly folder: string;
  /**
   * Aborted when it is time to end: by a `StartError`, or by a string when somebody asked for it.
   */
  readonly end: AbortController;
  /** What runs by now, by name. */
  readonly parts: Map<string, Part>;
}

const PORT_ATTEMPTS = 5;
const STOP_ORDER = ['app', 'redis', 'nats', 'postgres'];

/**
 * Runs until asked to stop (resolves) or until a part cannot start or ends by itself (throws
 * `StartError`).
 */
export async function supervise(options: SupervisorOptions): Promise<void> {
  const settings = readDevSettings(options.env);
  const folder = path.join(options.root, '.data');
  mkdirSync(folder, { recursive: true });
  const pidFile = path.join(folder, 'dev.pid');
  const holder = claimPidFile(pidFile);
  if (holder !== null) {
    throw new StartError(`npm run dev is running in this checkout already, as process ${holder}.`);
  }
  const run: Run = { options, settings, folder, end: new AbortController(), parts: new Map() };
  const watch = watchForStop(
    (reason) => run.end.abort(reason),
    () => void killAll(run).finally(() => process.exit(1)),
  );
  try {
    await stopLeftovers(folder);
    await startAll(run);
    await ended(run.end.signal);
  } catch (error) {
    run.end.abort(error);
  } finally {
    rmSync(path.join(folder, 'dev.json'), { force: true });
    if (typeof run.end.signal.reason === 'string') tell(`Stopping: ${run.end.signal.reason}.`);
    for (const name of STOP_ORDER) await run.parts.get(name)?.stop();
    watch.close();
    removePidFile(pidFile, process.pid);
  }
  if (typeof run.end.signal.reason !== 'string') throw run.end.signal.reason;
}

async function startAll(run: Run): Promise<void> {
  const { options, settings, folder, end } = run;
  const ports = createRememberedPorts(path.join(folder, 'ports.json'));
  if (settings.port !== null) await requirePort(settings.port, settings.host);
  const { databaseUrl, redisUrl, natsUrl, forceJsRedis: forceJs } = settings;
  const place = { folder, ports, signal: end.signal };
  const binFolder = settings.postgresBinFolder;
  // Settled, not raced: what still starts while another part fails must end, too, before this
  // process does.
  const [postgres, redis, nats] = await Promise.all([
    startPart(run, databaseUrl ? null : () => startPostgres({ ...place, binFolder })),
    startPart(run, redisUrl ? null : () => startRedis({ ...place, forceJs })),
    startPart(run, natsUrl || settings.withoutNats ? null : () => startNats(place)),
  ]);
  end.signal.throwIfAborted();
  const urls = {
    databaseUrl: databaseUrl ?? requireUrl(postgres),
    redisUrl: redisUrl ?? requireUrl(redis),
    natsUrl: natsUrl ?? nats?.url ?? null,
  };
  const { app, url } = await startAppOnFreePort(run, ports, {
    ...options.env,
    NODE_ENV: 'development',
    HOST: settings.host,
    DATABASE_URL: urls.databaseUrl,
    REDIS_URL: urls.redisUrl,
    NATS_URL: urls.natsUrl ?? undefined,
  });
  const facts = { ...urls, url, pid: process.pid };
  // Readable by its owner only: a database of yours may have a password in its URL.
  writeFileSync(path.join(folder, 'dev.json'), `${JSON.stringify(facts, null, 2)}\n`, {
    mode: 0o600,
  });
  const { root } = options;
  tell(describeParts({ ...facts, root, postgres, redis, nats, appLogFile: app.logFile }));
}

async function requirePort(port: number, host: string): Promise<void> {
  const error = await listenError(port, host);
  if (error === 'EADDRINUSE') {
    throw new StartError(`PORT=${port} is taken on ${host}. Unset PORT to get a free one.`);
  }
  if (error !== null) throw new StartError(`Cannot listen on ${host}:${port}: ${error}.`);
}

async function startAppOnFreePort(
  { options, settings, folder, end, parts }: Run,
  ports: Ports,
  env: NodeJS.ProcessEnv,
): Promise<{ app: Child; url: string }> {
  for (let attempt = 1; ; attempt++) {
    const port = settings.port ?? (await ports.choose('app', 4000));
    end.signal.throwIfAborted();
    const { child: app, ready } = startApp({
      entry: options.appEntry,
      folder,
      workingFolder: options.root,
      env: { ...env, PORT: String(port) },
    });
    parts.set(app.name, app);
    const url = await Promise.race([ready, app.exited.then(() => null), ended(end.signal)]);
    end.signal.throwIfAborted();
    const portIsLost = url === null && settings.port === null && !(await isPortFree(port));
    // Another checkout that starts just now may have been faster.
    if (portIsLost && attempt < PORT_ATTEMPTS) continue;
    endWithPart({ options, end }, app);
    if (url !== null) return { app, url };
    await ended(end.signal);
  }
}

/** Never rejects: a failure ends the run, which tells the other parts. */
async function startPart(
  run: Run,
  start: (() => Promise<EmbeddedServer | null>) | null,
): Promise<EmbeddedServer | null> {
  try {
    const server = (await start?.()) ?? null;
    if (server !== null) {
      run.parts.set(server.name, server);
      endWithPart(run, server);
    }
    return server;
  } catch (error) {
    run.end.abort(error);
    return null;
  }
}

function endWithPart({ options, end }: Pick<Run, 'options' | 'end'>, part: Part): void {
  void part.exited.then((outcome) => {
    const logFile = path.relative(options.root, part.logFile);
    const log =
      part.name === 'app'
        ? `What it said is above, and in ${logFile}.`
        : `${logFile} ends with:\n${readLogEnd(part.logFile)}`;
    end.abort(new StartError(`${part.name} ended by itself (${outcome}). ${log}`));
  });
}

function requireUrl(server: EmbeddedServer | null): string {
  if (server === null) throw new StartError('A part that is needed did not start.');
  return server.url;
}

async function killAll(run: Run): Promise<void> {
  await Promise.all([...run.parts.values()].map((part) => part.kill()));
  rmSync(path.join(run.folder, 'dev.pid'), { force: true });
}

function ended(signal: AbortSignal): Promise<null> {
  const { promise, resolve } = Promise.withResolvers<null>();
  if (signal.aborted) resolve(null);
  else signal.addEventListener('abort', () => resolve(null), { once: true });
  return promise;
}

function tell(text: string): void {
  process.stdout.write(`${text}\n`);
}
