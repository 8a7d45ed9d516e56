// What is done in rooms, through the door, by one of their people; answers with the type of the result, which is
// expected to be the success unless the test wants to know.
import { randomUUID } from 'node:crypto';
import { post } from './graphql-client.ts';
import type { MadeRoom, Member } from './rooms.ts';

type Room = Pick<MadeRoom, 'id'>;
type Person = Pick<Member, 'id'>;

export interface Acts {
  /** Any of the mutations whose only argument is `input`: the type of its result, and that. */
  act(
    actor: Pick<Member, 'token'>,
    name: string,
    input: object,
    selection?: string,
    // biome-ignore lint/suspicious/noExplicitAny: the shape is the selection's
  ): Promise<any>;
  /** The message's id. */
  say(actor: Pick<Member, 'token'>, room: Room, body: string): Promise<string>;
  edit(actor: Pick<Member, 'token'>, messageId: string, body: string): Promise<void>;
  erase(actor: Pick<Member, 'token'>, messageId: string): Promise<void>;
  react(actor: Pick<Member, 'token'>, messageId: string, emoji: string): Promise<void>;
  unreact(actor: Pick<Member, 'token'>, messageId: string, emoji: string): Promise<void>;
  add(actor: Pick<Member, 'token'>, room: Room, person: Person): Promise<void>;
  remove(actor: Pick<Member, 'token'>, room: Room, person: Person): Promise<void>;
  ban(actor: Pick<Member, 'token'>, room: Room, person: Person): Promise<void>;
  leave(actor: Pick<Member, 'token'>, room: Room): Promise<void>;
  rename(actor: Pick<Member, 'token'>, room: Room, name: string): Promise<void>;
}

/** Of a success of `sendMessage`: the message, as `sent`. */
export const SENT = '... on SendMessageSucceeded { sent: chatMessage { id } }';

/** `urlOf` says which node is asked next. */
export function createActs(urlOf: () => string): Acts {
  const act: Acts['act'] = async (actor, name, input, selection = '') => {
    const type = `${name[0]?.toUpperCase()}${name.slice(1)}`;
    const query = `mutation ($input: ${type}Input!) { result: ${name}(input: $input) {
      __typename ... on Error { code reason: message } ${selection} } }`;
    const { result } = await post(urlOf(), { query, variables: { input } }, actor.token);
    if (result.errors) throw new Error(`${name}: ${JSON.stringify(result.errors)}`);
    return result.data.result;
  };
  const done = async (...args: Parameters<Acts['act']>) => {
    const result = await act(...args);
    if ('code' in result) throw new Error(`${args[1]}: ${JSON.stringify(result)}`);
    return result;
  };
  return {
    act,
    async say(actor, room, body) {
      const input = { roomId: room.id, clientMessageId: randomUUID(), body };
      return (await done(actor, 'sendMessage', input, SENT)).sent.id;
    },
    async edit(actor, messageId, body) {
      await done(actor, 'editMessage', { messageId, body });
    },
    async erase(actor, messageId) {
      await done(actor, 'deleteMessage', { messageId });
    },
    async react(actor, messageId, emoji) {
      await done(actor, 'addReaction', { messageId, emoji });
    },
    async unreact(actor, messageId, emoji) {
      await done(actor, 'removeReaction', { messageId, emoji });
    },
    async add(actor, room, person) {
      await done(actor, 'addParticipants', { roomId: room.id, userIds: [person.id] });
    },
    async remove(actor, room, person) {
      await done(actor, 'removeParticipant', { roomId: room.id, userId: person.id });
    },
    async ban(actor, room, person) {
      await done(actor, 'banParticipant', { roomId: room.id, userId: person.id });
    },
    async leave(actor, room) {
      await done(actor, 'leaveRoom', { roomId: room.id });
    },
    async rename(actor, room, name) {
      await done(actor, 'updateRoom', { roomId: room.id, name });
    },
  };
}
