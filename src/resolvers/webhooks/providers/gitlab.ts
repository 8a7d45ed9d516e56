import { randomBytes } from 'node:crypto';
import { equalInConstantTime, isEncoded } from '#lib/hmac.ts';
import { storableText } from '#lib/storable-text.ts';
import { deliveryIdIn } from './delivery-id.ts';
import { originOf } from './origin-of.ts';
import { payloadAt, textAt } from './payload-at.ts';
import type {
  ProviderAdapter,
  RepositoryFields,
  VerificationFailure,
  VerificationInput,
} from './provider.ts';
import { timeOfIso } from './provider-time.ts';
import { singleHeader } from './single-header.ts';
import { verifyStandardWebhook } from './standard-webhooks.ts';

const SIGNING_TOKEN_PREFIX = 'whsec_';
const SIGNING_TOKEN_BYTES = 32;
// What survives the way through a header: neither spaces at its ends nor what is not ASCII.
const SECRET_TOKEN = /^[\x21-\x7e](?:[\x20-\x7e]{0,1022}[\x21-\x7e])?$/;

/**
 * GitLab knows two ways. A *signing token* signs as Standard Webhooks does; a *secret token* is sent along
 * as it is in `X-Gitlab-Token`. A request with a signature is judged by that alone: whoever has read a
 * secret token in some log must not get past a signature with it.
 */
export const gitlab: ProviderAdapter = {
  mediaTypes: ['application/json'],

  verify(input) {
    const signature = singleHeader(input.rawHeaders, 'webhook-signature');
    return signature.failure === 'SIGNATURE_MISSING' ? verifyToken(input) : verifySignature(input);
  },

  // Not X-Gitlab-Event-UUID: all hooks that one request sets off share it. Before 17.4 nothing is repeated.
  deliveryId: ({ headers }) =>
    deliveryIdIn(headers, 'webhook-id', 'idempotency-key', 'x-gitlab-webhook-uuid'),

  // In the one form that GitLab takes as a signing token, and as a secret token, too.
  generateSecret: () => SIGNING_TOKEN_PREFIX + randomBytes(SIGNING_TOKEN_BYTES).toString('base64'),

  findSecretFault(secret) {
    if (!secret.startsWith(SIGNING_TOKEN_PREFIX)) {
      return SECRET_TOKEN.test(secret) ? null : 'A secret token is 1 to 1,024 characters of ASCII';
    }
    const key = secret.slice(SIGNING_TOKEN_PREFIX.length);
    const isKey = isEncoded(key, 'base64', SIGNING_TOKEN_BYTES);
    return isKey ? null : 'A signing token is whsec_ and the base64 of 32 bytes';
  },

  readFields({ header, payload }) {
    const name = storableText(header('x-gitlab-event'));
    return {
      eventName: name !== null && agreesWithBody(name, payload) ? name : null,
      action: actionOf(payload),
      branch: branchOf(payload),
      sender: senderOf(payload),
      repository: repositoryOf(payload),
      occurredAt: occurredAtOf(payload),
    };
  },
};

function verifySignature(input: VerificationInput): VerificationFailure | null {
  const secrets = input.secrets.filter((secret) => secret.startsWith(SIGNING_TOKEN_PREFIX));
  return secrets.length === 0 ? 'NO_SECRET' : verifyStandardWebhook({ ...input, secrets });
}

function verifyToken({ rawHeaders, secrets }: VerificationInput): VerificationFailure | null {
  const { value, failure } = singleHeader(rawHeaders, 'x-gitlab-token');
  if (failure !== null) return failure;
  const agreed = secrets.filter((secret) => equalInConstantTime(value, secret));
  return agreed.length > 0 ? null : 'SIGNATURE_MISMATCH';
}

// Where the name of a hook is not its kind in other letters.
const KINDS = new Map([
  ['issue', ['issue', 'work_item']],
  ['job', ['build']],
  ['resource_access_token', ['access_token']],
  ['resource_deploy_token', ['deploy_token']],
]);

// Hooks of groups whose bodies have a name in place of a kind, by how that begins.
const NAMES_BEGIN = new Map([
  ['member', 'user_'],
  ['project', 'project_'],
  ['subgroup', 'subgroup_'],
]);

/** The event's header is signed by nothing: believed if the body says that it is of such a kind. */
function agreesWithBody(eventName: string, payload: unknown): boolean {
  const hook = /^(?:Confidential )?([A-Z][A-Za-z ]{0,60}) Hook$/.exec(eventName)?.[1];
  const name = hook?.toLowerCase().replaceAll(' ', '_');
  const kind = textAt(payload, 'object_kind');
  const bodyName = textAt(payload, 'event_name');
  if (name === undefined) return false;
  // It is the name of all events of a whole instance; `action` tells them apart.
  if (name === 'system') return kind !== null || bodyName !== null;
  if (kind !== null) return (KINDS.get(name) ?? [name]).includes(kind);
  const beginning = NAMES_BEGIN.get(name);
  return beginning !== undefined && bodyName?.startsWith(beginning) === true;
}

/** What was done; the status that a pipeline, job or deployment has now; the name of what has no kind. */
function actionOf(payload: unknown): string | null {
  const kind = payloadAt(payload, 'object_kind');
  if (kind === 'pipeline') return textAt(payload, 'object_attributes', 'status');
  if (kind === 'build') return textAt(payload, 'build_status');
  if (kind === 'deployment') return textAt(payload, 'status');
  const bodyName = textAt(payload, 'event_name');
  return (
    textAt(payload, 'object_attributes', 'action') ??
    textAt(payload, 'action') ??
    (bodyName === kind ? null : bodyName)
  );
}

/** What was pushed to; where a merge request goes, whatever is said of it; what a pipeline or job runs on. */
function branchOf(payload: unknown): string | null {
  const kind = payloadAt(payload, 'object_kind');
  if (kind === 'merge_request') return textAt(payload, 'object_attributes', 'target_branch');
  const run = kind === 'pipeline' ? payloadAt(payload, 'object_attributes') : payload;
  const isRun = kind === 'pipeline' || kind === 'build';
  if (isRun) return payloadAt(run, 'tag') === true ? null : textAt(run, 'ref');
  const ref = payloadAt(payload, 'ref');
  if (typeof ref === 'string' && ref.startsWith('refs/heads/')) {
    return storableText(ref.slice('refs/heads/'.length));
  }
  return textAt(payload, 'merge_request', 'target_branch');
}

/** Of a membership, `user_username` is whom it is about and not who changed it. */
function senderOf(payload: unknown): string | null {
  const isPush = payloadAt(payload, 'before') !== undefined;
  return isPush ? textAt(payload, 'user_username') : textAt(payload, 'user', 'username');
}

function repositoryOf(payload: unknown): RepositoryFields | null {
  const id = payloadAt(payload, 'project', 'id') ?? payloadAt(payload, 'project_id');
  const fullName =
    textAt(payload, 'project', 'path_with_namespace') ?? textAt(payload, 'path_with_namespace');
  if (!Number.isSafeInteger(id) || fullName === null) return null;
  return {
    providerId: String(id),
    fullName,
    previousName: textAt(payload, 'old_path_with_namespace'),
    origin: originOf(payloadAt(payload, 'project', 'web_url')),
  };
}

const MOMENTS = [
  ['object_attributes', 'updated_at'],
  ['object_attributes', 'finished_at'],
  ['object_attributes', 'created_at'],
  ['build_finished_at'],
  ['build_started_at'],
  ['build_created_at'],
  ['status_changed_at'],
  ['updated_at'],
  ['created_at'],
];

/** The latest that the body says of what it is about; a push tells no time of its own. */
function occurredAtOf(payload: unknown): Date | null {
  for (const path of MOMENTS) {
    const text = textAt(payload, ...path);
    // ISO, `2026-01-31 23:59:59 UTC` or `2026-01-31 23:59:59 +0200`.
    const iso = text?.replace(' UTC', 'Z').replace(' ', 'T').replace(' ', '');
    const time = timeOfIso(iso);
    if (time !== null) return time;
  }
  return null;
}
