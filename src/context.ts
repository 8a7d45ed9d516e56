import type { AccessTokens } from '#auth/access-tokens.ts';
import type { Credential } from '#auth/credential.ts';
import type { Passwords } from '#auth/passwords.ts';
import type { Viewer } from '#auth/viewer.ts';
import type { Config } from '#config.ts';
import type { Database } from '#database/client.ts';
import type { FeedHub } from '#feeds/hub.ts';
import type { PrismaClient } from '#generated/prisma/client.ts';
import type { RateLimitedError } from '#lib/errors.ts';
import type { Log } from '#log.ts';
import type { Metrics } from '#metrics.ts';
import type { GitHub } from '#outbound/github.ts';
import type { Mailer } from '#outbound/mail.ts';
import type { Bus } from '#pubsub/bus.ts';
import type { PostgresSession } from '#pubsub/postgres-session.ts';
import type { RedisClient } from '#redis/client.ts';
import type { Quotas } from '#redis/quota.ts';
import type { RoomServices } from '#resolvers/rooms/services.ts';
import type { CredentialLimiter } from '#resolvers/users/credential-limits.ts';
import type { FindEnded } from '#resolvers/users/ended-credentials.ts';
import type { UserLoader } from '#resolvers/users/user-loader.ts';
import type { Authenticate } from '#resolvers/users/viewer.ts';
import type { DecisionLoader, DueLoader, SourceLoader } from '#resolvers/webhooks/access.ts';
import type { WebhookFeedItem } from '#resolvers/webhooks/feed.ts';
import type { ReceiptCodec } from '#resolvers/webhooks/inbox/receipt.ts';
import type { PermissionNews } from '#resolvers/webhooks/permissions/news.ts';
import type { Permissions } from '#resolvers/webhooks/permissions/refresh.ts';
import type { SourceDirectory } from '#resolvers/webhooks/source.ts';

export interface Services extends RoomServices {
  readonly config: Config;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly database: Database;
  readonly prisma: PrismaClient;
  readonly redis: RedisClient;
  readonly bus: Bus;
  readonly webhookSources: SourceDirectory;
  /** For leadership among nodes and for telling the outbox relay that there is news. */
  readonly session: PostgresSession;
  readonly receipts: ReceiptCodec;
  readonly webhookFeed: FeedHub<WebhookFeedItem>;
  readonly loadUser: UserLoader;
  readonly loadDecision: DecisionLoader;
  readonly loadSources: SourceLoader;
  readonly loadIsDue: DueLoader;
  /** Asks GitHub who may see what, and keeps its answers. */
  readonly permissions: Permissions;
  readonly permissionNews: PermissionNews;
  readonly authenticate: Authenticate;
  readonly findEnded: FindEnded;
  readonly accessTokens: AccessTokens;
  readonly passwords: Passwords;
  readonly quotas: Quotas;
  readonly credentialLimiter: CredentialLimiter;
  readonly mailer: Mailer;
  /** Null where nobody signs in with GitHub. */
  readonly github: GitHub | null;
}

/** Acts for the system: no viewer, so nothing is hidden from it. */
export interface App extends Services {
  /** Stops in reverse order of starting; safe to call twice. */
  close(): Promise<void>;
}

/** Who sent a request, as far as the connection and the proxies that are trusted tell. */
export interface Client {
  readonly ipAddress: string;
  readonly userAgent: string | null;
}

/** What a request brings along. The same object for as long as the request, or the stream that it began, lasts. */
export interface Origin {
  readonly requestId: string;
  /** Proves who is asking; null for guests. */
  readonly credential: Credential | null;
  readonly client: Client;
  readonly isGone: () => boolean;
  /** The `Last-Event-ID` of an event stream that is opened again; absent where there is none. */
  readonly lastEventId?: string | null;
  /**
   * Sets the session cookie on the answer, or takes it away. Null where the answer carries none, or
   * where it is not certain that a page that we trust is asking.
   */
  readonly setSessionCookie: ((cookie: SessionCookie | null) => void) | null;
  /** The `Idempotency-Key` (or `X-Idempotency-Key`) header, unquoted; null where there is none. */
  readonly idempotencyKey: string | null;
  /** What goes out beside the answer. */
  readonly notes: AnswerNotes;
}

/** Written while an operation runs, and sent with its answer: headers by HTTP only, extensions by every transport. */
export interface AnswerNotes {
  readonly headers: Record<string, string>;
  readonly extensions: Record<string, unknown>;
  /** Which root fields, by response name, are over a limit; absent until that was asked. */
  refusals?: ReadonlyMap<string, RateLimitedError>;
}

export interface SessionCookie {
  readonly value: string;
  readonly maxAgeSeconds: number;
}

/** Acts for a viewer, for one request or one entry of a stream: what it remembers is never older. */
export interface Context extends Services {
  readonly viewer: Viewer | null;
  readonly origin: Origin;
  readonly requestId: string;
  /** Whether the client has left: what is handed out now would reach nobody. */
  readonly isGone: () => boolean;
  /** The cursor of what the client received last, where it said so beside the operation. */
  readonly lastEventId: string | null;
  /** What `perContext` keeps. */
  readonly remembered: Map<object, unknown>;
  /** The same request's next moment: the viewer is read again and nothing is remembered. */
  readonly refresh: () => Promise<Context>;
}

/** Throws `UnauthenticatedError` for a credential that is unknown, expired or revoked. */
export async function createContext(app: Services, origin: Origin): Promise<Context> {
  const { credential } = origin;
  const viewer = credential === null ? null : await app.authenticate(credential);
  const context: Context = Object.create(prototypeOf(app));
  return Object.assign(context, { viewer, origin, remembered: new Map() });
}

const prototypes = new WeakMap<Services, object>();

/** What all contexts have in common, so that each is three fields: there is one a request and more a stream. */
function prototypeOf(app: Services): object {
  const known = prototypes.get(app);
  if (known !== undefined) return known;
  // Made when first used: most requests have nothing to say.
  const logOf = perContext(({ requestId }) => app.log.child({ requestId }));
  const derived: Record<string, (ctx: Context) => unknown> = {
    log: logOf,
    requestId: ({ origin }) => origin.requestId,
    isGone: ({ origin }) => origin.isGone,
    lastEventId: ({ origin }) => origin.lastEventId ?? null,
    refresh:
      ({ origin }) =>
      () =>
        createContext(app, origin),
  };
  const prototype: object = Object.create(app);
  for (const [name, read] of Object.entries(derived)) {
    Object.defineProperty(prototype, name, {
      get(this: Context) {
        return read(this);
      },
    });
  }
  prototypes.set(app, prototype);
  return prototype;
}

/**
 * A value made once a context, e.g. a loader: it dies with the request and is shared with nobody. It is kept
 * on the context and not in a WeakMap, which would keep every context until the next full collection.
 */
export function perContext<Value>(create: (ctx: Context) => Value): (ctx: Context) => Value {
  return (ctx) => {
    const known = ctx.remembered.get(create);
    if (known !== undefined) return known as Value;
    const value = create(ctx);
    ctx.remembered.set(create, value);
    return value;
  };
}
