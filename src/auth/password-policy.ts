import { createRequire } from 'node:module';
import type * as languageCommon from '@zxcvbn-ts/language-common';

/** In code points, after NFKC. */
export const PASSWORD_LENGTH_MIN = 10;
export const PASSWORD_LENGTH_MAX = 256;
/** In UTF-16 units, before anything else is done: twice what 256 code points can take. */
const UNITS_MAX = 1_024;
/** What is guessed first, a known word, counts for nothing: this many code points have to be beside it. */
const UNGUESSED_MIN = 8;
const WORD_LENGTH_MIN = 4;
const RUNS_MIN = 4;
const OWN_WORD = 'naru';

const LOOKALIKES: Readonly<Record<string, string>> = {
  '@': 'a',
  '4': 'a',
  '3': 'e',
  '1': 'i',
  '!': 'i',
  '0': 'o',
  $: 's',
  '5': 's',
  '7': 't',
};

let commonPasswords: ReadonlySet<string> | null = null;

/** One password is typed as different bytes on different keyboards: NFKC makes them the same ones. */
export function normalizePassword(text: string): string {
  return text.normalize('NFKC');
}

/**
 * Whether this could be anybody's password at all. What could not costs neither NFKC nor a hash: a
 * megabyte is refused by its length, and halves of surrogate pairs would all hash as U+FFFD.
 */
export function isPossiblePassword(text: string): boolean {
  return text.length <= UNITS_MAX && text.isWellFormed() && !text.includes('\u0000');
}

/**
 * Why this may not become a password, in words for people; null where it may. Letter case makes no
 * difference to what follows.
 *
 * Common is what stands on the list, also with look-alikes (`p@ssw0rd`); what repeats something
 * common or shorter than 8; and what has fewer than 4 runs (`aaaa`, `abcd`, `4321` are one each).
 *
 * A known word counts for nothing: what stands beside it has to have 8 characters and not be common.
 * Known are, from 4 characters on, the words of the list between digits and signs, the name of this
 * server, and `context`: what others know of the account, each as it is (username, e-mail address,
 * display name), whole and in its parts between signs.
 */
export function findPasswordFault(password: string, context: readonly string[]): string | null {
  if (password.length > UNITS_MAX) return describeTooLong();
  if (!isPossiblePassword(password)) return 'The password has characters that are not text';
  const text = normalizePassword(password);
  const length = lengthOf(text);
  if (length < PASSWORD_LENGTH_MIN) {
    return `The password must have at least ${PASSWORD_LENGTH_MIN} characters`;
  }
  if (length > PASSWORD_LENGTH_MAX) return describeTooLong();
  const folded = text.toLowerCase();
  if (isCommon(folded)) return 'The password is one of those that are guessed first';
  const rest = withoutWords(folded, [OWN_WORD, ...context]);
  if (rest !== folded && isTooLittle(rest)) {
    return 'The password is little more than a name or an address that others know';
  }
  return null;
}

function describeTooLong(): string {
  return `The password must have at most ${PASSWORD_LENGTH_MAX} characters`;
}

/** Whether what stands beside a known word is no password of its own. */
function isTooLittle(rest: string): boolean {
  return lengthOf(rest) < UNGUESSED_MIN || isCommon(rest);
}

function isCommon(text: string): boolean {
  if (countRuns(text) < RUNS_MIN) return true;
  const unit = /^(.+?)\1+$/su.exec(text)?.[1];
  if (unit !== undefined && (lengthOf(unit) < UNGUESSED_MIN || isListed(unit))) return true;
  return isListed(text);
}

function isListed(text: string): boolean {
  commonPasswords ??= readCommonPasswords();
  if (commonPasswords.has(text)) return true;
  const stem = text.replace(/^[^\p{L}]+|[^\p{L}]+$/gu, '');
  if (lengthOf(stem) < WORD_LENGTH_MIN) return false;
  const isWord = commonPasswords.has(stem) || commonPasswords.has(withoutLookalikes(stem));
  return isWord && isTooLittle(text.replace(stem, ''));
}

/** Required rather than imported: unpacking it takes some 25 ms, and most processes never ask. */
function readCommonPasswords(): ReadonlySet<string> {
  const require = createRequire(import.meta.url);
  const { dictionary } = require('@zxcvbn-ts/language-common') as typeof languageCommon;
  return new Set(dictionary['passwords-common'].map((word) => word.toLowerCase()));
}

function withoutLookalikes(text: string): string {
  return text.replace(/[@431!0$57]/g, (sign) => LOOKALIKES[sign] ?? sign);
}

/** A run goes on while the next character is the same one or its neighbour. */
function countRuns(text: string): number {
  const points = Array.from(text, (character) => character.codePointAt(0) ?? 0);
  return points.filter((point, index) => {
    const before = points[index - 1];
    return before === undefined || Math.abs(point - before) > 1;
  }).length;
}

function withoutWords(text: string, context: readonly string[]): string {
  const words = context
    .map((known) => normalizePassword(known).toLowerCase())
    .flatMap((known) => [known, ...known.split(/[^\p{L}\p{N}]+/u)])
    .filter((word) => lengthOf(word) >= WORD_LENGTH_MIN)
    // The longest first: `alice` is not to leave `son` of `aliceson` behind.
    .sort((left, right) => right.length - left.length);
  return words.reduce((rest, word) => rest.replaceAll(word, ''), text);
}

function lengthOf(text: string): number {
  return Array.from(text).length;
}
