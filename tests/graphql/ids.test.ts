// What is no id, or the id of something else, is refused by the path that it came in at.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encodeGlobalId } from '#lib/global-id.ts';
import { newId } from '#lib/ids.ts';
import { post } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';

let naru: TestNaru;
let token: string;

beforeAll(async () => {
  naru = await startNaru({ runsJobs: false });
  token = await naru.tokenFor('alice');
});
afterAll(() => naru?.close());

const USER = encodeGlobalId('User', newId());
const ROOM = encodeGlobalId('Room', newId());

const ask = async (query: string) => (await post(naru.url, { query }, token)).result;

test.each([
  ['createRoom(input: { name: "a", userIds: ["junk"] })', 'input.userIds.0'],
  [`createRoom(input: { name: "a", userIds: ["${USER}", "${ROOM}"] })`, 'input.userIds.1'],
  ['sendMessage(input: { roomId: "junk", clientMessageId: "a", body: "b" })', 'input.roomId'],
  [`sendMessage(input: { roomId: "${USER}", clientMessageId: "a", body: "b" })`, 'input.roomId'],
  [
    `sendMessage(input: { roomId: "${ROOM}", replyToId: "junk", clientMessageId: "a", body: "b" })`,
    'input.replyToId',
  ],
  [
    `sendMessage(input: { roomId: "${ROOM}", mentionIds: ["${USER}", ""], clientMessageId: "a", body: "b" })`,
    'input.mentionIds.1',
  ],
])('a mutation names it: %s', async (call, field) => {
  const result = await ask(
    `mutation { it: ${call} { __typename ... on InvalidInputError { field } } }`,
  );
  expect(result).toMatchObject({ data: { it: { __typename: 'InvalidInputError', field } } });
});

test.each([
  ['room(id: "junk") { id }', 'id'],
  [`room(id: "${USER}") { id }`, 'id'],
  ['nodes(ids: ["junk"]) { id }', 'ids.0'],
])('a read fails with its path: %s', async (read, field) => {
  const { errors } = await ask(`{ ${read} }`);
  expect(errors).toMatchObject([{ extensions: { code: 'INVALID_INPUT', field } }]);
});
