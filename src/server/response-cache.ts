// Answers that the schema declares may be kept, in the memory of this node (docs/decisions/0022).
import { hash } from 'node:crypto';
import type { DocumentNode, ExecutionResult, GraphQLSchema } from 'graphql';
import { LRUCache } from 'lru-cache';
import type { Viewer } from '#auth/viewer.ts';
import type { Context } from '#context.ts';
import { fingerprintOf } from '#lib/fingerprint.ts';
import type { Topic } from '#pubsub/topic.ts';
import { type CacheScope, readCacheControls } from '#schema/cache-control.ts';
import type { RootField } from './root-fields.ts';
import { createTopicVersions, type TopicVersionsOptions } from './topic-versions.ts';

export interface ResponseCache {
  /** For one request; null for what is no query. Asks nothing yet: limits and policies come first. */
  slotFor(asked: AskedOperation): CacheSlot | null;
  close(): Promise<void>;
}

export interface AskedOperation {
  readonly document: DocumentNode;
  readonly kind: 'query' | 'mutation' | 'subscription' | null;
  readonly operationName?: string | null | undefined;
  readonly variables?: Readonly<Record<string, unknown>> | null | undefined;
  readonly context: Context;
}

/** Where the answer of one request may be kept, and may be already. */
export interface CacheSlot {
  /**
   * Whether `answer` has it, so that nothing needs to run. To be asked right before running, once all
   * that refuses has been asked, with the fields that would run.
   */
  find(rootFields: readonly RootField[]): boolean;
  /** Keeps what came of running, where it may be kept and is no failure. */
  keep(result: ExecutionResult): void;
  /** What was found or kept; null while there is none. */
  readonly answer: KeptAnswer | null;
}

export interface KeptAnswer {
  /** `{"data":…}` and nothing else: what belongs to one request is not in it. */
  readonly text: string;
  /** SHA-256 of the text, base64url. */
  readonly digest: string;
  readonly scope: CacheScope;
  /** How much longer it may be handed out. */
  readonly secondsLeft: number;
}

export interface ResponseCacheOptions extends TopicVersionsOptions {
  readonly schema: GraphQLSchema;
  /** Those that the schema may name. */
  readonly topics: readonly Topic<unknown>[];
  readonly bytesMax?: number;
  /** Milliseconds that never run backwards. */
  readonly now?: () => number;
}

const BYTES_MAX = 32 * 2 ** 20;
/** One answer may take this share at most; a larger one is made anew each time. */
const SHARE_MAX = 1 / 32;
/** A key, and what the map needs for it. */
const ENTRY_BYTES = 256;

/** What `@cacheControl` says, of one field or of several together. */
interface Rule {
  readonly maxAgeMs: number;
  readonly scope: CacheScope;
  readonly topics: readonly Topic<unknown>[];
}

interface Entry {
  readonly text: string;
  readonly digest: string;
  readonly scope: CacheScope;
  readonly expiresAt: number;
}

/** Throws `TypeError` for a declaration that cannot be kept to. */
export function createResponseCache(options: ResponseCacheOptions): ResponseCache {
  const { bytesMax = BYTES_MAX, now = () => performance.now() } = options;
  const rules = readRules(options);
  const versions = createTopicVersions(options);
  const entries = new LRUCache<string, Entry>({
    maxSize: bytesMax,
    maxEntrySize: Math.floor(bytesMax * SHARE_MAX),
    // A character takes one byte, or two in a text that has any outside of Latin-1.
    sizeCalculation: ({ text }) => ENTRY_BYTES + 2 * text.length,
  });

  /**
   * The versions are part of the key: what was computed before an entry of a topic arrived is stored,
   * however late, under a key that nobody asks for any more.
   */
  const keyOf = (asked: AskedOperation, rule: Rule): string | null => {
    const text = asked.document.loc?.source.body;
    const whose = whoseOf(rule.scope, asked.context.viewer);
    const seen = rule.topics.map((topic) => versions.of(topic));
    if (text === undefined || whose === null || seen.includes(null)) return null;
    const variables = fingerprintOf(asked.variables ?? {}).toString('base64url');
    const parts = [text, asked.operationName ?? null, variables, whose, seen];
    return hash('sha256', JSON.stringify(parts), 'base64url');
  };

  const slotOf = (asked: AskedOperation): CacheSlot => {
    let opened: { key: string; scope: CacheScope; expiresAt: number } | null = null;
    const answerOf = ({ expiresAt, ...entry }: Entry): KeptAnswer => ({
      ...entry,
      secondsLeft: Math.max(0, Math.floor((expiresAt - now()) / 1_000)),
    });
    // A field, and not a getter: V8 keeps a literal's getters, and what they see, until a full collection.
    const slot = {
      answer: null as KeptAnswer | null,
      find(rootFields: readonly RootField[]) {
        const rule = ruleOf(rules, rootFields);
        const isRefused = (asked.context.origin.notes.refusals?.size ?? 0) > 0;
        const key = rule === null || isRefused ? null : keyOf(asked, rule);
        if (rule === null || key === null) return false;
        const askedAt = now();
        // It grows old from when it was asked for: what it says may have changed right after.
        opened = { key, scope: rule.scope, expiresAt: askedAt + rule.maxAgeMs };
        const entry = entries.get(key);
        if (entry === undefined || entry.expiresAt <= askedAt) return false;
        slot.answer = answerOf(entry);
        return true;
      },
      keep({ data, errors }: ExecutionResult) {
        if (opened === null || errors?.length || data == null) return;
        const { key, scope, expiresAt } = opened;
        const text = JSON.stringify({ data });
        const entry: Entry = { text, digest: hash('sha256', text, 'base64url'), scope, expiresAt };
        entries.set(key, entry);
        slot.answer = answerOf(entry);
      },
    };
    return slot;
  };

  return {
    slotFor: (asked) => (asked.kind === 'query' && rules.size > 0 ? slotOf(asked) : null),
    close: () => versions.close(),
  };
}

function readRules({ schema, topics }: ResponseCacheOptions): ReadonlyMap<string, Rule> {
  const rules = new Map<string, Rule>();
  for (const [field, { maxAge, scope, invalidatedBy }] of readCacheControls(schema)) {
    const found = topics.filter(({ name }) => invalidatedBy.includes(name));
    if (found.length < invalidatedBy.length) {
      throw new TypeError(
        `${field} waits for a topic that is not there: ${invalidatedBy.join(', ')}`,
      );
    }
    rules.set(field, { maxAgeMs: maxAge * 1_000, scope, topics: found });
  }
  return rules;
}

/** What holds for the fields together: the strictest of each. Null where one of them is not declared. */
function ruleOf(rules: ReadonlyMap<string, Rule>, rootFields: readonly RootField[]): Rule | null {
  let together: Rule | null = null;
  for (const { fieldName } of rootFields) {
    if (fieldName === '__typename') continue;
    const rule = rules.get(fieldName);
    if (rule === undefined) return null;
    together = together === null ? rule : strictest(together, rule);
  }
  return together;
}

function strictest(left: Rule, right: Rule): Rule {
  return {
    maxAgeMs: Math.min(left.maxAgeMs, right.maxAgeMs),
    scope: left.scope === 'PRIVATE' ? 'PRIVATE' : right.scope,
    topics: [...new Set([...left.topics, ...right.topics])],
  };
}

/** All that access may depend on of a viewer, as this server has just read it. Guests have nothing private. */
function whoseOf(scope: CacheScope, viewer: Viewer | null): unknown {
  if (scope === 'PUBLIC') return 'public';
  if (viewer === null) return null;
  const { userId, roles, scopes, proof } = viewer;
  return [userId, [...roles].toSorted(), [...scopes].toSorted(), proof.kind, proof.id];
}
