// Who may do and read what, tried for every field of the schema. The tables below are what is meant; a
// field that is not in them fails, and so does one whose printed rule is another.
import { type GraphQLObjectType, isObjectType } from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ALL_SCOPES, isScope, type Scope } from '#auth/scopes.ts';
import type { Role } from '#auth/viewer.ts';
import { encodeGlobalId } from '#lib/global-id.ts';
import { newId } from '#lib/ids.ts';
import { recordAudit, SYSTEM_ACTOR } from '#resolvers/users/audit.ts';
import { createOneTimeToken } from '#resolvers/users/one-time-token.ts';
import { withAccessToken } from '#resolvers/users/refresh.ts';
import { openSession } from '#resolvers/users/session.ts';
import { createSchema } from '#schema/index.ts';
import { SEED_PASSWORD } from '../../prisma/seed.ts';
import { openEventStream, post } from '../support/graphql-client.ts';
import { createInboxClient, storeWebhooks } from '../support/inbox.ts';
import { BEHIND_PROXY, fromElsewhere, GOOD_PASSWORD, operationOf } from '../support/mutations.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { addMember, makeRoom } from '../support/rooms.ts';
import { pageHeaders } from '../support/sessions.ts';

const schema = createSchema();

/** Printed as `@auth`: `open`, `session`, or scopes and then the roles of which one is needed. */
type Gate = string;

const ACTORS = [
  'guest',
  'USER',
  'USER by cookie',
  'OPERATOR',
  'AUDITOR',
  'ADMIN',
  'script with the wrong scopes',
  'script with every scope',
  'USER’s script with every scope',
] as const;
type Actor = (typeof ACTORS)[number];

const TARGETS = ['own', 'other', 'none'] as const;
type Target = (typeof TARGETS)[number];

const NO_REFRESH = `naru_rt_${'A'.repeat(43)}`;
const NO_TOKEN = `naru_ott_${'A'.repeat(43)}`;
const ADMINS = 'users:read users:write ADMIN';
const INBOX = 'webhooks:pull webhooks:read';
const SOURCES = 'webhooks:manage OPERATOR ADMIN';
const ROOMS = 'rooms:read rooms:write';

let naru: TestNaru;
let people = 0;
let auditId: string;
let messageId: string;
let granted: { readonly userId: string } | null = null;

beforeAll(async () => {
  const settings = { ...BEHIND_PROXY, PASSWORD_HASHES_AT_ONCE: '2' };
  naru = await startNaru({ settings, runsJobs: false });
  await recordAudit(naru.app.database, SYSTEM_ACTOR, {
    action: 'SIGNING_KEY_ROTATED',
    subject: { type: 'SigningKey', id: null },
  });
  auditId = (await naru.app.prisma.auditEntry.findFirstOrThrow()).id;
  const { id: sourceId } = await naru.app.prisma.webhookSource.findFirstOrThrow({
    where: { path: 'github' },
  });
  messageId = (await storeWebhooks(naru, [{ sourceId, repository: 1 }]))[0] ?? '';
});
afterAll(() => naru?.close());

/** An account with everything that an account can have. */
interface Person {
  readonly userId: string;
  readonly username: string;
  readonly email: string;
  readonly sessionId: string;
  readonly otherSessionId: string;
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly cookie: string;
  readonly tokenId: string;
  script(scopes: readonly Scope[]): Promise<string>;
}

async function makePerson(roles: readonly Role[] = ['USER']): Promise<Person> {
  const { app } = naru;
  const number = ++people;
  const userId = newId();
  const username = `person${number}`;
  const email = `${username}@mail.example`;
  await app.prisma.user.create({
    data: {
      id: userId,
      username,
      email,
      displayName: username,
      emailVerifiedAt: new Date(),
      roles: [...roles],
    },
  });
  await app.database.query(
    `INSERT INTO password (user_id, hash) SELECT $1, p.hash FROM password p
     JOIN users u ON u.id = p.user_id WHERE u.username = 'alice'`,
    [userId],
  );
  await app.prisma.gitHubAccount.create({
    data: {
      id: newId(),
      userId,
      githubId: BigInt(number),
      login: username,
      accessTokenSealed: Buffer.from('x'),
    },
  });
  const client = { ipAddress: '127.0.0.1', userAgent: null };
  const open = (transport: 'TOKENS' | 'COOKIE') =>
    openSession(app.database, app.config, { userId, transport, client });
  const byTokens = await open('TOKENS');
  const other = await open('TOKENS');
  const byCookie = await open('COOKIE');
  const { accessToken } = await withAccessToken(app, byTokens.session, '', new Date());
  await naru.tokenFor(username);
  const { id: tokenId } = await app.prisma.personalAccessToken.findFirstOrThrow({
    where: { userId },
  });
  return {
    userId,
    username,
    email,
    sessionId: byTokens.session.id,
    otherSessionId: other.session.id,
    accessToken,
    refreshToken: other.refreshToken ?? '',
    cookie: `__Host-naru=${byCookie.secret}`,
    tokenId,
    script: (scopes) => naru.tokenFor(username, scopes),
  };
}

const ROLES: Readonly<Record<Actor, readonly Role[]>> = {
  guest: ['USER'],
  USER: ['USER'],
  'USER by cookie': ['USER'],
  OPERATOR: ['USER', 'OPERATOR'],
  AUDITOR: ['USER', 'AUDITOR'],
  ADMIN: ['USER', 'ADMIN'],
  'script with the wrong scopes': ['USER', 'ADMIN', 'AUDITOR', 'OPERATOR'],
  'script with every scope': ['USER', 'ADMIN', 'AUDITOR', 'OPERATOR'],
  'USER’s script with every scope': ['USER'],
};

const isScript = (actor: Actor) => actor.includes('script');

interface Credentials {
  readonly token: string | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** What the actor sends along. The wrong scopes are all but one of those that the gate names. */
async function credentialsOf(actor: Actor, me: Person, gate: Gate): Promise<Credentials> {
  const headers = fromElsewhere();
  if (actor === 'guest') return { token: null, headers };
  if (actor === 'USER by cookie') {
    return { token: null, headers: { ...headers, ...pageHeaders(me.cookie) } };
  }
  if (actor === 'script with the wrong scopes') {
    const [needed] = gate.split(' ').filter(isScope);
    return { token: await me.script(ALL_SCOPES.filter((scope) => scope !== needed)), headers };
  }
  if (isScript(actor)) return { token: await me.script(ALL_SCOPES), headers };
  return { token: me.accessToken, headers };
}

/** The code that stops this actor before the field begins; null where it may. */
function stoppedAt(gate: Gate, actor: Actor): string | null {
  if (gate === 'open') return null;
  if (actor === 'guest') return 'UNAUTHENTICATED';
  if (gate === 'session') return isScript(actor) ? 'FORBIDDEN' : null;
  const words = gate.split(' ');
  if (actor === 'script with the wrong scopes' && words.some(isScope)) return 'FORBIDDEN';
  const roles = words.filter((word) => !isScope(word));
  const hasRole = roles.length === 0 || roles.some((role) => ROLES[actor].includes(role as Role));
  return hasRole ? null : 'FORBIDDEN';
}

interface Rule {
  readonly gate: Gate;
  /** Valid input about what is mine, another's, or not there. */
  readonly input: (target: Target, me: Person, other: Person) => unknown;
  /** What comes of it past the gate: for all, or by whose it is. */
  readonly outcome: string | Readonly<Record<Target, string>>;
  /** Where the outcome of an open field depends on who asks. */
  readonly unless?: (actor: Actor, target: Target) => string | null;
  /** Of a success, where its type does not say enough. */
  readonly selection?: string;
  // biome-ignore lint/suspicious/noExplicitAny: the shape is the selection's
  readonly describe?: (success: any) => string;
}

const byTarget = <Value>(own: Value, other: Value, none: Value) => ({ own, other, none });
const userIdOf = (target: Target, me: Person, other: Person) =>
  encodeGlobalId('User', byTarget(me.userId, other.userId, newId())[target]);
const passwordOf = (target: Target) =>
  target === 'own' ? SEED_PASSWORD : 'not the password of any';

async function oneTimeTokenOf(
  purpose: 'RESET_PASSWORD' | 'VERIFY_EMAIL',
  target: Target,
  me: Person,
  other: Person,
): Promise<string> {
  if (target === 'none') return NO_TOKEN;
  const { userId, email } = target === 'own' ? me : other;
  const payload = { email: purpose === 'RESET_PASSWORD' ? email : `new-${email}` };
  const made = await createOneTimeToken(naru.app.database, { purpose, userId, payload });
  return made.token;
}

async function grantTo({ userId }: Person): Promise<void> {
  await naru.app.database.query(
    `INSERT INTO webhook_source_grant (id, source_id, user_id)
     SELECT $1, id, $2 FROM webhook_source WHERE path = 'github' ON CONFLICT DO NOTHING`,
    [newId(), userId],
  );
}

async function receiptOf(target: Target, me: Person, other: Person): Promise<string> {
  if (target === 'none') return 'no receipt of ours';
  const owner = target === 'own' ? me : other;
  await Promise.all([grantTo(me), grantTo(other)]);
  const { deliveries } = await createInboxClient(naru.url, await owner.script(ALL_SCOPES)).pull();
  return deliveries[0]?.receipt ?? '';
}

/** Of a source that is there, of one that was deleted, and of none. */
async function sourceIdOf(target: Target): Promise<string> {
  const id = newId();
  const deletedAt = target === 'other' ? new Date() : null;
  if (target !== 'none') {
    await naru.app.prisma.webhookSource.create({
      data: { id, path: `made-${id}`, provider: 'HMAC', deletedAt },
    });
  }
  return encodeGlobalId('WebhookSource', id);
}

const sourceRule = (done: string, ofDeleted: string, input: object = {}): Rule => ({
  gate: SOURCES,
  input: async (target) => ({ sourceId: await sourceIdOf(target), ...input }),
  outcome: byTarget(done, ofDeleted, 'NOT_FOUND'),
});

/** The message of the target, which it has let die. */
async function deadIdOf(target: Target, me: Person, other: Person): Promise<string> {
  if (target === 'none') return encodeGlobalId('WebhookMessage', newId());
  const owner = target === 'own' ? me : other;
  await receiptOf(target, me, other);
  await naru.app.database.query(
    `UPDATE webhook_delivery SET state = 'DEAD' WHERE user_id = $1 AND message_id = $2`,
    [owner.userId, messageId],
  );
  return encodeGlobalId('WebhookMessage', messageId);
}

/** A repository that only the target may read. */
async function repositoryIdOf(target: Target, me: Person, other: Person): Promise<string> {
  if (target === 'none') return encodeGlobalId('WebhookRepository', newId());
  await grantTo(target === 'own' ? me : other);
  const { repositoryId } = await naru.app.prisma.webhookMessage.findUniqueOrThrow({
    where: { id: messageId },
  });
  return encodeGlobalId('WebhookRepository', repositoryId ?? '');
}

async function savedFilterIdOf(target: Target, me: Person, other: Person): Promise<string> {
  const id = newId();
  if (target !== 'none') {
    const { userId } = target === 'own' ? me : other;
    await naru.app.prisma.webhookSavedFilter.create({
      data: { id, userId, name: id, filter: {} },
    });
  }
  return encodeGlobalId('WebhookSavedFilter', id);
}

/** A message of somebody else's in a room of this account, and what was reported of it. */
async function reportIn(owner: Pick<Person, 'userId'>): Promise<{
  readonly messageId: string;
  readonly reportId: string;
}> {
  const author = await addMember(naru);
  const { roomId, head } = await makeRoom(naru, { owner, members: [author] });
  const messageId = newId();
  const reportId = newId();
  await naru.app.database.query(
    `WITH message AS (
       INSERT INTO chat_message
         (id, room_id, sequence, position, author_id, client_message_id, fingerprint, body)
       VALUES ($1, $2, 1, $3, $4, 'one', '', 'awful') RETURNING id
     )
     INSERT INTO message_report (id, room_id, message_id, reason, body, revision)
     SELECT $5, $2, id, 'BLOCKED_WORD', 'awful', 0 FROM message`,
    [messageId, roomId, head + 1, author.userId, reportId],
  );
  return { messageId, reportId };
}

/** A message of this account, in a room of its own. */
async function sentBy(owner: Pick<Person, 'userId'>): Promise<string> {
  const { roomId, head } = await makeRoom(naru, { owner });
  const id = newId();
  await naru.app.database.query(
    `INSERT INTO chat_message
       (id, room_id, sequence, position, author_id, client_message_id, fingerprint, body)
     VALUES ($1, $2, 1, $3, $4, 'one', '', 'hello')`,
    [id, roomId, head + 1, owner.userId],
  );
  await naru.app.database.query(
    'UPDATE room SET last_position = last_position + 1, last_sequence = 1 WHERE id = $1',
    [roomId],
  );
  return id;
}

const messageRule = (done: string, input: object = {}): Rule => ({
  gate: ROOMS,
  input: async (target, me, other) => {
    const id = target === 'none' ? newId() : await sentBy(target === 'own' ? me : other);
    return { messageId: encodeGlobalId('ChatMessage', id), ...input };
  },
  outcome: byTarget(`${done}Succeeded`, 'NOT_FOUND', 'NOT_FOUND'),
});

/** Of a room that the target made, with somebody else in it. */
const roomRule = (done: string, inputFor: (userId: string) => object = () => ({})): Rule => ({
  gate: ROOMS,
  input: async (target, me, other) => {
    const member = await addMember(naru);
    const owner = target === 'own' ? me : other;
    const { id } = await makeRoom(naru, { owner, members: [member] });
    const roomId = target === 'none' ? encodeGlobalId('Room', newId()) : id;
    return { roomId, ...inputFor(member.id) };
  },
  outcome: byTarget(`${done}Succeeded`, 'NOT_FOUND', 'NOT_FOUND'),
});
const participantRule = (done: string, input: object = {}) =>
  roomRule(done, (userId) => ({ userId, ...input }));

const receiptRule = (done: string): Rule => ({
  gate: INBOX,
  input: async (target, me, other) => ({ receipts: [await receiptOf(target, me, other)] }),
  selection: `done: ${done} refused { reason }`,
  describe: ({ done: settled, refused }) => `${settled.length} done, ${refused.length} refused`,
  outcome: byTarget('1 done, 0 refused', '0 done, 1 refused', '0 done, 1 refused'),
});

const MUTATIONS: Readonly<Record<string, Rule>> = {
  signOut: {
    gate: 'open',
    input: () => ({ everywhere: true }),
    outcome: 'SignedOut',
    unless: (actor) => (isScript(actor) ? 'FORBIDDEN' : null),
  },
  revokeSession: {
    gate: 'session',
    input: (target, me, other) => ({
      id: encodeGlobalId(
        'Session',
        byTarget(me.otherSessionId, other.otherSessionId, newId())[target],
      ),
    }),
    outcome: byTarget('SessionRevoked', 'NOT_FOUND', 'NOT_FOUND'),
  },
  signIn: {
    gate: 'open',
    input: (target, me, other) => ({
      login: byTarget(me.username, other.username, 'nobody-at-all')[target],
      password: passwordOf(target),
      transport: 'TOKENS',
    }),
    outcome: byTarget('SignedIn', 'INVALID_CREDENTIALS', 'INVALID_CREDENTIALS'),
  },
  // Whoever holds it is its owner: that is what the reuse detection is for.
  refreshSession: {
    gate: 'open',
    input: (target, me, other) => ({
      refreshToken: byTarget(me.refreshToken, other.refreshToken, NO_REFRESH)[target],
    }),
    outcome: byTarget('SessionRefreshed', 'SessionRefreshed', 'UNAUTHENTICATED'),
  },
  signUp: {
    gate: 'open',
    input: (target, me, other) => ({
      email: byTarget(me.email, other.email, `new${people}@mail.example`)[target],
      username: `new${people}`,
      displayName: 'New',
      password: GOOD_PASSWORD,
    }),
    outcome: 'SignUpAccepted',
  },
  verifyEmail: {
    gate: 'open',
    input: async (target, me, other) => ({
      token: await oneTimeTokenOf('VERIFY_EMAIL', target, me, other),
    }),
    outcome: byTarget('EmailVerified', 'INVALID_CREDENTIALS', 'INVALID_CREDENTIALS'),
    unless: (actor, target) => (target === 'none' ? null : stoppedAt('session', actor)),
  },
  changePassword: {
    gate: 'session',
    input: (target) => ({ currentPassword: passwordOf(target), newPassword: GOOD_PASSWORD }),
    outcome: byTarget('PasswordChanged', 'INVALID_CREDENTIALS', 'INVALID_CREDENTIALS'),
  },
  requestPasswordReset: {
    gate: 'open',
    input: (target, me, other) => ({
      email: byTarget(me.email, other.email, 'nobody@mail.example')[target],
    }),
    outcome: 'PasswordResetRequested',
  },
  // Whoever holds it has the mailbox.
  resetPassword: {
    gate: 'open',
    input: async (target, me, other) => ({
      token: await oneTimeTokenOf('RESET_PASSWORD', target, me, other),
      newPassword: GOOD_PASSWORD,
    }),
    outcome: byTarget('PasswordReset', 'PasswordReset', 'INVALID_CREDENTIALS'),
  },
  updateProfile: {
    gate: 'viewer:write',
    input: () => ({ displayName: 'Renamed' }),
    outcome: 'ProfileUpdated',
  },
  changeEmail: {
    gate: 'session',
    input: (target, me, other) => ({
      email: target === 'other' ? other.email : `new-${me.email}`,
      password: target === 'none' ? passwordOf(target) : SEED_PASSWORD,
    }),
    outcome: byTarget('EmailChangeAccepted', 'EmailChangeAccepted', 'INVALID_CREDENTIALS'),
  },
  deleteAccount: {
    gate: 'session',
    input: (target) => ({ password: passwordOf(target) }),
    outcome: byTarget('AccountDeleted', 'INVALID_CREDENTIALS', 'INVALID_CREDENTIALS'),
  },
  setUserRoles: {
    gate: ADMINS,
    input: (target, me, other) => ({ userId: userIdOf(target, me, other), roles: ['USER'] }),
    outcome: byTarget('UserRolesSet', 'UserRolesSet', 'NOT_FOUND'),
  },
  disableUser: {
    gate: ADMINS,
    input: (target, me, other) => ({ userId: userIdOf(target, me, other) }),
    outcome: byTarget('UserDisabled', 'UserDisabled', 'NOT_FOUND'),
  },
  enableUser: {
    gate: ADMINS,
    input: (target, me, other) => ({ userId: userIdOf(target, me, other) }),
    outcome: byTarget('UserEnabled', 'UserEnabled', 'NOT_FOUND'),
  },
  createPersonalAccessToken: {
    gate: 'tokens:write',
    input: () => ({ name: 'New', scopes: ['webhooks:read'] }),
    outcome: 'PersonalAccessTokenCreated',
  },
  revokePersonalAccessToken: {
    gate: 'tokens:write',
    input: (target, me, other) => ({
      id: encodeGlobalId(
        'PersonalAccessToken',
        byTarget(me.tokenId, other.tokenId, newId())[target],
      ),
    }),
    outcome: byTarget('PersonalAccessTokenRevoked', 'NOT_FOUND', 'NOT_FOUND'),
  },
  unlinkGitHub: {
    gate: 'session',
    input: async (target, me) => {
      if (target === 'own') return;
      await naru.app.prisma.gitHubAccount.deleteMany({ where: { userId: me.userId } });
    },
    outcome: byTarget('GitHubUnlinked', 'NOT_FOUND', 'NOT_FOUND'),
  },
  pullWebhookMessages: {
    gate: INBOX,
    input: async (target, me, other) => {
      if (target !== 'none') await grantTo(target === 'own' ? me : other);
      return { limit: 1 };
    },
    selection: 'deliveries { attempt }',
    describe: ({ deliveries }) => `${deliveries.length} pulled`,
    outcome: byTarget('1 pulled', '0 pulled', '0 pulled'),
  },
  ackWebhookMessages: receiptRule('acknowledged'),
  nackWebhookMessages: receiptRule('handedBack'),
  extendWebhookLeases: receiptRule('deliveries { attempt }'),
  replayWebhookMessages: {
    gate: INBOX,
    input: async (target, me, other) => {
      const receipts = [await receiptOf(target === 'none' ? 'own' : target, me, other)];
      const owner = target === 'other' ? other : me;
      await createInboxClient(naru.url, await owner.script(ALL_SCOPES)).ack({ receipts });
      const id = target === 'none' ? newId() : messageId;
      return { messageIds: [encodeGlobalId('WebhookMessage', id)] };
    },
    selection: 'count',
    describe: ({ count }) => `${count} replayed`,
    outcome: byTarget('1 replayed', '0 replayed', '0 replayed'),
  },
  retryWebhookDeadLetters: {
    gate: INBOX,
    input: async (target, me, other) => ({ messageIds: [await deadIdOf(target, me, other)] }),
    selection: 'count',
    describe: ({ count }) => `${count} retried`,
    outcome: byTarget('1 retried', '0 retried', '0 retried'),
  },
  discardWebhookDeadLetters: {
    gate: INBOX,
    input: async (target, me, other) => ({
      messageIds: [await deadIdOf(target, me, other)],
      reason: 'given up',
    }),
    selection: 'discarded refused { reason }',
    describe: ({ discarded, refused }) => `${discarded.length} done, ${refused.length} refused`,
    outcome: byTarget('1 done, 0 refused', '0 done, 1 refused', '0 done, 1 refused'),
  },
  startWebhookInbox: {
    gate: INBOX,
    input: () => ({ from: 'NOW' }),
    outcome: 'WebhookInboxStarted',
  },
  watchRepository: {
    gate: INBOX,
    input: async (target, me, other) => ({
      repositoryId: await repositoryIdOf(target, me, other),
    }),
    outcome: byTarget('RepositoryWatched', 'NOT_FOUND', 'NOT_FOUND'),
  },
  unwatchRepository: {
    gate: INBOX,
    input: async (target, me, other) => ({
      repositoryId: await repositoryIdOf(target, me, other),
    }),
    outcome: byTarget('RepositoryUnwatched', 'NOT_FOUND', 'NOT_FOUND'),
  },
  createWebhookFilter: {
    gate: INBOX,
    input: () => ({ name: 'New', filter: { eventNames: ['push'] } }),
    outcome: 'WebhookFilterCreated',
  },
  updateWebhookFilter: {
    gate: INBOX,
    input: async (target, me, other) => ({
      id: await savedFilterIdOf(target, me, other),
      name: 'Renamed',
    }),
    outcome: byTarget('WebhookFilterUpdated', 'NOT_FOUND', 'NOT_FOUND'),
  },
  deleteWebhookFilter: {
    gate: INBOX,
    input: async (target, me, other) => ({ id: await savedFilterIdOf(target, me, other) }),
    outcome: byTarget('WebhookFilterDeleted', 'NOT_FOUND', 'NOT_FOUND'),
  },
  createWebhookSource: {
    gate: SOURCES,
    input: (target, me, other) => ({
      path: `new-${newId()}`,
      provider: 'HMAC',
      grants: [{ userId: userIdOf(target, me, other) }],
    }),
    outcome: byTarget('WebhookSourceCreated', 'WebhookSourceCreated', 'NOT_FOUND'),
  },
  updateWebhookSource: sourceRule('WebhookSourceUpdated', 'CONFLICT', { toleranceSeconds: 60 }),
  rotateWebhookSecret: sourceRule('WebhookSecretRotated', 'CONFLICT'),
  deleteWebhookSource: sourceRule('WebhookSourceDeleted', 'WebhookSourceDeleted'),
  grantWebhookSource: sourceRule('WebhookSourceGranted', 'WebhookSourceGranted', {
    grantee: { role: 'AUDITOR' },
  }),
  revokeWebhookSourceGrant: sourceRule('WebhookSourceGrantRevoked', 'WebhookSourceGrantRevoked', {
    grantee: { role: 'AUDITOR' },
  }),
  createRoom: {
    gate: ROOMS,
    input: (target, me, other) => ({ name: 'New', userIds: [userIdOf(target, me, other)] }),
    outcome: byTarget('CreateRoomSucceeded', 'CreateRoomSucceeded', 'INVALID_INPUT'),
  },
  openDirectRoom: {
    gate: ROOMS,
    input: (target, me, other) => ({ userId: userIdOf(target, me, other) }),
    outcome: byTarget('INVALID_INPUT', 'OpenDirectRoomSucceeded', 'INVALID_INPUT'),
  },
  updateRoom: roomRule('UpdateRoom', () => ({ name: 'Renamed' })),
  archiveRoom: roomRule('ArchiveRoom'),
  unarchiveRoom: roomRule('UnarchiveRoom'),
  addParticipants: roomRule('AddParticipants', (userId) => ({ userIds: [userId] })),
  removeParticipant: participantRule('RemoveParticipant'),
  leaveRoom: roomRule('LeaveRoom'),
  banParticipant: participantRule('BanParticipant'),
  unbanParticipant: participantRule('UnbanParticipant'),
  muteParticipant: participantRule('MuteParticipant'),
  unmuteParticipant: participantRule('UnmuteParticipant'),
  setParticipantRole: participantRule('SetParticipantRole', { role: 'MODERATOR' }),
  sendMessage: roomRule('SendMessage', () => ({ clientMessageId: 'one', body: 'hello' })),
  editMessage: messageRule('EditMessage', { body: 'changed' }),
  deleteMessage: messageRule('DeleteMessage'),
  addReaction: messageRule('AddReaction', { emoji: '👍' }),
  removeReaction: messageRule('RemoveReaction', { emoji: '👍' }),
  reportMessage: {
    gate: 'rooms:read rooms:write',
    input: async (target, me, other) => {
      const { messageId: id } = await reportIn(target === 'own' ? me : other);
      return {
        messageId: encodeGlobalId('ChatMessage', target === 'none' ? newId() : id),
        reason: 'SPAM',
      };
    },
    outcome: byTarget('ReportMessageSucceeded', 'NOT_FOUND', 'NOT_FOUND'),
  },
  resolveReport: {
    gate: 'rooms:read rooms:moderate',
    input: async (target, me, other) => {
      const { reportId: id } = await reportIn(target === 'own' ? me : other);
      return {
        reportId: encodeGlobalId('MessageReport', target === 'none' ? newId() : id),
        outcome: 'DISMISSED',
      };
    },
    outcome: byTarget('ResolveReportSucceeded', 'NOT_FOUND', 'NOT_FOUND'),
  },
  setTyping: {
    gate: 'rooms:read rooms:write',
    input: async (target, me, other) => {
      const { id } = await makeRoom(naru, { owner: target === 'own' ? me : other });
      const roomId = target === 'none' ? encodeGlobalId('Room', newId()) : id;
      return { roomId, isTyping: true };
    },
    outcome: byTarget('SetTypingSucceeded', 'NOT_FOUND', 'NOT_FOUND'),
  },
  markRead: {
    gate: 'rooms:read rooms:write',
    input: async (target, me, other) => {
      const { messageId: id } = await reportIn(target === 'own' ? me : other);
      const [message] = await naru.app.database.query<{ roomId: string }>(
        'SELECT room_id AS "roomId" FROM chat_message WHERE id = $1',
        [id],
      );
      return {
        roomId: encodeGlobalId('Room', target === 'none' ? newId() : (message?.roomId ?? '')),
        upToMessageId: encodeGlobalId('ChatMessage', id),
      };
    },
    outcome: byTarget('MarkReadSucceeded', 'NOT_FOUND', 'NOT_FOUND'),
  },
  broadcastToRoom: {
    gate: 'rooms:broadcast',
    input: async (target, me, other) => {
      const { id } = await makeRoom(naru, { owner: target === 'own' ? me : other });
      const roomId = target === 'none' ? encodeGlobalId('Room', newId()) : id;
      return { roomId, message: { type: 'announcement' } };
    },
    outcome: byTarget('BroadcastToRoomSucceeded', 'NOT_FOUND', 'NOT_FOUND'),
    // For tokens only; those of operators into any room.
    unless: (actor, target) => {
      if (target === 'none') return null;
      if (actor === 'script with every scope') return 'BroadcastToRoomSucceeded';
      if (target === 'own') return actor.includes('script') ? null : 'FORBIDDEN';
      return ['OPERATOR', 'ADMIN'].includes(actor) ? 'FORBIDDEN' : null;
    },
  },
};

interface Reading {
  readonly gate: Gate;
  readonly query: string;
  /** The error that who is let through gets, where what is asked for is not there. */
  readonly admitted?: string;
}

const READINGS: Readonly<Record<string, Reading>> = {
  serverInfo: { gate: 'open', query: '{ serverInfo { version } }' },
  node: { gate: 'open', query: '{ node(id: "VXNlcg") { id } }' },
  nodes: { gate: 'open', query: '{ nodes(ids: []) { id } }' },
  // Null for guests, who may ask.
  viewer: { gate: 'viewer:read', query: '{ viewer { id } }' },
  user: {
    gate: 'users:read AUDITOR ADMIN',
    query: `{ user(id: "${encodeGlobalId('User', newId())}") { id } }`,
  },
  users: { gate: 'users:read AUDITOR ADMIN', query: '{ users(first: 1) { nodes { id } } }' },
  auditLog: { gate: 'audit:read AUDITOR ADMIN', query: '{ auditLog(first: 1) { nodes { id } } }' },
  webhookMessages: {
    gate: 'webhooks:read',
    query: '{ webhookMessages(first: 1) { nodes { id } } }',
  },
  webhookInbox: { gate: 'webhooks:read', query: '{ webhookInbox { pending } }' },
  webhookFilters: {
    gate: 'webhooks:read',
    query: '{ webhookFilters(first: 1) { nodes { id } } }',
  },
  webhookInboxChanged: {
    gate: 'webhooks:read',
    query: 'subscription { webhookInboxChanged { pending } }',
  },
  room: { gate: 'rooms:read', query: `{ room(id: "${encodeGlobalId('Room', newId())}") { id } }` },
  roomByExternalId: {
    gate: 'rooms:read',
    query: '{ roomByExternalId(externalId: "none") { id } }',
  },
  rooms: { gate: 'rooms:read', query: '{ rooms(first: 1) { nodes { id } } }' },
  webhookSources: { gate: SOURCES, query: '{ webhookSources(first: 1) { nodes { id } } }' },
  messageReports: {
    gate: 'rooms:read rooms:moderate',
    query: '{ messageReports(first: 1) { nodes { id } } }',
  },
  roomEvents: {
    gate: 'rooms:read',
    query: `subscription { roomEvents(roomId: "${encodeGlobalId('Room', newId())}") { __typename } }`,
    admitted: 'NOT_FOUND',
  },
  roomsChanged: { gate: 'rooms:read', query: 'subscription { roomsChanged { __typename } }' },
  webhookMessageReceived: {
    gate: 'webhooks:read',
    query: 'subscription { webhookMessageReceived { __typename } }',
  },
};
/** Open to everybody by design; what they lead to has rules of its own. */
const WITHOUT_DIRECTIVE = ['serverInfo', 'node', 'nodes'];

function gatesOf(type: GraphQLObjectType | null | undefined): Map<string, Gate | null> {
  const gates = new Map<string, Gate | null>();
  for (const { name, extensions } of Object.values(type?.getFields() ?? {})) {
    const { auth } = (extensions['directives'] ?? {}) as {
      auth?: { open?: boolean; session?: boolean; scopes?: string[]; roles?: string[] };
    };
    const words = [
      ...(auth?.open ? ['open'] : []),
      ...(auth?.session ? ['session'] : []),
      ...(auth?.scopes ?? []),
      ...(auth?.roles ?? []),
    ];
    gates.set(name, words.length === 0 ? null : words.join(' '));
  }
  return gates;
}

describe('every field of the schema has a rule', () => {
  const printed = gatesOf(schema.getMutationType());

  test('each mutation prints the one that is meant', () => {
    const meant = Object.entries(MUTATIONS).map(([name, { gate }]) => [name, gate]);
    expect(Object.fromEntries(printed)).toEqual(Object.fromEntries(meant));
  });

  test('each query and subscription prints the one that is meant', () => {
    const all = [...gatesOf(schema.getQueryType()), ...gatesOf(schema.getSubscriptionType())];
    const meant = Object.entries(READINGS).map(([name, { gate }]) => [name, gate]);
    const found = all.map(([name, gate]) => [
      name,
      gate ?? (WITHOUT_DIRECTIVE.includes(name) ? 'open' : 'nothing'),
    ]);
    expect(Object.fromEntries(found)).toEqual(Object.fromEntries(meant));
  });
});

describe.each(Object.entries(MUTATIONS))('%s', (field, rule) => {
  test.each(ACTORS)('by %s', async (actor) => {
    const found: Record<string, string> = {};
    const meant: Record<string, string> = {};
    const attempt = async (target: Target) => {
      const [me, other] = await Promise.all([makePerson(ROLES[actor]), makePerson()]);
      const input = await rule.input(target, me, other);
      const { token, headers } = await credentialsOf(actor, me, rule.gate);
      const operation = operationOf(field, input as never, rule.selection);
      const { result } = await post(naru.url, operation, token, headers);
      const answer = result.data?.[field];
      const error = answer?.code ?? result.errors?.[0]?.extensions.code;
      found[target] = error ?? rule.describe?.(answer) ?? answer.__typename;
      const { outcome, unless } = rule;
      meant[target] =
        stoppedAt(rule.gate, actor) ??
        unless?.(actor, target) ??
        (typeof outcome === 'string' ? outcome : outcome[target]);
    };
    await Promise.all(TARGETS.map(attempt));
    expect(found).toEqual(meant);
  });
});

describe.each(Object.entries(READINGS))('%s', (field, { gate, query, admitted = null }) => {
  test.each(ACTORS)('by %s', async (actor) => {
    const me = await makePerson(ROLES[actor]);
    const { token, headers } = await credentialsOf(actor, me, gate);
    const meant = field === 'viewer' && actor === 'guest' ? null : stoppedAt(gate, actor);
    if (query.startsWith('subscription')) {
      const stream = await openEventStream(naru.url, { query }, token);
      const code = (await stream.next())?.errors?.[0]?.extensions.code ?? null;
      stream.leave();
      // No cookie goes along here: it is another guest.
      expect(code).toBe(token === null ? 'UNAUTHENTICATED' : (meant ?? admitted));
      return;
    }
    const { result } = await post(naru.url, { query }, token, headers);
    const code = result.errors?.[0]?.extensions.code ?? null;
    // What is no id of ours says so to everybody.
    expect(code).toBe(field === 'node' ? 'INVALID_INPUT' : meant);
  });
});

interface NodeRule {
  /** The row's id, of what belongs to this account where it can belong to one. */
  readonly idOf: (owner: Person) => string | Promise<string>;
  readonly readers: readonly ('owner' | Role)[];
  /** That a token must have, also here. */
  readonly scope: Readonly<Partial<Record<'owner' | Role, Scope>>>;
}

const grantedId = async (owner: Person, find: () => Promise<{ id: string } | null>) => {
  granted = owner;
  await grantTo(owner);
  return (await find())?.id ?? '';
};

const NODES: Readonly<Record<string, NodeRule>> = {
  User: {
    idOf: ({ userId }) => userId,
    readers: ['owner', 'AUDITOR', 'ADMIN'],
    scope: { owner: 'viewer:read', AUDITOR: 'users:read', ADMIN: 'users:read' },
  },
  Session: {
    idOf: ({ sessionId }) => sessionId,
    readers: ['owner'],
    scope: { owner: 'viewer:read' },
  },
  PersonalAccessToken: {
    idOf: ({ tokenId }) => tokenId,
    readers: ['owner'],
    scope: { owner: 'viewer:read' },
  },
  AuditEntry: {
    idOf: () => auditId,
    readers: ['AUDITOR', 'ADMIN'],
    scope: { AUDITOR: 'audit:read', ADMIN: 'audit:read' },
  },
  // Granted to who is called the owner here.
  WebhookSource: {
    idOf: (owner) =>
      grantedId(owner, () =>
        naru.app.prisma.webhookSource.findFirst({ where: { path: 'github' } }),
      ),
    readers: ['owner', 'OPERATOR', 'ADMIN'],
    scope: { owner: 'webhooks:read', OPERATOR: 'webhooks:manage', ADMIN: 'webhooks:manage' },
  },
  WebhookRepository: {
    idOf: (owner) => grantedId(owner, () => naru.app.prisma.webhookRepository.findFirst()),
    readers: ['owner'],
    scope: { owner: 'webhooks:read' },
  },
  WebhookSavedFilter: {
    idOf: async ({ userId }) => {
      const id = newId();
      await naru.app.prisma.webhookSavedFilter.create({
        data: { id, userId, name: id, filter: {} },
      });
      return id;
    },
    readers: ['owner'],
    scope: { owner: 'webhooks:read' },
  },
  WebhookMessage: {
    idOf: (owner) => grantedId(owner, async () => ({ id: messageId })),
    readers: ['owner'],
    scope: { owner: 'webhooks:read' },
  },
  MessageReport: {
    idOf: async (owner) => (await reportIn(owner)).reportId,
    readers: ['owner'],
    scope: { owner: 'rooms:moderate' },
  },
  ChatMessage: { idOf: sentBy, readers: ['owner'], scope: { owner: 'rooms:read' } },
  Room: {
    idOf: async (owner) => (await makeRoom(naru, { owner })).roomId,
    readers: ['owner'],
    scope: { owner: 'rooms:read' },
  },
};

describe('a node', () => {
  const types = Object.values(schema.getTypeMap())
    .filter(isObjectType)
    .filter((type) => type.getInterfaces().some(({ name }) => name === 'Node'));

  test('of every type has a rule here', () => {
    expect(types.map(({ name }) => name).sort()).toEqual(Object.keys(NODES).sort());
  });

  const read = async (id: string, { token, headers }: Credentials) => {
    const query = `query ($id: ID!, $ids: [ID!]!) {
      node(id: $id) { __typename id } nodes(ids: $ids) { __typename id } }`;
    const variables = { id, ids: [id] };
    const { result } = await post(naru.url, { query, variables }, token, headers);
    expect(result.errors).toBeUndefined();
    expect(result.data.nodes).toEqual([result.data.node]);
    return result.data.node !== null;
  };

  test.each(Object.entries(NODES))(
    'of type %s is shown to its readers only',
    async (type, rule) => {
      const owner = await makePerson();
      const id = encodeGlobalId(type, await rule.idOf(owner));
      const found: Record<string, boolean> = {};
      const meant: Record<string, boolean> = {};
      for (const actor of ACTORS) {
        const stranger = await makePerson(ROLES[actor]);
        const isOne = rule.readers.some(
          (reader) => reader !== 'owner' && actor !== 'guest' && ROLES[actor].includes(reader),
        );
        const gate = Object.values(rule.scope).at(-1) ?? 'open';
        found[actor] = await read(id, await credentialsOf(actor, stranger, gate));
        meant[actor] = isOne && actor !== 'script with the wrong scopes';
      }
      for (const actor of ['USER', 'USER by cookie', 'USER’s script with every scope'] as const) {
        found[`owner: ${actor}`] = await read(id, await credentialsOf(actor, owner, 'open'));
        meant[`owner: ${actor}`] = rule.readers.includes('owner');
      }
      const wrong = await credentialsOf(
        'script with the wrong scopes',
        owner,
        rule.scope.owner ?? '',
      );
      found['owner: wrong scopes'] = await read(id, wrong);
      meant['owner: wrong scopes'] = false;
      expect(found).toEqual(meant);
      if (granted !== null) {
        await naru.app.database.query('DELETE FROM webhook_source_grant WHERE user_id = $1', [
          granted.userId,
        ]);
        granted = null;
      }
    },
  );

  test('that is not there is null, like one that is not shown', async () => {
    const me = await makePerson(['USER', 'ADMIN', 'AUDITOR']);
    for (const { name } of types) {
      const credentials = await credentialsOf('ADMIN', me, 'open');
      expect(await read(encodeGlobalId(name, newId()), credentials), name).toBe(false);
    }
  });

  test('of a type that has none is null or refused, whatever its row', async () => {
    const me = await makePerson();
    const { id } = await naru.app.prisma.gitHubAccount.findUniqueOrThrow({
      where: { userId: me.userId },
    });
    const query = 'query ($id: ID!) { node(id: $id) { id } }';
    for (const type of ['GitHubAccount', 'RefreshToken', 'OneTimeToken', 'Password', 'Query']) {
      const variables = { id: encodeGlobalId(type, type === 'GitHubAccount' ? id : me.userId) };
      const { result } = await post(naru.url, { query, variables }, me.accessToken);
      expect(result.data?.node ?? null, type).toBeNull();
      expect(result.errors?.[0]?.extensions.code ?? 'INVALID_INPUT', type).toBe('INVALID_INPUT');
    }
  });
});
