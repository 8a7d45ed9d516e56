import {
  DirectiveLocation,
  GraphQLBoolean,
  GraphQLDirective,
  GraphQLInt,
  GraphQLList,
  GraphQLNonNull,
  GraphQLString,
} from 'graphql';

const names = new GraphQLList(new GraphQLNonNull(GraphQLString));

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
];
