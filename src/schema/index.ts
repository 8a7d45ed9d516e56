// The only list of the schema's files: importing one registers its types on the builder.
import { type GraphQLSchema, specifiedDirectives } from 'graphql';
import { builder } from './builder.ts';
import { policyDirectives } from './policy-directives.ts';
import './scalars.ts';
import './errors.ts';
import './stream.ts';
import './server-info.ts';
import './users/user.ts';
import './users/personal-access-token.ts';
import './webhooks/source.ts';
import './webhooks/message.ts';
import './webhooks/inbox.ts';

export function createSchema(): GraphQLSchema {
  return builder.toSchema({
    directives: [...specifiedDirectives, ...policyDirectives],
    sortSchema: false,
  });
}
