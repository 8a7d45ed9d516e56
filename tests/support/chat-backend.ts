// A backend such as the chat worker's, over real HTTP: it knows who takes part in which of its rooms. It checks
// what it is sent and writes down in words what was wrong.
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ChatBackend {
  /** For BACKEND_ORIGIN. */
  readonly origin: string;
  /** What was asked so far, as `<room> <token>`. */
  readonly asked: string[];
  /** What Naru sent and should not have. */
  readonly faults: string[];
  /** The token's holder takes part in the room from now on. */
  admit(room: string, token: string, userId?: string | number): void;
  remove(room: string, token: string): void;
  /** Answered instead, for as long as it is set. */
  trouble: number | 'silence' | null;
  close(): Promise<void>;
}

const CHECK = /^\/api\/v1\/message-rooms\/([^/]+)\/participants\/check$/;

export async function startChatBackend(): Promise<ChatBackend> {
  const people = new Map<string, { readonly userId?: string | number }>();
  const asked: string[] = [];
  const faults: string[] = [];
  const server = createServer((request, response) => {
    void readText(request).then((body) => {
      const room = CHECK.exec(request.url ?? '')?.[1];
      const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
      if (request.method !== 'POST' || room === undefined) {
        faults.push(`${request.method} ${request.url}`);
      }
      if (body !== '{}') faults.push(`the body ${body}`);
      if (request.headers['content-type'] !== 'application/json') faults.push('the content type');
      const name = `${decodeURIComponent(room ?? '')} ${token}`;
      asked.push(name);
      if (backend.trouble === 'silence') return;
      const person = people.get(name);
      const status = backend.trouble ?? (person === undefined ? 403 : 200);
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(person ?? {}));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const backend: ChatBackend = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    faults,
    admit: (room, token, userId) =>
      void people.set(`${room} ${token}`, userId === undefined ? {} : { userId }),
    remove: (room, token) => void people.delete(`${room} ${token}`),
    trouble: null,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return backend;
}

async function readText(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}
