import type { Context } from '#context.ts';

/**
 * Where a stream starts: after what the client received last, as a browser that connects again says
 * by itself, else after what the operation asks for; null is the head. Every live field asks here.
 */
export function placeToResume(
  ctx: Pick<Context, 'lastEventId'>,
  after: string | null | undefined,
): string | null {
  return ctx.lastEventId ?? after ?? null;
}
