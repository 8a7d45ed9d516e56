import { InvalidInputError } from '#lib/errors.ts';

export const ROOM_NAME_MAX = 100;
export const EXTERNAL_ID_MAX = 200;
/** What the name of a channel holds beside its prefix. */
export const EXTERNAL_ID_BYTES_MAX = 400;

/** Trimmed, 1–100 characters of which one can be seen, on one line, nothing that turns text around. */
export function parseRoomName(text: string, field: string): string {
  const name = text.length > 1_024 ? '' : text.normalize('NFC').trim();
  const isText =
    name.isWellFormed() &&
    !/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u.test(name) &&
    /[^\p{White_Space}\p{Default_Ignorable_Code_Point}]/u.test(name);
  if (!isText || Array.from(name).length > ROOM_NAME_MAX) {
    throw new InvalidInputError(
      `A room’s name has 1–${ROOM_NAME_MAX} characters and no control characters`,
      field,
    );
  }
  return name;
}

/** Taken as it is: it is another system's. Throws `InvalidInputError`. */
export function parseExternalId(text: string, field: string): string {
  const isText = text.isWellFormed() && !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(text) && text.trim() === text;
  const isShort =
    text.length <= EXTERNAL_ID_MAX && Buffer.byteLength(text) <= EXTERNAL_ID_BYTES_MAX;
  if (!isText || text === '' || !isShort) {
    throw new InvalidInputError(
      `An external id has 1–${EXTERNAL_ID_MAX} characters, at most ${EXTERNAL_ID_BYTES_MAX} bytes, no control characters and no space at its ends`,
      field,
    );
  }
  return text;
}
