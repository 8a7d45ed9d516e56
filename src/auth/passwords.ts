import { Worker } from 'node:worker_threads';
import { parseOptions } from '@node-rs/argon2';
import { InvalidInputError, UnavailableError } from '#lib/errors.ts';
import { isPossiblePassword, normalizePassword } from './password-policy.ts';
import type { HashAnswer, HashRequest } from './password-worker.ts';

export interface Passwords {
  /**
   * PHC string of argon2id. Throws `InvalidInputError` for what could not be a password at all; the
   * policy is asked before. Throws `UnavailableError` at once where too many wait.
   */
  hash(password: string): Promise<string>;
  /**
   * Null takes the same work and never matches, so that a missing account is not known by the time
   * taken; a hash that cannot be read is taken for null. `needsRehash`: it matches, and is to be
   * replaced by `hash(password)`. Throws `UnavailableError` at once where too many wait.
   */
  verify(phc: string | null, password: string): Promise<Verification>;
  /**
   * Work that hashes, with a place kept for it: what finds none is refused at once with `UnavailableError`,
   * before it has cost anything else.
   */
  admit<Result>(work: () => Promise<Result>): Promise<Result>;
  /** What waits is rejected with `UnavailableError`, what is under way ends; then the threads do. */
  close(): Promise<void>;
}

export interface Verification {
  readonly matches: boolean;
  readonly needsRehash: boolean;
}

export interface PasswordsOptions {
  readonly hashesAtOnce: number;
  /** How many may wait for their turn; 8 × `hashesAtOnce` where nothing is said. */
  readonly queueMax?: number;
  /** After each hash, with the time it took, its thread's start included; the wait before it is not. */
  readonly onHash?: (kind: 'hash' | 'verify', seconds: number) => void;
  /** Each time one is refused because too many wait. */
  readonly onOverflow?: () => void;
}

interface Job {
  readonly request: HashRequest;
  readonly resolve: (answer: HashAnswer) => void;
  readonly reject: (error: UnavailableError) => void;
  attempts: number;
  startedAtMs: number;
}

interface Thread {
  readonly worker: Worker;
  job: Job | null;
}

/** OWASP's minimum: 19 MiB, two passes, one lane. */
const TODAY = { memoryCost: 19_456, timeCost: 2, parallelism: 1, outputLen: 32 } as const;
const ARGON2ID = 2;
const VERSION_19 = 1;
/** Nobody knows a password with this hash: it is all zeros. */
const DUMMY = `$argon2id$v=19$m=${TODAY.memoryCost},t=${TODAY.timeCost},p=${TODAY.parallelism}$${'A'.repeat(22)}$${'A'.repeat(43)}`;
/** A hash asks for the memory it is verified with: one with wrong numbers must not take the node down. */
const MEMORY_KIB_MAX = 2 ** 18;
const PASSES_MAX = 16;
const LANES_MAX = 16;

const QUEUE_PER_THREAD = 8;
/** A thread's end is bad luck once; twice in one job, it may be the job. */
const ATTEMPTS_MAX = 2;
const SECONDS_EACH_AT_FIRST = 0.05;

/** Opens nothing: threads start with the first hashes, and none keeps the process alive while idle. */
export function createPasswords(options: PasswordsOptions): Passwords {
  const queueMax = options.queueMax ?? QUEUE_PER_THREAD * options.hashesAtOnce;
  const waiting: Job[] = [];
  const threads = new Set<Thread>();
  let admitted = 0;
  let secondsEach = SECONDS_EACH_AT_FIRST;
  let isClosed = false;
  /** Settled once, after `close`: when nothing is under way any more. */
  const idle = Promise.withResolvers<void>();

  function requireOpen(): void {
    if (isClosed) throw new UnavailableError('This server is stopping');
  }

  function requireQueue(): void {
    // Who waits, waits for a thread: there is none to spare then, even where fewer run than may.
    const isRoom = threads.size < options.hashesAtOnce || idleThread() !== undefined;
    const isServed = waiting.length === 0 && isRoom;
    if (!isServed && waiting.length >= queueMax) refuse(waiting.length);
  }

  function refuse(before: number): never {
    options.onOverflow?.();
    throw new UnavailableError('Too many passwords are being checked', {
      retryAfterSeconds: Math.ceil(((before + 1) * secondsEach) / options.hashesAtOnce),
    });
  }

  async function ask(request: HashRequest): Promise<HashAnswer> {
    requireOpen();
    requireQueue();
    return new Promise((resolve, reject) => {
      waiting.push({ request, resolve, reject, attempts: 0, startedAtMs: 0 });
      handOut();
    });
  }

  function handOut(): void {
    while (waiting.length > 0) {
      const thread = idleThread() ?? startThread();
      if (thread === undefined) return;
      const job = waiting.shift();
      if (job === undefined) return;
      job.attempts += 1;
      job.startedAtMs = performance.now();
      thread.job = job;
      thread.worker.ref();
      thread.worker.postMessage(job.request);
    }
  }

  function idleThread(): Thread | undefined {
    return [...threads].find((thread) => thread.job === null);
  }

  function startThread(): Thread | undefined {
    if (threads.size === options.hashesAtOnce) return undefined;
    const worker = openWorker();
    if (worker === undefined) return undefined;
    const thread: Thread = { worker, job: null };
    threads.add(thread);
    let cause: unknown;
    worker.on('message', (answer: HashAnswer) => settle(thread, answer));
    worker.on('error', (error) => {
      cause = error;
    });
    worker.on('exit', () => lose(thread, cause));
    return thread;
  }

  /** A system that gives no more threads: what waits is for those there are, or for nobody. */
  function openWorker(): Worker | undefined {
    try {
      return new Worker(new URL('./password-worker.ts', import.meta.url), {
        name: 'passwords',
        // Flags of the process are not for its threads: with some (`--input-type`) they do not start.
        execArgv: [],
      });
    } catch (cause) {
      if (threads.size === 0) refuseWaiting('The password cannot be checked now', cause);
      return undefined;
    }
  }

  function refuseWaiting(message: string, cause?: unknown): void {
    for (const job of waiting.splice(0)) job.reject(new UnavailableError(message, { cause }));
  }

  function settle(thread: Thread, answer: HashAnswer): void {
    const { job } = thread;
    if (job === null) return;
    thread.job = null;
    thread.worker.unref();
    const seconds = (performance.now() - job.startedAtMs) / 1_000;
    secondsEach += (seconds - secondsEach) / 8;
    job.resolve(answer);
    options.onHash?.(job.request.kind, seconds);
    proceed();
  }

  /** A thread ended by itself: what it had goes first to the next one, but not for ever. */
  function lose(thread: Thread, cause: unknown): void {
    const { job } = thread;
    threads.delete(thread);
    if (job !== null) {
      if (job.attempts < ATTEMPTS_MAX && !isClosed) waiting.unshift(job);
      else job.reject(new UnavailableError('The password cannot be checked now', { cause }));
    }
    proceed();
  }

  function proceed(): void {
    handOut();
    if (isClosed && [...threads].every((thread) => thread.job === null)) idle.resolve();
  }

  return {
    async hash(password) {
      if (!isPossiblePassword(password)) {
        throw new InvalidInputError('A password is at most 1,024 characters of well-formed text');
      }
      const answer = await ask({
        kind: 'hash',
        password: normalizePassword(password),
        options: TODAY,
      });
      if (answer.kind === 'hash') return answer.phc;
      throw new Error(`A password could not be hashed: ${describe(answer)}`);
    },

    async verify(phc, password) {
      // Nobody has such a password, whoever is asked for: answering at once tells nothing.
      if (!isPossiblePassword(password)) return { matches: false, needsRehash: false };
      const parameters = phc === null ? null : readParameters(phc);
      const known = parameters === null ? null : phc;
      const answer = await ask({
        kind: 'verify',
        password: normalizePassword(password),
        phc: known ?? DUMMY,
      });
      if (answer.kind !== 'verify') {
        throw new Error(`A password could not be verified: ${describe(answer)}`);
      }
      const matches = answer.matches && known !== null;
      return { matches, needsRehash: matches && parameters !== 'today' };
    },

    async admit(work) {
      requireOpen();
      if (admitted >= options.hashesAtOnce + queueMax) refuse(queueMax);
      admitted += 1;
      try {
        return await work();
      } finally {
        admitted -= 1;
      }
    },

    async close() {
      isClosed = true;
      refuseWaiting('This server is stopping');
      proceed();
      await idle.promise;
      await Promise.all([...threads].map(({ worker }) => worker.terminate()));
    },
  };
}

function describe(answer: HashAnswer): string {
  return answer.kind === 'fault' ? answer.message : 'the answer is to another question';
}

/** Null for what cannot be verified: no argon2 hash, or one that asks for more than a node gives. */
function readParameters(phc: string): 'today' | 'other' | null {
  try {
    const found = parseOptions(phc);
    if (found.memoryCost > MEMORY_KIB_MAX) return null;
    if (found.timeCost > PASSES_MAX || found.parallelism > LANES_MAX) return null;
    const isToday =
      found.algorithm === ARGON2ID &&
      found.version === VERSION_19 &&
      found.memoryCost === TODAY.memoryCost &&
      found.timeCost === TODAY.timeCost &&
      found.parallelism === TODAY.parallelism &&
      found.outputLen === TODAY.outputLen;
    return isToday ? 'today' : 'other';
  } catch {
    return null;
  }
}
