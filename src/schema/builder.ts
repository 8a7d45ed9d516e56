import SchemaBuilder from '@pothos/core';
import ComplexityPlugin from '@pothos/plugin-complexity';
import DirectivesPlugin from '@pothos/plugin-directives';
import ErrorsPlugin from '@pothos/plugin-errors';
import PrismaPlugin from '@pothos/plugin-prisma';
import RelayPlugin from '@pothos/plugin-relay';
import ScopeAuthPlugin, { RequestCache } from '@pothos/plugin-scope-auth';
import ValidationPlugin from '@pothos/plugin-validation';
import { z } from 'zod';
import type { Scope } from '#auth/scopes.ts';
import type { Role } from '#auth/viewer.ts';
import { type Context, perContext } from '#context.ts';
import { getDatamodel, type default as PrismaTypes } from '#generated/pothos-types.ts';
import { ForbiddenError, InvalidInputError, UnauthenticatedError } from '#lib/errors.ts';
import { decodeGlobalId, encodeGlobalId } from '#lib/global-id.ts';
import { PAGE_SIZE_MAX } from '#lib/page.ts';
import type { CacheScope } from './cache-control.ts';
import { GLOBAL_ID_INPUTS_PLUGIN } from './global-id-inputs.ts';
import type { RateLimitBy } from './policy.ts';
import { RATE_LIMIT_PLUGIN } from './rate-limit.ts';

type Scalars = {
  DateTime: { Input: Date; Output: Date };
  JSON: { Input: unknown; Output: unknown };
  Cursor: { Input: string; Output: string };
  EmailAddress: { Input: string; Output: string };
  URL: { Input: string; Output: string };
  ID: { Input: string; Output: string };
};

type Directives = {
  auth: {
    locations: 'FIELD_DEFINITION';
    args: {
      scopes?: readonly Scope[];
      roles?: readonly Role[];
      session?: boolean;
      open?: boolean;
    };
  };
  cost: { locations: 'FIELD_DEFINITION'; args: { weight: number } };
  cacheControl: {
    locations: 'FIELD_DEFINITION';
    args: { maxAge: number; scope: CacheScope; invalidatedBy?: readonly string[] };
  };
  rateLimit: {
    locations: 'FIELD_DEFINITION';
    args: { limit: number; windowSeconds: number; by: RateLimitBy };
  };
};

const pageMessage = `A page has 1 to ${PAGE_SIZE_MAX} items`;
// On the arguments themselves, so that no connection can forget it.
const pageSize = z.int().min(1, pageMessage).max(PAGE_SIZE_MAX, pageMessage).nullish();

/** Defines no types: a noun's file does that. */
export const builder = new SchemaBuilder<{
  Context: Context;
  PrismaTypes: PrismaTypes;
  Scalars: Scalars;
  Directives: Directives;
  DefaultFieldNullability: false;
  DefaultNodeNullability: false;
  DefaultEdgesNullability: { list: false; items: false };
  AuthScopes: {
    viewer: boolean;
    session: boolean;
    scopes: readonly Scope[];
    anyRole: readonly Role[];
  };
}>({
  // The errors plugin comes first, so that its unions also hold what the later ones throw.
  plugins: [
    ErrorsPlugin,
    RATE_LIMIT_PLUGIN,
    ScopeAuthPlugin,
    ComplexityPlugin,
    RelayPlugin,
    GLOBAL_ID_INPUTS_PLUGIN,
    PrismaPlugin,
    ValidationPlugin,
    DirectivesPlugin,
  ],
  defaultFieldNullability: false,
  errors: { directResult: true, defaultTypes: [], unsafelyHandleInputErrors: true },
  prisma: {
    client: (ctx) => ctx.prisma,
    dmmf: getDatamodel(),
    exposeDescriptions: false,
    filterConnectionTotalCount: true,
    maxConnectionSize: 100,
    onUnusedQuery: null,
  },
  scopeAuth: {
    // On the fields of a type and not in its `isTypeOf`, which compiled operations call without a
    // context. The rule is the same: nothing of a type is read without it.
    runScopesOnType: false,
    authorizeOnSubscribe: true,
    treatErrorsAsUnauthorized: false,
    unauthorizedError: (_parent, ctx) =>
      ctx.viewer === null
        ? new UnauthenticatedError('Sign in, or send a personal access token')
        : new ForbiddenError('This viewer or its token may not read or do this'),
    authScopes: (ctx) => ({
      viewer: ctx.viewer !== null,
      session: ctx.viewer?.proof.kind === 'session',
      scopes: (scopes) => scopes.every((scope) => ctx.viewer?.scopes.has(scope)),
      anyRole: (roles) => roles.some((role) => ctx.viewer?.roles.has(role)),
    }),
  },
  directives: { useGraphQLToolsUnorderedDirectives: true },
  complexity: { defaultComplexity: 1, defaultListMultiplier: 10 },
  validation: {
    validationError: ({ issues: [issue] }) => {
      const path = (issue?.path ?? []).map((part) => (typeof part === 'object' ? part.key : part));
      return new InvalidInputError(
        issue?.message ?? 'The input is not valid',
        path.join('.') || null,
      );
    },
  },
  relay: {
    encodeGlobalID: (typename, id) => encodeGlobalId(typename, String(id)),
    decodeGlobalID: decodeGlobalId,
    cursorType: 'String',
    edgesFieldOptions: {
      description: 'The page, with a cursor beside each item.',
      nullable: { list: false, items: false },
      complexity: { field: 1, multiplier: 1 },
    },
    nodesOnConnection: { description: 'The page.', complexity: { field: 1, multiplier: 1 } },
    nodeFieldOptions: { description: 'The item.' },
    cursorFieldOptions: { description: 'Where the item stands: for `after` and `before`.' },
    pageInfoFieldOptions: { description: 'What lies before and after the page.' },
    pageInfoTypeOptions: { description: 'What lies before and after a page of a connection.' },
    hasNextPageFieldOptions: { description: 'Whether more follows the page.' },
    hasPreviousPageFieldOptions: { description: 'Whether more comes before the page.' },
    startCursorFieldOptions: {
      description: 'The cursor of the first item; null on an empty page.',
    },
    endCursorFieldOptions: { description: 'The cursor of the last item; null on an empty page.' },
    firstArgOptions: {
      description: 'How many items from the start, 1–100. Not together with `last`.',
      validate: pageSize,
    },
    afterArgOptions: { description: 'Only items after this cursor.' },
    lastArgOptions: {
      description: 'How many items from the end, 1–100. Not together with `first`.',
      validate: pageSize,
    },
    beforeArgOptions: { description: 'Only items before this cursor.' },
    nodeTypeOptions: {
      description: 'Anything with a global id. `node` and `nodes` answer what the viewer may see.',
    },
    idFieldOptions: { description: 'Opaque, unique across all types, and stable for ever.' },
    nodeQueryOptions: {
      description: 'The object with this id; null where there is none that the viewer may know of.',
      args: { id: { description: 'A global id.' } },
    },
    nodesQueryOptions: {
      description: 'The objects with these ids, in their order, null where `node` would be.',
      args: {
        ids: {
          description: 'Global ids, at most 100.',
          validate: z.array(z.unknown()).max(PAGE_SIZE_MAX, `At most ${PAGE_SIZE_MAX} ids`),
        },
      },
      complexity: ({ ids }) => ({ field: 1, multiplier: ids.length }),
    },
    defaultConnectionTypeOptions: { description: 'A page of a list.' },
    defaultEdgeTypeOptions: { description: 'An item of a page and where it stands.' },
  },
});

// The plugin's own way is a WeakMap: measured, that keeps every request's objects until a full collection.
const scopesOf = perContext((ctx) => new RequestCache(builder, ctx));
RequestCache.fromContext = ((ctx: Context) => scopesOf(ctx)) as typeof RequestCache.fromContext;

builder.queryType({ description: 'Reads. Nothing here changes anything.' });
builder.mutationType({
  description: 'Writes. Each answers with what happened or with one of its declared errors.',
});
builder.subscriptionType({
  description:
    'Live streams, over graphql-ws and server-sent events, each resumable by its cursor.',
});
