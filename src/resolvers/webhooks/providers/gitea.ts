import { decodeUtf8, FORM_MEDIA_TYPE, formPayload, mediaTypeOf } from '#lib/body-text.ts';
import { storableText } from '#lib/storable-text.ts';
import { deliveryIdIn } from './delivery-id.ts';
import { generateSecret } from './generate-secret.ts';
import { originOf } from './origin-of.ts';
import { payloadAt, textAt } from './payload-at.ts';
import type { ProviderAdapter, RepositoryFields } from './provider.ts';
import { timeOfIso } from './provider-time.ts';
import { verifySignedBody } from './signed-body.ts';
import { singleHeader } from './single-header.ts';

// Forgejo and Gitea send all that came before them along, Gogs only its own.
const SENDERS = ['forgejo', 'gitea', 'gogs'];
/** A form has to be read before it can be verified: a stranger may cost us so much and no more. */
const FORM_BYTES_MAX = 2 ** 20;

/**
 * Gitea, Forgejo and Gogs sign in hex with no prefix. In a form the signature is over the field `payload`
 * alone: the other fields are nobody's word and are not read; one over 1 MiB is refused, and has to come
 * as JSON. Sending again makes a new delivery id.
 */
export const gitea: ProviderAdapter = {
  mediaTypes: ['application/json', FORM_MEDIA_TYPE],

  verify({ headers, rawHeaders, body, secrets }) {
    const header =
      SENDERS.map((sender) => `x-${sender}-signature`).find(
        (name) => singleHeader(rawHeaders, name).failure !== 'SIGNATURE_MISSING',
      ) ?? 'x-gitea-signature';
    const signature = { header, algorithm: 'sha256', encoding: 'hex', prefix: '' } as const;
    const isForm = mediaTypeOf(headers['content-type']) === FORM_MEDIA_TYPE;
    if (isForm && body.byteLength > FORM_BYTES_MAX) return 'SIGNATURE_MALFORMED';
    const signed = isForm ? signedPart(body) : body;
    return verifySignedBody({ rawHeaders, body: signed, secrets }, signature);
  },

  deliveryId: ({ headers }) =>
    deliveryIdIn(headers, ...SENDERS.map((sender) => `x-${sender}-delivery`)),
  generateSecret,

  readFields({ header, payload }) {
    const name = eventNameIn(header);
    return {
      eventName: name !== null && agreesWithBody(name, payload) ? name : null,
      action: textAt(payload, 'action'),
      branch: branchOf(payload),
      sender: textAt(payload, 'sender', 'login') ?? textAt(payload, 'sender', 'username'),
      repository: repositoryOf(payload),
      occurredAt: occurredAtOf(payload),
    };
  },
};

function signedPart(body: Uint8Array): Uint8Array {
  return new TextEncoder().encode(formPayload(decodeUtf8(body) ?? '') ?? '');
}

/** Packages and statuses have a type and an empty name. */
function eventNameIn(header: (name: string) => string | null): string | null {
  const names = SENDERS.flatMap((sender) => [`x-${sender}-event`, `x-${sender}-event-type`]);
  return names.map((name) => storableText(header(name))).find((text) => text !== null) ?? null;
}

// What the body of each event holds beside the repository and the sender.
const SHAPES = new Map([
  ['push', ['ref', 'before', 'after']],
  ['create', ['ref', 'ref_type']],
  ['delete', ['ref', 'ref_type', 'pusher_type']],
  ['fork', ['forkee']],
  ['issues', ['issue']],
  ['issue_comment', ['comment']],
  ['pull_request', ['pull_request']],
  ['pull_request_approved', ['pull_request']],
  ['pull_request_rejected', ['pull_request']],
  ['pull_request_comment', ['pull_request']],
  ['release', ['release']],
  ['wiki', ['page']],
  ['package', ['package']],
]);

/** The event's header is not signed: a name that is known is believed only with the body that it has. */
function agreesWithBody(name: string, payload: unknown): boolean {
  const keys = SHAPES.get(name) ?? [];
  return /^[a-z_]{1,64}$/.test(name) && keys.every((key) => payloadAt(payload, key) !== undefined);
}

/** What was pushed, created or deleted; a pull request's base; a run's head. */
function branchOf(payload: unknown): string | null {
  const ref = payloadAt(payload, 'ref');
  if (typeof ref === 'string') {
    if (ref.startsWith('refs/heads/')) return storableText(ref.slice('refs/heads/'.length));
    return payloadAt(payload, 'ref_type') === 'branch' ? storableText(ref) : null;
  }
  return (
    textAt(payload, 'pull_request', 'base', 'ref') ??
    textAt(payload, 'workflow_run', 'head_branch') ??
    textAt(payload, 'workflow_job', 'head_branch')
  );
}

function repositoryOf(payload: unknown): RepositoryFields | null {
  const id = payloadAt(payload, 'repository', 'id');
  const fullName = textAt(payload, 'repository', 'full_name');
  if (!Number.isSafeInteger(id) || fullName === null) return null;
  const origin = originOf(payloadAt(payload, 'repository', 'html_url'));
  return { providerId: String(id), fullName, previousName: null, origin };
}

/** Of the most particular thing that the body is about; a push tells no time of its own. */
function occurredAtOf(payload: unknown): Date | null {
  for (const subject of ['comment', 'pull_request', 'issue', 'release']) {
    for (const moment of ['updated_at', 'published_at', 'created_at']) {
      const time = timeOfIso(payloadAt(payload, subject, moment));
      if (time !== null) return time;
    }
  }
  return null;
}
