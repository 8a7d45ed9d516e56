import type { Role } from '#generated/prisma/enums.ts';
import { canReadUser, readableUsers } from '#resolvers/users/access.ts';
import { builder } from '#schema/builder.ts';
import { withScope } from '#schema/policy.ts';

const ROLE_MEANINGS: Readonly<Record<keyof typeof Role, string>> = {
  USER: 'Uses Naru: reads what is granted, chats, takes part in events.',
  OPERATOR: 'Runs sources and events, and sees what nobody vouches for.',
  AUDITOR: 'Reads accounts and the audit log, changes nothing.',
  ADMIN: 'May do what OPERATOR may, and manages accounts.',
};

const RoleEnum = builder.enumType('Role', {
  description: 'What an account may do; one account may have several.',
  values: Object.fromEntries(
    Object.entries(ROLE_MEANINGS).map(([role, description]) => [role, { description }]),
  ) as Record<keyof typeof Role, { description: string }>,
});

const User = builder.prismaNode('User', {
  id: { field: 'id' },
  // What is not there, or not for the viewer, is null and no error.
  nullable: true,
  description: 'An account. Known to itself, to AUDITOR and to ADMIN.',
  authScopes: (user, ctx) => canReadUser(ctx, user.id),
  findUnique: (id, ctx) => ({ id, AND: [readableUsers(ctx)] }),
  fields: (t) => ({
    username: t.exposeString('username', { description: 'Unique, in lower case.' }),
    displayName: t.exposeString('displayName', { description: 'For people to read; not unique.' }),
    roles: t.field({
      type: [RoleEnum],
      description: 'Every role of the account.',
      resolve: (user) => user.roles,
    }),
    createdAt: t.expose('createdAt', {
      type: 'DateTime',
      description: 'When the account was made.',
    }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      description: 'When it was last changed.',
    }),
  }),
});

builder.queryField('viewer', (t) =>
  t.field({
    type: User,
    nullable: true,
    description: 'The account that is asking; null for guests. Needs the scope `viewer:read`.',
    ...withScope('viewer:read'),
    authScopes: (_root, _args, ctx) => ctx.viewer === null || { scopes: ['viewer:read'] },
    resolve: (_root, _args, ctx) => ctx.viewer?.user ?? null,
  }),
);
