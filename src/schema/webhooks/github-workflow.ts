import type { z } from 'zod';
import type { GitHubPayloadOf } from '#resolvers/webhooks/github-payload.ts';
import type { workflowJob, workflowRun, workflowStep } from '#resolvers/webhooks/github-shapes.ts';
import { builder } from '#schema/builder.ts';
import { GitHubUser } from './github-object.ts';

const GitHubWorkflowRunDetails = builder
  .objectRef<z.output<typeof workflowRun>>('GitHubWorkflowRunDetails')
  .implement({
    description: 'A run of a workflow.',
    fields: (t) => ({
      id: t.exposeString('id', { description: 'GitHub’s number of the run, as text.' }),
      name: t.exposeString('name', { nullable: true, description: 'Of the workflow.' }),
      title: t.exposeString('display_title', { nullable: true, description: 'Of the run.' }),
      path: t.exposeString('path', { nullable: true, description: 'The file of the workflow.' }),
      event: t.exposeString('event', {
        nullable: true,
        description: 'What started it, e.g. `push`.',
      }),
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
        description: 'The branch that it runs on.',
      }),
      headSha: t.exposeString('head_sha', { description: 'The commit that it runs on.' }),
      runNumber: t.exposeInt('run_number', { nullable: true, description: 'Counted by workflow.' }),
      runAttempt: t.exposeInt('run_attempt', { nullable: true, description: '1 for the first.' }),
      url: t.exposeString('html_url', { nullable: true, description: 'Its page on GitHub.' }),
      actor: t.expose('actor', { type: GitHubUser, nullable: true, description: 'Who caused it.' }),
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
      runStartedAt: t.expose('run_started_at', {
        type: 'DateTime',
        nullable: true,
        description: 'When this attempt began.',
      }),
    }),
  });

const GitHubWorkflowStep = builder
  .objectRef<z.output<typeof workflowStep>>('GitHubWorkflowStep')
  .implement({
    description: 'A step of a job.',
    fields: (t) => ({
      number: t.exposeInt('number', { nullable: true, description: 'Its place in the job.' }),
      name: t.exposeString('name', { description: 'Its name.' }),
      status: t.exposeString('status', {
        nullable: true,
        description: 'How far it is, e.g. `queued`, `in_progress`, `completed`.',
      }),
      conclusion: t.exposeString('conclusion', {
        nullable: true,
        description: 'How it ended, e.g. `success`; null before that.',
      }),
    }),
  });

const GitHubWorkflowJobDetails = builder
  .objectRef<z.output<typeof workflowJob>>('GitHubWorkflowJobDetails')
  .implement({
    description: 'A job of a run.',
    fields: (t) => ({
      id: t.exposeString('id', { description: 'GitHub’s number of the job, as text.' }),
      runId: t.exposeString('run_id', { description: 'GitHub’s number of its run, as text.' }),
      runAttempt: t.exposeInt('run_attempt', { nullable: true, description: '1 for the first.' }),
      name: t.exposeString('name', { description: 'Its name.' }),
      workflowName: t.exposeString('workflow_name', {
        nullable: true,
        description: 'Of the workflow.',
      }),
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
        description: 'The branch that it runs on.',
      }),
      headSha: t.exposeString('head_sha', { description: 'The commit that it runs on.' }),
      url: t.exposeString('html_url', { nullable: true, description: 'Its page on GitHub.' }),
      labels: t.exposeStringList('labels', {
        nullable: true,
        description: 'What a runner must have.',
      }),
      runnerName: t.exposeString('runner_name', {
        nullable: true,
        description: 'Who runs it; null while it waits.',
      }),
      steps: t.expose('steps', {
        type: [GitHubWorkflowStep],
        nullable: true,
        description: 'Its steps.',
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

export const GitHubWorkflowRun = builder
  .objectRef<GitHubPayloadOf<'workflow_run'>>('GitHubWorkflowRun')
  .implement({
    description: 'A run of a workflow was asked for, began or ended.',
    fields: (t) => ({
      action: t.exposeString('action', { description: 'What was done, e.g. `completed`.' }),
      workflowRun: t.expose('workflow_run', {
        type: GitHubWorkflowRunDetails,
        description: 'The run.',
      }),
    }),
  });

export const GitHubWorkflowJob = builder
  .objectRef<GitHubPayloadOf<'workflow_job'>>('GitHubWorkflowJob')
  .implement({
    description: 'A job was queued, began or ended.',
    fields: (t) => ({
      action: t.exposeString('action', { description: 'What was done, e.g. `completed`.' }),
      workflowJob: t.expose('workflow_job', {
        type: GitHubWorkflowJobDetails,
        description: 'The job.',
      }),
    }),
  });
