import {
  ConflictError,
  ForbiddenError,
  InvalidInputError,
  NotFoundError,
  RateLimitedError,
  UnauthenticatedError,
} from '#lib/errors.ts';
import { disableUser, enableUser, setUserRoles } from '#resolvers/users/user-management.ts';
import { builder } from '#schema/builder.ts';
import { withAccess, withBoth, withRateLimit } from '#schema/policy.ts';
import { type Changed, userOf } from './changed.ts';
import { RoleEnum, User } from './user.ts';

const MANAGERS = { scopes: ['users:read', 'users:write'], roles: ['ADMIN'] } as const;
const FAILURES = [
  RateLimitedError,
  InvalidInputError,
  UnauthenticatedError,
  ForbiddenError,
  NotFoundError,
  ConflictError,
];

const UserRolesSet = builder.objectRef<Changed>('UserRolesSet').implement({
  description: 'The roles count from the account’s next call on.',
  fields: (t) => ({ user: userOf(t, 'The account.') }),
});

const SetUserRolesInput = builder.inputType('SetUserRolesInput', {
  description: 'Whose roles, and which.',
  fields: (t) => ({
    userId: t.globalID({ required: true, for: User, description: 'The account’s id.' }),
    roles: t.field({
      type: [RoleEnum],
      required: true,
      description: 'All that it is to have, at least one.',
    }),
  }),
});

builder.mutationField('setUserRoles', (t) =>
  t.field({
    type: UserRolesSet,
    description:
      'Replaces an account’s roles. Needs the role ADMIN and the scopes `users:read` and `users:write`. ConflictError where no ' +
      'administrator would be left.',
    ...withBoth(
      withAccess(MANAGERS),
      withRateLimit({ by: 'VIEWER', limit: 300, windowSeconds: 60 }),
    ),
    args: {
      input: t.arg({ type: SetUserRolesInput, required: true, description: 'Whose, and which.' }),
    },
    errors: {
      types: FAILURES,
      union: { name: 'SetUserRolesResult', description: 'What came of `setUserRoles`.' },
    },
    resolve: async (_root, { input }, ctx) => ({
      userId: await setUserRoles(ctx, { userId: input.userId.id, roles: input.roles }),
    }),
  }),
);

const UserDisabled = builder.objectRef<Changed>('UserDisabled').implement({
  description: 'Every session has ended, and neither password nor token is taken.',
  fields: (t) => ({ user: userOf(t, 'The account.') }),
});

const DisableUserInput = builder.inputType('DisableUserInput', {
  description: 'Which account.',
  fields: (t) => ({
    userId: t.globalID({ required: true, for: User, description: 'The account’s id.' }),
  }),
});

builder.mutationField('disableUser', (t) =>
  t.field({
    type: UserDisabled,
    description:
      'Ends an account’s sessions and refuses it until `enableUser`. Needs the role ADMIN and the scopes ' +
      '`users:read` and `users:write`. ConflictError for the last administrator. Again is the same as once.',
    ...withBoth(
      withAccess(MANAGERS),
      withRateLimit({ by: 'VIEWER', limit: 300, windowSeconds: 60 }),
    ),
    args: { input: t.arg({ type: DisableUserInput, required: true, description: 'Which one.' }) },
    errors: {
      types: FAILURES,
      union: { name: 'DisableUserResult', description: 'What came of `disableUser`.' },
    },
    resolve: async (_root, { input }, ctx) => ({
      userId: await disableUser(ctx, { userId: input.userId.id }),
    }),
  }),
);

const UserEnabled = builder.objectRef<Changed>('UserEnabled').implement({
  description: 'The account may sign in again; its personal access tokens count again.',
  fields: (t) => ({ user: userOf(t, 'The account.') }),
});

const EnableUserInput = builder.inputType('EnableUserInput', {
  description: 'Which account.',
  fields: (t) => ({
    userId: t.globalID({ required: true, for: User, description: 'The account’s id.' }),
  }),
});

builder.mutationField('enableUser', (t) =>
  t.field({
    type: UserEnabled,
    description:
      'Lets a disabled account in again; its sessions stay ended. Needs the role ADMIN and the scopes ' +
      '`users:read` and `users:write`. Again is the same as once.',
    ...withBoth(
      withAccess(MANAGERS),
      withRateLimit({ by: 'VIEWER', limit: 300, windowSeconds: 60 }),
    ),
    args: { input: t.arg({ type: EnableUserInput, required: true, description: 'Which one.' }) },
    errors: {
      types: FAILURES,
      union: { name: 'EnableUserResult', description: 'What came of `enableUser`.' },
    },
    resolve: async (_root, { input }, ctx) => ({
      userId: await enableUser(ctx, { userId: input.userId.id }),
    }),
  }),
);
