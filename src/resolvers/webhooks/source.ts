import type { Config } from '#config.ts';
import type { Sql } from '#database/client.ts';
import type { WebhookProvider } from '#generated/prisma/enums.ts';
import { UnavailableError } from '#lib/errors.ts';
import { newId } from '#lib/ids.ts';

export interface Source {
  readonly id: string;
  readonly path: string;
  readonly provider: WebhookProvider;
  readonly secret: string | null;
}

/** All sources in memory, so that ingress needs no PostgreSQL. */
export interface SourceDirectory {
  /**
   * The source whose path is the longest run of first segments; null when there is none. Throws
   * `UnavailableError` before the first successful `refresh`: an unknown path must not be guessed.
   */
  find(segments: readonly string[]): Source | null;
  /** Reads the sources again; on failure the old ones stay. */
  refresh(): Promise<void>;
}

const SECRET_SETTINGS: Readonly<Record<string, (config: Config) => string | null>> = {
  GITHUB_WEBHOOK_SECRET: (config) => config.githubWebhookSecret,
};

export function createSourceDirectory(sql: Sql, config: Config): SourceDirectory {
  let sources: ReadonlyMap<string, Source> | null = null;
  return {
    find(segments) {
      if (sources === null) throw new UnavailableError('The sources are not loaded yet');
      // A slash inside a segment was percent-encoded: it is part of a name and separates nothing.
      const slash = segments.findIndex((segment) => segment.includes('/'));
      for (let length = slash < 0 ? segments.length : slash; length > 0; length -= 1) {
        const source = sources.get(segments.slice(0, length).join('/'));
        if (source !== undefined) return source;
      }
      return null;
    },
    async refresh() {
      const rows = await sql.query<{
        id: string;
        path: string;
        provider: WebhookProvider;
        secret_setting: string | null;
      }>('SELECT id, path, provider, secret_setting FROM webhook_source', [], 'list-sources');
      sources = new Map(
        rows.map(({ id, path, provider, secret_setting }) => {
          const secret = SECRET_SETTINGS[secret_setting ?? '']?.(config) ?? null;
          return [path, { id, path, provider, secret }];
        }),
      );
    },
  };
}

/** Makes the source `github` exist where its secret is set, in every mode. Twice is once. */
export async function ensureGitHubSource(sql: Sql, config: Config): Promise<void> {
  if (config.githubWebhookSecret === null) return;
  await sql.query(
    `INSERT INTO webhook_source (id, path, provider, secret_setting)
     VALUES ($1, 'github', 'GITHUB', 'GITHUB_WEBHOOK_SECRET') ON CONFLICT (path) DO NOTHING`,
    [newId()],
  );
}
