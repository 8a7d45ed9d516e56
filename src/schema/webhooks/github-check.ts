import type { z } from 'zod';
import type { GitHubPayloadOf } from '#resolvers/webhooks/github-payload.ts';
import type { checkOutput, checkRun, checkSuite } from '#resolvers/webhooks/github-shapes.ts';
import { builder } from '#schema/builder.ts';

const GitHubCheckOutput = builder
  .objectRef<z.output<typeof checkOutput>>('GitHubCheckOutput')
  .implement({
    description: 'What a check found.',
    fields: (t) => ({
      title: t.exposeString('title', { nullable: true, description: 'In one line.' }),
      summary: t.exposeString('summary', { nullable: true, description: 'In Markdown.' }),
    }),
  });

const GitHubCheckSuiteDetails = builder
  .objectRef<z.output<typeof checkSuite>>('GitHubCheckSuiteDetails')
  .implement({
    description: 'All checks of one app on one commit.',
    fields: (t) => ({
      id: t.exposeString('id', { description: 'GitHub’s number of the suite, as text.' }),
      status: t.exposeString('status', {
        nullable: true,
        description: 'How far it is, e.g. `queued`, `in_progress`, `completed`.',
      }),
      conclusion: t.exposeString('conclusion', {
        nullable: true,
        description: 'How it ended, e.g. `success`; null before that.',
      }),
      headBranch: t.exposeString('head_branch', {
        nullable: true,
        description: 'The branch; null for a commit of a fork.',
      }),
      headSha: t.exposeString('head_sha', { description: 'The commit that is checked.' }),
      before: t.exposeString('before', {
        nullable: true,
        description: 'The commit before the push.',
      }),
      after: t.exposeString('after', { nullable: true, description: 'The commit after the push.' }),
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

const GitHubCheckRunDetails = builder
  .objectRef<z.output<typeof checkRun>>('GitHubCheckRunDetails')
  .implement({
    description: 'A check of a commit.',
    fields: (t) => ({
      id: t.exposeString('id', { description: 'GitHub’s number of the check, as text.' }),
      name: t.exposeString('name', { description: 'Its name.' }),
      status: t.exposeString('status', {
        nullable: true,
        description: 'How far it is, e.g. `queued`, `in_progress`, `completed`.',
      }),
      conclusion: t.exposeString('conclusion', {
        nullable: true,
        description: 'How it ended, e.g. `success`; null before that.',
      }),
      headSha: t.exposeString('head_sha', { description: 'The commit that is checked.' }),
      url: t.exposeString('html_url', { nullable: true, description: 'Its page on GitHub.' }),
      detailsUrl: t.exposeString('details_url', {
        nullable: true,
        description: 'Where the app tells more.',
      }),
      output: t.expose('output', {
        type: GitHubCheckOutput,
        nullable: true,
        description: 'What it found.',
      }),
      checkSuite: t.expose('check_suite', {
        type: GitHubCheckSuiteDetails,
        nullable: true,
        description: 'The suite that it is of.',
      }),
      startedAt: t.expose('started_at', {
        type: 'DateTime',
        nullable: true,
        description: 'When it began.',
      }),
      completedAt: t.expose('completed_at', {
        type: 'DateTime',
        nullable: true,
        description: 'When it ended.',
      }),
    }),
  });

export const GitHubCheckRun = builder
  .objectRef<GitHubPayloadOf<'check_run'>>('GitHubCheckRun')
  .implement({
    description: 'A check began, ended, or is asked for.',
    fields: (t) => ({
      action: t.exposeString('action', { description: 'What was done, e.g. `completed`.' }),
      checkRun: t.expose('check_run', { type: GitHubCheckRunDetails, description: 'The check.' }),
    }),
  });

export const GitHubCheckSuite = builder
  .objectRef<GitHubPayloadOf<'check_suite'>>('GitHubCheckSuite')
  .implement({
    description: 'All checks of an app ended, or are asked for.',
    fields: (t) => ({
      action: t.exposeString('action', { description: 'What was done, e.g. `completed`.' }),
      checkSuite: t.expose('check_suite', {
        type: GitHubCheckSuiteDetails,
        description: 'The suite.',
      }),
    }),
  });
