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
// Of the smallest values 25 MiB hold nine million, which parsed would take a gigabyte.
const VALUES_MAX = 500_000;

/**
 * The JSON that a webhook's body carries: the body itself or, in a form, its field `payload`
 * (GitHub's default for hooks made by hand). Undefined where there is none, it does not parse, it
 * nests deeper than 500, or it has more than 500,000 values.
 */
export function parsePayload(contentType: string | null, body: Uint8Array): unknown {
  const text = decodeUtf8(body);
  if (text === null) return undefined;
  const isForm = mediaTypeOf(contentType) === FORM_MEDIA_TYPE;
  const json = isForm ? formPayload(text) : text;
  if (json === null || isTooMuch(json)) return undefined;
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

/**
 * What a form brings in its first field, which all senders call `payload`; null where that is another or is
 * not percent-encoded UTF-8. Not by URLSearchParams, whose time grows with the square of the fields. And the
 * first only: a media type is unsigned, and somewhere inside of signed JSON that is called a form there may
 * stand `&payload=`.
 */
export function formPayload(text: string): string | null {
  if (!text.startsWith('payload=')) return null;
  const end = text.indexOf('&');
  const encoded = text.slice('payload='.length, end === -1 ? undefined : end);
  try {
    return decodeURIComponent(encoded.replaceAll('+', ' '));
  } catch {
    return null;
  }
}

function isTooMuch(json: string): boolean {
  let depth = 0;
  let separators = 0;
  let inString = false;
  for (let index = 0; index < json.length; index += 1) {
    const character = json[index];
    if (inString && character === '\\') index += 1;
    else if (character === '"') inString = !inString;
    else if (inString) continue;
    else if (character === '[' || character === '{') depth += 1;
    else if (character === ']' || character === '}') depth -= 1;
    else if (character === ',') separators += 1;
    if (depth > NESTING_MAX || separators >= VALUES_MAX) return true;
  }
  return false;
}
