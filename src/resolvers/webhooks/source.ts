import type { Config } from '#config.ts';
import type { Sql } from '#database/client.ts';
import type { VerificationMode, WebhookProvider } from '#generated/prisma/enums.ts';
import { UnavailableError } from '#lib/errors.ts';
import { newId } from '#lib/ids.ts';
import { type SourceSettings, sourceSettings } from './providers/settings.ts';
import { createSecretVault, type SecretVault } from './source-secret.ts';

export const TOLERANCE_SECONDS_DEFAULT = 300;

export interface Source {
  readonly id: string;
  readonly path: string;
  readonly provider: WebhookProvider;
  readonly mode: VerificationMode;
  /** Null where what is stored is no settings of this version: nothing can be verified then. */
  readonly settings: SourceSettings | null;
  /** Null where the server's own limit counts. */
  readonly bodyBytesMax: number | null;
  readonly messagesPerMinute: number | null;
  readonly toleranceSeconds: number;
  /** Those that count at this moment of the database's clock, newest first. */
  readonly secrets: () => readonly string[];
  /** Whether a secret that counts now does not open, so that a signature that fails may be genuine. */
  readonly hasClosedSecret: () => boolean;
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

/** Settings that hold the secret of a source which Naru makes by itself. */
export const SECRET_SETTINGS: Readonly<Record<string, (config: Config) => string | null>> = {
  GITHUB_WEBHOOK_SECRET: (config) => config.githubWebhookSecret,
};

/** `onFault` hears of each source that cannot be verified as it is stored, once for each fault. */
export function createSourceDirectory(
  sql: Sql,
  config: Config,
  onFault: (fault: { readonly sourceId: string; readonly what: string }) => void = () => {},
): SourceDirectory {
  const vault = createSecretVault(config);
  let sources: ReadonlyMap<string, Source> | null = null;
  let faults: ReadonlySet<string> = new Set();
  let started = 0;
  let applied = 0;
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
      started += 1;
      const mine = started;
      const rows = await sql.query<SourceRow>(READ_SOURCES, [], 'list-sources');
      // One that began later has been applied: what was read here may be from before a change.
      if (mine < applied) return;
      applied = mine;
      const found = new Set<string>();
      const note = (sourceId: string, what: string) => {
        found.add(`${sourceId} ${what}`);
        if (!faults.has(`${sourceId} ${what}`)) onFault({ sourceId, what });
      };
      sources = new Map(
        [...Map.groupBy(rows, ({ id }) => id).values()].map((group) => {
          const source = readSource(group, { vault, config, note });
          return [source.path, source];
        }),
      );
      faults = found;
    },
  };
}

interface SourceRow {
  readonly id: string;
  readonly path: string;
  readonly provider: WebhookProvider;
  readonly verification_mode: VerificationMode;
  readonly secret_setting: string | null;
  readonly settings: unknown;
  readonly body_bytes_max: number | null;
  readonly messages_per_minute: number | null;
  readonly tolerance_seconds: number | null;
  readonly secret_id: string | null;
  readonly sealed: Buffer | null;
  readonly ends_at: Date | null;
  readonly now: Date;
}

// One statement, so that no source is seen without the secrets that were made with it.
const READ_SOURCES = `
  SELECT s.id, s.path, s.provider, s.verification_mode, s.secret_setting, s.settings,
    s.body_bytes_max, s.messages_per_minute, s.tolerance_seconds,
    x.id AS secret_id, x.sealed, x.ends_at, naru_now() AS now
  FROM webhook_source s LEFT JOIN webhook_source_secret x ON x.source_id = s.id
  WHERE s.deleted_at IS NULL ORDER BY s.id, x.created_at DESC, x.id DESC`;

interface HeldSecret {
  readonly value: string | null;
  readonly endsAtMs: number;
}

function readSource(
  rows: readonly SourceRow[],
  tools: {
    readonly vault: SecretVault;
    readonly config: Config;
    readonly note: (sourceId: string, what: string) => void;
  },
): Source {
  const [row] = rows;
  if (row === undefined) throw new Error('A source has at least one row');
  const parsed = sourceSettings.safeParse(row.settings);
  if (!parsed.success) tools.note(row.id, 'Its settings are not those of this version');
  const held: HeldSecret[] = rows.flatMap(({ secret_id, sealed, ends_at }) => {
    if (secret_id === null || sealed === null) return [];
    const value = tools.vault.open(sealed, secret_id);
    if (value === null) tools.note(row.id, `Its secret ${secret_id} does not open`);
    return { value, endsAtMs: ends_at?.getTime() ?? Number.POSITIVE_INFINITY };
  });
  // Last: it is older than any that was made for the source since.
  const set = SECRET_SETTINGS[row.secret_setting ?? '']?.(tools.config) ?? null;
  if (set !== null) held.push({ value: set, endsAtMs: Number.POSITIVE_INFINITY });
  // Ends are the database's; between two readings this node's clock tells how far it has gone on.
  const aheadMs = row.now.getTime() - Date.now();
  const counting = () => held.filter(({ endsAtMs }) => endsAtMs > Date.now() + aheadMs);
  return {
    id: row.id,
    path: row.path,
    provider: row.provider,
    mode: row.verification_mode,
    settings: parsed.success ? parsed.data : null,
    bodyBytesMax: row.body_bytes_max,
    messagesPerMinute: row.messages_per_minute,
    toleranceSeconds: row.tolerance_seconds ?? TOLERANCE_SECONDS_DEFAULT,
    secrets: () => counting().flatMap(({ value }) => value ?? []),
    hasClosedSecret: () => counting().some(({ value }) => value === null),
  };
}

/**
 * Makes the source `github` exist where its secret is set, in every mode. Twice is once. While the setting
 * stands the source cannot be deleted, so nothing that was deleted comes back by this.
 */
export async function ensureGitHubSource(sql: Sql, config: Config): Promise<void> {
  if (config.githubWebhookSecret === null) return;
  await sql.query(
    `INSERT INTO webhook_source (id, path, provider, secret_setting)
     VALUES ($1, 'github', 'GITHUB', 'GITHUB_WEBHOOK_SECRET')
     ON CONFLICT (path) WHERE deleted_at IS NULL DO NOTHING`,
    [newId()],
  );
}
