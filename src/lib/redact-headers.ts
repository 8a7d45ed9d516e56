// Headers that carry credentials are remembered by name only. Signatures stay: a reader may want to
// verify the body again, and a signature opens nothing.
const SECRET_HEADERS = new Set([
  'authorization',
  'cookie',
  'proxy-authorization',
  'set-cookie',
  'x-access-token',
  'x-api-key',
  'x-auth-token',
  'x-gitlab-token',
  'x-secret',
]);

export interface Header {
  readonly name: string;
  readonly value: string;
}

/** Names in lower case, in the order they came; a secret's value becomes `[REDACTED]`. */
export function redactHeaders(rawHeaders: readonly string[]): Header[] {
  const headers: Header[] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? '').toLowerCase();
    headers.push({
      name,
      value: SECRET_HEADERS.has(name) ? '[REDACTED]' : (rawHeaders[index + 1] ?? ''),
    });
  }
  return headers;
}
