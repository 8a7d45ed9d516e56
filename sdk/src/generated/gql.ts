/* eslint-disable */
import * as types from './graphql.js';



/**
 * Map of all GraphQL operations in the project.
 *
 * This map has several performance disadvantages:
 * 1. It is not tree-shakeable, so it will include all operations in the project.
 * 2. It is not minifiable, so the string of a GraphQL query will be multiple times inside the bundle.
 * 3. It does not support dead code elimination, so it will add unused operations.
 *
 * Therefore it is highly recommended to use the babel or swc plugin for production.
 * Learn more about it here: https://the-guild.dev/graphql/codegen/plugins/presets/preset-client#reducing-bundle-size
 */
type Documents = {
    "mutation CreatePersonalAccessToken($input: CreatePersonalAccessTokenInput!) {\n  createPersonalAccessToken(input: $input) {\n    ... on PersonalAccessTokenCreated {\n      token\n      personalAccessToken {\n        ...PersonalAccessTokenParts\n      }\n    }\n    ... on Error {\n      code\n      message\n    }\n  }\n}\n\nmutation RevokePersonalAccessToken($input: RevokePersonalAccessTokenInput!) {\n  revokePersonalAccessToken(input: $input) {\n    ... on PersonalAccessTokenRevoked {\n      personalAccessToken {\n        ...PersonalAccessTokenParts\n      }\n    }\n    ... on Error {\n      code\n      message\n    }\n  }\n}\n\nfragment PersonalAccessTokenParts on PersonalAccessToken {\n  id\n  name\n  scopes\n  createdAt\n  expiresAt\n  lastUsedAt\n}": typeof types.CreatePersonalAccessTokenDocument,
    "query Viewer {\n  viewer {\n    id\n    username\n    displayName\n    roles\n  }\n}": typeof types.ViewerDocument,
    "query WebhookMessages($filter: WebhookMessageFilter, $first: Int, $after: String, $last: Int, $before: String) {\n  webhookMessages(\n    filter: $filter\n    first: $first\n    after: $after\n    last: $last\n    before: $before\n  ) {\n    edges {\n      cursor\n      node {\n        ...WebhookMessageParts\n      }\n    }\n    pageInfo {\n      hasNextPage\n      hasPreviousPage\n      startCursor\n      endCursor\n    }\n    followCursor\n  }\n}\n\nquery WebhookMessage($id: ID!) {\n  node(id: $id) {\n    ... on WebhookMessage {\n      ...WebhookMessageParts\n      headers {\n        name\n        value\n      }\n      payload\n    }\n  }\n}\n\nsubscription WebhookMessageReceived($filter: WebhookMessageFilter, $after: Cursor) {\n  webhookMessageReceived(filter: $filter, after: $after) {\n    __typename\n    ... on StreamItem {\n      cursor\n    }\n    ... on WebhookMessageReceived {\n      message {\n        ...WebhookMessageParts\n      }\n    }\n  }\n}\n\nfragment WebhookMessageParts on WebhookMessage {\n  id\n  path\n  byteSize\n  deliveryId\n  eventName\n  action\n  branch\n  sender\n  verification\n  receivedAt\n  source {\n    id\n    path\n    provider\n  }\n  repository {\n    id\n    providerId\n    fullName\n  }\n}": typeof types.WebhookMessagesDocument,
};
const documents: Documents = {
    "mutation CreatePersonalAccessToken($input: CreatePersonalAccessTokenInput!) {\n  createPersonalAccessToken(input: $input) {\n    ... on PersonalAccessTokenCreated {\n      token\n      personalAccessToken {\n        ...PersonalAccessTokenParts\n      }\n    }\n    ... on Error {\n      code\n      message\n    }\n  }\n}\n\nmutation RevokePersonalAccessToken($input: RevokePersonalAccessTokenInput!) {\n  revokePersonalAccessToken(input: $input) {\n    ... on PersonalAccessTokenRevoked {\n      personalAccessToken {\n        ...PersonalAccessTokenParts\n      }\n    }\n    ... on Error {\n      code\n      message\n    }\n  }\n}\n\nfragment PersonalAccessTokenParts on PersonalAccessToken {\n  id\n  name\n  scopes\n  createdAt\n  expiresAt\n  lastUsedAt\n}": types.CreatePersonalAccessTokenDocument,
    "query Viewer {\n  viewer {\n    id\n    username\n    displayName\n    roles\n  }\n}": types.ViewerDocument,
    "query WebhookMessages($filter: WebhookMessageFilter, $first: Int, $after: String, $last: Int, $before: String) {\n  webhookMessages(\n    filter: $filter\n    first: $first\n    after: $after\n    last: $last\n    before: $before\n  ) {\n    edges {\n      cursor\n      node {\n        ...WebhookMessageParts\n      }\n    }\n    pageInfo {\n      hasNextPage\n      hasPreviousPage\n      startCursor\n      endCursor\n    }\n    followCursor\n  }\n}\n\nquery WebhookMessage($id: ID!) {\n  node(id: $id) {\n    ... on WebhookMessage {\n      ...WebhookMessageParts\n      headers {\n        name\n        value\n      }\n      payload\n    }\n  }\n}\n\nsubscription WebhookMessageReceived($filter: WebhookMessageFilter, $after: Cursor) {\n  webhookMessageReceived(filter: $filter, after: $after) {\n    __typename\n    ... on StreamItem {\n      cursor\n    }\n    ... on WebhookMessageReceived {\n      message {\n        ...WebhookMessageParts\n      }\n    }\n  }\n}\n\nfragment WebhookMessageParts on WebhookMessage {\n  id\n  path\n  byteSize\n  deliveryId\n  eventName\n  action\n  branch\n  sender\n  verification\n  receivedAt\n  source {\n    id\n    path\n    provider\n  }\n  repository {\n    id\n    providerId\n    fullName\n  }\n}": types.WebhookMessagesDocument,
};

/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "mutation CreatePersonalAccessToken($input: CreatePersonalAccessTokenInput!) {\n  createPersonalAccessToken(input: $input) {\n    ... on PersonalAccessTokenCreated {\n      token\n      personalAccessToken {\n        ...PersonalAccessTokenParts\n      }\n    }\n    ... on Error {\n      code\n      message\n    }\n  }\n}\n\nmutation RevokePersonalAccessToken($input: RevokePersonalAccessTokenInput!) {\n  revokePersonalAccessToken(input: $input) {\n    ... on PersonalAccessTokenRevoked {\n      personalAccessToken {\n        ...PersonalAccessTokenParts\n      }\n    }\n    ... on Error {\n      code\n      message\n    }\n  }\n}\n\nfragment PersonalAccessTokenParts on PersonalAccessToken {\n  id\n  name\n  scopes\n  createdAt\n  expiresAt\n  lastUsedAt\n}"): typeof import('./graphql.js').CreatePersonalAccessTokenDocument;
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "query Viewer {\n  viewer {\n    id\n    username\n    displayName\n    roles\n  }\n}"): typeof import('./graphql.js').ViewerDocument;
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "query WebhookMessages($filter: WebhookMessageFilter, $first: Int, $after: String, $last: Int, $before: String) {\n  webhookMessages(\n    filter: $filter\n    first: $first\n    after: $after\n    last: $last\n    before: $before\n  ) {\n    edges {\n      cursor\n      node {\n        ...WebhookMessageParts\n      }\n    }\n    pageInfo {\n      hasNextPage\n      hasPreviousPage\n      startCursor\n      endCursor\n    }\n    followCursor\n  }\n}\n\nquery WebhookMessage($id: ID!) {\n  node(id: $id) {\n    ... on WebhookMessage {\n      ...WebhookMessageParts\n      headers {\n        name\n        value\n      }\n      payload\n    }\n  }\n}\n\nsubscription WebhookMessageReceived($filter: WebhookMessageFilter, $after: Cursor) {\n  webhookMessageReceived(filter: $filter, after: $after) {\n    __typename\n    ... on StreamItem {\n      cursor\n    }\n    ... on WebhookMessageReceived {\n      message {\n        ...WebhookMessageParts\n      }\n    }\n  }\n}\n\nfragment WebhookMessageParts on WebhookMessage {\n  id\n  path\n  byteSize\n  deliveryId\n  eventName\n  action\n  branch\n  sender\n  verification\n  receivedAt\n  source {\n    id\n    path\n    provider\n  }\n  repository {\n    id\n    providerId\n    fullName\n  }\n}"): typeof import('./graphql.js').WebhookMessagesDocument;


export function graphql(source: string) {
  return (documents as any)[source] ?? {};
}
