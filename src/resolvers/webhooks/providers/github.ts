import { FORM_MEDIA_TYPE } from '#lib/body-text.ts';
import { storableText } from '#lib/storable-text.ts';
import { deliveryIdIn } from './delivery-id.ts';
import { generateSecret } from './generate-secret.ts';
import { believedEventName } from './github-event.ts';
import { gitHubEventTime } from './github-time.ts';
import { originOf } from './origin-of.ts';
import { payloadAt, textAt } from './payload-at.ts';
import type { ProviderAdapter, WebhookFields } from './provider.ts';
import { verifySignedBody } from './signed-body.ts';

const SIGNATURE = {
  header: 'x-hub-signature-256',
  algorithm: 'sha256',
  encoding: 'hex',
  prefix: 'sha256=',
} as const;

/** GitHub signs the untouched body, whether JSON or form, in `X-Hub-Signature-256`; sha1 is not taken. */
export const github: ProviderAdapter = {
  mediaTypes: ['application/json', FORM_MEDIA_TYPE],
  verify: (input) => verifySignedBody(input, SIGNATURE),
  deliveryId: ({ headers }) => deliveryIdIn(headers, 'x-github-delivery'),
  generateSecret,

  // The event's name comes from its header, which GitHub does not sign; all else from the signed body.
  readFields({ header, payload }) {
    const eventName = believedEventName(header('x-github-event'), payload);
    return {
      eventName,
      action: textAt(payload, 'action'),
      branch: branchOf(payload),
      sender: textAt(payload, 'sender', 'login'),
      repository: repositoryOf(payload),
      occurredAt: gitHubEventTime(eventName, payload),
    };
  },
};

function repositoryOf(payload: unknown): WebhookFields['repository'] {
  const id = payloadAt(payload, 'repository', 'id');
  const fullName = textAt(payload, 'repository', 'full_name');
  if (!Number.isSafeInteger(id) || fullName === null) return null;
  return {
    providerId: String(id),
    fullName,
    previousName: previousNameOf(payload, fullName),
    origin: originOf(payloadAt(payload, 'repository', 'html_url')),
  };
}

/** What GitHub says of a repository that was renamed or given to another owner, the half that stayed included. */
function previousNameOf(payload: unknown, fullName: string): string | null {
  const owner =
    textAt(payload, 'changes', 'owner', 'from', 'user', 'login') ??
    textAt(payload, 'changes', 'owner', 'from', 'organization', 'login');
  const name = textAt(payload, 'changes', 'repository', 'name', 'from');
  if (owner === null && name === null) return null;
  const [ownerNow, nameNow] = fullName.split('/', 2);
  return storableText(`${owner ?? ownerNow}/${name ?? nameNow}`);
}

/**
 * The branch that GitHub's own workflow filters would compare: what was pushed, created or deleted;
 * a pull request's base; a run's head branch.
 */
function branchOf(payload: unknown): string | null {
  const ref = payloadAt(payload, 'ref');
  if (typeof ref === 'string') {
    if (ref.startsWith('refs/heads/')) return storableText(ref.slice('refs/heads/'.length));
    return payloadAt(payload, 'ref_type') === 'branch' ? storableText(ref) : null;
  }
  return storableText(
    payloadAt(payload, 'pull_request', 'base', 'ref') ??
      payloadAt(payload, 'workflow_run', 'head_branch') ??
      payloadAt(payload, 'workflow_job', 'head_branch') ??
      payloadAt(payload, 'check_suite', 'head_branch') ??
      payloadAt(payload, 'check_run', 'check_suite', 'head_branch'),
  );
}
