import type { Services } from '#context.ts';
import type { Subscription } from '#pubsub/bus.ts';
import { type TimedJob, timedJobs, topicJobs } from './index.ts';

/** Starts every job. A run that throws is logged, counted and tried again. */
export async function startJobs(app: Services): Promise<Subscription> {
  const running: Subscription[] = timedJobs.map((job) => startTimed(app, job));
  for (const job of topicJobs) {
    const subscription = await app.bus.consume(job.topic, {
      name: job.name,
      batchMax: job.batchMax,
      handle: (batch) =>
        job.run(app, batch).catch((error: unknown) => {
          note(app, job.name, error);
          throw error;
        }),
    });
    running.push(subscription);
  }
  return {
    async close() {
      await Promise.all(running.map((job) => job.close()));
    },
  };
}

function startTimed(app: Services, job: TimedJob): Subscription {
  let closed = false;
  let timer: NodeJS.Timeout | undefined;
  let run = Promise.resolve();
  const schedule = () => {
    if (closed) return;
    timer = setTimeout(() => {
      run = job
        .run(app)
        .catch((error: unknown) => note(app, job.name, error))
        .finally(schedule);
    }, job.everyMs);
  };
  schedule();
  return {
    async close() {
      closed = true;
      clearTimeout(timer);
      await run;
    },
  };
}

function note(app: Services, job: string, error: unknown): void {
  app.metrics.jobFailures.inc({ job });
  app.log.error({ err: error, job }, 'A job failed and is tried again');
}
