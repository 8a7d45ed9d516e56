/** What a personal access token may be used for. Closed: a new scope is a change of the contract. */
export const SCOPES = {
  'viewer:read': 'Read the account that the token belongs to.',
  'viewer:write': 'Change the profile of the account that the token belongs to.',
  'tokens:write': 'Create and revoke personal access tokens of the same account.',
  'webhooks:read': 'Read webhook messages of the sources granted to the account.',
  'webhooks:pull': 'Pull, acknowledge and replay webhook messages in the inbox of the account.',
  'webhooks:manage':
    'Make, change and delete webhook sources, and say who reads them; needs the role OPERATOR or ADMIN.',
  'rooms:read': 'Read the rooms that the account is in, live and as history.',
  'rooms:write':
    'Make rooms and take part in them: send, react, mark as read, manage participants.',
  'rooms:broadcast':
    'Send broadcasts into rooms: those that the account owns or moderates, and any with the role OPERATOR or ADMIN.',
  'rooms:moderate':
    'Read and settle reports of messages where the account is an owner or moderator; with the role OPERATOR or ADMIN also those that nobody in the room can settle.',
  'users:read': 'Read every account; needs the role AUDITOR or ADMIN.',
  'users:write': 'Change roles, disable and enable accounts; needs the role ADMIN.',
  'audit:read': 'Read the audit log; needs the role AUDITOR or ADMIN.',
  'schema:read': 'Read the schema by introspection where that is off for everybody else.',
  'operations:read': 'Read metrics and the details of readiness; needs the role OPERATOR or ADMIN.',
} as const;

export type Scope = keyof typeof SCOPES;

export const ALL_SCOPES = Object.keys(SCOPES) as readonly Scope[];

/** Whether the text names a scope of this version. */
export function isScope(text: string): text is Scope {
  return Object.hasOwn(SCOPES, text);
}
