// GitHub signs no header: whoever has seen one signed webhook could send it again under another event's
// name. So the name is believed only beside a body of that event's shape.
import { payloadAt } from './payload-at.ts';

interface Shape {
  /** What the body holds, by words that `KINDS` explains. */
  readonly needs: readonly string[];
  readonly without: readonly string[];
  /** Null where any will do. */
  readonly actions: readonly string[] | null;
}

function shape(needs: string, more: { without?: string; actions?: string } = {}): Shape {
  return {
    needs: needs.split(' '),
    without: more.without?.split(' ') ?? [],
    actions: more.actions?.split(' ') ?? null,
  };
}

const SHAPES: Readonly<Record<string, Shape>> = {
  branch_protection_rule: shape('action rule repository'),
  cache_sync: shape('cache_location ref before after repository'),
  check_run: shape('action check_run repository', { without: 'deployment_status' }),
  check_suite: shape('action check_suite repository'),
  code_scanning_alert: shape('action alert alert.rule repository'),
  commit_comment: shape('action comment repository'),
  content_reference: shape('action content_reference repository'),
  create: shape('ref ref_type master_branch repository'),
  custom_property: shape('action definition'),
  custom_property_values: shape('action new_property_values repository'),
  delete: shape('ref ref_type repository'),
  dependabot_alert: shape('action alert alert.dependency repository'),
  deploy_key: shape('action key repository'),
  deployment: shape('deployment repository', { without: 'workflow_job deployment_callback_url' }),
  deployment_protection_rule: shape('action environment deployment_callback_url repository'),
  deployment_review: shape('action workflow_run since repository'),
  deployment_status: shape('deployment_status deployment repository'),
  discussion: shape('action discussion repository'),
  discussion_comment: shape('action comment discussion repository'),
  enterprise: shape('action', { actions: 'anonymous_access_enabled anonymous_access_disabled' }),
  fork: shape('forkee repository'),
  github_app_authorization: shape('action sender', {
    actions: 'revoked',
    without: 'repository organization',
  }),
  gollum: shape('pages repository'),
  installation: shape('action installation installation.account'),
  installation_repositories: shape(
    'action installation installation.account repositories_added repositories_removed',
  ),
  installation_target: shape('action account installation target_type'),
  issue_comment: shape('action comment issue repository'),
  issues: shape('action issue repository'),
  label: shape('action label repository', { actions: 'created edited deleted' }),
  marketplace_purchase: shape('action marketplace_purchase'),
  member: shape('action member repository'),
  membership: shape('action scope member team organization'),
  merge_group: shape('action merge_group repository'),
  meta: shape('action hook_id hook'),
  milestone: shape('action milestone repository', {
    actions: 'created opened edited closed deleted',
  }),
  org_block: shape('action blocked_user organization'),
  organization: shape('action organization', {
    actions: 'deleted renamed member_added member_removed member_invited',
    without: 'repository',
  }),
  package: shape('action package repository'),
  page_build: shape('build repository'),
  ping: shape('zen hook_id'),
  project: shape('action project'),
  project_card: shape('action project_card'),
  project_column: shape('action project_column'),
  projects_v2: shape('action projects_v2 organization'),
  projects_v2_item: shape('action projects_v2_item organization'),
  public: shape('repository', { without: 'action' }),
  pull_request: shape('action number pull_request repository'),
  pull_request_review: shape('action review pull_request repository'),
  pull_request_review_comment: shape('action comment pull_request repository'),
  pull_request_review_thread: shape('action thread pull_request repository'),
  push: shape('ref before after commits repository'),
  registry_package: shape('action registry_package repository'),
  release: shape('action release repository'),
  repository: shape('action repository', {
    actions: 'created deleted archived unarchived edited renamed transferred publicized privatized',
  }),
  repository_dispatch: shape('action branch client_payload repository'),
  repository_import: shape('status repository', { without: 'action' }),
  repository_ruleset: shape('action repository_ruleset'),
  repository_vulnerability_alert: shape('action alert alert.affected_range repository'),
  secret_scanning_alert: shape('action alert repository', {
    without: 'alert.rule alert.dependency alert.affected_range',
  }),
  secret_scanning_alert_location: shape('action alert location repository'),
  security_advisory: shape('action security_advisory'),
  security_and_analysis: shape('changes repository', { without: 'action' }),
  sponsorship: shape('action sponsorship'),
  star: shape('action starred_at repository'),
  status: shape('sha context state commit branches repository'),
  team: shape('action team organization'),
  team_add: shape('team repository organization', { without: 'action' }),
  user: shape('action user', { actions: 'created deleted', without: 'organization' }),
  watch: shape('action repository', { actions: 'started' }),
  workflow_dispatch: shape('ref workflow inputs repository'),
  workflow_job: shape('action workflow_job repository'),
  workflow_run: shape('action workflow_run repository', {
    without: 'deployment deployment_status',
  }),
};

/** What each word must be; an object where nothing is said. */
const KINDS: Readonly<Record<string, 'string' | 'number' | 'list' | 'anything'>> = {
  action: 'string',
  after: 'string',
  'alert.affected_range': 'string',
  before: 'string',
  branch: 'string',
  branches: 'list',
  cache_location: 'string',
  client_payload: 'anything',
  commits: 'list',
  context: 'string',
  deployment_callback_url: 'string',
  environment: 'string',
  hook_id: 'number',
  inputs: 'anything',
  master_branch: 'string',
  new_property_values: 'list',
  number: 'number',
  pages: 'list',
  ref: 'string',
  ref_type: 'string',
  repositories_added: 'list',
  repositories_removed: 'list',
  scope: 'string',
  sha: 'string',
  since: 'string',
  starred_at: 'anything',
  state: 'string',
  status: 'string',
  target_type: 'string',
  workflow: 'string',
  zen: 'string',
};

/** What stands in bodies of many events; none of them is an event's mark. */
const COMMON = new Set(['action', 'changes', 'organization', 'repository', 'sender', 'status']);

const NAME = /^[a-z0-9_]{1,64}$/;

/**
 * The event's name if the body bears it out, otherwise null. A name that GitHub has made since is believed
 * beside a body that is not unmistakably another event's.
 */
export function believedEventName(claimed: string | null, payload: unknown): string | null {
  if (claimed === null || !NAME.test(claimed) || !isThing(payload)) return null;
  const shown = eventNamesShownBy(payload);
  if (Object.hasOwn(SHAPES, claimed)) return shown.includes(claimed) ? claimed : null;
  return shown.some(isUnmistakable) ? null : claimed;
}

/** The events whose shape the body has, but for those that it has only by having another's, too. */
export function eventNamesShownBy(payload: unknown): string[] {
  const fitting = Object.keys(SHAPES).filter((name) => fits(name, payload));
  const hasMark = fitting.some(isUnmistakable);
  return fitting.filter(
    (name) => (isUnmistakable(name) || !hasMark) && !fitting.some((other) => isPartOf(name, other)),
  );
}

function isUnmistakable(name: string): boolean {
  return needsOf(name).some((word) => !COMMON.has(word));
}

function isPartOf(name: string, other: string): boolean {
  const [some, all] = [needsOf(name), needsOf(other)];
  return some.length < all.length && some.every((word) => all.includes(word));
}

function needsOf(name: string): readonly string[] {
  return SHAPES[name]?.needs ?? [];
}

function fits(name: string, payload: unknown): boolean {
  const { needs = [], without = [], actions = null } = SHAPES[name] ?? {};
  if (actions !== null && !actions.some((action) => action === payloadAt(payload, 'action'))) {
    return false;
  }
  return (
    needs.every((word) => isOfKind(word, valueAt(payload, word))) &&
    without.every((word) => valueAt(payload, word) == null)
  );
}

function valueAt(payload: unknown, word: string): unknown {
  return payloadAt(payload, ...word.split('.'));
}

function isOfKind(word: string, value: unknown): boolean {
  const kind = KINDS[word];
  if (kind === 'anything') return value !== undefined;
  if (kind === 'list') return Array.isArray(value);
  return kind === undefined ? isThing(value) : typeof value === kind;
}

function isThing(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
