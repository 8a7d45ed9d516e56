// Headers that carry credentials are remembered by name only. Signatures stay: a reader may want to
// verify the body again, and a signature opens nothing.
const SECRET_HEADERS: ReadonlySet<string> = new Set([
  'api-key',
  'apikey',
  'authorization',
  'cookie',
  'proxy-authorization',
  'set-cookie',
  'x-access-token',
  'x-amz-security-token',
  'x-api-key',
  'x-api-token',
  'x-auth-token',
  'x-csrf-token',
  'x-gitlab-token',
  'x-goog-channel-token',
  'x-goog-iap-jwt-assertion',
  'x-secret',
  'x-secret-token',
  'x-telegram-bot-api-secret-token',
  'x-token',
  'x-vault-token',
  'x-webhook-secret',
  'x-webhook-token',
]);

export interface Header {
  readonly name: string;
  readonly value: string;
}

/**
 * Names in lower case, in the order they came; a secret's value becomes `[REDACTED]`. So does that of
 * `names`, in lower case, and whatever holds one of `values`: what one sender proves itself with, which may
 * come in another header than the one that was agreed.
 */
export function redactHeaders(
  rawHeaders: readonly string[],
  names: readonly string[] = [],
  values: readonly string[] = [],
): Header[] {
  const headers: Header[] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? '').toLowerCase();
    const value = rawHeaders[index + 1] ?? '';
    const isSecret =
      SECRET_HEADERS.has(name) ||
      names.includes(name) ||
      values.some((secret) => value.includes(secret));
    headers.push({ name, value: isSecret ? '[REDACTED]' : value });
  }
  return headers;
}
