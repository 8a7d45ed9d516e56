import type { ReportReason } from './report-row.ts';

/** A message as it stood after one of its events. */
export interface CheckedMessage {
  readonly id: string;
  readonly roomId: string;
  readonly authorId: string | null;
  readonly body: string;
  /** Edits before. */
  readonly revision: number;
}

export interface Finding {
  readonly reason: ReportReason;
  /** For moderators. */
  readonly note: string;
}

/** Looks at a message that was sent or edited; null where moderators need not. */
export type MessageCheck = (message: CheckedMessage) => Finding | null;

/**
 * Looks for words, whatever their case and width (NFKC, lower case, without invisible characters). A word that
 * begins or ends with a letter of a script that puts spaces between words, or with a digit, does not begin or end
 * within such a word or number: `ass` is not in `class`. Korean is found inside words, since it attaches particles,
 * and so is anything that a particle is attached to. Null where there are no words.
 */
export function createWordCheck(words: readonly string[]): MessageCheck | null {
  const blocked = words
    .map((word) => ({ word, text: comparable(word) }))
    .filter(({ text }) => text !== '');
  if (blocked.length === 0) return null;
  return ({ body }) => {
    const text = comparable(body);
    const found = blocked.find((one) => occursIn(text, one.text));
    return found === undefined
      ? null
      : { reason: 'BLOCKED_WORD', note: `Blocked word: ${found.word}` };
  };
}

function comparable(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/\p{Cf}/gu, '')
    .replace(/\s+/gu, ' ')
    .trim();
}

// Compatibility forms beyond the basic plane are gone after NFKC: one code unit is enough to look at.
const SPACED = /[\p{Script=Latin}\p{Script=Cyrillic}\p{Script=Greek}\p{Nd}]/u;

function occursIn(text: string, word: string): boolean {
  for (let at = text.indexOf(word); at !== -1; at = text.indexOf(word, at + 1)) {
    const end = at + word.length;
    if (!isJoined(text[at - 1], text[at]) && !isJoined(text[end - 1], text[end])) return true;
  }
  return false;
}

/** Whether both are of one word, or of one number. */
function isJoined(left: string | undefined, right: string | undefined): boolean {
  return SPACED.test(left ?? '') && SPACED.test(right ?? '');
}
