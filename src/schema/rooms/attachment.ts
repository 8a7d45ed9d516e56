import {
  ATTACHMENT_BYTES_MAX,
  ATTACHMENT_NAME_MAX,
  ATTACHMENT_SIDE_MAX,
  ATTACHMENT_URL_MAX,
} from '#resolvers/rooms/message-input.ts';
import type { Attachment as AttachmentShape } from '#resolvers/rooms/message-row.ts';
import { builder } from '#schema/builder.ts';

const MEBIBYTES_MAX = ATTACHMENT_BYTES_MAX / 2 ** 20;

export const Attachment = builder.objectRef<AttachmentShape>('Attachment').implement({
  description:
    'A file that is elsewhere. Naru keeps the link and what the author said of it, and never opens it.',
  fields: (t) => ({
    url: t.expose('url', { type: 'URL', description: 'Where it is: always https.' }),
    mediaType: t.exposeString('mediaType', { description: 'What sort of file, e.g. `image/png`.' }),
    byteSize: t.exposeInt('byteSize', { description: 'Bytes, as the author said.' }),
    name: t.exposeString('name', {
      nullable: true,
      description: 'What to call it; null where the author did not say.',
    }),
    width: t.exposeInt('width', {
      nullable: true,
      description: 'Pixels across; null where the author did not say.',
    }),
    height: t.exposeInt('height', {
      nullable: true,
      description: 'Pixels down; null where the author did not say.',
    }),
  }),
});

export const AttachmentInput = builder.inputType('AttachmentInput', {
  description: 'A file that is elsewhere.',
  fields: (t) => ({
    url: t.field({
      type: 'URL',
      required: true,
      description: `Where it is: https, without credentials, at most ${ATTACHMENT_URL_MAX} characters. Everybody in the room sees it.`,
    }),
    mediaType: t.string({
      required: true,
      description:
        'What sort of file, without parameters: `image/…` but no SVG, `audio/…`, `video/…`, `text/plain`, `text/csv`, ' +
        '`text/markdown`, `application/pdf`, `…/zip`, `…/json`, `…/rtf`, or one of Microsoft’s, OpenDocument’s or Hancom’s office documents.',
    }),
    byteSize: t.int({ required: true, description: `Bytes, 1 to ${MEBIBYTES_MAX} MiB.` }),
    name: t.string({
      description: `What to call it, 1–${ATTACHMENT_NAME_MAX} UTF-16 units, no control characters.`,
    }),
    width: t.int({ description: `Pixels across, 1–${ATTACHMENT_SIDE_MAX}.` }),
    height: t.int({ description: `Pixels down, 1–${ATTACHMENT_SIDE_MAX}.` }),
  }),
});
