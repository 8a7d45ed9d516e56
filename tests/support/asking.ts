// One operation, however it says which document it means, over every way there is to send it.
import {
  bearer,
  type Operation,
  openEventStream,
  openSocket,
  post,
  type Result,
} from './graphql-client.ts';

export interface Asking extends Partial<Operation> {
  readonly documentId?: string;
  readonly extensions?: unknown;
}

export type Send = (url: string, asking: Asking, token: string | null) => Promise<Result>;

export const TRANSPORTS: Readonly<Record<string, Send>> = {
  'a POST': async (url, asking, token) => (await post(url, asking, token)).result,
  'a GET': async (url, asking, token) => {
    const search = new URLSearchParams(
      Object.entries(asking).map(([name, value]): [string, string] => [
        name,
        typeof value === 'string' ? value : JSON.stringify(value),
      ]),
    );
    const headers = { accept: 'application/json', ...bearer(token) };
    const response = await fetch(`${url}/graphql?${search}`, { headers });
    return (await response.json()) as Result;
  },
  'server-sent events': async (url, asking, token) => {
    // Without a query it is no such operation, and just what is to be sent.
    const stream = await openEventStream(url, asking as Operation, token);
    const result = await stream.next();
    stream.leave();
    return result ?? {};
  },
  'graphql-ws': async (url, asking, token) => {
    const socket = await openSocket(url, token);
    // The protocol wants a query, and an empty one is how its clients send none.
    const result = await socket.run({ query: '', ...asking });
    socket.ws.close();
    return result;
  },
};
