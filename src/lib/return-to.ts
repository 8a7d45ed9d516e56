const LENGTH_MAX = 2_048;
// Browsers drop some of these and read a backslash as a slash, so that what looks like a path is none.
const MISLEADING = /[\p{Cc} \\]/u;
const MISLEADING_ENCODED = /[\p{Cc}\\]|\/\//u;
// Stands for our own origin, whatever it is called.
const HERE = 'http://here.invalid';

/**
 * Where a browser may be sent back to, in ASCII: a path of our own, or a URL of an allowed origin. Null
 * for all else, above all for what only looks like one of the two: `//host`, `/\host`, their encoded
 * forms, and names in front of the host.
 */
export function parseReturnTo(text: string, allowedOrigins: readonly string[]): string | null {
  if (text.length > LENGTH_MAX || !text.isWellFormed() || MISLEADING.test(text)) return null;
  const [place = ''] = text.split(/[?#]/, 1);
  if (place.startsWith('/')) {
    return decodings(place).some((form) => MISLEADING_ENCODED.test(form)) ? null : toHeader(text);
  }
  // Letter for letter: whatever a parser would forgive is refused.
  const origin = allowedOrigins.find((known) => place === known || place.startsWith(`${known}/`));
  const isThere = origin !== undefined && URL.canParse(text) && new URL(text).origin === origin;
  return isThere ? toHeader(text) : null;
}

/** The same place with a word on what went wrong, beside what its query says already. */
export function withError(returnTo: string, error: string): string {
  const url = new URL(returnTo, HERE);
  url.searchParams.set('error', error);
  return toHeader(url);
}

function toHeader(place: string | URL): string {
  const url = new URL(place, HERE);
  return url.origin === HERE ? url.pathname + url.search + url.hash : url.href;
}

/** The text as it is, and as those read it who decode it once or twice on the way. */
function decodings(text: string): string[] {
  const forms = [text];
  try {
    forms.push(decodeURIComponent(text));
    forms.push(decodeURIComponent(forms[1] ?? ''));
  } catch {
    // Nobody can decode it any further.
  }
  return forms;
}
