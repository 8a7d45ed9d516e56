import { hash, randomBytes } from 'node:crypto';

const PREFIX = 'naru_pat_';
const TOKEN = /^naru_pat_[A-Za-z0-9_-]{43}$/;

/** 256 random bits; the prefix lets secret scanners and people see what it is. */
export function createToken(): string {
  return PREFIX + randomBytes(32).toString('base64url');
}

/** What is stored. The token has 256 random bits, so one plain hash is as good as a slow one. */
export function hashToken(token: string): Buffer {
  return hash('sha256', token, 'buffer');
}

/** The token of an `Authorization: Bearer` value; null where it is not shaped like one of ours. */
export function parseBearer(authorization: string): string | null {
  const match = /^bearer +(\S+)$/i.exec(authorization.trim());
  const token = match?.[1];
  return token !== undefined && TOKEN.test(token) ? token : null;
}
