// Nothing was sent before 1970, and from the year 10,000 on ISO text has another form.
const LATEST_MS = Date.UTC(9999, 11, 31);

/** A moment that a body tells in seconds since 1970; null for what is no such number. */
export function timeOfSeconds(value: unknown): Date | null {
  return typeof value === 'number' ? timeOfMs(Math.round(value * 1_000)) : null;
}

/** A moment that a body tells as ISO 8601 with a zone; null for any other text: a guess would be wrong. */
export function timeOfIso(value: unknown): Date | null {
  const isIso =
    typeof value === 'string' &&
    value.length <= 40 &&
    /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$/.test(value);
  return isIso ? timeOfMs(Date.parse(value)) : null;
}

function timeOfMs(ms: number): Date | null {
  return ms >= 0 && ms <= LATEST_MS ? new Date(ms) : null;
}
