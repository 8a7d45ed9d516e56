/** What the session cookie is called; `__Host-` keeps other hosts and paths from setting one of the name. */
export function sessionCookieName(isSecure: boolean): string {
  return isSecure ? '__Host-naru' : 'naru';
}

const VALUE = /^[A-Za-z0-9_-]{43}$/;

/**
 * The one value of this name in a `Cookie` header; null where there is none, where it is not shaped like
 * ours, and where there are several: nobody can say which of them a browser means.
 */
export function readCookie(header: string | undefined, name: string): string | null {
  if (header === undefined) return null;
  const values = header
    .split(';')
    // Not `trim`, which takes more for a space than browsers do when they guard the prefix of a name.
    .map((pair) => pair.replace(/^[ \t]+|[ \t]+$/g, ''))
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1));
  const [value] = values;
  return values.length === 1 && value !== undefined && VALUE.test(value) ? value : null;
}

/** A `Set-Cookie` line that no script can read and no other site's form sends; null takes it away. */
export function writeCookie(
  name: string,
  cookie: { readonly value: string; readonly maxAgeSeconds: number } | null,
  isSecure: boolean,
): string {
  const { value, maxAgeSeconds } = cookie ?? { value: '', maxAgeSeconds: 0 };
  const secure = isSecure ? '; Secure' : '';
  return `${name}=${value}; Path=/; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=Lax${secure}`;
}
