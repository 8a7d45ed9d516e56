// Asking Naru over GraphQL, as any other client does.
import { endSentence, fromNow } from './words.js';

export class Refusal extends Error {
  constructor(code, message, field) {
    super(message);
    this.code = code;
    this.field = field;
  }
}

export async function ask(query, variables) {
  let answer;
  try {
    const response = await fetch('/graphql', {
      method: 'POST',
      // The header is one that no other site can have a browser send.
      headers: {
        'content-type': 'application/json',
        accept: 'application/json',
        'x-naru-csrf': '1',
      },
      body: JSON.stringify({ query, variables }),
    });
    answer = await response.json();
  } catch {
    throw new Refusal('UNREACHABLE', 'Naru cannot be reached. Try again in a moment.', null);
  }
  const [error] = answer.errors ?? [];
  if (error === undefined) return answer.data;
  // A value that is none of its type, such as an e-mail address, is refused before anything runs.
  const [, field] = /"input\.(\w+)"/.exec(error.message) ?? [];
  const message = field === undefined ? error.message : 'This is not as it should be.';
  throw new Refusal(error.extensions?.code, message, field ?? null);
}

export async function mutate(name, selection, input) {
  const type = `${name[0].toUpperCase()}${name.slice(1)}Input`;
  const [declared, given] = input ? [`($input: ${type}!)`, '(input: $input)'] : ['', ''];
  const data = await ask(
    `mutation ${declared} { ${name}${given} { __typename ${selection} ... on Error { code message
       ... on InvalidInputError { field } ... on RateLimitedError { retryAfterSeconds } } } }`,
    { input },
  );
  const result = data[name];
  if (result.code === undefined) return result;
  const wait = result.retryAfterSeconds ? ` Try again ${fromNow(result.retryAfterSeconds)}.` : '';
  const field = result.field?.split('.').at(-1) ?? null;
  throw new Refusal(result.code, endSentence(result.message) + wait, field);
}
