// Webhooks as senders post them, down to what a proper client would not let through, and the ways in
// which tests read them back.
import { createHmac, randomUUID } from 'node:crypto';
import { type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from 'node:http';
import type { Role } from '#auth/viewer.ts';
import { DEVELOPMENT_WEBHOOK_SECRET } from '#config.ts';
import type { App } from '#context.ts';
import { newId } from '#lib/ids.ts';
import { openSocket, post, type Result, until } from './graphql-client.ts';
import type { TestNaru } from './naru.ts';

/** A list is sent as so many headers of one name; an empty one as none. */
export type GivenHeaders = Readonly<Record<string, string | readonly string[]>>;

export interface WebhookRequest {
  readonly path?: string;
  readonly body?: string | Uint8Array;
  readonly headers?: GivenHeaders;
  /** Sent in as many chunks and without a Content-Length. */
  readonly chunks?: readonly Uint8Array[];
}

export interface WebhookAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  // biome-ignore lint/suspicious/noExplicitAny: JSON, whose shape the tests assert
  readonly json: any;
}

/** Posts exactly this: the path is not normalised and a list of values becomes as many headers. */
export function postRaw(url: string, webhook: WebhookRequest): Promise<WebhookAnswer> {
  const { path = '/webhook/github', body, chunks } = webhook;
  const headers = { ...webhook.headers } as OutgoingHttpHeaders;
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const outgoing = request({ hostname, port, path, method: 'POST', headers }, (response) => {
      const received: Buffer[] = [];
      response.on('data', (chunk: Buffer) => received.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(received).toString();
        const isJson = response.headers['content-type']?.startsWith('application/') ?? false;
        const json: unknown = isJson ? JSON.parse(text || 'null') : null;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, json });
      });
    });
    outgoing.on('error', reject);
    for (const chunk of chunks ?? []) outgoing.write(chunk);
    // Bytes and not text, beside which Node would write the headers in UTF-8.
    outgoing.end(body === undefined ? undefined : Buffer.from(body));
  });
}

export function signatureOf(
  body: string | Uint8Array,
  secret = DEVELOPMENT_WEBHOOK_SECRET,
): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
}

/** As GitHub sends it; `headers` win over its own. */
export function postSigned(
  url: string,
  body: string | Uint8Array,
  headers: GivenHeaders = {},
  path = '/webhook/github',
): Promise<WebhookAnswer> {
  const own = {
    'content-type': 'application/json',
    'x-github-event': 'push',
    'x-github-delivery': randomUUID(),
    'x-hub-signature-256': signatureOf(body),
  };
  return postRaw(url, { path, body, headers: { ...own, ...headers } });
}

/** A source made by an operator; known to ingress when this resolves. */
export async function addSource(
  app: App,
  path: string,
  grant: { readonly username?: string; readonly role?: Role } = { username: 'alice' },
): Promise<string> {
  const id = newId();
  await app.prisma.webhookSource.create({ data: { id, path, provider: 'NONE' } });
  if (grant.username ?? grant.role) await addGrant(app, path, grant);
  await app.webhookSources.refresh();
  return id;
}

export async function addGrant(
  app: App,
  sourcePath: string,
  { username, role }: { readonly username?: string; readonly role?: Role },
): Promise<void> {
  const { id } = await app.prisma.webhookSource.findFirstOrThrow({
    where: { path: sourcePath, deletedAt: null },
  });
  await app.prisma.webhookSourceGrant.create({
    data: {
      id: newId(),
      source: { connect: { id } },
      ...(username !== undefined && { user: { connect: { username } } }),
      ...(role !== undefined && { role }),
    },
  });
}

export async function removeGrant(app: App, sourcePath: string, username: string): Promise<void> {
  await app.prisma.webhookSourceGrant.deleteMany({
    where: { source: { path: sourcePath }, user: { username } },
  });
}

/** Resolves once so many different messages have become readable since the database was made. */
export function untilStored(naru: Pick<TestNaru, 'app'>, count: number): Promise<void> {
  return until(async () => (await naru.app.webhookFeed.readHead('')).head >= BigInt(count));
}

/** Every message that the token may see, by pages, ascending. Throws on an error. */
export async function readAll(
  url: string,
  token: string,
  selection = 'id',
  // biome-ignore lint/suspicious/noExplicitAny: the shape is the selection's
): Promise<any[]> {
  const messages = [];
  let after: string | null = null;
  do {
    const query = `query($after: String) { webhookMessages(first: 100, after: $after) {
      nodes { ${selection} } pageInfo { hasNextPage endCursor } } }`;
    const data = dataOf((await post(url, { query, variables: { after } }, token)).result);
    const { nodes, pageInfo } = data.webhookMessages;
    messages.push(...nodes);
    after = pageInfo.hasNextPage ? pageInfo.endCursor : null;
  } while (after !== null);
  return messages;
}

/** The node with this id, as the token may see it. */
export async function readNode(
  url: string,
  token: string,
  id: string,
  selection: string,
  // biome-ignore lint/suspicious/noExplicitAny: the shape is the selection's
): Promise<any> {
  const query = `query($id: ID!) { node(id: $id) { id ... on WebhookMessage { ${selection} } } }`;
  return dataOf((await post(url, { query, variables: { id } }, token)).result).node;
}

// biome-ignore lint/suspicious/noExplicitAny: the shape is the query's
export function dataOf(result: Result): any {
  if (result.errors) throw new Error(JSON.stringify(result.errors));
  return result.data;
}

export interface WatchedItem {
  readonly cursor: string;
  /** Null for a checkpoint. */
  readonly message: { readonly id: string; readonly deliveryId: string | null } | null;
}

export interface WebhookWatch {
  /** The next item; rejects with the codes of the errors that came instead. */
  next(): Promise<WatchedItem>;
  /** The next message, whatever checkpoints come before it. */
  nextMessage(): Promise<{ readonly id: string; readonly deliveryId: string | null }>;
  close(): Promise<void>;
}

/** A subscriber over graphql-ws; it has had its first checkpoint, so nothing later can be missed. */
export async function watchWebhooks(
  url: string,
  token: string,
  variables: { readonly after?: string; readonly filter?: unknown } = {},
): Promise<WebhookWatch & { readonly startCursor: string }> {
  const socket = await openSocket(url, token);
  const query = `subscription($after: Cursor, $filter: WebhookMessageFilter) {
    webhookMessageReceived(after: $after, filter: $filter) {
      ... on StreamItem { cursor }
      ... on WebhookMessageReceived { message { id deliveryId } }
    } }`;
  socket.subscribe('watch', { query, variables });
  const next = async (): Promise<WatchedItem> => {
    const { type, payload } = await socket.next('watch');
    if (type === 'complete') throw new Error('complete');
    const errors = type === 'error' ? payload : payload.errors;
    if (errors) {
      throw new Error(
        errors.map((e: { extensions: { code: string } }) => e.extensions.code).join(),
      );
    }
    const { cursor, message = null } = payload.data.webhookMessageReceived;
    return { cursor, message };
  };
  const first = await next();
  return {
    startCursor: first.cursor,
    next,
    async nextMessage() {
      for (;;) {
        const { message } = await next();
        if (message !== null) return message;
      }
    },
    async close() {
      socket.ws.close();
      await socket.closed;
    },
  };
}
