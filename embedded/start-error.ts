/**
 * Why something embedded cannot run, in words for the person at the terminal; shown without a
 * stack.
 */
export class StartError extends Error {
  override readonly name = 'StartError';
}
