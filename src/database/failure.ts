import { DomainError, UnavailableError } from '#lib/errors.ts';
import { isPassing, isPassingState } from '#lib/passing-failure.ts';

/** What PostgreSQL's driver threw, as the client's business where it is: the database is away. */
export function describeFailure(error: unknown): unknown {
  if (error instanceof DomainError || !isPassing(error)) return error;
  return new UnavailableError('PostgreSQL cannot answer now', { cause: error });
}

const AWAY_KINDS = new Set([
  'ConnectionClosed',
  'DatabaseNotReachable',
  'SocketTimeout',
  'TlsConnectionError',
  'TooManyConnections',
]);

/** The same of what Prisma threw, which wraps the driver's error into its own. */
export function isPrismaAway(error: unknown): boolean {
  if (!(error instanceof Error) || !('meta' in error)) return false;
  const meta = error.meta as { driverAdapterError?: { cause?: { kind?: string; code?: string } } };
  const { kind = '', code = '' } = meta?.driverAdapterError?.cause ?? {};
  return AWAY_KINDS.has(kind) || isPassingState(code);
}
