// What is shipped.
import type { z } from 'zod';
import type { GitHubPayloadOf } from '#resolvers/webhooks/github-payload.ts';
import type {
  deployment,
  deploymentStatus,
  release,
  releaseAsset,
} from '#resolvers/webhooks/github-shapes.ts';
import { builder } from '#schema/builder.ts';
import { GitHubUser } from './github-object.ts';

const GitHubReleaseAsset = builder
  .objectRef<z.output<typeof releaseAsset>>('GitHubReleaseAsset')
  .implement({
    description: 'A file of a release.',
    fields: (t) => ({
      name: t.exposeString('name', { description: 'Its name.' }),
      size: t.exposeString('size', { nullable: true, description: 'Bytes, as text.' }),
      contentType: t.exposeString('content_type', {
        nullable: true,
        description: 'Its media type.',
      }),
      url: t.exposeString('browser_download_url', { nullable: true, description: 'Where it is.' }),
    }),
  });

const GitHubReleaseDetails = builder
  .objectRef<z.output<typeof release>>('GitHubReleaseDetails')
  .implement({
    description: 'A release.',
    fields: (t) => ({
      id: t.exposeString('id', { description: 'GitHub’s number of the release, as text.' }),
      tagName: t.exposeString('tag_name', { description: 'Its tag, e.g. `v1.0.0`.' }),
      name: t.exposeString('name', { nullable: true, description: 'Its title.' }),
      body: t.exposeString('body', { nullable: true, description: 'Its notes.' }),
      draft: t.exposeBoolean('draft', { nullable: true, description: 'Whether it is a draft.' }),
      prerelease: t.exposeBoolean('prerelease', {
        nullable: true,
        description: 'Whether it is a pre-release.',
      }),
      target: t.exposeString('target_commitish', {
        nullable: true,
        description: 'What the tag is made from.',
      }),
      url: t.exposeString('html_url', { nullable: true, description: 'Its page on GitHub.' }),
      author: t.expose('author', { type: GitHubUser, nullable: true, description: 'Who made it.' }),
      assets: t.expose('assets', {
        type: [GitHubReleaseAsset],
        nullable: true,
        description: 'Its files.',
      }),
      createdAt: t.expose('created_at', {
        type: 'DateTime',
        nullable: true,
        description: 'When its commit was made.',
      }),
      publishedAt: t.expose('published_at', {
        type: 'DateTime',
        nullable: true,
        description: 'When it was published; null for a draft.',
      }),
    }),
  });

const GitHubDeploymentDetails = builder
  .objectRef<z.output<typeof deployment>>('GitHubDeploymentDetails')
  .implement({
    description: 'A wish to deploy.',
    fields: (t) => ({
      id: t.exposeString('id', { description: 'GitHub’s number of the deployment, as text.' }),
      ref: t.exposeString('ref', { description: 'Branch, tag or commit.' }),
      sha: t.exposeString('sha', { description: 'The commit.' }),
      task: t.exposeString('task', { nullable: true, description: 'E.g. `deploy`.' }),
      environment: t.exposeString('environment', {
        nullable: true,
        description: 'E.g. `production`.',
      }),
      description: t.exposeString('description', { nullable: true, description: 'In words.' }),
      creator: t.expose('creator', {
        type: GitHubUser,
        nullable: true,
        description: 'Who asked for it.',
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

const GitHubDeploymentStatusDetails = builder
  .objectRef<z.output<typeof deploymentStatus>>('GitHubDeploymentStatusDetails')
  .implement({
    description: 'How a deployment goes.',
    fields: (t) => ({
      id: t.exposeString('id', { description: 'GitHub’s number of the status, as text.' }),
      state: t.exposeString('state', { description: 'E.g. `pending`, `success`, `failure`.' }),
      environment: t.exposeString('environment', {
        nullable: true,
        description: 'E.g. `production`.',
      }),
      description: t.exposeString('description', { nullable: true, description: 'In words.' }),
      targetUrl: t.exposeString('target_url', { nullable: true, description: 'Where its log is.' }),
      creator: t.expose('creator', {
        type: GitHubUser,
        nullable: true,
        description: 'Who reports it.',
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

export const GitHubRelease = builder
  .objectRef<GitHubPayloadOf<'release'>>('GitHubRelease')
  .implement({
    description: 'Something was done to a release.',
    fields: (t) => ({
      action: t.exposeString('action', { description: 'What was done, e.g. `published`.' }),
      release: t.expose('release', { type: GitHubReleaseDetails, description: 'The release.' }),
    }),
  });

export const GitHubDeployment = builder
  .objectRef<GitHubPayloadOf<'deployment'>>('GitHubDeployment')
  .implement({
    description: 'Somebody asked for a deployment.',
    fields: (t) => ({
      action: t.exposeString('action', {
        nullable: true,
        description: 'What was done, e.g. `created`; older servers do not say.',
      }),
      deployment: t.expose('deployment', {
        type: GitHubDeploymentDetails,
        description: 'The deployment.',
      }),
    }),
  });

export const GitHubDeploymentStatus = builder
  .objectRef<GitHubPayloadOf<'deployment_status'>>('GitHubDeploymentStatus')
  .implement({
    description: 'A deployment went on.',
    fields: (t) => ({
      action: t.exposeString('action', {
        nullable: true,
        description: 'What was done, e.g. `created`; older servers do not say.',
      }),
      deploymentStatus: t.expose('deployment_status', {
        type: GitHubDeploymentStatusDetails,
        description: 'How it goes.',
      }),
      deployment: t.expose('deployment', {
        type: GitHubDeploymentDetails,
        description: 'The deployment.',
      }),
    }),
  });
