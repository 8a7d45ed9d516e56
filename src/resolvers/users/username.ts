import { InvalidInputError } from '#lib/errors.ts';

export const USERNAME_RULE =
  '3–32 of a–z, 0–9, dot, dash and underscore, with a letter or digit at both ends';
const USERNAME = /^[a-z0-9][a-z0-9._-]{1,30}[a-z0-9]$/;
export const DISPLAY_NAME_MAX = 100;

/** In lower case, so that case makes no second account. Throws `InvalidInputError`. */
export function parseUsername(text: string, field: string): string {
  const username = text.length > 256 ? '' : text.normalize('NFKC').trim().toLowerCase();
  if (!USERNAME.test(username))
    throw new InvalidInputError(`A username is ${USERNAME_RULE}`, field);
  return username;
}

/**
 * Trimmed, 1–100 characters of which one can be seen, on one line, nothing that turns text around.
 * Throws `InvalidInputError`.
 */
export function parseDisplayName(text: string, field: string): string {
  const name = text.length > 1_024 ? '' : text.normalize('NFC').trim();
  const isText =
    name.isWellFormed() &&
    !/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u.test(name) &&
    /[^\p{White_Space}\p{Default_Ignorable_Code_Point}]/u.test(name);
  if (!isText || Array.from(name).length > DISPLAY_NAME_MAX) {
    throw new InvalidInputError(
      `A display name has 1–${DISPLAY_NAME_MAX} characters and no control characters`,
      field,
    );
  }
  return name;
}
