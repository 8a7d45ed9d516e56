export interface StopWatch {
  /** Stops watching. */
  close(): void;
}

const PARENT_CHECK_MS = 500;
const ECHO_MS = 400;

/**
 * Calls `onStop` once, at the first signal or when the parent process is gone: `npm run` does not
 * hand on SIGTERM, it just dies. Calls `onForce` at a further signal.
 */
export function watchForStop(onStop: (reason: string) => void, onForce: () => void): StopWatch {
  const parent = process.ppid;
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  let askedAt: number | null = null;

  function ask(reason: string): void {
    askedAt = Date.now();
    onStop(reason);
  }
  function onSignal(signal: NodeJS.Signals): void {
    if (askedAt === null) ask(signal);
    // One Ctrl-C may arrive twice: from the terminal, and handed on by npm.
    else if (Date.now() - askedAt > ECHO_MS) onForce();
  }
  for (const signal of signals) process.on(signal, onSignal);
  const timer = setInterval(() => {
    if (askedAt === null && process.ppid !== parent) ask('the process that started it is gone');
  }, PARENT_CHECK_MS);
  return {
    close() {
      clearInterval(timer);
      for (const signal of signals) process.off(signal, onSignal);
    },
  };
}
