import { UnavailableError } from '#lib/errors.ts';

/** What `promise` brings, or `UnavailableError` after `timeoutMs`; a later result is dropped. */
export async function withDeadline<Value>(
  promise: Promise<Value>,
  timeoutMs: number,
): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new UnavailableError('The message log did not answer in time')),
      Math.max(0, timeoutMs),
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
