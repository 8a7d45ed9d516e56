import { storableText } from '#lib/storable-text.ts';

/** The origin of an http or https URL, e.g. `https://github.com`; null for everything else. */
export function originOf(url: unknown): string | null {
  if (typeof url !== 'string' || !URL.canParse(url)) return null;
  const { protocol, origin } = new URL(url);
  return protocol === 'https:' || protocol === 'http:' ? storableText(origin) : null;
}
