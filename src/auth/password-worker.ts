// Runs in a thread of its own, one request at a time; `passwords.ts` starts it and hands it work.
import { readlinkSync } from 'node:fs';
import { constants, getPriority, setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import { hashSync, type Options, verifySync } from '@node-rs/argon2';

export type HashRequest =
  | { readonly kind: 'hash'; readonly password: string; readonly options: Options }
  | { readonly kind: 'verify'; readonly password: string; readonly phc: string };

/** `fault` is the library's own message, which holds nothing of the request. */
export type HashAnswer =
  | { readonly kind: 'hash'; readonly phc: string }
  | { readonly kind: 'verify'; readonly matches: boolean }
  | { readonly kind: 'fault'; readonly message: string };

/** Steps of nice value: whoever waits for an answer without a password in it goes first. */
const NICER_BY = 19;

if (parentPort !== null) {
  const port = parentPort;
  lowerPriority();
  port.on('message', (request: HashRequest) => port.postMessage(answer(request)));
}

function answer(request: HashRequest): HashAnswer {
  try {
    return request.kind === 'hash'
      ? { kind: 'hash', phc: hashSync(request.password, request.options) }
      : { kind: 'verify', matches: verifySync(request.phc, request.password) };
  } catch (error) {
    return { kind: 'fault', message: error instanceof Error ? error.message : 'unknown' };
  }
}

/** Linux gives every thread its own priority; elsewhere there is no such link, and nothing is done. */
function lowerPriority(): void {
  try {
    const threadId = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
    const lowest = constants.priority.PRIORITY_LOW;
    setPriority(threadId, Math.min(getPriority(threadId) + NICER_BY, lowest));
  } catch {
    // Hashing works all the same; other work is only a little slower beside it.
  }
}
