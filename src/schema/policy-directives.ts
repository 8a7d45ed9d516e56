import {
  DirectiveLocation,
  GraphQLBoolean,
  GraphQLDirective,
  GraphQLEnumType,
  GraphQLInt,
  GraphQLList,
  GraphQLNonNull,
  GraphQLString,
} from 'graphql';
import { CACHE_SCOPES } from './cache-control.ts';
import { RATE_LIMIT_BY } from './policy.ts';

const names = new GraphQLList(new GraphQLNonNull(GraphQLString));

const RateLimitByEnum = new GraphQLEnumType({
  name: 'RateLimitBy',
  description: 'Whose executions of a field are counted together.',
  values: Object.fromEntries(
    Object.entries(RATE_LIMIT_BY).map(([name, description]) => [name, { description }]),
  ),
});

const CacheScopeEnum = new GraphQLEnumType({
  name: 'CacheScope',
  description: 'With whom an answer may be shared.',
  values: Object.fromEntries(
    Object.entries(CACHE_SCOPES).map(([name, description]) => [name, { description }]),
  ),
});

/** What the directives printed on fields mean. They describe what `policy.ts` enforces. */
export const policyDirectives = [
  new GraphQLDirective({
    name: 'auth',
    description:
      'Who may use this field: a viewer whose token has the scopes and who has one of the roles.',
    locations: [DirectiveLocation.FIELD_DEFINITION],
    args: {
      scopes: { type: names, description: 'Scopes that the token must all have.' },
      roles: { type: names, description: 'Roles of which the viewer must have one.' },
      session: {
        type: GraphQLBoolean,
        description: 'The viewer must have signed in: a personal access token is not enough.',
      },
      open: { type: GraphQLBoolean, description: 'Everybody may use it, guests included.' },
    },
  }),
  new GraphQLDirective({
    name: 'rateLimit',
    description:
      'How often this field may run; each alias counts. More is `RateLimitedError`, or the code RATE_LIMITED where ' +
      'the field declares none, with the seconds to wait.',
    locations: [DirectiveLocation.FIELD_DEFINITION],
    isRepeatable: true,
    args: {
      limit: { type: new GraphQLNonNull(GraphQLInt), description: 'Executions in a window.' },
      windowSeconds: { type: new GraphQLNonNull(GraphQLInt), description: 'The window.' },
      by: { type: new GraphQLNonNull(RateLimitByEnum), description: 'Whose are counted together.' },
    },
  }),
  new GraphQLDirective({
    name: 'cost',
    description: 'What this field adds to the cost of an operation; a field without it adds 1.',
    locations: [DirectiveLocation.FIELD_DEFINITION],
    args: {
      weight: {
        type: new GraphQLNonNull(GraphQLInt),
        description: 'Added each time the field is answered.',
      },
    },
  }),
  new GraphQLDirective({
    name: 'cacheControl',
    description:
      'The answer of this field may be kept: by Naru, and by whoever asks with GET. An operation is, when all its ' +
      'root fields are declared and none failed: for the shortest time, with the narrowest scope.',
    locations: [DirectiveLocation.FIELD_DEFINITION],
    args: {
      maxAge: { type: new GraphQLNonNull(GraphQLInt), description: 'For how long, in seconds.' },
      scope: {
        type: new GraphQLNonNull(CacheScopeEnum),
        defaultValue: 'PUBLIC',
        description: 'With whom it may be shared.',
      },
      invalidatedBy: {
        type: names,
        description: 'Naru forgets it sooner: when one of these topics has an entry.',
      },
    },
  }),
];
