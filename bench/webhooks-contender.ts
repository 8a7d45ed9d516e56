import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

export interface Contender {
  readonly child: ChildProcess;
  readonly url: string;
}

/** A process of its own that runs this file of the bench; rejects where it ends before it listens. */
export async function startContender(file: string, order: object): Promise<Contender> {
  const child = fork(new URL(file, import.meta.url), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  child.send(order);
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`${file} ended with ${code}`);
  });
  const [{ url }] = (await Promise.race([once(child, 'message'), ended])) as [{ url: string }];
  ended.catch(() => {});
  return { child, url };
}
