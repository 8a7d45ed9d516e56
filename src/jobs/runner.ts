import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import type { Services } from '#context.ts';
import type { Subscription } from '#pubsub/bus.ts';
import { type TimedJob, type TopicJob, timedJobs, topicJobs } from './index.ts';

/** Starts every job. A run that throws is logged, counted and tried again. */
export function startJobs(app: Services): Subscription {
  const running = [
    ...topicJobs
      .filter((job) => job.isNeeded?.(app) ?? true)
      .map((job) => lead(app, job.name, (term) => consume(app, job, term))),
    ...timedJobs.map((job) =>
      job.where === 'one-node'
        ? lead(app, job.name, (term) => repeat(app, job, term))
        : untilClosed((term) => repeat(app, job, term)),
    ),
  ];
  return {
    async close() {
      await Promise.all(running.map((job) => job.close()));
    },
  };
}

/** Runs `work` on one node at a time; another takes over within seconds of this one's death. */
function lead(
  app: Services,
  name: string,
  work: (term: AbortSignal) => Promise<void>,
): Subscription {
  return app.session.lead(`job ${name}`, work);
}

function untilClosed(work: (term: AbortSignal) => Promise<void>): Subscription {
  const controller = new AbortController();
  const done = work(controller.signal);
  return {
    async close() {
      controller.abort();
      await done;
    },
  };
}

async function consume<Payload>(
  app: Services,
  job: TopicJob<Payload>,
  term: AbortSignal,
): Promise<void> {
  const subscription = await app.bus.consume(job.topic, {
    name: job.name,
    batchMax: job.batchMax,
    handle: (batch) =>
      job.run(app, batch).catch((error: unknown) => {
        note(app, job.name, error);
        throw error;
      }),
  });
  await aborted(term);
  await subscription.close();
}

async function repeat(app: Services, job: TimedJob, term: AbortSignal): Promise<void> {
  while (!term.aborted) {
    await pause(job.everyMs, term);
    if (term.aborted) return;
    await job.run(app).catch((error: unknown) => note(app, job.name, error));
  }
}

async function aborted(term: AbortSignal): Promise<void> {
  if (!term.aborted) await once(term, 'abort');
}

async function pause(forMs: number, term: AbortSignal): Promise<void> {
  // Rejects only when the term ends, which the caller looks at.
  await setTimeout(forMs, undefined, { signal: term }).catch(() => {});
}

function note(app: Services, job: string, error: unknown): void {
  app.metrics.jobFailures.inc({ job });
  app.log.error({ err: error, job }, 'A job failed and is tried again');
}
