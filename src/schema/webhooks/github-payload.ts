import { findGitHubPayload, type GitHubEventName } from '#resolvers/webhooks/github-payload.ts';
import { builder } from '#schema/builder.ts';
import { withCost } from '#schema/policy.ts';
import { GitHubCheckRun, GitHubCheckSuite } from './github-check.ts';
import { GitHubIssueComment, GitHubIssues } from './github-issue.ts';
import {
  GitHubPullRequest,
  GitHubPullRequestReview,
  GitHubPullRequestReviewComment,
} from './github-pull-request.ts';
import { GitHubDeployment, GitHubDeploymentStatus, GitHubRelease } from './github-release.ts';
import {
  GitHubCreate,
  GitHubDelete,
  GitHubFork,
  GitHubMember,
  GitHubPing,
  GitHubPush,
  GitHubRepositoryEvent,
  GitHubStar,
} from './github-repository.ts';
import { GitHubWorkflowJob, GitHubWorkflowRun } from './github-workflow.ts';
import { WebhookMessage } from './message.ts';

const TYPES = {
  push: GitHubPush,
  pull_request: GitHubPullRequest,
  pull_request_review: GitHubPullRequestReview,
  pull_request_review_comment: GitHubPullRequestReviewComment,
  issues: GitHubIssues,
  issue_comment: GitHubIssueComment,
  release: GitHubRelease,
  workflow_run: GitHubWorkflowRun,
  workflow_job: GitHubWorkflowJob,
  check_run: GitHubCheckRun,
  check_suite: GitHubCheckSuite,
  create: GitHubCreate,
  delete: GitHubDelete,
  fork: GitHubFork,
  star: GitHubStar,
  ping: GitHubPing,
  repository: GitHubRepositoryEvent,
  member: GitHubMember,
  deployment: GitHubDeployment,
  deployment_status: GitHubDeploymentStatus,
} as const satisfies Record<GitHubEventName, unknown>;

const GitHubPayload = builder.unionType('GitHubPayload', {
  description:
    'What GitHub tells, by the event. What has no field here is in the JSON of `payload` beside it.',
  types: Object.values(TYPES),
  resolveType: ({ eventName }) => TYPES[eventName],
});

builder.objectField(WebhookMessage, 'payloadOf', (t) =>
  t.field({
    type: GitHubPayload,
    nullable: true,
    description:
      'The body with fields, by the event: `payloadOf { ... on GitHubPush { ref } }`. Null for other senders than ' +
      'GitHub, for what is not VERIFIED, for events that have no type here, and for bodies that are not of their ' +
      'event’s shape.',
    ...withCost(5),
    resolve: (message, _args, ctx) => findGitHubPayload(ctx, message),
  }),
);
