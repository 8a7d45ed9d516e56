export type HeaderReading =
  | { readonly value: string; readonly failure: null }
  | { readonly value: null; readonly failure: 'SIGNATURE_MISSING' | 'SIGNATURE_MALFORMED' };

/**
 * The value of a header that a verdict stands on, or why there is none. Read from the raw list: of a
 * header that came twice Node keeps the first or joins both, and a proxy before us may have judged
 * the other one.
 */
export function singleHeader(rawHeaders: readonly string[], name: string): HeaderReading {
  const values = rawHeaders.filter(
    (_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name,
  );
  const [value] = values;
  if (value === undefined) return { value: null, failure: 'SIGNATURE_MISSING' };
  if (value === '' || values.length > 1) return { value: null, failure: 'SIGNATURE_MALFORMED' };
  return { value, failure: null };
}
