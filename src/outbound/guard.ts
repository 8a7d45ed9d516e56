// All calls to other people's servers. docs/decisions/0018-calls-out-go-through-one-guard.md says what is
// let through, and why.
import type { LookupAddress } from 'node:dns';
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { UnavailableError } from '#lib/errors.ts';
import { addressRange } from './address-range.ts';
import { createCircuitBreaker } from './circuit-breaker.ts';
import { hostnameOf, type PinnedInit, requestPinned, UnfitMessageError } from './pinned-request.ts';

export interface Guard {
  /**
   * An answer whose body is already here. Throws `ForbiddenTargetError` where the call may not be made, and
   * `UnavailableError`, which names `who`, when nothing comes, too late or too much, or when the host has
   * failed too often to be called now. Neither says anything of the request. A status of 400 or more is
   * an answer.
   */
  fetchGuarded(
    who: string,
    url: string,
    init: PinnedInit,
    options: GuardedOptions,
  ): Promise<Response>;
}

export interface GuardedOptions {
  /** For the whole of it: resolving the name, connecting, the head and the last byte of the body. */
  readonly timeoutMs: number;
  /** Of the body, as it comes and unpacked. */
  readonly bytesMax: number;
  /**
   * Origins that an operator has written down, never a client. Only these may be in a private network, be
   * spoken to in plain HTTP if so written, and have any port.
   */
  readonly configuredOrigins?: readonly string[];
  /** If given, no other host is called: a name, or `.example.com` for every name below it. */
  readonly hosts?: readonly string[];
  /** Of an origin that is not configured. */
  readonly ports?: readonly number[];
  /** A 5xx may be of what a client asked for, and is nothing against the host. */
  readonly toleratesErrors?: boolean;
}

/** What became of a call; `spared`: not made, since the host failed too often. */
export type CallOutcome = 'answered' | 'failed' | 'forbidden' | 'spared';

export interface GuardSetup {
  /** All addresses of a name; rejects where it has none. */
  readonly resolve?: (name: string) => Promise<readonly LookupAddress[]>;
  /** In milliseconds; never goes back. */
  readonly now?: () => number;
  readonly onCall?: (who: string, outcome: CallOutcome) => void;
}

/**
 * Not among the errors for clients: the caller knows which input, if any, named the target. Whoever named
 * it should not be told `reason`: `address` says that a name exists in the operator's own network.
 */
export class ForbiddenTargetError extends Error {
  readonly reason: 'url' | 'scheme' | 'credentials' | 'host' | 'port' | 'address';

  constructor(reason: ForbiddenTargetError['reason']) {
    super(`This may not be called: its ${reason} is not allowed`);
    this.name = 'ForbiddenTargetError';
    this.reason = reason;
  }
}

const PORTS = [443];
const DEFAULT_PORTS: Readonly<Record<string, number>> = { 'https:': 443, 'http:': 80 };

interface Target {
  readonly url: URL;
  readonly isConfigured: boolean;
}

/** Opens nothing, and remembers hosts that are away. One a process, so that its callers share that. */
export function createGuard({
  resolve = (name) => lookup(name, { all: true, order: 'verbatim' }),
  now = () => performance.now(),
  onCall = () => undefined,
}: GuardSetup = {}): Guard {
  const breaker = createCircuitBreaker(now);

  async function call(target: Target, init: PinnedInit, { timeoutMs, bytesMax }: GuardedOptions) {
    const signal = AbortSignal.timeout(timeoutMs);
    try {
      const addresses = await orAborted(resolveJudged(target), signal);
      return await requestPinned(target.url, init, { addresses, signal, bytesMax });
    } catch (error) {
      // Whatever was under way then says in its own words that it was broken off.
      throw signal.aborted ? new Error(`It took more than ${timeoutMs} ms`) : error;
    }
  }

  /** One address that is not allowed refuses them all: whoever mixes them hopes that we try the wrong one. */
  async function resolveJudged({ url, isConfigured }: Target): Promise<readonly LookupAddress[]> {
    const name = hostnameOf(url);
    // Node asks no resolver about an address, so that nobody but us would judge it.
    const family = isIP(name);
    const addresses = family === 0 ? await resolve(name) : [{ address: name, family }];
    for (const { address } of addresses) {
      const range = addressRange(address);
      if (range === 'never' || (range === 'private' && !isConfigured)) {
        throw new ForbiddenTargetError('address');
      }
    }
    if (addresses.length === 0) throw new Error('The name has no address');
    return addresses;
  }

  return {
    async fetchGuarded(who, url, init, options) {
      let outcome: CallOutcome = 'forbidden';
      try {
        const target = parseTarget(url, options);
        outcome = 'spared';
        const settle = breaker.enter(target.url.origin);
        if (typeof settle === 'number') throw spare(who, settle);
        let isAway = true;
        try {
          outcome = 'failed';
          const response = await call(target, init, options);
          isAway = response.status >= 500 && options.toleratesErrors !== true;
          if (!isAway) outcome = 'answered';
          return response;
        } catch (error) {
          const isForbidden = error instanceof ForbiddenTargetError;
          // Nothing against the host, and a client could bring it about.
          if (isForbidden || error instanceof UnfitMessageError) isAway = false;
          if (!isForbidden) throw unreachable(who, error);
          outcome = 'forbidden';
          throw error;
        } finally {
          settle(isAway);
        }
      } finally {
        onCall(who, outcome);
      }
    },
  };
}

/** Judged by the parsed form only, in which an address has one spelling. */
function parseTarget(text: string, options: GuardedOptions): Target {
  const { configuredOrigins = [], hosts, ports = PORTS } = options;
  const url = URL.parse(text);
  if (url === null) throw new ForbiddenTargetError('url');
  const defaultPort = DEFAULT_PORTS[url.protocol];
  if (defaultPort === undefined) throw new ForbiddenTargetError('scheme');
  const isConfigured = configuredOrigins.includes(url.origin);
  if (url.protocol !== 'https:' && !isConfigured) throw new ForbiddenTargetError('scheme');
  if (url.username !== '' || url.password !== '') throw new ForbiddenTargetError('credentials');
  // With a dot at its end a name would pass by lists and certificates that know it without.
  if (url.hostname.endsWith('.') || (hosts !== undefined && !isListed(url.hostname, hosts))) {
    throw new ForbiddenTargetError('host');
  }
  const port = url.port === '' ? defaultPort : Number(url.port);
  if (!isConfigured && !ports.includes(port)) throw new ForbiddenTargetError('port');
  return { url, isConfigured };
}

function isListed(hostname: string, hosts: readonly string[]): boolean {
  return hosts.some((host) => (host.startsWith('.') ? hostname.endsWith(host) : hostname === host));
}

/** A resolver cannot be told to stop; it is left alone. */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  return Promise.race([promise, aborted]);
}

function spare(who: string, waitMs: number): UnavailableError {
  return new UnavailableError(`${who} has not answered lately`, {
    retryAfterSeconds: Math.ceil(waitMs / 1_000),
  });
}

/** Of the error only its words survive: on itself it may carry what came over the line, tokens included. */
function unreachable(who: string, error: unknown): UnavailableError {
  return new UnavailableError(`${who} cannot be reached now`, { cause: new Error(wordsOf(error)) });
}

function wordsOf(error: unknown): string {
  // Several addresses that did not connect.
  if (error instanceof AggregateError) return error.errors.map(wordsOf).join('; ');
  return error instanceof Error ? error.message : 'The call failed';
}
