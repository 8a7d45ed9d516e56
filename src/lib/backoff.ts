/**
 * Wait before attempt `failures + 1`: doubles from `baseMs` up to `maxMs`. `random` (0 to 1) takes off up
 * to half, so that what failed together does not come back together.
 */
export function backoffMs(
  failures: number,
  { baseMs, maxMs, random }: { baseMs: number; maxMs: number; random: number },
): number {
  const fullMs = Math.min(maxMs, baseMs * 2 ** Math.max(0, failures - 1));
  return Math.round(fullMs * (1 - random / 2));
}
