import { DomainError, InvalidInputError, UnavailableError } from '#lib/errors.ts';
import { UsageError } from './usage-error.ts';

const NO_SUCH_TABLE = '42P01';

/** Ends with one line on standard error: 2 where the input is at fault, 1 where it could not be done. */
export function exitWith(error: unknown): never {
  process.stderr.write(`${describe(error).replaceAll(/\s*\n\s*/g, ' ')}\n`);
  const isInput = error instanceof UsageError || error instanceof InvalidInputError;
  process.exit(isInput ? 2 : 1);
}

function describe(error: unknown): string {
  if (error instanceof UnavailableError && error.cause !== undefined) {
    return `The database does not answer: ${messageOf(error.cause)}`;
  }
  if (error instanceof DomainError || error instanceof UsageError) return error.message;
  if (error instanceof Error && 'code' in error && error.code === NO_SUCH_TABLE) {
    return 'There are no tables of Naru in this database yet: start Naru once, which makes them';
  }
  return messageOf(error);
}

function messageOf(error: unknown): string {
  // Node wraps a refused connection to a name with several addresses in an error without a message.
  if (error instanceof AggregateError) return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
