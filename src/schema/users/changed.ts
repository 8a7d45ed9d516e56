import type { ObjectFieldBuilder } from '@pothos/core';
import type { builder } from '#schema/builder.ts';
import { User } from './user.ts';

/** What most mutations here answer with: the account as it is afterwards. */
export interface Changed {
  readonly userId: string;
}

type SchemaTypes = typeof builder.$inferSchemaTypes;

/** The field `user` of such an answer. */
export function userOf<Shape extends Changed>(
  t: ObjectFieldBuilder<SchemaTypes, Shape>,
  description: string,
) {
  return t.prismaField({
    type: User,
    description,
    resolve: (query, { userId }, _args, ctx) =>
      ctx.prisma.user.findUniqueOrThrow({ ...query, where: { id: userId } }),
  });
}
