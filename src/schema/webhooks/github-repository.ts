// What happens to a repository and its branches.
import type { z } from 'zod';
import type { GitHubPayloadOf } from '#resolvers/webhooks/github-payload.ts';
import type { commit, commitAuthor, hook, pusher } from '#resolvers/webhooks/github-shapes.ts';
import { builder } from '#schema/builder.ts';
import { GitHubRepository, GitHubUser } from './github-object.ts';

const GitHubCommitAuthor = builder
  .objectRef<z.output<typeof commitAuthor>>('GitHubCommitAuthor')
  .implement({
    description: 'Who wrote or made a commit, as Git tells: nobody vouches for it.',
    fields: (t) => ({
      name: t.exposeString('name', { nullable: true, description: 'A name.' }),
      email: t.exposeString('email', { nullable: true, description: 'An address.' }),
      username: t.exposeString('username', {
        nullable: true,
        description: 'The login on GitHub, where the address belongs to one.',
      }),
    }),
  });

const GitHubCommit = builder.objectRef<z.output<typeof commit>>('GitHubCommit').implement({
  description: 'A commit of a push.',
  fields: (t) => ({
    id: t.exposeString('id', { description: 'Its SHA.' }),
    message: t.exposeString('message', { description: 'The whole message.' }),
    timestamp: t.expose('timestamp', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was made, as Git tells.',
    }),
    url: t.exposeString('url', { nullable: true, description: 'Its page on GitHub.' }),
    distinct: t.exposeBoolean('distinct', {
      nullable: true,
      description: 'Whether it was pushed nowhere before.',
    }),
    author: t.expose('author', {
      type: GitHubCommitAuthor,
      nullable: true,
      description: 'Who wrote it.',
    }),
    committer: t.expose('committer', {
      type: GitHubCommitAuthor,
      nullable: true,
      description: 'Who made it.',
    }),
    added: t.exposeStringList('added', { nullable: true, description: 'Paths of new files.' }),
    removed: t.exposeStringList('removed', {
      nullable: true,
      description: 'Paths of removed files.',
    }),
    modified: t.exposeStringList('modified', {
      nullable: true,
      description: 'Paths of changed files.',
    }),
  }),
});

const GitHubPusher = builder.objectRef<z.output<typeof pusher>>('GitHubPusher').implement({
  description: 'Who pushed.',
  fields: (t) => ({
    name: t.exposeString('name', { nullable: true, description: 'The login.' }),
    email: t.exposeString('email', { nullable: true, description: 'An address.' }),
  }),
});

const GitHubHook = builder.objectRef<z.output<typeof hook>>('GitHubHook').implement({
  description: 'How a webhook is set up at GitHub.',
  fields: (t) => ({
    type: t.exposeString('type', {
      nullable: true,
      description: 'E.g. `Repository`, `Organization`.',
    }),
    active: t.exposeBoolean('active', { nullable: true, description: 'Whether it sends.' }),
    events: t.exposeStringList('events', {
      nullable: true,
      description: 'What it sends; `*` is everything.',
    }),
  }),
});

export const GitHubPush = builder.objectRef<GitHubPayloadOf<'push'>>('GitHubPush').implement({
  description: 'Commits were pushed, or a branch or tag was made or removed.',
  fields: (t) => ({
    ref: t.exposeString('ref', { description: 'E.g. `refs/heads/main`.' }),
    before: t.exposeString('before', { description: 'The commit before; zeros for a new ref.' }),
    after: t.exposeString('after', { description: 'The commit after; zeros for a removed ref.' }),
    created: t.exposeBoolean('created', { nullable: true, description: 'Whether the ref is new.' }),
    deleted: t.exposeBoolean('deleted', {
      nullable: true,
      description: 'Whether the ref was removed.',
    }),
    forced: t.exposeBoolean('forced', {
      nullable: true,
      description: 'Whether commits were dropped.',
    }),
    baseRef: t.exposeString('base_ref', {
      nullable: true,
      description: 'What a new ref was made from.',
    }),
    compareUrl: t.exposeString('compare', {
      nullable: true,
      description: 'The page that compares before and after.',
    }),
    pusher: t.expose('pusher', { type: GitHubPusher, nullable: true, description: 'Who pushed.' }),
    commits: t.expose('commits', {
      type: [GitHubCommit],
      description: 'Oldest first; GitHub tells of 2,048 at most.',
    }),
    headCommit: t.expose('head_commit', {
      type: GitHubCommit,
      nullable: true,
      description: 'The newest; null for a removed ref.',
    }),
  }),
});

export const GitHubCreate = builder.objectRef<GitHubPayloadOf<'create'>>('GitHubCreate').implement({
  description: 'A branch or tag was made.',
  fields: (t) => ({
    ref: t.exposeString('ref', { description: 'Its name, e.g. `main`.' }),
    refType: t.exposeString('ref_type', { description: '`branch` or `tag`.' }),
    masterBranch: t.exposeString('master_branch', {
      nullable: true,
      description: 'The default branch.',
    }),
    description: t.exposeString('description', {
      nullable: true,
      description: 'Of the repository.',
    }),
  }),
});

export const GitHubDelete = builder.objectRef<GitHubPayloadOf<'delete'>>('GitHubDelete').implement({
  description: 'A branch or tag was removed.',
  fields: (t) => ({
    ref: t.exposeString('ref', { description: 'Its name, e.g. `topic`.' }),
    refType: t.exposeString('ref_type', { description: '`branch` or `tag`.' }),
  }),
});

export const GitHubFork = builder.objectRef<GitHubPayloadOf<'fork'>>('GitHubFork').implement({
  description: 'Somebody made a copy.',
  fields: (t) => ({
    forkee: t.expose('forkee', { type: GitHubRepository, description: 'The copy.' }),
  }),
});

export const GitHubStar = builder.objectRef<GitHubPayloadOf<'star'>>('GitHubStar').implement({
  description: 'Somebody starred the repository, or no longer does.',
  fields: (t) => ({
    action: t.exposeString('action', { description: 'What was done, e.g. `created`.' }),
    starredAt: t.expose('starred_at', {
      type: 'DateTime',
      nullable: true,
      description: 'When; null where the star was taken back.',
    }),
  }),
});

export const GitHubPing = builder.objectRef<GitHubPayloadOf<'ping'>>('GitHubPing').implement({
  description: 'A webhook was set up.',
  fields: (t) => ({
    zen: t.exposeString('zen', { description: 'A saying of GitHub’s.' }),
    hookId: t.exposeString('hook_id', { description: 'GitHub’s number of the webhook, as text.' }),
    hook: t.expose('hook', { type: GitHubHook, nullable: true, description: 'How it is set up.' }),
  }),
});

export const GitHubRepositoryEvent = builder
  .objectRef<GitHubPayloadOf<'repository'>>('GitHubRepositoryEvent')
  .implement({
    description: 'Something was done to a repository itself.',
    fields: (t) => ({
      action: t.exposeString('action', { description: 'What was done, e.g. `renamed`.' }),
      repository: t.expose('repository', { type: GitHubRepository, description: 'As it is now.' }),
    }),
  });

export const GitHubMember = builder.objectRef<GitHubPayloadOf<'member'>>('GitHubMember').implement({
  description: 'Somebody became a collaborator, or is none any more, or with other rights.',
  fields: (t) => ({
    action: t.exposeString('action', { description: 'What was done, e.g. `added`.' }),
    member: t.expose('member', { type: GitHubUser, description: 'Who.' }),
  }),
});
