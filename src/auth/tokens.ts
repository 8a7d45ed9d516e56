import { hash, randomBytes } from 'node:crypto';

/** What each kind of secret begins with, so that secret scanners and people see what it is. */
const PREFIXES = {
  personalAccessToken: 'naru_pat_',
  refreshToken: 'naru_rt_',
  oneTimeToken: 'naru_ott_',
  /** In a cookie: nothing that anybody is shown. */
  sessionSecret: '',
} as const;

export type TokenKind = keyof typeof PREFIXES;

/** 256 random bits behind the prefix of its kind. */
export function createToken(kind: TokenKind): string {
  return PREFIXES[kind] + randomBytes(32).toString('base64url');
}

/** Whether the text is shaped like a token of this kind: what is not need not be looked up. */
export function isToken(kind: TokenKind, text: string): boolean {
  const prefix = PREFIXES[kind];
  return text.startsWith(prefix) && /^[A-Za-z0-9_-]{43}$/.test(text.slice(prefix.length));
}

/** What is stored. A token has 256 random bits, so one plain hash is as good as a slow one. */
export function hashToken(token: string): Buffer<ArrayBuffer> {
  return hash('sha256', token, 'buffer') as Buffer<ArrayBuffer>;
}
