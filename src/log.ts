import { type DestinationStream, type Logger, pino } from 'pino';

export type Log = Logger;

// Whatever object somebody logs, these never reach the output. Bodies are not logged at all.
const SECRET_PATHS = [
  'authorization',
  'cookie',
  'token',
  'password',
  'secret',
  'secretKey',
].flatMap((name) => [name, `*.${name}`, `*.headers.${name}`, `headers.${name}`]);

/**
 * JSON lines on standard output; `time` is RFC 3339. Through Node's own stream: pino's would wait for
 * ever for a reader that is gone, and the process could not end.
 */
export function createLog(level: string, destination: DestinationStream = process.stdout): Log {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: SECRET_PATHS, censor: '[REDACTED]' },
  };
  return pino(options, destination);
}
