import { UnavailableError } from '#lib/errors.ts';

export interface FetchLimits {
  /** For the whole of it: connecting, the head and the last byte of the body. */
  readonly timeoutMs: number;
  /** Of the body, unpacked. */
  readonly bytesMax: number;
}

/**
 * An answer whose body is already here: whoever reads it can neither wait nor be flooded. A redirect is
 * not followed, because it would carry our credentials to whoever it names. Throws `UnavailableError`,
 * which names `who` and nothing of the request, when nothing comes, too late, or too much.
 */
export async function fetchWhole(
  who: string,
  url: string,
  init: RequestInit,
  { timeoutMs, bytesMax }: FetchLimits,
): Promise<Response> {
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const response = await fetch(url, { ...init, redirect: 'manual', signal });
    if (response.status >= 300 && response.status < 400) {
      await response.body?.cancel();
      throw new Error(`It answers ${response.status}, a redirect`);
    }
    const { status, headers } = response;
    const body = response.body === null ? null : await readWhole(response.body, bytesMax);
    return new Response(body, { status, headers });
  } catch (error) {
    throw new UnavailableError(`${who} cannot be reached now`, { cause: error });
  }
}

async function readWhole(
  body: ReadableStream<Uint8Array>,
  bytesMax: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // Leaving the loop by an error cancels the rest.
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > bytesMax) throw new Error(`It answers with more than ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}
