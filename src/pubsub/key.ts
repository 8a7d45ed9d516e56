// The one place where topics and keys become names on a server. Keys are free text; a NATS subject's
// dots, wildcards and spaces have a meaning, and PostgreSQL's text refuses U+0000.

import { InvalidInputError } from '#lib/errors.ts';

export const KEY_BYTES_MAX = 512;

// A token may not be empty, and no other key's token holds a bare tilde.
const EMPTY = '~';

/** One subject token; two different keys never share one. Throws `InvalidInputError` for a key that is
 * longer than 512 bytes of UTF-8 or holds half a surrogate pair. */
export function encodeKey(key: string): string {
  if (key === '') return EMPTY;
  if (Buffer.byteLength(key) > KEY_BYTES_MAX || !key.isWellFormed()) {
    throw new InvalidInputError(`A key is at most ${KEY_BYTES_MAX} bytes of well-formed text`);
  }
  return encodeURIComponent(key).replace(
    /[.*~!'()]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** The inverse of `encodeKey`. */
export function decodeKey(token: string): string {
  return token === EMPTY ? '' : decodeURIComponent(token);
}

/** Stream names may not hold dots; topic names hold no underscore, so no two topics meet. */
export function streamName(namespace: string, topicName: string): string {
  return `${namespace}_${topicName.replaceAll('.', '_')}`;
}

/** A double underscore, because no topic's stream can have one. */
export function deadStreamName(namespace: string): string {
  return `${namespace}__DEAD`;
}

/** `*` stands for exactly one token, so a topic that is the beginning of another one keeps apart. */
export function topicSubject(namespace: string, topicName: string, keyToken: string): string {
  return `${namespace}.${topicName}.${keyToken}`;
}

export function deadSubject(namespace: string): string {
  return `${namespace}.__DEAD`;
}

/** The key's token of a subject that `topicSubject` made. */
export function subjectKeyToken(subject: string): string {
  return subject.slice(subject.lastIndexOf('.') + 1);
}
