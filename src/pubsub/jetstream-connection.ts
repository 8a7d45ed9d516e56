import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { type ConnectionOptions, connect, type NatsConnection } from '@nats-io/transport-node';
import { UnavailableError } from '#lib/errors.ts';
import { withDeadline } from './deadline.ts';
import type { BusLog } from './log.ts';

export interface JetStreamConnection {
  readonly nats: NatsConnection;
  readonly manager: JetStreamManager;
  isConnected(): boolean;
  /** Throws `UnavailableError` when the server does not come back in time. */
  whenConnected(timeoutMs: number): Promise<void>;
  /** Called after each reconnect; the return value stops that. */
  onReconnect(listener: () => void): () => void;
  close(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 4_000;
const CLOSE_TIMEOUT_MS = 2_000;
const VERSION_MIN = '2.9.10';
/** The first whose writes can be made to survive a power cut (`sync_interval: always`). */
const VERSION_DURABLE = '2.10.0';

/**
 * Throws `UnavailableError`, saying what is wrong, when no server answers, it has no JetStream, or it is
 * too old. Once connected it reconnects for ever. `url` may list servers of one cluster, with commas.
 */
export async function connectJetStream(url: string, log: BusLog): Promise<JetStreamConnection> {
  const nats = await connect(connectOptions(url)).catch((cause) => {
    throw new UnavailableError(`No NATS server answers: ${messageOf(cause)}`, { cause });
  });
  try {
    const version = nats.info?.version ?? '0';
    if (!isAtLeast(version, VERSION_MIN)) {
      throw new UnavailableError(`nats-server ${version} is too old: Naru needs ${VERSION_MIN}`);
    }
    if (!isAtLeast(version, VERSION_DURABLE)) {
      log.warn(
        { version },
        'This nats-server acknowledges before it syncs: a power cut may lose the last writes. ' +
          'Servers from 2.10 on can be run with sync_interval: always',
      );
    }
    const manager = await jetstreamManager(nats, { timeout: REQUEST_TIMEOUT_MS }).catch((cause) => {
      throw new UnavailableError(`NATS has no JetStream: ${messageOf(cause)}`, { cause });
    });
    return follow(nats, manager, log);
  } catch (error) {
    await nats.close();
    throw error;
  }
}

function follow(nats: NatsConnection, manager: JetStreamManager, log: BusLog): JetStreamConnection {
  const listeners = new Set<() => void>();
  let connected: PromiseWithResolvers<void> | null = null;
  void watch();

  async function watch(): Promise<void> {
    for await (const status of nats.status()) {
      if (status.type === 'disconnect') {
        connected ??= Promise.withResolvers();
        log.warn({}, 'NATS was lost');
      } else if (status.type === 'reconnect') {
        connected?.resolve();
        connected = null;
        log.info({}, 'NATS is back');
        for (const listener of listeners) listener();
      } else if (status.type === 'error') log.warn({ err: status.error }, 'NATS reports an error');
    }
  }

  return {
    nats,
    manager,
    isConnected: () => connected === null && !nats.isClosed(),
    async whenConnected(timeoutMs) {
      if (connected) await withDeadline(connected.promise, timeoutMs);
    },
    onReconnect(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async close() {
      // Draining sends what is under way, e.g. acknowledgements; without a server there is nothing to send to.
      if (connected === null) await withDeadline(nats.drain(), CLOSE_TIMEOUT_MS).catch(() => {});
      await nats.close();
    },
  };
}

/** What the client library does not take from a URL: credentials and TLS. */
function connectOptions(url: string): ConnectionOptions {
  const urls = url.split(',').map((one) => new URL(one.includes('://') ? one : `nats://${one}`));
  const [first] = urls;
  const user = decodeURIComponent(first?.username ?? '');
  const pass = decodeURIComponent(first?.password ?? '');
  return {
    servers: urls.map((one) => one.host),
    name: 'naru',
    ...(user && pass && { user, pass }),
    ...(user && !pass && { token: user }),
    ...(first?.protocol === 'tls:' && { tls: {} }),
    timeout: CONNECT_TIMEOUT_MS,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    reconnectJitter: 250,
    // A server that hangs is given up after two of these.
    pingInterval: 2_000,
    maxPingOut: 2,
  };
}

function isAtLeast(version: string, minimum: string): boolean {
  const parts = version.split(/[.-]/).map(Number);
  for (const [index, wanted] of minimum.split('.').map(Number).entries()) {
    const part = parts[index] ?? 0;
    if (part !== wanted) return part > wanted;
  }
  return true;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
