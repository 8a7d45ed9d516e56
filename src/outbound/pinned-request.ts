// The one place where Naru calls anybody's HTTP server. It takes the addresses from its caller and asks no
// resolver, so that a name cannot mean one thing when it is judged and another when it is connected to.
import type { LookupAddress } from 'node:dns';
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { LookupFunction } from 'node:net';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';

export type PinnedInit = Pick<RequestInit, 'method' | 'headers' | 'body'>;

export interface PinnedOptions {
  /** All of them judged; tried one after the other until one of them connects. */
  readonly addresses: readonly LookupAddress[];
  readonly signal: AbortSignal;
  /** Of the body, as it comes and unpacked. */
  readonly bytesMax: number;
}

/** A request that cannot be sent, or an answer that we do not take: none of it says that the host is away. */
export class UnfitMessageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UnfitMessageError';
  }
}

const CONNECT_ATTEMPT_MS = 1_000;
/** Headers that say how a message travels. */
const OURS = new Set(['content-length', 'transfer-encoding', 'expect', 'upgrade']);

/**
 * An answer whose body is already here: whoever reads it can neither wait nor be flooded. A redirect is an
 * `UnfitMessageError`: it would carry our credentials to whoever it names.
 */
export async function requestPinned(
  url: URL,
  init: PinnedInit,
  { addresses, signal, bytesMax }: PinnedOptions,
): Promise<Response> {
  const { method, headers, bytes } = await bytesOf(url, init);
  const isTls = url.protocol === 'https:';
  const options = {
    hostname: hostnameOf(url),
    port: url.port,
    path: url.pathname + url.search,
    method,
    headers,
    signal,
    lookup: answerWith(addresses),
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: CONNECT_ATTEMPT_MS,
  };
  // A connection for each call: one that is kept would be used without being judged. No proxy, which
  // would resolve the name anew, whatever the environment says.
  const request = isTls
    ? httpsRequest({
        ...options,
        agent: new HttpsAgent({ proxyEnv: {} }),
        rejectUnauthorized: true,
      })
    : httpRequest({ ...options, agent: new HttpAgent({ proxyEnv: {} }) });
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request.on('response', resolve).on('error', reject);
      request.on('close', () => reject(new Error('The connection was closed without an answer')));
      request.end(bytes);
    });
    return await wholeOf(response, signal, bytesMax);
  } finally {
    // What is left of an answer that we do not take is not waited for.
    request.destroy();
  }
}

/** An IPv6 address without its brackets. */
export function hostnameOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

/** By the web's rules for requests. Who is called, and how a body travels, is not for the caller to say. */
async function bytesOf(url: URL, { method, headers, body }: PinnedInit) {
  let request: Request;
  try {
    request = new Request(url, {
      ...(method !== undefined && { method }),
      ...(headers !== undefined && { headers }),
      ...(body !== undefined && { body }),
    });
  } catch {
    // What was thrown quotes the header that it does not like, and that may be a token.
    throw new UnfitMessageError('The request has a method, header or body that cannot be sent');
  }
  const bytes = Buffer.from(await request.arrayBuffer());
  const kept = [...request.headers].filter(([name]) => !OURS.has(name));
  return {
    method: request.method,
    headers: {
      ...Object.fromEntries(kept),
      // With one of the caller's, TLS would ask for that name's certificate.
      host: url.host,
      connection: 'close',
      'accept-encoding': 'gzip',
      // Node does not say it for a DELETE, whose body would then be read as another request.
      ...(bytes.byteLength > 0 && { 'content-length': bytes.byteLength }),
    },
    bytes,
  };
}

function answerWith(addresses: readonly LookupAddress[]): LookupFunction {
  return (_name, { all }, callback) => {
    const [first] = addresses;
    if (all === true) callback(null, [...addresses]);
    else if (first !== undefined) callback(null, first.address, first.family);
    else callback(new Error('There is no address'), '');
  };
}

async function wholeOf(
  response: IncomingMessage,
  signal: AbortSignal,
  bytesMax: number,
): Promise<Response> {
  const status = response.statusCode ?? 0;
  // 304 leads nowhere: it says that what the caller has is still so.
  if (status >= 300 && status < 400 && status !== 304) {
    throw new UnfitMessageError(`It answers ${status}, a redirect`);
  }
  const coding = response.headers['content-encoding']?.toLowerCase() ?? 'identity';
  if (coding !== 'identity' && coding !== 'gzip') {
    throw new UnfitMessageError('It packs its answer in a way that it was not asked for');
  }
  const chunks: Buffer[] = [];
  await pipeline(
    response,
    // Packed as well: a body that unpacks to nothing has no end that the other count would see.
    atMost(bytesMax),
    coding === 'gzip' ? createGunzip() : new PassThrough(),
    atMost(bytesMax),
    async (unpacked: AsyncIterable<Buffer>) => {
      for await (const chunk of unpacked) chunks.push(chunk);
    },
    { signal },
  );
  const headers = new Headers();
  for (const [name, values = []] of Object.entries(response.headersDistinct)) {
    for (const value of values) headers.append(name, value);
  }
  // They speak of the body as it came.
  headers.delete('content-encoding');
  headers.delete('content-length');
  return new Response(chunks.length === 0 ? null : new Uint8Array(Buffer.concat(chunks)), {
    status,
    headers,
  });
}

function atMost(bytesMax: number) {
  return async function* (source: AsyncIterable<Buffer>) {
    let bytes = 0;
    for await (const chunk of source) {
      bytes += chunk.byteLength;
      if (bytes > bytesMax) {
        throw new UnfitMessageError(`It answers with more than ${bytesMax} bytes`);
      }
      yield chunk;
    }
  };
}
