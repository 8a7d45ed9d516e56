import { FORM_MEDIA_TYPE } from '#lib/body-text.ts';
import { verifyHexHmac } from '#lib/hmac.ts';
import { storableText } from '#lib/storable-text.ts';
import type { ProviderAdapter, WebhookFields } from './provider.ts';

/** GitHub signs the untouched body, whether JSON or form, in `X-Hub-Signature-256`; sha1 is not taken. */
export const github: ProviderAdapter = {
  mediaTypes: ['application/json', FORM_MEDIA_TYPE],
  deliveryIdHeader: 'x-github-delivery',

  verify({ headers, body, secret }) {
    const signature = headers['x-hub-signature-256'];
    if (typeof signature !== 'string') return false;
    return verifyHexHmac({ algorithm: 'sha256', secret, body, prefix: 'sha256=', signature });
  },

  // The event's name comes from its header, which GitHub does not sign; all else from the signed body.
  readFields({ header, payload }) {
    return {
      eventName: storableText(header('x-github-event')),
      action: storableText(at(payload, 'action')),
      branch: branchOf(payload),
      sender: storableText(at(payload, 'sender', 'login')),
      repository: repositoryOf(payload),
    };
  },
};

function repositoryOf(payload: unknown): WebhookFields['repository'] {
  const id = at(payload, 'repository', 'id');
  const fullName = storableText(at(payload, 'repository', 'full_name'));
  if (!Number.isSafeInteger(id) || fullName === null) return null;
  return { providerId: String(id), fullName };
}

/**
 * The branch that GitHub's own workflow filters would compare: what was pushed, created or deleted;
 * a pull request's base; a run's head branch.
 */
function branchOf(payload: unknown): string | null {
  const ref = at(payload, 'ref');
  if (typeof ref === 'string') {
    if (ref.startsWith('refs/heads/')) return storableText(ref.slice('refs/heads/'.length));
    return at(payload, 'ref_type') === 'branch' ? storableText(ref) : null;
  }
  return storableText(
    at(payload, 'pull_request', 'base', 'ref') ??
      at(payload, 'workflow_run', 'head_branch') ??
      at(payload, 'workflow_job', 'head_branch') ??
      at(payload, 'check_suite', 'head_branch') ??
      at(payload, 'check_run', 'check_suite', 'head_branch'),
  );
}

/** The value at a path of own properties of plain objects; undefined where there is none. */
function at(value: unknown, ...path: readonly string[]): unknown {
  let current = value;
  for (const name of path) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, name)) {
      return undefined;
    }
    current = (current as Record<string, unknown>)[name];
  }
  return current;
}
