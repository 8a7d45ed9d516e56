import type { Place } from '#commands/database.ts';
import { UsageError } from '#commands/usage-error.ts';
import { type Config, ConfigError, parseConfig } from '#config.ts';
import { rotateSigningKey } from '#resolvers/users/signing-key.ts';
import { type Prepare, readOptions } from './work.ts';

export const prepareRotateSigningKey: Prepare = async (given) => {
  readOptions(given, {});
  return async (database, place) => {
    const keyId = await rotateSigningKey(database, readConfig(place));
    return { lines: [keyId] };
  };
};

/** As the nodes read it; what has nothing to do with keys may be missing. */
function readConfig({ databaseUrl, isDev }: Place): Config {
  const { env } = process;
  try {
    return parseConfig({
      ...env,
      DATABASE_URL: databaseUrl,
      REDIS_URL: env['REDIS_URL'] || 'redis://not-asked',
      ...(isDev && { NODE_ENV: 'development' }),
    });
  } catch (error) {
    if (error instanceof ConfigError) throw new UsageError(error.faults.join('; '));
    throw error;
  }
}
