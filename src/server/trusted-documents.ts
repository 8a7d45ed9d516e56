// The manifest of documents that are known beforehand: `{ "<id>": "<text>" }`, or the list of operations
// that the tools of Apollo and Relay write.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type DocumentNode, Kind } from 'graphql';
import type { Engine } from './engine.ts';

export interface TrustedDocuments {
  readonly byText: ReadonlyMap<string, DocumentNode>;
  /** By the ids and names of the manifest, and by `sha256:` with the text's own. */
  readonly byId: ReadonlyMap<string, DocumentNode>;
  readonly operationNames: ReadonlySet<string>;
}

interface Entry {
  readonly ids: readonly string[];
  readonly text: string;
}

/** Throws with every fault at once, a line each, by id. */
export async function readTrustedDocuments(
  file: string | null,
  engine: Pick<Engine, 'parse' | 'validate'>,
): Promise<TrustedDocuments> {
  const byText = new Map<string, DocumentNode>();
  const byId = new Map<string, DocumentNode>();
  const operationNames = new Set<string>();
  const faults: string[] = [];
  for (const { ids, text } of file === null ? [] : await readManifest(file)) {
    const found = byText.get(text) ?? readDocument(text, engine);
    const isTaken = ids.some((id) => (byId.get(id) ?? found) !== found);
    const fault =
      typeof found === 'string' ? found : isTaken ? 'it is there twice' : faultOfIds(ids, text);
    if (fault !== null || typeof found === 'string') {
      faults.push(`${ids[0]}: ${fault}`);
      continue;
    }
    byText.set(text, found);
    for (const id of [...ids, hashId(text)]) byId.set(id, found);
    for (const name of operationNamesOf(found)) operationNames.add(name);
  }
  if (faults.length > 0) throw unusable(file, faults);
  return { byText, byId, operationNames };
}

/** What a text is called that is called by its content. */
export function hashId(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

/** Hashes are written with and without saying of which kind they are. */
function faultOfIds(ids: readonly string[], text: string): string | null {
  const hash = ids.find((id) => /^(sha256:)?[\da-f]{64}$/i.test(id) || id.startsWith('sha256:'));
  if (hash === undefined || hashId(text).endsWith(hash.toLowerCase())) return null;
  return 'it is not the SHA-256 of its text';
}

/** The document, or what forbids it to run. */
function readDocument(
  text: string,
  engine: Pick<Engine, 'parse' | 'validate'>,
): DocumentNode | string {
  try {
    const document = engine.parse(text);
    const errors = engine.validate(document);
    return errors.length === 0 ? document : errors.map(({ message }) => message).join('; ');
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function operationNamesOf({ definitions }: DocumentNode): readonly string[] {
  return definitions.flatMap((definition) =>
    definition.kind === Kind.OPERATION_DEFINITION && definition.name ? [definition.name.value] : [],
  );
}

async function readManifest(file: string): Promise<readonly Entry[]> {
  let manifest: unknown;
  try {
    manifest = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw unusable(file, [error instanceof Error ? error.message : String(error)]);
  }
  const entries = entriesOf(manifest);
  if (entries !== null) return entries;
  throw unusable(file, [
    'is neither { "<id>": "<text>" } nor { "operations": [{ "id", "body" }] }',
  ]);
}

function unusable(file: string | null, faults: readonly string[]): Error {
  return new Error(`TRUSTED_DOCUMENTS ${file}\n${faults.map((fault) => `  ${fault}`).join('\n')}`);
}

function entriesOf(manifest: unknown): readonly Entry[] | null {
  if (!isObject(manifest)) return null;
  const { operations } = manifest;
  const entries = Array.isArray(operations)
    ? operations.map(entryOf)
    : Object.entries(manifest).map(([id, text]) =>
        typeof text === 'string' ? { ids: [id], text } : null,
      );
  return entries.every((entry) => entry !== null) ? entries : null;
}

function entryOf(operation: unknown): Entry | null {
  if (!isObject(operation)) return null;
  const { id, name, body } = operation;
  if (typeof id !== 'string' || typeof body !== 'string') return null;
  return { ids: typeof name === 'string' ? [id, name] : [id], text: body };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
