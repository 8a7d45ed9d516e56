/* eslint-disable */
/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
import type { DocumentTypeDecoration } from '@graphql-typed-document-node/core';
/** A file that is elsewhere. */
export type AttachmentInput = {
  /** Bytes, 1 to 100 MiB. */
  byteSize: number;
  /** Pixels down, 1–100000. */
  height?: number | null | undefined;
  /** What sort of file, without parameters: `image/…` but no SVG, `audio/…`, `video/…`, `text/plain`, `text/csv`, `text/markdown`, `application/pdf`, `…/zip`, `…/json`, `…/rtf`, or one of Microsoft’s, OpenDocument’s or Hancom’s office documents. */
  mediaType: string;
  /** What to call it, 1–255 UTF-16 units, no control characters. */
  name?: string | null | undefined;
  /** Where it is: https, without credentials, at most 2048 characters. Everybody in the room sees it. */
  url: unknown;
  /** Pixels across, 1–100000. */
  width?: number | null | undefined;
};

/** What the new token is called, may do, and how long it lives. */
export type CreatePersonalAccessTokenInput = {
  /** Days until it is refused, 1–366. */
  expiresInDays?: number;
  /** A text of the client’s own, 1–255 printable ASCII characters without spaces, the same when it sends the same call again: it is then done once, and answered again by what the viewer may see now. The header `Idempotency-Key` says the same for a request with one mutation. Kept for the account and this mutation for 24 hours, 1000 at a time; other input with the same key is an `IdempotencyMismatchError`. What failed is forgotten, and may be tried again with its key. */
  idempotencyKey?: string | null | undefined;
  /** What its owner calls it, 1–100 characters. */
  name: string;
  /** What it may be used for, at least one, none that the token in use lacks. `viewer:read`: Read the account that the token belongs to. `viewer:write`: Change the profile of the account that the token belongs to. `tokens:write`: Create and revoke personal access tokens of the same account. `webhooks:read`: Read webhook messages of the sources granted to the account. `webhooks:pull`: Pull, acknowledge and replay webhook messages in the inbox of the account. `webhooks:manage`: Make, change and delete webhook sources, and say who reads them; needs the role OPERATOR or ADMIN. `rooms:read`: Read the rooms that the account is in, live and as history. `rooms:write`: Make rooms and take part in them: send, react, mark as read, manage participants. `rooms:broadcast`: Send broadcasts into rooms: those that the account owns or moderates, and any with the role OPERATOR or ADMIN. `rooms:moderate`: Read and settle reports of messages where the account is an owner or moderator; with the role OPERATOR or ADMIN also those that nobody in the room can settle. `users:read`: Read every account; needs the role AUDITOR or ADMIN. `users:write`: Change roles, disable and enable accounts; needs the role ADMIN. `audit:read`: Read the audit log; needs the role AUDITOR or ADMIN. `schema:read`: Read the schema by introspection where that is off for everybody else. `operations:read`: Read metrics and the details of readiness; needs the role OPERATOR or ADMIN. */
  scopes: Array<string>;
  /** True: it runs documents of the operator’s manifest and no other (`DOCUMENT_NOT_TRUSTED`). So does whatever is made by a token that does. */
  trustedDocumentsOnly?: boolean | null | undefined;
};

/** What room to make, with whom. */
export type CreateRoomInput = {
  /** By which another system knows it: 1–200 characters and at most 400 bytes, unique and for ever. Needs the role OPERATOR or ADMIN. ConflictError where another room has it. */
  externalId?: string | null | undefined;
  /** What of its history may be read, by whom. */
  historyVisibility?: HistoryVisibility;
  /** A text of the client’s own, 1–255 printable ASCII characters without spaces, the same when it sends the same call again: it is then done once, and answered again by what the viewer may see now. The header `Idempotency-Key` says the same for a request with one mutation. Kept for the account and this mutation for 24 hours, 1000 at a time; other input with the same key is an `IdempotencyMismatchError`. What failed is forgotten, and may be tried again with its key. */
  idempotencyKey?: string | null | undefined;
  /** What to call it: 1–100 characters on one line, without control characters; spaces at its ends are dropped. */
  name: string;
  /** Who else is in it as a member; at most 100 with `usernames`. */
  userIds?: Array<string | number> | null | undefined;
  /** The same by name. */
  usernames?: Array<string> | null | undefined;
};

/** Every stable code; `docs/errors.md` says for each whether trying again helps. */
export const ErrorCode = {
  /** The state of things does not allow it. */
  Conflict: 'CONFLICT',
  /** What follows the cursor is no longer kept. */
  CursorExpired: 'CURSOR_EXPIRED',
  /** The cursor was not given out by this feed. */
  CursorInvalid: 'CURSOR_INVALID',
  /** The feed was rebuilt since the cursor was given out. */
  FeedReset: 'FEED_RESET',
  /** The viewer, or its token, may not do this. */
  Forbidden: 'FORBIDDEN',
  /** The same call is under way still; try again. */
  IdempotencyInProgress: 'IDEMPOTENCY_IN_PROGRESS',
  /** The idempotency key was used for other input. */
  IdempotencyMismatch: 'IDEMPOTENCY_MISMATCH',
  /** Login, password or one-time token do not match. */
  InvalidCredentials: 'INVALID_CREDENTIALS',
  /** Something in the input is not acceptable; `field` names it. */
  InvalidInput: 'INVALID_INPUT',
  /** There is no such thing that the viewer may know of. */
  NotFound: 'NOT_FOUND',
  /** The body is larger than the limit that the message names. */
  PayloadTooLarge: 'PAYLOAD_TOO_LARGE',
  /** Too much at once; try again after `retryAfterSeconds`. */
  RateLimited: 'RATE_LIMITED',
  /** Nobody is signed in, or the token is unknown, expired or revoked. */
  Unauthenticated: 'UNAUTHENTICATED',
  /** Something Naru stands on is away; try again. */
  Unavailable: 'UNAVAILABLE',
  /** The body has a media type that is not taken here. */
  UnsupportedMediaType: 'UNSUPPORTED_MEDIA_TYPE'
} as const;

export type ErrorCode = typeof ErrorCode[keyof typeof ErrorCode];
/** What of a room’s history who is in it, and who was, may read. */
export const HistoryVisibility = {
  /** Who is in it reads all of it; who left, or was removed, reads on what was there then. Who is banned reads nothing. */
  Kept: 'KEPT',
  /** Who is in it reads all of it, from its beginning; who left, nothing. */
  Shared: 'SHARED',
  /** Who is in it reads what came since they joined last; who left, nothing. */
  SinceJoined: 'SINCE_JOINED'
} as const;

export type HistoryVisibility = typeof HistoryVisibility[keyof typeof HistoryVisibility];
/** How a message stands in the viewer’s own inbox. */
export const InboxState = {
  /** Done with. */
  Acknowledged: 'ACKNOWLEDGED',
  /** Handed out too often in vain; only a retry makes it pending. */
  Dead: 'DEAD',
  /** A dead letter that was given up, with a reason. */
  Discarded: 'DISCARDED',
  /** Handed out and held. */
  Leased: 'LEASED',
  /** To be pulled: never handed out, handed back, or its lease ran out. */
  Pending: 'PENDING'
} as const;

export type InboxState = typeof InboxState[keyof typeof InboxState];
/** Why somebody is not in a room any more. */
export const LeaveReason = {
  /** An owner or a moderator removed them and does not let them back in. */
  Banned: 'BANNED',
  /** They left, or their account was deleted. */
  Left: 'LEFT',
  /** An owner or a moderator removed them. */
  Removed: 'REMOVED'
} as const;

export type LeaveReason = typeof LeaveReason[keyof typeof LeaveReason];
/** What the viewer has read. */
export type MarkReadInput = {
  /** The room’s id. */
  roomId: string | number;
  /** A message of the room, deleted or not; it and all before it are read. */
  upToMessageId: string | number;
};

/** Which token to revoke. */
export type RevokePersonalAccessTokenInput = {
  /** The token’s id. */
  id: string | number;
};

/** What an account may do; one account may have several. */
export const Role = {
  /** May do what OPERATOR may, and manages accounts. */
  Admin: 'ADMIN',
  /** Reads accounts and the audit log, changes nothing. */
  Auditor: 'AUDITOR',
  /** Runs sources and events, and sees what nobody vouches for. */
  Operator: 'OPERATOR',
  /** Uses Naru: reads what is granted, chats, takes part in events. */
  User: 'USER'
} as const;

export type Role = typeof Role[keyof typeof Role];
/** What changed in a room. */
export const RoomChangeKind = {
  /** A message was deleted. */
  MessageDeleted: 'MESSAGE_DELETED',
  /** A message was changed. */
  MessageEdited: 'MESSAGE_EDITED',
  /** A message was sent. */
  MessageSent: 'MESSAGE_SENT',
  /** Somebody else came into it. */
  ParticipantJoined: 'PARTICIPANT_JOINED',
  /** Somebody else is not in it any more. */
  ParticipantLeft: 'PARTICIPANT_LEFT',
  /** A role, a mute or a ban. */
  ParticipantUpdated: 'PARTICIPANT_UPDATED',
  /** Somebody reacted to a message, or took that back. */
  ReactionsChanged: 'REACTIONS_CHANGED',
  /** Its name, its visibility, or whether it is archived. */
  RoomUpdated: 'ROOM_UPDATED'
} as const;

export type RoomChangeKind = typeof RoomChangeKind[keyof typeof RoomChangeKind];
/** What sort of room it is. It never changes. */
export const RoomKind = {
  /** Between two accounts: there is one for each pair, and nobody decides. */
  Direct: 'DIRECT',
  /** It has a name, and participants whom its owners and moderators add. */
  Group: 'GROUP'
} as const;

export type RoomKind = typeof RoomKind[keyof typeof RoomKind];
/** What to say, and where. */
export type SendMessageInput = {
  /** Files with it, at most 10. */
  attachments?: Array<AttachmentInput>;
  /** At most 8000 Unicode code points, kept as they are, of which one can be seen; empty only beside attachments. */
  body?: string;
  /** The client’s own id of the message, 1–64 printable ASCII characters without spaces, the same when it is sent again: for ever the same message of this account in this room. */
  clientMessageId: string;
  /** Whom it names. At most 50 accounts, all in the room. */
  mentionIds?: Array<string | number>;
  /** Which message of the same room it answers. */
  replyToId?: string | number | null | undefined;
  /** The room’s id. */
  roomId: string | number;
};

/** What is known of who sent a webhook. */
export const VerificationOutcome = {
  /** The source asks for no signature, so anybody may have sent it. */
  Unsigned: 'UNSIGNED',
  /** No source vouches for it. Only OPERATOR and ADMIN see it. */
  Unverified: 'UNVERIFIED',
  /** The signature over the untouched body matched the source's secret. */
  Verified: 'VERIFIED'
} as const;

export type VerificationOutcome = typeof VerificationOutcome[keyof typeof VerificationOutcome];
/** Which messages. All that is given must hold; what is absent or null asks for nothing. */
export type WebhookMessageFilter = {
  /** Actions, e.g. `opened`. At most 100; an empty list matches nothing. */
  actions?: Array<string> | null | undefined;
  /** Branches, e.g. `main`. At most 100; an empty list matches nothing. */
  branches?: Array<string> | null | undefined;
  /** Names of events, e.g. `push`. At most 100; an empty list matches nothing. */
  eventNames?: Array<string> | null | undefined;
  /** How they stand in the viewer’s own inbox. For pages only. */
  inboxStates?: Array<InboxState> | null | undefined;
  /** What the payload says, each of them; at most 10. */
  payload?: Array<WebhookPayloadCondition> | null | undefined;
  /** Received then or later. */
  receivedFrom?: string | null | undefined;
  /** Received before then. */
  receivedTo?: string | null | undefined;
  /** Ids of repositories, renamed or not. At most 100; an empty list matches nothing. */
  repositoryIds?: Array<string | number> | null | undefined;
  /** One of the viewer’s own saved filters, all of which must hold too. A stream keeps to what it was when the stream began. */
  savedFilterId?: string | number | null | undefined;
  /** Who caused it, e.g. `octocat`. At most 100; an empty list matches nothing. */
  senders?: Array<string> | null | undefined;
  /** Paths of sources, e.g. `github`. At most 100; an empty list matches nothing. */
  sources?: Array<string> | null | undefined;
};

/** That the payload says this; true of messages stored since Naru can be asked for it. */
export type WebhookPayloadCondition = {
  /** Text of at most 1000 characters, a number, true or false; `1` is not `"1"`. */
  equals: unknown;
  /** Names joined by dots, e.g. `pull_request.draft` or `$.pull_request.draft`. An array is passed through: `labels.name` is the name of each label. At most 500 characters. */
  path: string;
};

/** Who sends, and so how a webhook is signed, named and shaped. */
export const WebhookProvider = {
  /** Bitbucket, signed with `X-Hub-Signature`. */
  Bitbucket: 'BITBUCKET',
  /** Gitea and Forgejo, signed with `X-Gitea-Signature`. */
  Gitea: 'GITEA',
  /** GitHub, signed with `X-Hub-Signature-256`; JSON or form bodies. */
  Github: 'GITHUB',
  /** GitLab: its signature where it sends one, or the secret token in `X-Gitlab-Token`. */
  Gitlab: 'GITLAB',
  /** Anybody who sends the HMAC of the body in a header; the settings say which and how. */
  Hmac: 'HMAC',
  /** Jira, signed with `X-Hub-Signature`. */
  Jira: 'JIRA',
  /** Anybody: nothing is signed, and nothing that a body claims is believed. */
  None: 'NONE',
  /** Shopify, signed with `X-Shopify-Hmac-SHA256`; the secret is the app’s. */
  Shopify: 'SHOPIFY',
  /** Slack, signed with `X-Slack-Signature`; its URL challenge is answered. The secret is the app’s signing secret. */
  Slack: 'SLACK',
  /** Whoever follows Standard Webhooks 1.0, Svix among them: `v1` with a secret `whsec_…`, or `v1a` with a public key `whpk_…`. */
  StandardWebhooks: 'STANDARD_WEBHOOKS',
  /** Stripe, signed with `Stripe-Signature`; the secret is Stripe’s own, `whsec_…`. */
  Stripe: 'STRIPE',
  /** Anybody who sends the secret itself in a header, by default `X-Webhook-Token`: it vouches for the sender and not for the body. It is not stored. */
  Token: 'TOKEN',
  /** Twilio, which signs the URL too: `PUBLIC_URL` or the setting `publicUrl` must be the one configured there. The secret is the account’s auth token. */
  Twilio: 'TWILIO'
} as const;

export type WebhookProvider = typeof WebhookProvider[keyof typeof WebhookProvider];
export type RoomsQueryVariables = Exact<{
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type RoomsQuery = { rooms: { nodes: Array<{ unreadCount: number, mentionCount: number, id: string, kind: RoomKind, name: string | null, archivedAt: string | null, participantCount: number | null }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } };

export type RoomMessagesQueryVariables = Exact<{
  roomId: string | number;
  first?: number | null | undefined;
  after?: string | null | undefined;
  last?: number | null | undefined;
  before?: string | null | undefined;
}>;


export type RoomMessagesQuery = { room: { id: string, kind: RoomKind, name: string | null, archivedAt: string | null, participantCount: number | null, messages: { followCursor: string, edges: Array<{ cursor: string, node: { id: string, sequence: number, body: string | null, clientMessageId: string | null, createdAt: string, editedAt: string | null, deletedAt: string | null, revision: number, author: { id: string, username: string, displayName: string, avatarUrl: unknown } | null, replyTo: { id: string } | null, mentions: Array<{ id: string }>, attachments: Array<{ url: unknown, mediaType: string, byteSize: number, name: string | null }>, reactions: Array<{ emoji: string, count: number, viewerHasReacted: boolean }> } }>, pageInfo: { hasNextPage: boolean, hasPreviousPage: boolean, startCursor: string | null, endCursor: string | null } } } | null };

export type CreateRoomMutationVariables = Exact<{
  input: CreateRoomInput;
}>;


export type CreateRoomMutation = { createRoom:
    | { code: ErrorCode, message: string }
    | { room: { id: string, kind: RoomKind, name: string | null, archivedAt: string | null, participantCount: number | null } }
    | { code: ErrorCode, message: string }
    | { code: ErrorCode, message: string }
    | { code: ErrorCode, message: string }
    | { code: ErrorCode, message: string, field: string | null }
    | { code: ErrorCode, message: string }
    | { code: ErrorCode, message: string, retryAfterSeconds: number }
    | { code: ErrorCode, message: string }
   };

export type SendMessageMutationVariables = Exact<{
  input: SendMessageInput;
}>;


export type SendMessageMutation = { sendMessage:
    | { code: ErrorCode, message: string }
    | { code: ErrorCode, message: string }
    | { code: ErrorCode, message: string }
    | { code: ErrorCode, message: string, field: string | null }
    | { code: ErrorCode, message: string }
    | { code: ErrorCode, message: string, retryAfterSeconds: number }
    | { chatMessage: { id: string, sequence: number, body: string | null, clientMessageId: string | null, createdAt: string, editedAt: string | null, deletedAt: string | null, revision: number, author: { id: string, username: string, displayName: string, avatarUrl: unknown } | null, replyTo: { id: string } | null, mentions: Array<{ id: string }>, attachments: Array<{ url: unknown, mediaType: string, byteSize: number, name: string | null }>, reactions: Array<{ emoji: string, count: number, viewerHasReacted: boolean }> } }
    | { code: ErrorCode, message: string }
   };

export type MarkReadMutationVariables = Exact<{
  input: MarkReadInput;
}>;


export type MarkReadMutation = { markRead:
    | { code: ErrorCode, message: string }
    | { code: ErrorCode, message: string, field: string | null }
    | { room: { id: string, unreadCount: number } }
    | { code: ErrorCode, message: string }
    | { code: ErrorCode, message: string, retryAfterSeconds: number }
    | { code: ErrorCode, message: string }
   };

export type RoomEventsSubscriptionVariables = Exact<{
  roomId: string | number;
  after?: string | null | undefined;
}>;


export type RoomEventsSubscription = { roomEvents:
    | { __typename: 'MessageDeleted', cursor: string, message: { id: string, sequence: number, body: string | null, clientMessageId: string | null, createdAt: string, editedAt: string | null, deletedAt: string | null, revision: number, author: { id: string, username: string, displayName: string, avatarUrl: unknown } | null, replyTo: { id: string } | null, mentions: Array<{ id: string }>, attachments: Array<{ url: unknown, mediaType: string, byteSize: number, name: string | null }>, reactions: Array<{ emoji: string, count: number, viewerHasReacted: boolean }> } }
    | { __typename: 'MessageEdited', cursor: string, message: { id: string, sequence: number, body: string | null, clientMessageId: string | null, createdAt: string, editedAt: string | null, deletedAt: string | null, revision: number, author: { id: string, username: string, displayName: string, avatarUrl: unknown } | null, replyTo: { id: string } | null, mentions: Array<{ id: string }>, attachments: Array<{ url: unknown, mediaType: string, byteSize: number, name: string | null }>, reactions: Array<{ emoji: string, count: number, viewerHasReacted: boolean }> } }
    | { __typename: 'MessageSent', cursor: string, message: { id: string, sequence: number, body: string | null, clientMessageId: string | null, createdAt: string, editedAt: string | null, deletedAt: string | null, revision: number, author: { id: string, username: string, displayName: string, avatarUrl: unknown } | null, replyTo: { id: string } | null, mentions: Array<{ id: string }>, attachments: Array<{ url: unknown, mediaType: string, byteSize: number, name: string | null }>, reactions: Array<{ emoji: string, count: number, viewerHasReacted: boolean }> } }
    | { __typename: 'ParticipantJoined', cursor: string, user: { id: string, username: string, displayName: string, avatarUrl: unknown } | null }
    | { __typename: 'ParticipantLeft', cursor: string, reason: LeaveReason, user: { id: string, username: string, displayName: string, avatarUrl: unknown } | null }
    | { __typename: 'ParticipantUpdated', cursor: string }
    | { __typename: 'PresenceChanged', cursor: string, user: { id: string } | null, presence: { isOnline: boolean } }
    | { __typename: 'ReactionsChanged', cursor: string, message: { id: string, sequence: number, body: string | null, clientMessageId: string | null, createdAt: string, editedAt: string | null, deletedAt: string | null, revision: number, author: { id: string, username: string, displayName: string, avatarUrl: unknown } | null, replyTo: { id: string } | null, mentions: Array<{ id: string }>, attachments: Array<{ url: unknown, mediaType: string, byteSize: number, name: string | null }>, reactions: Array<{ emoji: string, count: number, viewerHasReacted: boolean }> } }
    | { __typename: 'ReadMarkerMoved', cursor: string, sequence: number, user: { id: string } | null }
    | { __typename: 'RoomBroadcast', cursor: string }
    | { __typename: 'RoomUpdated', cursor: string, room: { id: string, kind: RoomKind, name: string | null, archivedAt: string | null, participantCount: number | null } }
    | { __typename: 'StreamCheckpoint', cursor: string }
    | { __typename: 'TypingChanged', cursor: string, isTyping: boolean, user: { id: string } | null }
   };

export type RoomsChangedSubscriptionVariables = Exact<{
  after?: string | null | undefined;
}>;


export type RoomsChangedSubscription = { roomsChanged:
    | { __typename: 'RoomChanged', cursor: string, kind: RoomChangeKind, room: { unreadCount: number, mentionCount: number, id: string, kind: RoomKind, name: string | null, archivedAt: string | null, participantCount: number | null }, message: { id: string, sequence: number, body: string | null, clientMessageId: string | null, createdAt: string, editedAt: string | null, deletedAt: string | null, revision: number, author: { id: string, username: string, displayName: string, avatarUrl: unknown } | null, replyTo: { id: string } | null, mentions: Array<{ id: string }>, attachments: Array<{ url: unknown, mediaType: string, byteSize: number, name: string | null }>, reactions: Array<{ emoji: string, count: number, viewerHasReacted: boolean }> } | null }
    | { __typename: 'RoomEntered', cursor: string, room: { id: string, kind: RoomKind, name: string | null, archivedAt: string | null, participantCount: number | null } }
    | { __typename: 'RoomLeft', cursor: string, roomId: string, reason: LeaveReason }
    | { __typename: 'RoomUnreadChanged', cursor: string, room: { id: string, unreadCount: number, mentionCount: number } }
    | { __typename: 'StreamCheckpoint', cursor: string }
   };

export type RoomPartsFragment = { id: string, kind: RoomKind, name: string | null, archivedAt: string | null, participantCount: number | null };

export type ProfilePartsFragment = { id: string, username: string, displayName: string, avatarUrl: unknown };

export type ChatMessagePartsFragment = { id: string, sequence: number, body: string | null, clientMessageId: string | null, createdAt: string, editedAt: string | null, deletedAt: string | null, revision: number, author: { id: string, username: string, displayName: string, avatarUrl: unknown } | null, replyTo: { id: string } | null, mentions: Array<{ id: string }>, attachments: Array<{ url: unknown, mediaType: string, byteSize: number, name: string | null }>, reactions: Array<{ emoji: string, count: number, viewerHasReacted: boolean }> };

export type CreatePersonalAccessTokenMutationVariables = Exact<{
  input: CreatePersonalAccessTokenInput;
}>;


export type CreatePersonalAccessTokenMutation = { createPersonalAccessToken:
    | { code: ErrorCode, message: string }
    | { code: ErrorCode, message: string }
    | { code: ErrorCode, message: string }
    | { code: ErrorCode, message: string }
    | { code: ErrorCode, message: string }
    | { code: ErrorCode, message: string }
    | { token: string | null, personalAccessToken: { id: string, name: string, scopes: Array<string>, createdAt: string, expiresAt: string | null, lastUsedAt: string | null } }
    | { code: ErrorCode, message: string }
    | { code: ErrorCode, message: string }
   };

export type RevokePersonalAccessTokenMutationVariables = Exact<{
  input: RevokePersonalAccessTokenInput;
}>;


export type RevokePersonalAccessTokenMutation = { revokePersonalAccessToken:
    | { code: ErrorCode, message: string }
    | { code: ErrorCode, message: string }
    | { code: ErrorCode, message: string }
    | { personalAccessToken: { id: string, name: string, scopes: Array<string>, createdAt: string, expiresAt: string | null, lastUsedAt: string | null } }
    | { code: ErrorCode, message: string }
    | { code: ErrorCode, message: string }
   };

export type PersonalAccessTokenPartsFragment = { id: string, name: string, scopes: Array<string>, createdAt: string, expiresAt: string | null, lastUsedAt: string | null };

export type ViewerQueryVariables = Exact<{ [key: string]: never; }>;


export type ViewerQuery = { viewer: { id: string, username: string, displayName: string, roles: Array<Role> | null } | null };

export type WebhookMessagesQueryVariables = Exact<{
  filter?: WebhookMessageFilter | null | undefined;
  first?: number | null | undefined;
  after?: string | null | undefined;
  last?: number | null | undefined;
  before?: string | null | undefined;
}>;


export type WebhookMessagesQuery = { webhookMessages: { followCursor: string, edges: Array<{ cursor: string, node: { id: string, path: string, byteSize: number, deliveryId: string | null, eventName: string | null, action: string | null, branch: string | null, sender: string | null, verification: VerificationOutcome, receivedAt: string, source: { id: string, path: string, provider: WebhookProvider } | null, repository: { id: string, providerId: string, fullName: string } | null } }>, pageInfo: { hasNextPage: boolean, hasPreviousPage: boolean, startCursor: string | null, endCursor: string | null } } };

export type WebhookMessageQueryVariables = Exact<{
  id: string | number;
}>;


export type WebhookMessageQuery = { node:
    | { payload: unknown, id: string, path: string, byteSize: number, deliveryId: string | null, eventName: string | null, action: string | null, branch: string | null, sender: string | null, verification: VerificationOutcome, receivedAt: string, headers: Array<{ name: string, value: string }>, source: { id: string, path: string, provider: WebhookProvider } | null, repository: { id: string, providerId: string, fullName: string } | null }
    | Record<PropertyKey, never>
   | null };

export type WebhookMessageReceivedSubscriptionVariables = Exact<{
  filter?: WebhookMessageFilter | null | undefined;
  after?: string | null | undefined;
}>;


export type WebhookMessageReceivedSubscription = { webhookMessageReceived:
    | { __typename: 'StreamCheckpoint', cursor: string }
    | { __typename: 'WebhookMessageReceived', cursor: string, message: { id: string, path: string, byteSize: number, deliveryId: string | null, eventName: string | null, action: string | null, branch: string | null, sender: string | null, verification: VerificationOutcome, receivedAt: string, source: { id: string, path: string, provider: WebhookProvider } | null, repository: { id: string, providerId: string, fullName: string } | null } }
    | { __typename: 'WebhookPermissionChanged', cursor: string }
   };

export type WebhookMessagePartsFragment = { id: string, path: string, byteSize: number, deliveryId: string | null, eventName: string | null, action: string | null, branch: string | null, sender: string | null, verification: VerificationOutcome, receivedAt: string, source: { id: string, path: string, provider: WebhookProvider } | null, repository: { id: string, providerId: string, fullName: string } | null };

export class TypedDocumentString<TResult, TVariables>
  extends String
  implements DocumentTypeDecoration<TResult, TVariables>
{
  __apiType?: NonNullable<DocumentTypeDecoration<TResult, TVariables>['__apiType']>;
  private value: string;
  public __meta__?: Record<string, any> | undefined;

  constructor(value: string, __meta__?: Record<string, any> | undefined) {
    super(value);
    this.value = value;
    this.__meta__ = __meta__;
  }

  override toString(): string & DocumentTypeDecoration<TResult, TVariables> {
    return this.value;
  }
}
export const RoomPartsFragmentDoc = new TypedDocumentString(`
    fragment RoomParts on Room {
  id
  kind
  name
  archivedAt
  participantCount
}
    `, {"fragmentName":"RoomParts"}) as unknown as TypedDocumentString<RoomPartsFragment, unknown>;
export const ProfilePartsFragmentDoc = new TypedDocumentString(`
    fragment ProfileParts on User {
  id
  username
  displayName
  avatarUrl
}
    `, {"fragmentName":"ProfileParts"}) as unknown as TypedDocumentString<ProfilePartsFragment, unknown>;
export const ChatMessagePartsFragmentDoc = new TypedDocumentString(`
    fragment ChatMessageParts on ChatMessage {
  id
  sequence
  author {
    ...ProfileParts
  }
  body
  replyTo {
    id
  }
  mentions {
    id
  }
  attachments {
    url
    mediaType
    byteSize
    name
  }
  clientMessageId
  createdAt
  editedAt
  deletedAt
  revision
  reactions {
    emoji
    count
    viewerHasReacted
  }
}
    fragment ProfileParts on User {
  id
  username
  displayName
  avatarUrl
}`, {"fragmentName":"ChatMessageParts"}) as unknown as TypedDocumentString<ChatMessagePartsFragment, unknown>;
export const PersonalAccessTokenPartsFragmentDoc = new TypedDocumentString(`
    fragment PersonalAccessTokenParts on PersonalAccessToken {
  id
  name
  scopes
  createdAt
  expiresAt
  lastUsedAt
}
    `, {"fragmentName":"PersonalAccessTokenParts"}) as unknown as TypedDocumentString<PersonalAccessTokenPartsFragment, unknown>;
export const WebhookMessagePartsFragmentDoc = new TypedDocumentString(`
    fragment WebhookMessageParts on WebhookMessage {
  id
  path
  byteSize
  deliveryId
  eventName
  action
  branch
  sender
  verification
  receivedAt
  source {
    id
    path
    provider
  }
  repository {
    id
    providerId
    fullName
  }
}
    `, {"fragmentName":"WebhookMessageParts"}) as unknown as TypedDocumentString<WebhookMessagePartsFragment, unknown>;
export const RoomsDocument = new TypedDocumentString(`
    query Rooms($first: Int, $after: String) {
  rooms(first: $first, after: $after) {
    nodes {
      ...RoomParts
      unreadCount
      mentionCount
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
    fragment RoomParts on Room {
  id
  kind
  name
  archivedAt
  participantCount
}`) as unknown as TypedDocumentString<RoomsQuery, RoomsQueryVariables>;
export const RoomMessagesDocument = new TypedDocumentString(`
    query RoomMessages($roomId: ID!, $first: Int, $after: String, $last: Int, $before: String) {
  room(id: $roomId) {
    ...RoomParts
    messages(first: $first, after: $after, last: $last, before: $before) {
      edges {
        cursor
        node {
          ...ChatMessageParts
        }
      }
      pageInfo {
        hasNextPage
        hasPreviousPage
        startCursor
        endCursor
      }
      followCursor
    }
  }
}
    fragment RoomParts on Room {
  id
  kind
  name
  archivedAt
  participantCount
}
fragment ProfileParts on User {
  id
  username
  displayName
  avatarUrl
}
fragment ChatMessageParts on ChatMessage {
  id
  sequence
  author {
    ...ProfileParts
  }
  body
  replyTo {
    id
  }
  mentions {
    id
  }
  attachments {
    url
    mediaType
    byteSize
    name
  }
  clientMessageId
  createdAt
  editedAt
  deletedAt
  revision
  reactions {
    emoji
    count
    viewerHasReacted
  }
}`) as unknown as TypedDocumentString<RoomMessagesQuery, RoomMessagesQueryVariables>;
export const CreateRoomDocument = new TypedDocumentString(`
    mutation CreateRoom($input: CreateRoomInput!) {
  createRoom(input: $input) {
    ... on CreateRoomSucceeded {
      room {
        ...RoomParts
      }
    }
    ... on Error {
      code
      message
    }
    ... on InvalidInputError {
      field
    }
    ... on RateLimitedError {
      retryAfterSeconds
    }
  }
}
    fragment RoomParts on Room {
  id
  kind
  name
  archivedAt
  participantCount
}`) as unknown as TypedDocumentString<CreateRoomMutation, CreateRoomMutationVariables>;
export const SendMessageDocument = new TypedDocumentString(`
    mutation SendMessage($input: SendMessageInput!) {
  sendMessage(input: $input) {
    ... on SendMessageSucceeded {
      chatMessage {
        ...ChatMessageParts
      }
    }
    ... on Error {
      code
      message
    }
    ... on InvalidInputError {
      field
    }
    ... on RateLimitedError {
      retryAfterSeconds
    }
  }
}
    fragment ProfileParts on User {
  id
  username
  displayName
  avatarUrl
}
fragment ChatMessageParts on ChatMessage {
  id
  sequence
  author {
    ...ProfileParts
  }
  body
  replyTo {
    id
  }
  mentions {
    id
  }
  attachments {
    url
    mediaType
    byteSize
    name
  }
  clientMessageId
  createdAt
  editedAt
  deletedAt
  revision
  reactions {
    emoji
    count
    viewerHasReacted
  }
}`) as unknown as TypedDocumentString<SendMessageMutation, SendMessageMutationVariables>;
export const MarkReadDocument = new TypedDocumentString(`
    mutation MarkRead($input: MarkReadInput!) {
  markRead(input: $input) {
    ... on MarkReadSucceeded {
      room {
        id
        unreadCount
      }
    }
    ... on Error {
      code
      message
    }
    ... on InvalidInputError {
      field
    }
    ... on RateLimitedError {
      retryAfterSeconds
    }
  }
}
    `) as unknown as TypedDocumentString<MarkReadMutation, MarkReadMutationVariables>;
export const RoomEventsDocument = new TypedDocumentString(`
    subscription RoomEvents($roomId: ID!, $after: Cursor) {
  roomEvents(roomId: $roomId, after: $after) {
    __typename
    ... on StreamItem {
      cursor
    }
    ... on MessageSent {
      message {
        ...ChatMessageParts
      }
    }
    ... on MessageEdited {
      message {
        ...ChatMessageParts
      }
    }
    ... on MessageDeleted {
      message {
        ...ChatMessageParts
      }
    }
    ... on ReactionsChanged {
      message {
        ...ChatMessageParts
      }
    }
    ... on ParticipantJoined {
      user {
        ...ProfileParts
      }
    }
    ... on ParticipantLeft {
      user {
        ...ProfileParts
      }
      reason
    }
    ... on RoomUpdated {
      room {
        ...RoomParts
      }
    }
    ... on ReadMarkerMoved {
      user {
        id
      }
      sequence
    }
    ... on TypingChanged {
      user {
        id
      }
      isTyping
    }
    ... on PresenceChanged {
      user {
        id
      }
      presence {
        isOnline
      }
    }
  }
}
    fragment RoomParts on Room {
  id
  kind
  name
  archivedAt
  participantCount
}
fragment ProfileParts on User {
  id
  username
  displayName
  avatarUrl
}
fragment ChatMessageParts on ChatMessage {
  id
  sequence
  author {
    ...ProfileParts
  }
  body
  replyTo {
    id
  }
  mentions {
    id
  }
  attachments {
    url
    mediaType
    byteSize
    name
  }
  clientMessageId
  createdAt
  editedAt
  deletedAt
  revision
  reactions {
    emoji
    count
    viewerHasReacted
  }
}`) as unknown as TypedDocumentString<RoomEventsSubscription, RoomEventsSubscriptionVariables>;
export const RoomsChangedDocument = new TypedDocumentString(`
    subscription RoomsChanged($after: Cursor) {
  roomsChanged(after: $after) {
    __typename
    ... on StreamItem {
      cursor
    }
    ... on RoomChanged {
      kind
      room {
        ...RoomParts
        unreadCount
        mentionCount
      }
      message {
        ...ChatMessageParts
      }
    }
    ... on RoomEntered {
      room {
        ...RoomParts
      }
    }
    ... on RoomLeft {
      roomId
      reason
    }
    ... on RoomUnreadChanged {
      room {
        id
        unreadCount
        mentionCount
      }
    }
  }
}
    fragment RoomParts on Room {
  id
  kind
  name
  archivedAt
  participantCount
}
fragment ProfileParts on User {
  id
  username
  displayName
  avatarUrl
}
fragment ChatMessageParts on ChatMessage {
  id
  sequence
  author {
    ...ProfileParts
  }
  body
  replyTo {
    id
  }
  mentions {
    id
  }
  attachments {
    url
    mediaType
    byteSize
    name
  }
  clientMessageId
  createdAt
  editedAt
  deletedAt
  revision
  reactions {
    emoji
    count
    viewerHasReacted
  }
}`) as unknown as TypedDocumentString<RoomsChangedSubscription, RoomsChangedSubscriptionVariables>;
export const CreatePersonalAccessTokenDocument = new TypedDocumentString(`
    mutation CreatePersonalAccessToken($input: CreatePersonalAccessTokenInput!) {
  createPersonalAccessToken(input: $input) {
    ... on PersonalAccessTokenCreated {
      token
      personalAccessToken {
        ...PersonalAccessTokenParts
      }
    }
    ... on Error {
      code
      message
    }
  }
}
    fragment PersonalAccessTokenParts on PersonalAccessToken {
  id
  name
  scopes
  createdAt
  expiresAt
  lastUsedAt
}`) as unknown as TypedDocumentString<CreatePersonalAccessTokenMutation, CreatePersonalAccessTokenMutationVariables>;
export const RevokePersonalAccessTokenDocument = new TypedDocumentString(`
    mutation RevokePersonalAccessToken($input: RevokePersonalAccessTokenInput!) {
  revokePersonalAccessToken(input: $input) {
    ... on PersonalAccessTokenRevoked {
      personalAccessToken {
        ...PersonalAccessTokenParts
      }
    }
    ... on Error {
      code
      message
    }
  }
}
    fragment PersonalAccessTokenParts on PersonalAccessToken {
  id
  name
  scopes
  createdAt
  expiresAt
  lastUsedAt
}`) as unknown as TypedDocumentString<RevokePersonalAccessTokenMutation, RevokePersonalAccessTokenMutationVariables>;
export const ViewerDocument = new TypedDocumentString(`
    query Viewer {
  viewer {
    id
    username
    displayName
    roles
  }
}
    `) as unknown as TypedDocumentString<ViewerQuery, ViewerQueryVariables>;
export const WebhookMessagesDocument = new TypedDocumentString(`
    query WebhookMessages($filter: WebhookMessageFilter, $first: Int, $after: String, $last: Int, $before: String) {
  webhookMessages(
    filter: $filter
    first: $first
    after: $after
    last: $last
    before: $before
  ) {
    edges {
      cursor
      node {
        ...WebhookMessageParts
      }
    }
    pageInfo {
      hasNextPage
      hasPreviousPage
      startCursor
      endCursor
    }
    followCursor
  }
}
    fragment WebhookMessageParts on WebhookMessage {
  id
  path
  byteSize
  deliveryId
  eventName
  action
  branch
  sender
  verification
  receivedAt
  source {
    id
    path
    provider
  }
  repository {
    id
    providerId
    fullName
  }
}`) as unknown as TypedDocumentString<WebhookMessagesQuery, WebhookMessagesQueryVariables>;
export const WebhookMessageDocument = new TypedDocumentString(`
    query WebhookMessage($id: ID!) {
  node(id: $id) {
    ... on WebhookMessage {
      ...WebhookMessageParts
      headers {
        name
        value
      }
      payload
    }
  }
}
    fragment WebhookMessageParts on WebhookMessage {
  id
  path
  byteSize
  deliveryId
  eventName
  action
  branch
  sender
  verification
  receivedAt
  source {
    id
    path
    provider
  }
  repository {
    id
    providerId
    fullName
  }
}`) as unknown as TypedDocumentString<WebhookMessageQuery, WebhookMessageQueryVariables>;
export const WebhookMessageReceivedDocument = new TypedDocumentString(`
    subscription WebhookMessageReceived($filter: WebhookMessageFilter, $after: Cursor) {
  webhookMessageReceived(filter: $filter, after: $after) {
    __typename
    ... on StreamItem {
      cursor
    }
    ... on WebhookMessageReceived {
      message {
        ...WebhookMessageParts
      }
    }
  }
}
    fragment WebhookMessageParts on WebhookMessage {
  id
  path
  byteSize
  deliveryId
  eventName
  action
  branch
  sender
  verification
  receivedAt
  source {
    id
    path
    provider
  }
  repository {
    id
    providerId
    fullName
  }
}`) as unknown as TypedDocumentString<WebhookMessageReceivedSubscription, WebhookMessageReceivedSubscriptionVariables>;