// Every mutation of rooms, each with what is to be there before, what is sent, and what one effect of it is.
import { encodeGlobalId } from '#lib/global-id.ts';
import { newId } from '#lib/ids.ts';
import { callRooms, succeeded } from './rooms-calls.ts';
import { addAccounts, type RoomAccount, type StoredRoom, storeRoom } from './rooms-scene.ts';
import type { World } from './world.ts';

export interface RetryScene {
  readonly world: World;
  readonly owner: RoomAccount;
  readonly moderator: RoomAccount;
  readonly member: RoomAccount;
  /** In no room. */
  readonly stranger: RoomAccount;
  readonly room: StoredRoom;
  /** Does something beforehand that must succeed; what it answered. */
  run(
    account: RoomAccount,
    name: string,
    input: Readonly<Record<string, unknown>>,
  ): Promise<Readonly<Record<string, unknown>>>;
  /** Says something as the member; the message's id. */
  say(): Promise<string>;
}

export interface Retried {
  readonly account: RoomAccount;
  readonly input: Readonly<Record<string, unknown>>;
  /** The kinds that are appended to the room's log, all copies together. */
  readonly events: readonly string[];
  /** SQL of one boolean: what one effect left behind. `$1` is the room's id. */
  readonly holds: string;
  /** The room that it makes, by SQL of its id, instead of the scene's. */
  readonly madeRoom?: string;
}

export interface RetryCase {
  readonly name: string;
  prepare(scene: RetryScene): Promise<Retried>;
}

const uuidOf = (globalId: string) => Buffer.from(globalId, 'base64url').toString().split(':')[1];
const LATER = '2100-01-01T00:00:00.000Z';

function auditedOnce(account: RoomAccount): string {
  return `(SELECT count(*) = 1 FROM audit_entry WHERE actor_id = '${account.userId}'
           AND action LIKE 'ROOM%')`;
}

const standing = ({ userId }: RoomAccount, condition: string) =>
  `(SELECT ${condition} FROM room_participant p WHERE p.room_id = $1 AND p.user_id = '${userId}')`;
const stays = ({ userId }: RoomAccount, condition: string) =>
  `(SELECT ${condition} FROM room_stay s WHERE s.room_id = $1 AND s.user_id = '${userId}')`;

export const RETRY_CASES: readonly RetryCase[] = [
  {
    name: 'sendMessage',
    prepare: async ({ member, room }) => ({
      account: member,
      input: { roomId: room.id, clientMessageId: newId(), body: 'once' },
      events: ['MESSAGE_SENT'],
      holds: `SELECT (SELECT count(*) FROM chat_message WHERE room_id = $1) = 1
                AND (SELECT last_sequence FROM room WHERE id = $1) = 1`,
    }),
  },
  {
    name: 'editMessage',
    async prepare({ member, say }) {
      const messageId = await say();
      return {
        account: member,
        input: { messageId, body: 'edited' },
        events: ['MESSAGE_EDITED'],
        holds: `SELECT m.body = 'edited' AND m.revision = 1 AND m.edited_at IS NOT NULL
                  AND (SELECT count(*) FROM chat_message_edit e WHERE e.message_id = m.id) = 1
                FROM chat_message m WHERE m.room_id = $1`,
      };
    },
  },
  {
    name: 'deleteMessage',
    async prepare({ member, say }) {
      return {
        account: member,
        input: { messageId: await say() },
        events: ['MESSAGE_DELETED'],
        holds: `SELECT m.body IS NULL AND m.deleted_at IS NOT NULL FROM chat_message m WHERE m.room_id = $1`,
      };
    },
  },
  {
    name: 'addReaction',
    async prepare({ owner, say }) {
      return {
        account: owner,
        input: { messageId: await say(), emoji: '👍' },
        events: ['REACTIONS_CHANGED'],
        holds: `SELECT count(*) = 1 FROM chat_reaction WHERE room_id = $1`,
      };
    },
  },
  {
    name: 'removeReaction',
    async prepare({ owner, say, run }) {
      const input = { messageId: await say(), emoji: '👍' };
      await run(owner, 'addReaction', input);
      return {
        account: owner,
        input,
        events: ['REACTIONS_CHANGED'],
        holds: `SELECT count(*) = 0 FROM chat_reaction WHERE room_id = $1`,
      };
    },
  },
  {
    name: 'createRoom',
    prepare: async ({ stranger, member }) => ({
      account: stranger,
      input: { name: 'Made once', userIds: [member.id], idempotencyKey: newId() },
      events: ['PARTICIPANT_JOINED', 'PARTICIPANT_JOINED'],
      holds: `SELECT (SELECT count(*) = 1 FROM room WHERE created_by_id = '${stranger.userId}')
                AND (SELECT count(*) = 2 FROM room_participant WHERE room_id = $1)
                AND (SELECT participant_count = 2 FROM room WHERE id = $1)`,
      madeRoom: `SELECT id FROM room WHERE created_by_id = '${stranger.userId}'`,
    }),
  },
  {
    name: 'openDirectRoom',
    prepare: async ({ stranger, member }) => ({
      account: stranger,
      input: { userId: member.id },
      events: ['PARTICIPANT_JOINED', 'PARTICIPANT_JOINED'],
      holds: `SELECT (SELECT count(*) = 1 FROM room WHERE direct_key LIKE '%${stranger.userId}%')
                AND (SELECT count(*) = 2 FROM room_participant WHERE room_id = $1)
                AND (SELECT participant_count = 2 FROM room WHERE id = $1)`,
      madeRoom: `SELECT id FROM room WHERE direct_key LIKE '%${stranger.userId}%'`,
    }),
  },
  {
    name: 'addParticipants',
    prepare: async ({ owner, stranger, room }) => ({
      account: owner,
      input: { roomId: room.id, userIds: [stranger.id] },
      events: ['PARTICIPANT_JOINED'],
      holds: `SELECT ${stays(stranger, 'count(*) = 1')}
                AND (SELECT participant_count = 4 FROM room WHERE id = $1)`,
    }),
  },
  {
    name: 'removeParticipant',
    prepare: async (scene) => ({
      account: scene.owner,
      input: { roomId: scene.room.id, userId: scene.member.id },
      events: ['PARTICIPANT_LEFT'],
      holds: `SELECT ${standing(scene.member, `p.left_reason = 'REMOVED'`)}
                AND (SELECT participant_count = 2 FROM room WHERE id = $1)
                AND ${auditedOnce(scene.owner)}`,
    }),
  },
  {
    name: 'leaveRoom',
    prepare: async ({ member, room }) => ({
      account: member,
      input: { roomId: room.id },
      events: ['PARTICIPANT_LEFT'],
      holds: `SELECT ${standing(member, `p.left_reason = 'LEFT'`)}
                AND ${stays(member, 'count(*) = 1 AND bool_and(s.left_position IS NOT NULL)')}
                AND (SELECT participant_count = 2 FROM room WHERE id = $1)`,
    }),
  },
  {
    name: 'banParticipant',
    prepare: async (scene) => ({
      account: scene.moderator,
      input: { roomId: scene.room.id, userId: scene.member.id, until: LATER },
      events: ['PARTICIPANT_LEFT'],
      holds: `SELECT ${standing(scene.member, `p.left_reason = 'BANNED' AND p.banned_until = '${LATER}'`)}
                AND ${auditedOnce(scene.moderator)}`,
    }),
  },
  {
    name: 'unbanParticipant',
    async prepare(scene) {
      const { owner, moderator, member, room, run } = scene;
      const input = { roomId: room.id, userId: member.id };
      await run(owner, 'banParticipant', { ...input, until: LATER });
      return {
        account: moderator,
        input,
        events: ['PARTICIPANT_UPDATED'],
        holds: `SELECT ${standing(member, 'p.banned_at IS NULL')} AND ${auditedOnce(moderator)}`,
      };
    },
  },
  {
    name: 'muteParticipant',
    prepare: async (scene) => ({
      account: scene.moderator,
      input: { roomId: scene.room.id, userId: scene.member.id, until: LATER },
      events: ['PARTICIPANT_UPDATED'],
      holds: `SELECT ${standing(scene.member, `p.muted_until = '${LATER}'`)}
                AND ${auditedOnce(scene.moderator)}`,
    }),
  },
  {
    name: 'unmuteParticipant',
    async prepare(scene) {
      const { owner, moderator, member, room, run } = scene;
      const input = { roomId: room.id, userId: member.id };
      await run(owner, 'muteParticipant', { ...input, until: LATER });
      return {
        account: moderator,
        input,
        events: ['PARTICIPANT_UPDATED'],
        holds: `SELECT ${standing(member, 'p.muted_at IS NULL')} AND ${auditedOnce(moderator)}`,
      };
    },
  },
  {
    name: 'setParticipantRole',
    prepare: async (scene) => ({
      account: scene.owner,
      input: { roomId: scene.room.id, userId: scene.member.id, role: 'MODERATOR' },
      events: ['PARTICIPANT_UPDATED'],
      holds: `SELECT ${standing(scene.member, `p.role = 'MODERATOR'`)}
                AND ${auditedOnce(scene.owner)}`,
    }),
  },
  {
    name: 'updateRoom',
    prepare: async ({ owner, room }) => ({
      account: owner,
      input: { roomId: room.id, name: 'Renamed' },
      events: ['ROOM_UPDATED'],
      holds: `SELECT name = 'Renamed' FROM room WHERE id = $1`,
    }),
  },
  {
    name: 'archiveRoom',
    prepare: async ({ owner, room }) => ({
      account: owner,
      input: { roomId: room.id },
      events: ['ROOM_UPDATED'],
      holds: `SELECT archived_at IS NOT NULL FROM room WHERE id = $1`,
    }),
  },
  {
    name: 'unarchiveRoom',
    async prepare({ owner, room, run }) {
      const input = { roomId: room.id };
      await run(owner, 'archiveRoom', input);
      return {
        account: owner,
        input,
        events: ['ROOM_UPDATED'],
        holds: `SELECT archived_at IS NULL FROM room WHERE id = $1`,
      };
    },
  },
  {
    name: 'markRead',
    async prepare({ owner, room, say }) {
      await say();
      const upToMessageId = await say();
      return {
        account: owner,
        input: { roomId: room.id, upToMessageId },
        events: [],
        holds: `SELECT ${standing(owner, 'p.read_sequence = 2 AND p.read_at IS NOT NULL')}`,
      };
    },
  },
  {
    name: 'setTyping',
    prepare: async ({ member, room }) => ({
      account: member,
      input: { roomId: room.id, isTyping: true },
      events: [],
      holds: `SELECT last_position = 3 FROM room WHERE id = $1`,
    }),
  },
  {
    name: 'broadcastToRoom',
    prepare: async ({ owner, room }) => ({
      account: owner,
      input: { roomId: room.id, message: { text: 'once' }, idempotencyKey: newId() },
      events: [],
      holds: `SELECT count(*) = 1 FROM room_broadcast WHERE channel = $1::uuid::text`,
    }),
  },
  {
    name: 'reportMessage',
    async prepare({ owner, say }) {
      return {
        account: owner,
        input: { messageId: await say(), reason: 'SPAM', note: 'once' },
        events: [],
        holds: `SELECT count(*) = 1 FROM message_report WHERE room_id = $1`,
      };
    },
  },
  {
    name: 'resolveReport',
    async prepare(scene) {
      const { world, owner, moderator, room, say, run } = scene;
      const messageId = await say();
      await run(owner, 'reportMessage', { messageId, reason: 'SPAM' });
      const [report] = await world.query<{ id: string }>(
        'SELECT id FROM message_report WHERE room_id = $1',
        [room.roomId],
      );
      return {
        account: moderator,
        input: {
          reportId: encodeGlobalId('MessageReport', report?.id ?? ''),
          outcome: 'UPHELD',
          deleteMessage: true,
        },
        events: ['MESSAGE_DELETED'],
        holds: `SELECT r.state = 'UPHELD' AND r.resolved_by_id = '${moderator.userId}'
                  AND (SELECT deleted_at IS NOT NULL FROM chat_message WHERE id = '${uuidOf(messageId)}')
                FROM message_report r WHERE r.room_id = $1`,
      };
    },
  },
];

/** People and a room that nobody else uses. */
export async function setRetryScene(world: World, prefix: string): Promise<RetryScene> {
  const [owner, moderator, member, stranger] = await addAccounts(world.query, prefix, 4);
  if (!owner || !moderator || !member || !stranger) throw new Error('There are four of them');
  const room = await storeRoom(world.query, { owner, moderators: [moderator], members: [member] });
  const run: RetryScene['run'] = async ({ token }, name, input) => {
    const { type, message, result } = await callRooms({
      nodeUrl: world.nodeUrls[0],
      token,
      name,
      input,
    });
    if (type !== succeeded(name)) throw new Error(`${name} beforehand: ${type} ${message}`);
    return result;
  };
  return {
    world,
    owner,
    moderator,
    member,
    stranger,
    room,
    run,
    async say() {
      const input = { roomId: room.id, clientMessageId: newId(), body: 'something' };
      const { chatMessage } = await run(member, 'sendMessage', input);
      return (chatMessage as { readonly id: string }).id;
    },
  };
}
