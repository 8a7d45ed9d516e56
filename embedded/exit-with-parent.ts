// Preloaded (`node --import`) into Node children. A parent that is killed cannot stop them, but
// what connects them ends with it: the IPC channel where there is one, else stdin.
import { isMainThread } from 'node:worker_threads';

const DRAIN_TIMEOUT_MS = 5_000;

// Worker threads are preloaded too, and their stdin is always at its end.
if (isMainThread) {
  if (process.channel) {
    process.once('disconnect', leave);
    // The listener would keep a process alive that has nothing left to do.
    process.channel.unref();
  } else {
    process.stdin.once('end', leave).once('error', leave).resume();
  }
}

function leave(): void {
  // As if stopped in order: handlers of SIGTERM run; what it stands on may be gone too, so not for
  // long.
  setTimeout(() => process.exit(1), DRAIN_TIMEOUT_MS).unref();
  process.kill(process.pid, 'SIGTERM');
}
