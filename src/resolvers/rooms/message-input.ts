// What may be in a message. Everything here throws `InvalidInputError` that names the field.
import { InvalidInputError } from '#lib/errors.ts';
import type { Attachment } from './message-row.ts';

/** In code points: what PostgreSQL counts, and the same for every client's language. */
export const BODY_CHARACTERS_MAX = 8_000;
export const MENTIONS_MAX = 50;
export const ATTACHMENTS_MAX = 10;
export const ATTACHMENT_URL_MAX = 2_048;
export const ATTACHMENT_NAME_MAX = 255;
export const ATTACHMENT_BYTES_MAX = 100 * 2 ** 20;
export const ATTACHMENT_SIDE_MAX = 100_000;

/**
 * As it was written, spaces and all, but for characters composed (NFC): what looks the same is found by the same
 * search, also Korean from where it is written in parts. Empty only beside attachments.
 */
export function parseBody(given: string, { mayBeEmpty }: { readonly mayBeEmpty: boolean }): string {
  const refuse = (message: string) => new InvalidInputError(message, 'input.body');
  if (!given.isWellFormed() || given.includes('\u0000')) {
    throw refuse('A body is Unicode text, without U+0000');
  }
  const body = given.normalize('NFC');
  if (countCharacters(body) > BODY_CHARACTERS_MAX) {
    throw refuse(`A body has at most ${BODY_CHARACTERS_MAX} characters`);
  }
  if (isVisible(body)) return body;
  if (!mayBeEmpty) throw refuse('A message without attachments says something');
  return '';
}

function countCharacters(text: string): number {
  // Counted one by one only where it could matter: a character has one or two UTF-16 units.
  const { length } = text;
  return length <= BODY_CHARACTERS_MAX || length > 2 * BODY_CHARACTERS_MAX
    ? length
    : Array.from(text).length;
}

/** Whether something of it can be seen: spaces, joiners and fillers cannot. */
function isVisible(text: string): boolean {
  return /[^\p{White_Space}\p{Cc}\p{Default_Ignorable_Code_Point}]/u.test(text);
}

/** The client's own id of a message. */
export function parseClientMessageId(id: string): string {
  if (/^[\x21-\x7e]{1,64}$/.test(id)) return id;
  throw new InvalidInputError(
    'A clientMessageId has 1–64 printable ASCII characters without spaces',
    'input.clientMessageId',
  );
}

/** Each account once, in the order of their ids: who is mentioned is a set. */
export function parseMentions(userIds: readonly string[]): string[] {
  const mentioned = [...new Set(userIds)].toSorted();
  if (mentioned.length <= MENTIONS_MAX) return mentioned;
  throw new InvalidInputError(
    `A message mentions at most ${MENTIONS_MAX} accounts`,
    'input.mentionIds',
  );
}

export interface GivenAttachment {
  readonly url: string;
  readonly mediaType: string;
  readonly byteSize: number;
  readonly name?: string | null | undefined;
  readonly width?: number | null | undefined;
  readonly height?: number | null | undefined;
}

export function parseAttachments(attachments: readonly GivenAttachment[]): Attachment[] {
  if (attachments.length > ATTACHMENTS_MAX) {
    throw new InvalidInputError(
      `A message has at most ${ATTACHMENTS_MAX} attachments`,
      'input.attachments',
    );
  }
  return attachments.map((given, index) => parseAttachment(given, `input.attachments.${index}`));
}

function parseAttachment(given: GivenAttachment, path: string): Attachment {
  return {
    url: parseUrl(given.url, `${path}.url`),
    mediaType: parseMediaType(given.mediaType, `${path}.mediaType`),
    byteSize: parseCount(given.byteSize, ATTACHMENT_BYTES_MAX, `${path}.byteSize`),
    name: given.name == null ? null : parseName(given.name, `${path}.name`),
    width:
      given.width == null ? null : parseCount(given.width, ATTACHMENT_SIDE_MAX, `${path}.width`),
    height:
      given.height == null ? null : parseCount(given.height, ATTACHMENT_SIDE_MAX, `${path}.height`),
  };
}

/** https only: others run scripts, read files, or are read on the way. No credentials, which all would see. */
function parseUrl(text: string, field: string): string {
  const url = text.length <= ATTACHMENT_URL_MAX && text.isWellFormed() ? URL.parse(text) : null;
  const isLink = url?.protocol === 'https:' && url.username === '' && url.password === '';
  if (url !== null && isLink && url.href.length <= ATTACHMENT_URL_MAX) return url.href;
  throw new InvalidInputError(
    `An attachment’s URL begins with https://, has no credentials and at most ${ATTACHMENT_URL_MAX} characters`,
    field,
  );
}

// No SVG: opened by itself it runs its scripts.
const MEDIA_TYPE = /^(?:(?:image|audio|video)\/(?!svg)[a-z0-9][a-z0-9.+-]{0,99})$/;
export const DOCUMENT_MEDIA_TYPES: readonly string[] = [
  'application/pdf',
  'application/zip',
  'application/json',
  'application/rtf',
  'application/msword',
  'application/vnd.ms-excel',
  'application/vnd.ms-powerpoint',
  'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
  'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
  'application/vnd.openxmlformats-officedocument.presentationml.presentation',
  'application/vnd.oasis.opendocument.text',
  'application/vnd.oasis.opendocument.spreadsheet',
  'application/vnd.oasis.opendocument.presentation',
  'application/x-hwp',
  'application/haansofthwp',
  'application/vnd.hancom.hwp',
  'application/vnd.hancom.hwpx',
  'text/plain',
  'text/csv',
  'text/markdown',
];

function parseMediaType(text: string, field: string): string {
  const mediaType = text.toLowerCase();
  if (MEDIA_TYPE.test(mediaType) || DOCUMENT_MEDIA_TYPES.includes(mediaType)) return mediaType;
  throw new InvalidInputError(
    'An attachment is an image (no SVG), sound, video, PDF, archive or office document, by its media type without parameters',
    field,
  );
}

function parseName(name: string, field: string): string {
  // Nothing that turns text around: `exe.fdp` would be shown as `pdf.exe`.
  const isName =
    name.isWellFormed() && isVisible(name) && !/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u.test(name);
  if (isName && name.length <= ATTACHMENT_NAME_MAX) return name;
  throw new InvalidInputError(
    `An attachment’s name has 1–${ATTACHMENT_NAME_MAX} characters and no control characters`,
    field,
  );
}

function parseCount(count: number, max: number, field: string): number {
  if (count >= 1 && count <= max) return count;
  throw new InvalidInputError(`This is a whole number from 1 to ${max}`, field);
}

const SHORTCODE = /^:[a-z0-9_+-]{1,62}:$/;
const EMOJI = /^\p{RGI_Emoji}$/v;

/**
 * One emoji that Unicode recommends for interchange, in the form that shows in colour, or a `:shortcode:`:
 * what looks the same is the same.
 */
export function parseEmoji(text: string): string {
  // Of the longest emoji there are 35 bytes, of a shortcode 64.
  if (text.length <= 64) {
    if (SHORTCODE.test(text)) return text;
    const found = [text, `${text}\ufe0f`].find((emoji) => EMOJI.test(emoji));
    if (found !== undefined) return found;
  }
  throw new InvalidInputError(
    'A reaction is one emoji, or a :shortcode: of 1–62 of a–z, 0–9, _, + and -',
    'input.emoji',
  );
}
