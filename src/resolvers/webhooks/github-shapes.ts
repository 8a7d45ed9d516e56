// What of GitHub's bodies has fields of its own. Only what makes an event what it is must be there: all
// else is null where GitHub leaves it out, or where it is not of its kind.
import { z } from 'zod';
import { timeOfIso, timeOfSeconds } from './providers/provider-time.ts';

// More than GitHub ever sends: a body is at most 25 MB, and each element becomes an object.
const LIST_LENGTH_MAX = 5_000;

const text = z.string();
const maybeText = maybe(text);
const maybeFlag = maybe(z.boolean());
const count = z.int32();
const maybeCount = maybe(count);
/** GitHub's numbers pass 32 bits: they are told as text. */
const id = z.int().nonnegative().transform(String);
const anything = z.unknown().optional();
const maybeTime = anything.transform((value) => timeOfIso(value) ?? timeOfSeconds(value));

function maybe<Output>(schema: z.ZodType<Output>) {
  return schema.nullable().catch(null);
}

function listOf<Output>(schema: z.ZodType<Output>) {
  return z.array(schema).max(LIST_LENGTH_MAX);
}

const maybeTexts = maybe(listOf(text));

export const user = z.object({ login: text, id, type: maybeText });
const maybeUser = maybe(user);

export const commitAuthor = z.object({ name: maybeText, email: maybeText, username: maybeText });

export const commit = z.object({
  id: text,
  message: text,
  timestamp: maybeTime,
  url: maybeText,
  distinct: maybeFlag,
  author: maybe(commitAuthor),
  committer: maybe(commitAuthor),
  added: maybeTexts,
  removed: maybeTexts,
  modified: maybeTexts,
});

export const label = z.object({ name: text, color: maybeText });

export const repository = z.object({
  id,
  full_name: text,
  html_url: maybeText,
  private: maybeFlag,
  archived: maybeFlag,
  visibility: maybeText,
  default_branch: maybeText,
  owner: maybeUser,
});

export const branch = z.object({
  ref: text,
  sha: text,
  label: maybeText,
  repo: maybe(repository),
});

export const pullRequest = z.object({
  id,
  number: count,
  title: text,
  body: maybeText,
  state: text,
  draft: maybeFlag,
  merged: maybeFlag,
  html_url: maybeText,
  head: branch,
  base: branch,
  user: maybeUser,
  merged_by: maybeUser,
  labels: maybe(listOf(label)),
  additions: maybeCount,
  deletions: maybeCount,
  changed_files: maybeCount,
  commits: maybeCount,
  merge_commit_sha: maybeText,
  created_at: maybeTime,
  updated_at: maybeTime,
  closed_at: maybeTime,
  merged_at: maybeTime,
});

export const issue = z.object({
  id,
  number: count,
  title: text,
  body: maybeText,
  state: maybeText,
  state_reason: maybeText,
  locked: maybeFlag,
  html_url: maybeText,
  user: maybeUser,
  labels: maybe(listOf(label)),
  assignees: maybe(listOf(user)),
  comments: maybeCount,
  pull_request: anything.transform((value) => value != null),
  created_at: maybeTime,
  updated_at: maybeTime,
  closed_at: maybeTime,
});

export const comment = z.object({
  id,
  body: text,
  html_url: maybeText,
  user: maybeUser,
  created_at: maybeTime,
  updated_at: maybeTime,
});

export const reviewComment = comment.extend({
  path: maybeText,
  line: maybeCount,
  side: maybeText,
  commit_id: maybeText,
  diff_hunk: maybeText,
});

export const review = z.object({
  id,
  state: text,
  body: maybeText,
  html_url: maybeText,
  commit_id: maybeText,
  user: maybeUser,
  submitted_at: maybeTime,
});

export const releaseAsset = z.object({
  name: text,
  size: maybe(id),
  content_type: maybeText,
  browser_download_url: maybeText,
});

export const release = z.object({
  id,
  tag_name: text,
  name: maybeText,
  body: maybeText,
  draft: maybeFlag,
  prerelease: maybeFlag,
  target_commitish: maybeText,
  html_url: maybeText,
  author: maybeUser,
  assets: maybe(listOf(releaseAsset)),
  created_at: maybeTime,
  published_at: maybeTime,
});

export const workflowRun = z.object({
  id,
  name: maybeText,
  display_title: maybeText,
  path: maybeText,
  event: maybeText,
  status: maybeText,
  conclusion: maybeText,
  head_branch: maybeText,
  head_sha: text,
  run_number: maybeCount,
  run_attempt: maybeCount,
  html_url: maybeText,
  actor: maybeUser,
  created_at: maybeTime,
  updated_at: maybeTime,
  run_started_at: maybeTime,
});

export const workflowStep = z.object({
  number: maybeCount,
  name: text,
  status: maybeText,
  conclusion: maybeText,
});

export const workflowJob = z.object({
  id,
  run_id: id,
  run_attempt: maybeCount,
  name: text,
  workflow_name: maybeText,
  status: maybeText,
  conclusion: maybeText,
  head_branch: maybeText,
  head_sha: text,
  html_url: maybeText,
  labels: maybeTexts,
  runner_name: maybeText,
  steps: maybe(listOf(workflowStep)),
  started_at: maybeTime,
  completed_at: maybeTime,
});

export const checkOutput = z.object({ title: maybeText, summary: maybeText });

export const checkSuite = z.object({
  id,
  status: maybeText,
  conclusion: maybeText,
  head_branch: maybeText,
  head_sha: text,
  before: maybeText,
  after: maybeText,
  created_at: maybeTime,
  updated_at: maybeTime,
});

export const checkRun = z.object({
  id,
  name: text,
  status: maybeText,
  conclusion: maybeText,
  head_sha: text,
  html_url: maybeText,
  details_url: maybeText,
  output: maybe(checkOutput),
  check_suite: maybe(checkSuite),
  started_at: maybeTime,
  completed_at: maybeTime,
});

export const deployment = z.object({
  id,
  ref: text,
  sha: text,
  task: maybeText,
  environment: maybeText,
  description: maybeText,
  creator: maybeUser,
  created_at: maybeTime,
  updated_at: maybeTime,
});

export const deploymentStatus = z.object({
  id,
  state: text,
  environment: maybeText,
  description: maybeText,
  target_url: maybeText,
  creator: maybeUser,
  created_at: maybeTime,
  updated_at: maybeTime,
});

export const hook = z.object({ type: maybeText, active: maybeFlag, events: maybeTexts });

export const pusher = z.object({ name: maybeText, email: maybeText });

/** By the event's name. */
export const GITHUB_SHAPES = {
  push: z.object({
    ref: text,
    before: text,
    after: text,
    created: maybeFlag,
    deleted: maybeFlag,
    forced: maybeFlag,
    base_ref: maybeText,
    compare: maybeText,
    pusher: maybe(pusher),
    commits: listOf(commit),
    head_commit: maybe(commit),
  }),
  pull_request: z.object({
    action: text,
    number: count,
    before: maybeText,
    after: maybeText,
    pull_request: pullRequest,
  }),
  pull_request_review: z.object({ action: text, review, pull_request: pullRequest }),
  pull_request_review_comment: z.object({
    action: text,
    comment: reviewComment,
    pull_request: pullRequest,
  }),
  issues: z.object({ action: text, issue, label: maybe(label), assignee: maybeUser }),
  issue_comment: z.object({ action: text, issue, comment }),
  release: z.object({ action: text, release }),
  workflow_run: z.object({ action: text, workflow_run: workflowRun }),
  workflow_job: z.object({ action: text, workflow_job: workflowJob }),
  check_run: z.object({ action: text, check_run: checkRun }),
  check_suite: z.object({ action: text, check_suite: checkSuite }),
  create: z.object({
    ref: text,
    ref_type: text,
    master_branch: maybeText,
    description: maybeText,
  }),
  delete: z.object({ ref: text, ref_type: text }),
  fork: z.object({ forkee: repository }),
  star: z.object({ action: text, starred_at: maybeTime }),
  ping: z.object({ zen: text, hook_id: id, hook: maybe(hook) }),
  repository: z.object({ action: text, repository }),
  member: z.object({ action: text, member: user }),
  deployment: z.object({ action: maybeText, deployment }),
  deployment_status: z.object({
    action: maybeText,
    deployment_status: deploymentStatus,
    deployment,
  }),
} as const;
