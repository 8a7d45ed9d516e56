// A mutation of rooms over HTTP, with the reply heard or lost.
import { Agent, request } from 'node:http';
import { text } from 'node:stream/consumers';

/**
 * `dropped`: the node has answered, and the connection is gone before the client reads it. `cut`: the connection is
 * gone as soon as the request is out, whatever the node makes of it.
 */
export type Fate = 'heard' | 'dropped' | 'cut';

export interface CallAnswer {
  /** The result's type; the code of an error beside data; null where no answer came, or `not now`. */
  readonly type: string | null;
  readonly message: string;
  readonly result: Readonly<Record<string, unknown>>;
}

export interface RoomCall {
  readonly nodeUrl: string;
  readonly token: string;
  /** The mutation's. */
  readonly name: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly fate?: Fate;
}

const TIMEOUT_MS = 15_000;
const agent = new Agent({ keepAlive: true, maxSockets: 64 });
const NO_ANSWER: CallAnswer = { type: null, message: '', result: {} };

/** What is read of a mutation that was done, beside its type. */
const READ: Readonly<Record<string, string>> = {
  sendMessage: 'chatMessage { id }',
  createRoom: 'room { id }',
  openDirectRoom: 'room { id }',
  broadcastToRoom: 'broadcastId',
};

export function succeeded(name: string): string {
  return `${titled(name)}Succeeded`;
}

export function documentOf(name: string): string {
  const read = READ[name];
  return `mutation ($input: ${titled(name)}Input!) { result: ${name}(input: $input) {
    __typename ... on Error { code message } ${read ? `... on ${succeeded(name)} { ${read} }` : ''} } }`;
}

function titled(name: string): string {
  return `${name[0]?.toUpperCase()}${name.slice(1)}`;
}

/** Never throws: a node may die at any moment. */
export async function callRooms(call: RoomCall): Promise<CallAnswer> {
  const { nodeUrl, token, name, input, fate = 'heard' } = call;
  const body = JSON.stringify({ query: documentOf(name), variables: { input } });
  const answer = await exchange(`${nodeUrl}/graphql`, token, body, fate);
  if (answer === null) return NO_ANSWER;
  const { data, errors } = parse(answer);
  const [error] = errors ?? [];
  if (error?.extensions?.code === 'UNAVAILABLE') return NO_ANSWER;
  if (error !== undefined) {
    return { type: error.extensions?.code ?? 'ERROR', message: error.message, result: {} };
  }
  const result = data?.result;
  if (result === undefined || result === null) return NO_ANSWER;
  const { message = '' } = result;
  return { type: result.__typename, message: typeof message === 'string' ? message : '', result };
}

interface GraphQLAnswer {
  readonly data?: { readonly result?: (Record<string, unknown> & { __typename: string }) | null };
  readonly errors?: readonly {
    readonly message: string;
    readonly extensions?: { readonly code?: string };
  }[];
}

function parse(answer: string): GraphQLAnswer {
  try {
    return JSON.parse(answer) as GraphQLAnswer;
  } catch {
    return {};
  }
}

function exchange(url: string, token: string, body: string, fate: Fate): Promise<string | null> {
  return new Promise((resolve) => {
    const asked = request(url, {
      method: 'POST',
      agent: fate === 'heard' ? agent : false,
      headers: {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        authorization: `Bearer ${token}`,
      },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    // Closed before a response; after one it closes before the last of it is read.
    let isAnswered = false;
    asked.once('error', () => resolve(null));
    asked.once('close', () => {
      if (!isAnswered) resolve(null);
    });
    asked.once('response', (response) => {
      isAnswered = true;
      if (fate === 'heard') {
        text(response).then(resolve, () => resolve(null));
        return;
      }
      response.on('error', () => {});
      response.destroy();
      resolve(null);
    });
    asked.end(body, () => {
      if (fate === 'cut') setImmediate(() => asked.destroy());
    });
  });
}
