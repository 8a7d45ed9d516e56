// The only list of the schema's files: importing one registers its types on the builder.
import { MapperKind, mapSchema } from '@graphql-tools/utils';
import {
  type GraphQLObjectType,
  type GraphQLSchema,
  GraphQLUnionType,
  specifiedDirectives,
} from 'graphql';
import { builder } from './builder.ts';
import { policyDirectives } from './policy-directives.ts';
import './scalars.ts';
import './errors.ts';
import './stream.ts';
import './server-info.ts';
import './users/user.ts';
import './users/session.ts';
import './users/sign-in.ts';
import './users/sign-up.ts';
import './users/password.ts';
import './users/account.ts';
import './users/user-management.ts';
import './users/personal-access-token.ts';
import './users/github-account.ts';
import './users/audit-entry.ts';
import './webhooks/source.ts';
import './webhooks/source-changes.ts';
import './webhooks/source-grant.ts';
import './webhooks/repository.ts';
import './webhooks/message.ts';
import './webhooks/envelope.ts';
import './webhooks/github-payload.ts';
import './webhooks/inbox.ts';
import './webhooks/inbox-repository.ts';
import './webhooks/start.ts';
import './webhooks/pull.ts';
import './webhooks/settlement.ts';
import './webhooks/replay.ts';
import './webhooks/dead-letter.ts';
import './webhooks/watch.ts';
import './webhooks/saved-filter-changes.ts';
import './rooms/room.ts';
import './rooms/participant.ts';
import './rooms/bans.ts';
import './rooms/message.ts';
import './rooms/history.ts';
import './rooms/message-changes.ts';
import './rooms/reaction-changes.ts';
import './rooms/room-changes.ts';
import './rooms/participant-changes.ts';
import './rooms/room-events.ts';
import './rooms/rooms-changed.ts';
import './rooms/report.ts';
import './rooms/report-changes.ts';
import './rooms/presence.ts';
import './rooms/typing.ts';
import './rooms/read-marker.ts';
import './rooms/broadcast.ts';

export function createSchema(): GraphQLSchema {
  const schema = builder.toSchema({
    directives: [...specifiedDirectives, ...policyDirectives],
    sortSchema: false,
  });
  return mapSchema(schema, { [MapperKind.UNION_TYPE]: withSuccessFirst });
}

/** Results read as what is hoped for, then what can go wrong; the builder adds the success last. */
function withSuccessFirst(union: GraphQLUnionType): GraphQLUnionType {
  const { types, ...config } = union.toConfig();
  const isError = (type: GraphQLObjectType) =>
    type.getInterfaces().some(({ name }) => name === 'Error');
  const ordered = types.toSorted((left, right) => Number(isError(left)) - Number(isError(right)));
  return new GraphQLUnionType({ ...config, types: ordered });
}
