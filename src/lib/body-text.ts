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

// Far beyond what anybody sends, and far below where whoever walks or prints it overflows the stack.
const NESTING_MAX = 500;

/**
 * The JSON that a webhook's body carries: the body itself or, in a form, its field `payload`
 * (GitHub's default for hooks made by hand). Undefined where there is none, it does not parse, or it
 * nests deeper than 500.
 */
export function parsePayload(contentType: string | null, body: Uint8Array): unknown {
  const text = decodeUtf8(body);
  if (text === null) return undefined;
  const isForm = mediaTypeOf(contentType) === FORM_MEDIA_TYPE;
  const json = isForm ? new URLSearchParams(text).get('payload') : text;
  if (json === null || nestsTooDeep(json)) return undefined;
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

function nestsTooDeep(json: string): boolean {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < json.length; index += 1) {
    const character = json[index];
    if (inString && character === '\\') index += 1;
    else if (character === '"') inString = !inString;
    else if (inString) continue;
    else if (character === '[' || character === '{') depth += 1;
    else if (character === ']' || character === '}') depth -= 1;
    if (depth > NESTING_MAX) return true;
  }
  return false;
}
