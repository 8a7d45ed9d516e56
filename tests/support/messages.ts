// Messages as clients send and read them.
import { randomUUID } from 'node:crypto';
import { post } from './graphql-client.ts';
import { mutate } from './mutations.ts';
import type { MadeRoom, Member } from './rooms.ts';

export const MESSAGE = `id sequence body clientMessageId revision editedAt deletedAt createdAt cursor
  author { id username } replyTo { id body } mentions { id }
  attachments { url mediaType byteSize name width height }
  reactions { emoji count viewerHasReacted users { id } } edits { revision body }`;

type Token = Pick<Member, 'token'>;
// biome-ignore lint/suspicious/noExplicitAny: the shape is `MESSAGE`, or an error's
type Answer = any;

/** What came of `sendMessage`, with an id of its own unless told. */
export function send(
  url: string,
  by: Token,
  { id: roomId }: Pick<MadeRoom, 'id'>,
  input: string | Readonly<Record<string, unknown>>,
): Promise<Answer> {
  const given = typeof input === 'string' ? { body: input } : input;
  return change(url, by, 'sendMessage', { roomId, clientMessageId: randomUUID(), ...given });
}

/** What came of a mutation that answers with a message: `message` is that, or what the error says. */
export async function change(
  url: string,
  { token }: Token,
  field: 'sendMessage' | 'editMessage' | 'deleteMessage' | 'addReaction' | 'removeReaction',
  input: Readonly<Record<string, unknown>>,
): Promise<Answer> {
  const selection = `changed: chatMessage { ${MESSAGE} }`;
  const { changed, ...answer } = await mutate(url, field, input, { token, selection });
  return changed === undefined ? answer : { ...answer, message: changed };
}

/** `room` of the query as this account reads it. Throws where the operation failed. */
export async function readRoom(
  url: string,
  { token }: Token,
  { id }: Pick<MadeRoom, 'id'>,
  selection: string,
  variables: Readonly<Record<string, unknown>> = {},
): Promise<Answer> {
  const declared = Object.keys(variables).map((name) => `, $${name}: ${TYPES[name] ?? 'String'}`);
  const query = `query ($id: ID!${declared.join('')}) { room(id: $id) { ${selection} } }`;
  const { result } = await post(url, { query, variables: { id, ...variables } }, token);
  if (result.errors !== undefined) throw new Error(JSON.stringify(result.errors));
  return result.data.room;
}

const TYPES: Readonly<Record<string, string>> = {
  first: 'Int',
  last: 'Int',
  query: 'String!',
  authorId: 'ID',
  from: 'DateTime',
  to: 'DateTime',
};

/** A message as `node` shows it; null where it shows none. */
export async function readMessage(url: string, { token }: Token, id: string): Promise<Answer> {
  const query = `query ($id: ID!) { node(id: $id) { ... on ChatMessage { ${MESSAGE} } } }`;
  const { result } = await post(url, { query, variables: { id } }, token);
  if (result.errors !== undefined) throw new Error(JSON.stringify(result.errors));
  return result.data.node;
}
