import type { z } from 'zod';
import type { GitHubPayloadOf } from '#resolvers/webhooks/github-payload.ts';
import type {
  branch,
  pullRequest,
  review,
  reviewComment,
} from '#resolvers/webhooks/github-shapes.ts';
import { builder } from '#schema/builder.ts';
import { GitHubLabel, GitHubRepository, GitHubUser } from './github-object.ts';

const GitHubBranch = builder.objectRef<z.output<typeof branch>>('GitHubBranch').implement({
  description: 'One side of a pull request.',
  fields: (t) => ({
    ref: t.exposeString('ref', { description: 'The branch, e.g. `main`.' }),
    sha: t.exposeString('sha', { description: 'The commit that it is at.' }),
    label: t.exposeString('label', {
      nullable: true,
      description: 'Owner and branch, e.g. `octocat:main`.',
    }),
    repository: t.expose('repo', {
      type: GitHubRepository,
      nullable: true,
      description: 'Where it is; null for a fork since deleted.',
    }),
  }),
});

const GitHubPullRequestDetails = builder
  .objectRef<z.output<typeof pullRequest>>('GitHubPullRequestDetails')
  .implement({
    description: 'A pull request.',
    fields: (t) => ({
      id: t.exposeString('id', { description: 'GitHub’s number of the pull request, as text.' }),
      number: t.exposeInt('number', { description: 'Its number in the repository.' }),
      title: t.exposeString('title', { description: 'Its title.' }),
      body: t.exposeString('body', {
        nullable: true,
        description: 'Its text; null where it is empty.',
      }),
      state: t.exposeString('state', { description: '`open` or `closed`.' }),
      draft: t.exposeBoolean('draft', { nullable: true, description: 'Whether it is a draft.' }),
      merged: t.exposeBoolean('merged', { nullable: true, description: 'Whether it is merged.' }),
      url: t.exposeString('html_url', { nullable: true, description: 'Its page on GitHub.' }),
      head: t.expose('head', { type: GitHubBranch, description: 'What is to be merged.' }),
      base: t.expose('base', { type: GitHubBranch, description: 'Into what.' }),
      user: t.expose('user', { type: GitHubUser, nullable: true, description: 'Who opened it.' }),
      mergedBy: t.expose('merged_by', {
        type: GitHubUser,
        nullable: true,
        description: 'Who merged it.',
      }),
      labels: t.expose('labels', {
        type: [GitHubLabel],
        nullable: true,
        description: 'Its labels.',
      }),
      additions: t.exposeInt('additions', { nullable: true, description: 'Lines added.' }),
      deletions: t.exposeInt('deletions', { nullable: true, description: 'Lines removed.' }),
      changedFiles: t.exposeInt('changed_files', { nullable: true, description: 'Files changed.' }),
      commits: t.exposeInt('commits', { nullable: true, description: 'How many commits.' }),
      mergeCommitSha: t.exposeString('merge_commit_sha', {
        nullable: true,
        description: 'The commit of the merge, or of a trial of it.',
      }),
      createdAt: t.expose('created_at', {
        type: 'DateTime',
        nullable: true,
        description: 'When it was made.',
      }),
      updatedAt: t.expose('updated_at', {
        type: 'DateTime',
        nullable: true,
        description: 'When it last changed.',
      }),
      closedAt: t.expose('closed_at', {
        type: 'DateTime',
        nullable: true,
        description: 'When it was closed or merged.',
      }),
      mergedAt: t.expose('merged_at', {
        type: 'DateTime',
        nullable: true,
        description: 'When it was merged.',
      }),
    }),
  });

const GitHubReviewComment = builder
  .objectRef<z.output<typeof reviewComment>>('GitHubReviewComment')
  .implement({
    description: 'A comment on a line of a pull request.',
    fields: (t) => ({
      id: t.exposeString('id', { description: 'GitHub’s number of the comment, as text.' }),
      body: t.exposeString('body', { description: 'Its text.' }),
      url: t.exposeString('html_url', { nullable: true, description: 'Its page on GitHub.' }),
      user: t.expose('user', { type: GitHubUser, nullable: true, description: 'Who wrote it.' }),
      path: t.exposeString('path', { nullable: true, description: 'The file.' }),
      line: t.exposeInt('line', {
        nullable: true,
        description: 'The line; null where it is outdated.',
      }),
      side: t.exposeString('side', {
        nullable: true,
        description: '`LEFT` for what was, `RIGHT` for what is to be.',
      }),
      commitId: t.exposeString('commit_id', {
        nullable: true,
        description: 'The commit commented on.',
      }),
      diffHunk: t.exposeString('diff_hunk', {
        nullable: true,
        description: 'The lines around it.',
      }),
      createdAt: t.expose('created_at', {
        type: 'DateTime',
        nullable: true,
        description: 'When it was made.',
      }),
      updatedAt: t.expose('updated_at', {
        type: 'DateTime',
        nullable: true,
        description: 'When it last changed.',
      }),
    }),
  });

const GitHubReview = builder.objectRef<z.output<typeof review>>('GitHubReview').implement({
  description: 'A review of a pull request.',
  fields: (t) => ({
    id: t.exposeString('id', { description: 'GitHub’s number of the review, as text.' }),
    state: t.exposeString('state', {
      description: 'E.g. `approved`, `changes_requested`, `commented`, `dismissed`.',
    }),
    body: t.exposeString('body', {
      nullable: true,
      description: 'Its text; null where it is empty.',
    }),
    url: t.exposeString('html_url', { nullable: true, description: 'Its page on GitHub.' }),
    commitId: t.exposeString('commit_id', { nullable: true, description: 'The commit reviewed.' }),
    user: t.expose('user', { type: GitHubUser, nullable: true, description: 'Who reviewed.' }),
    submittedAt: t.expose('submitted_at', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was handed in.',
    }),
  }),
});

export const GitHubPullRequest = builder
  .objectRef<GitHubPayloadOf<'pull_request'>>('GitHubPullRequest')
  .implement({
    description: 'Something was done to a pull request.',
    fields: (t) => ({
      action: t.exposeString('action', { description: 'What was done, e.g. `opened`.' }),
      number: t.exposeInt('number', { description: 'Its number in the repository.' }),
      before: t.exposeString('before', {
        nullable: true,
        description: 'For `synchronize`: the commit before.',
      }),
      after: t.exposeString('after', {
        nullable: true,
        description: 'For `synchronize`: the commit after.',
      }),
      pullRequest: t.expose('pull_request', {
        type: GitHubPullRequestDetails,
        description: 'The pull request.',
      }),
    }),
  });

export const GitHubPullRequestReview = builder
  .objectRef<GitHubPayloadOf<'pull_request_review'>>('GitHubPullRequestReview')
  .implement({
    description: 'A pull request was reviewed.',
    fields: (t) => ({
      action: t.exposeString('action', { description: 'What was done, e.g. `submitted`.' }),
      review: t.expose('review', { type: GitHubReview, description: 'The review.' }),
      pullRequest: t.expose('pull_request', {
        type: GitHubPullRequestDetails,
        description: 'The pull request; GitHub counts no lines here.',
      }),
    }),
  });

export const GitHubPullRequestReviewComment = builder
  .objectRef<GitHubPayloadOf<'pull_request_review_comment'>>('GitHubPullRequestReviewComment')
  .implement({
    description: 'Lines of a pull request were commented on.',
    fields: (t) => ({
      action: t.exposeString('action', { description: 'What was done, e.g. `created`.' }),
      comment: t.expose('comment', { type: GitHubReviewComment, description: 'The comment.' }),
      pullRequest: t.expose('pull_request', {
        type: GitHubPullRequestDetails,
        description: 'The pull request; GitHub counts no lines here.',
      }),
    }),
  });
