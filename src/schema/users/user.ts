import type { Role } from '#generated/prisma/enums.ts';
import { canReadAccount, canReadUser, readableUsers } from '#resolvers/users/access.ts';
import { matchUsers } from '#resolvers/users/user-filter.ts';
import { builder } from '#schema/builder.ts';
import { pageComplexity, withAccess, withScope } from '#schema/policy.ts';

const ROLE_MEANINGS: Readonly<Record<keyof typeof Role, string>> = {
  USER: 'Uses Naru: reads what is granted, chats, takes part in events.',
  OPERATOR: 'Runs sources and events, and sees what nobody vouches for.',
  AUDITOR: 'Reads accounts and the audit log, changes nothing.',
  ADMIN: 'May do what OPERATOR may, and manages accounts.',
};

export const RoleEnum = builder.enumType('Role', {
  description: 'What an account may do; one account may have several.',
  values: Object.fromEntries(
    Object.entries(ROLE_MEANINGS).map(([role, description]) => [role, { description }]),
  ) as Record<keyof typeof Role, { description: string }>,
});

const PRIVATE =
  'Null for all but the account itself (a token needs `viewer:read`), AUDITOR and ADMIN.';

export const User = builder.prismaNode('User', {
  id: { field: 'id' },
  // What is not there, or not for the viewer, is null and no error.
  nullable: true,
  description:
    'An account. Known to itself, to AUDITOR and to ADMIN; those who share a room with it meet it there, and read ' +
    'its names, its picture and its times, but not what is null for them below.',
  authScopes: (user, ctx) => canReadUser(ctx, user.id),
  findUnique: (id, ctx) => ({ id, AND: [readableUsers(ctx)] }),
  fields: (t) => ({
    username: t.exposeString('username', {
      description:
        'Unique, in lower case, 3–32 characters; `deleted-…` once the account is deleted.',
    }),
    displayName: t.exposeString('displayName', {
      description: 'For people to read, 1–100 characters; not unique.',
    }),
    avatarUrl: t.expose('avatarUrl', {
      type: 'URL',
      nullable: true,
      description: 'A picture, as the account gave it: other people’s server.',
    }),
    email: t.field({
      type: 'EmailAddress',
      nullable: true,
      description: `Unique; null where the account gave none. ${PRIVATE}`,
      resolve: (user, _args, ctx) => (canReadAccount(ctx, user.id) ? user.email : null),
    }),
    emailVerified: t.boolean({
      nullable: true,
      description: `Whether the address’ mailbox has confirmed it. ${PRIVATE}`,
      resolve: ({ id, emailVerifiedAt }, _args, ctx) =>
        canReadAccount(ctx, id) ? emailVerifiedAt !== null : null,
    }),
    roles: t.field({
      type: [RoleEnum],
      nullable: true,
      description: `Every role of the account. ${PRIVATE}`,
      resolve: (user, _args, ctx) => (canReadAccount(ctx, user.id) ? user.roles : null),
    }),
    createdAt: t.expose('createdAt', {
      type: 'DateTime',
      description: 'When the account was made.',
    }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      description: 'When it was last changed.',
    }),
    disabledAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: `Since when it may not sign in; null while it may. ${PRIVATE}`,
      resolve: (user, _args, ctx) => (canReadAccount(ctx, user.id) ? user.disabledAt : null),
    }),
    deletedAt: t.expose('deletedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was deleted; null while it is there.',
    }),
  }),
});

builder.queryField('viewer', (t) =>
  t.field({
    type: User,
    nullable: true,
    description: 'The account that is asking; null for guests. Needs the scope `viewer:read`.',
    ...withScope('viewer:read'),
    // Said in one: this is what every page asks first.
    authScopes: (_root, _args, { viewer }) => viewer === null || viewer.scopes.has('viewer:read'),
    resolve: (_root, _args, ctx) => ctx.viewer?.user ?? null,
  }),
);

const READERS = { scopes: ['users:read'], roles: ['AUDITOR', 'ADMIN'] } as const;

builder.queryField('user', (t) =>
  t.prismaField({
    type: User,
    nullable: true,
    description:
      'One account; null where there is none. Needs the role AUDITOR or ADMIN and the scope `users:read`.',
    ...withAccess(READERS),
    args: { id: t.arg.globalID({ required: true, for: User, description: 'The account’s id.' }) },
    resolve: (query, _root, { id }, ctx) =>
      ctx.prisma.user.findUnique({ ...query, where: { id: id.id } }),
  }),
);

const UserFilterInput = builder.inputType('UserFilter', {
  description:
    'Which accounts. All that is given must hold; what is absent or null asks for nothing.',
  fields: (t) => ({
    search: t.string({
      description:
        'Part of the username, display name or e-mail address, in any case; at most 100 characters.',
    }),
    roles: t.field({ type: [RoleEnum], description: 'Has one of them.' }),
    isDisabled: t.boolean({ description: 'Is disabled, or is not.' }),
    isDeleted: t.boolean({ description: 'Is deleted, or is not.' }),
  }),
});

builder.queryField('users', (t) =>
  t.prismaConnection({
    type: User,
    cursor: 'id',
    description:
      'Accounts, oldest first. Needs the role AUDITOR or ADMIN and the scope `users:read`.',
    ...withAccess(READERS),
    complexity: pageComplexity,
    args: { filter: t.arg({ type: UserFilterInput, description: 'Which; all unless told.' }) },
    resolve: (query, _root, { filter }, ctx) =>
      ctx.prisma.user.findMany({
        ...query,
        where: matchUsers(filter ?? {}),
        orderBy: { id: 'asc' },
      }),
  }),
);
