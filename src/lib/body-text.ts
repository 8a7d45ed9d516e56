/** The bytes as text; null when they are not UTF-8. A byte order mark stays: the text is exact. */
export function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** The part of a Content-Type before its parameters, in lower case; null when there is none. */
export function mediaTypeOf(contentType: string | null | undefined): string | null {
  return contentType?.split(';', 1)[0]?.trim().toLowerCase() || null;
}

export const FORM_MEDIA_TYPE = 'application/x-www-form-urlencoded';

/**
 * The JSON that a webhook's body carries: the body itself or, in a form, its field `payload`
 * (GitHub's default for hooks made by hand). Undefined where there is none or it does not parse.
 */
export function parsePayload(contentType: string | null, body: Uint8Array): unknown {
  const text = decodeUtf8(body);
  if (text === null) return undefined;
  const isForm = mediaTypeOf(contentType) === FORM_MEDIA_TYPE;
  const json = isForm ? new URLSearchParams(text).get('payload') : text;
  try {
    return json === null ? undefined : JSON.parse(json);
  } catch {
    return undefined;
  }
}
