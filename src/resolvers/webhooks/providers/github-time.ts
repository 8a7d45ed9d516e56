import { payloadAt } from './payload-at.ts';
import { timeOfIso, timeOfSeconds } from './provider-time.ts';

// A push's commits may be years old, a release's `created_at` is its commit's: the first that is there counts.
const TIMES: Readonly<Record<string, readonly string[]>> = {
  check_run: ['check_run.completed_at', 'check_run.started_at'],
  check_suite: ['check_suite.updated_at', 'check_suite.created_at'],
  code_scanning_alert: ['alert.updated_at', 'alert.created_at'],
  commit_comment: ['comment.updated_at', 'comment.created_at'],
  create: ['repository.pushed_at'],
  dependabot_alert: ['alert.updated_at', 'alert.created_at'],
  deployment: ['deployment.updated_at', 'deployment.created_at'],
  deployment_status: ['deployment_status.updated_at', 'deployment_status.created_at'],
  discussion: ['discussion.updated_at', 'discussion.created_at'],
  discussion_comment: ['comment.updated_at', 'comment.created_at'],
  fork: ['forkee.created_at'],
  installation: ['installation.updated_at', 'installation.created_at'],
  issue_comment: ['comment.updated_at', 'comment.created_at'],
  issues: ['issue.updated_at', 'issue.created_at'],
  milestone: ['milestone.updated_at', 'milestone.created_at'],
  page_build: ['build.updated_at', 'build.created_at'],
  ping: ['hook.updated_at', 'hook.created_at'],
  projects_v2_item: ['projects_v2_item.updated_at', 'projects_v2_item.created_at'],
  pull_request: ['pull_request.updated_at', 'pull_request.created_at'],
  pull_request_review: ['review.updated_at', 'review.submitted_at'],
  pull_request_review_comment: ['comment.updated_at', 'comment.created_at'],
  push: ['repository.pushed_at', 'head_commit.timestamp'],
  release: ['release.updated_at', 'release.published_at'],
  repository: ['repository.updated_at', 'repository.created_at'],
  repository_ruleset: ['repository_ruleset.updated_at', 'repository_ruleset.created_at'],
  security_advisory: ['security_advisory.updated_at', 'security_advisory.published_at'],
  star: ['starred_at'],
  status: ['updated_at', 'created_at'],
  workflow_job: ['workflow_job.completed_at', 'workflow_job.started_at', 'workflow_job.created_at'],
  workflow_run: ['workflow_run.updated_at', 'workflow_run.created_at'],
};

/**
 * When an event happened, as far as its body tells: mostly by when its object last changed. Null for a
 * deletion, since nothing there tells its time, and for events that bring no time.
 */
export function gitHubEventTime(eventName: string | null, payload: unknown): Date | null {
  if (eventName === null || payloadAt(payload, 'action') === 'deleted') return null;
  const paths = Object.hasOwn(TIMES, eventName) ? TIMES[eventName] : undefined;
  for (const path of paths ?? []) {
    // GitHub writes both, and in one field sometimes one and sometimes the other.
    const value = payloadAt(payload, ...path.split('.'));
    const time = timeOfIso(value) ?? timeOfSeconds(value);
    if (time !== null) return time;
  }
  return null;
}
