import type { z } from 'zod';
import type { GitHubPayloadOf } from '#resolvers/webhooks/github-payload.ts';
import type { comment, issue } from '#resolvers/webhooks/github-shapes.ts';
import { builder } from '#schema/builder.ts';
import { GitHubLabel, GitHubUser } from './github-object.ts';

const GitHubIssueDetails = builder
  .objectRef<z.output<typeof issue>>('GitHubIssueDetails')
  .implement({
    description: 'An issue, or a pull request where it is commented on.',
    fields: (t) => ({
      id: t.exposeString('id', { description: 'GitHub’s number of the issue, as text.' }),
      number: t.exposeInt('number', { description: 'Its number in the repository.' }),
      title: t.exposeString('title', { description: 'Its title.' }),
      body: t.exposeString('body', {
        nullable: true,
        description: 'Its text; null where it is empty.',
      }),
      state: t.exposeString('state', { nullable: true, description: '`open` or `closed`.' }),
      stateReason: t.exposeString('state_reason', {
        nullable: true,
        description: 'Why, e.g. `completed`, `not_planned`.',
      }),
      locked: t.exposeBoolean('locked', {
        nullable: true,
        description: 'Whether only some may comment.',
      }),
      url: t.exposeString('html_url', { nullable: true, description: 'Its page on GitHub.' }),
      user: t.expose('user', { type: GitHubUser, nullable: true, description: 'Who opened it.' }),
      labels: t.expose('labels', {
        type: [GitHubLabel],
        nullable: true,
        description: 'Its labels.',
      }),
      assignees: t.expose('assignees', {
        type: [GitHubUser],
        nullable: true,
        description: 'Who is to work on it.',
      }),
      commentCount: t.exposeInt('comments', {
        nullable: true,
        description: 'How many comments it has.',
      }),
      isPullRequest: t.exposeBoolean('pull_request', {
        description: 'Whether it is a pull request.',
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
        description: 'When it was closed.',
      }),
    }),
  });

const GitHubComment = builder.objectRef<z.output<typeof comment>>('GitHubComment').implement({
  description: 'A comment on an issue or a pull request.',
  fields: (t) => ({
    id: t.exposeString('id', { description: 'GitHub’s number of the comment, as text.' }),
    body: t.exposeString('body', { description: 'Its text.' }),
    url: t.exposeString('html_url', { nullable: true, description: 'Its page on GitHub.' }),
    user: t.expose('user', { type: GitHubUser, nullable: true, description: 'Who wrote it.' }),
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

export const GitHubIssues = builder.objectRef<GitHubPayloadOf<'issues'>>('GitHubIssues').implement({
  description: 'Something was done to an issue.',
  fields: (t) => ({
    action: t.exposeString('action', { description: 'What was done, e.g. `opened`.' }),
    issue: t.expose('issue', { type: GitHubIssueDetails, description: 'The issue.' }),
    label: t.expose('label', {
      type: GitHubLabel,
      nullable: true,
      description: 'For `labeled` and `unlabeled`: which.',
    }),
    assignee: t.expose('assignee', {
      type: GitHubUser,
      nullable: true,
      description: 'For `assigned` and `unassigned`: who.',
    }),
  }),
});

export const GitHubIssueComment = builder
  .objectRef<GitHubPayloadOf<'issue_comment'>>('GitHubIssueComment')
  .implement({
    description: 'An issue or a pull request was commented on.',
    fields: (t) => ({
      action: t.exposeString('action', { description: 'What was done, e.g. `created`.' }),
      issue: t.expose('issue', { type: GitHubIssueDetails, description: 'What was commented on.' }),
      comment: t.expose('comment', { type: GitHubComment, description: 'The comment.' }),
    }),
  });
