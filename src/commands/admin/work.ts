import { type ParseArgsConfig, parseArgs } from 'node:util';
import type { Place } from '#commands/database.ts';
import { UsageError } from '#commands/usage-error.ts';
import type { Database } from '#database/client.ts';

export interface Outcome {
  /** For standard output. */
  readonly lines: readonly string[];
  /** What the command was to find, and found: the exit code is 1. */
  readonly fault?: string;
}

export type Work = (database: Database, place: Place) => Promise<Outcome>;

/** Reads all that is typed, and throws `UsageError` or `InvalidInputError`, before the database is asked for. */
export type Prepare = (given: readonly string[]) => Promise<Work>;

/** Throws `UsageError` for what is not an option, and for an argument without one. */
export function readOptions<Options extends NonNullable<ParseArgsConfig['options']>>(
  given: readonly string[],
  options: Options,
) {
  try {
    return parseArgs({ args: [...given], options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    // Only its first sentence: the rest is about how to write what is no option of ours either.
    const message = error instanceof Error ? error.message : String(error);
    throw new UsageError(message.split(/\.\s/, 1)[0] ?? message);
  }
}

/** Throws `UsageError` where it was left out. */
export function requireOption(value: string | undefined, name: string): string {
  if (value === undefined || value === '') throw new UsageError(`Give --${name}; see --help`);
  return value;
}
