import { InvalidInputError } from '#lib/errors.ts';
import { encodeGlobalId } from '#lib/global-id.ts';
import { canReadAudit, readableAuditEntries } from '#resolvers/users/access.ts';
import { AUDIT_ACTIONS, type AuditAction, isAuditAction } from '#resolvers/users/audit.ts';
import { type AuditFilter, actorLoader, listAuditEntries } from '#resolvers/users/audit-log.ts';
import { builder } from '#schema/builder.ts';
import { pageComplexity, withAccess } from '#schema/policy.ts';

const AuditActionEnum = builder.enumType('AuditAction', {
  description: 'What was done that changes who may do what.',
  values: Object.fromEntries(
    Object.entries(AUDIT_ACTIONS).map(([action, description]) => [action, { description }]),
  ) as Record<AuditAction, { description: string }>,
});

const AuditEntry = builder.prismaNode('AuditEntry', {
  id: { field: 'id' },
  // What is not there, or not for the viewer, is null and no error.
  nullable: true,
  description:
    'One thing that was done, written with its effect and never changed. Read by AUDITOR and ADMIN with the ' +
    'scope `audit:read`.',
  authScopes: (_entry, ctx) => canReadAudit(ctx),
  findUnique: (id, ctx) => ({ id, AND: [readableAuditEntries(ctx)] }),
  fields: (t) => ({
    at: t.expose('at', { type: 'DateTime', description: 'When it was done.' }),
    action: t.field({
      type: AuditActionEnum,
      nullable: true,
      description: 'What was done; null for what only a newer version knows.',
      resolve: ({ action }) => (isAuditAction(action) ? action : null),
    }),
    actor: t.prismaField({
      type: 'User',
      nullable: true,
      description:
        'Who did it; null for the server, its command line, guests, and accounts that were deleted.',
      resolve: (_query, { actorId }, _args, ctx) =>
        actorId === null ? null : actorLoader(ctx).load(actorId),
    }),
    actorId: t.id({
      nullable: true,
      description: 'The id of `actor`, also of an account that was deleted.',
      resolve: ({ actorId }) => (actorId === null ? null : encodeGlobalId('User', actorId)),
    }),
    sessionId: t.id({
      nullable: true,
      description: 'The session in which it was done; null where there was none.',
      resolve: ({ sessionId }) =>
        sessionId === null ? null : encodeGlobalId('Session', sessionId),
    }),
    ipAddress: t.exposeString('ipAddress', {
      nullable: true,
      description: 'Where it was asked for; null for the server and its command line.',
    }),
    subjectType: t.exposeString('subjectType', {
      description: 'What it was done to: the name of a type, e.g. `User`.',
    }),
    subjectId: t.id({
      nullable: true,
      description: 'The id of what it was done to, which may be gone; null for a signing key.',
      resolve: ({ subjectType, subjectId }) =>
        subjectId === null ? null : encodeGlobalId(subjectType, subjectId),
    }),
    details: t.field({
      type: 'JSON',
      description:
        'More of what was done, by action, e.g. the roles before and after. Holds no personal data.',
      resolve: ({ details }) => details,
    }),
    position: t.string({
      nullable: true,
      description:
        'Place in the chain, from 1 without gaps, as a decimal number; null until it is sealed, about a second later.',
      resolve: ({ position }) => position?.toString() ?? null,
    }),
    hash: t.string({
      nullable: true,
      description:
        'SHA-256, in hex, over the previous entry’s hash and this entry; null until it is sealed.',
      resolve: ({ hash }) => (hash === null ? null : Buffer.from(hash).toString('hex')),
    }),
  }),
});

const AuditFilterInput = builder.inputType('AuditFilter', {
  description:
    'Which entries. All that is given must hold; what is absent or null asks for nothing.',
  fields: (t) => ({
    actorId: t.globalID({ description: 'The id of who did it, of an account also when deleted.' }),
    subjectId: t.globalID({ description: 'The id of what it was done to, of any type.' }),
    actions: t.field({
      type: [AuditActionEnum],
      description: 'What was done; an empty list matches nothing.',
    }),
    from: t.field({ type: 'DateTime', description: 'Done then or later.' }),
    to: t.field({ type: 'DateTime', description: 'Done before then.' }),
  }),
});

function parseFilter(input: typeof AuditFilterInput.$inferInput | null | undefined): AuditFilter {
  const { actorId, subjectId, ...rest } = input ?? {};
  if (actorId && actorId.typename !== 'User') {
    throw new InvalidInputError('Not the id of an account', 'filter.actorId');
  }
  const subject = subjectId && { type: subjectId.typename, id: subjectId.id };
  return { ...rest, actorId: actorId?.id, subject };
}

builder.queryField('auditLog', (t) =>
  t.prismaConnection(
    {
      type: AuditEntry,
      cursor: 'id',
      description:
        'What changed who may do what, oldest first: without bounds the first 20, with `last: 20` the newest. ' +
        'Needs the role AUDITOR or ADMIN and the scope `audit:read`.',
      ...withAccess({ scopes: ['audit:read'], roles: ['AUDITOR', 'ADMIN'] }),
      complexity: pageComplexity,
      args: {
        filter: t.arg({
          type: AuditFilterInput,
          description: 'Only these; all of what is given must hold.',
        }),
      },
      resolve: (query, _root, { filter }, ctx) => listAuditEntries(ctx, parseFilter(filter), query),
    },
    { name: 'AuditEntryConnection', description: 'A page of the audit log, oldest first.' },
    { name: 'AuditEntryEdge', description: 'An entry and where it stands.' },
  ),
);
