// What GitHub's own webhooks say of who may see what: not the answer, but whose answer is overtaken.
import { payloadAt } from '#resolvers/webhooks/providers/payload-at.ts';

/** A genuine webhook of the GitHub that is asked about permissions. */
export interface PermissionEvent {
  readonly eventName: string;
  /** Undefined where it did not parse. */
  readonly payload: unknown;
}

/**
 * Whose answers no longer count. `user`: everything of theirs. `repository`: this one, and somebody may have
 * gained it. `owner`: of whoever sees anything of this owner's, and others may have gained something.
 */
export type Reach =
  | { readonly kind: 'user' | 'repository' | 'owner'; readonly id: string }
  | { readonly kind: 'everybody' }
  | { readonly kind: 'nobody' };

type Read = (payload: unknown) => Reach;

const READERS: Readonly<Record<string, Read>> = {
  member: (payload) => reach('user', payload, 'member'),
  membership: (payload) => reach('user', payload, 'member'),
  org_block: (payload) => reach('user', payload, 'blocked_user'),
  organization: readOrganization,
  repository: (payload) => reach('repository', payload, 'repository'),
  public: (payload) => reach('repository', payload, 'repository'),
  team: (payload) =>
    /^(added_to|removed_from)_repository$/.test(String(payloadAt(payload, 'action')))
      ? reach('repository', payload, 'repository')
      : reach('owner', payload, 'organization'),
  team_add: (payload) => reach('owner', payload, 'repository', 'owner'),
  installation: readInstallation,
  installation_repositories: readInstallation,
  installation_target: (payload) => reach('owner', payload, 'account'),
  github_app_authorization: (payload) => reach('user', payload, 'sender'),
};

/** Webhooks of these names may change who may see what. */
export const PERMISSION_EVENTS: ReadonlySet<string> = new Set(Object.keys(READERS));

/** What cannot be read may be about anybody. */
export function reachOf({ eventName, payload }: PermissionEvent): Reach {
  const read = PERMISSION_EVENTS.has(eventName) ? READERS[eventName] : undefined;
  return read?.(payload) ?? { kind: 'nobody' };
}

function readOrganization(payload: unknown): Reach {
  const action = payloadAt(payload, 'action');
  // An invitation gives nobody anything before it is accepted; one by mail names no account.
  if (action === 'member_invited') {
    const invited = reach('user', payload, 'user');
    return invited.kind === 'everybody' ? { kind: 'nobody' } : invited;
  }
  return action === 'member_added' || action === 'member_removed'
    ? reach('user', payload, 'membership', 'user')
    : reach('owner', payload, 'organization');
}

/** That of a whole enterprise owns no repository, but its organisations do. */
function readInstallation(payload: unknown): Reach {
  const isEnterprise = payloadAt(payload, 'installation', 'target_type') === 'Enterprise';
  return isEnterprise ? { kind: 'everybody' } : reach('owner', payload, 'installation', 'account');
}

function reach(
  kind: 'user' | 'repository' | 'owner',
  payload: unknown,
  ...path: readonly string[]
): Reach {
  const id = payloadAt(payload, ...path, 'id');
  if (!Number.isSafeInteger(id) || Number(id) <= 0) return { kind: 'everybody' };
  return { kind, id: String(id) };
}
