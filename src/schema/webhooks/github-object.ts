// What many of GitHub's bodies are made of.
import type { z } from 'zod';
import type { label, repository, user } from '#resolvers/webhooks/github-shapes.ts';
import { builder } from '#schema/builder.ts';

export const GitHubUser = builder.objectRef<z.output<typeof user>>('GitHubUser').implement({
  description: 'An account on GitHub: somebody, an organization or an app.',
  fields: (t) => ({
    id: t.exposeString('id', { description: 'GitHub’s number of the account, as text.' }),
    login: t.exposeString('login', { description: 'The name to sign in with, which may change.' }),
    type: t.exposeString('type', {
      nullable: true,
      description: 'E.g. `User`, `Organization`, `Bot`.',
    }),
  }),
});

export const GitHubRepository = builder
  .objectRef<z.output<typeof repository>>('GitHubRepository')
  .implement({
    description: 'A repository as a body tells of it.',
    fields: (t) => ({
      id: t.exposeString('id', { description: 'GitHub’s number of the repository, as text.' }),
      fullName: t.exposeString('full_name', {
        description: 'Owner and name, e.g. `octocat/hello`.',
      }),
      url: t.exposeString('html_url', { nullable: true, description: 'Its page on GitHub.' }),
      private: t.exposeBoolean('private', {
        nullable: true,
        description: 'Whether only some may see it.',
      }),
      archived: t.exposeBoolean('archived', {
        nullable: true,
        description: 'Whether it takes no changes.',
      }),
      visibility: t.exposeString('visibility', {
        nullable: true,
        description: '`public`, `private` or `internal`.',
      }),
      defaultBranch: t.exposeString('default_branch', {
        nullable: true,
        description: 'E.g. `main`.',
      }),
      owner: t.expose('owner', { type: GitHubUser, nullable: true, description: 'Whose it is.' }),
    }),
  });

export const GitHubLabel = builder.objectRef<z.output<typeof label>>('GitHubLabel').implement({
  description: 'A label.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'E.g. `bug`.' }),
    color: t.exposeString('color', { nullable: true, description: 'Six hexadecimal digits.' }),
  }),
});
