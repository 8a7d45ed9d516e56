import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SEED_PASSWORD } from '../../prisma/seed.ts';
import { post } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { refresh, signIn } from '../support/sessions.ts';

let naru: TestNaru;

beforeAll(async () => {
  naru = await startNaru();
});
afterAll(() => naru.close());

const VIEWER = { query: '{ viewer { username } }' };

describe('signing in', () => {
  test.each(['alice', 'ALICE', 'alice@example.com', ' Alice@Example.com '])(
    'takes the login %j in any case',
    async (login) => {
      const { result } = await signIn(naru.url, { login });
      expect(result.data.signIn).toMatchObject({
        __typename: 'SignedIn',
        user: { username: 'alice' },
        session: { isCurrent: false },
      });
    },
  );

  test('by tokens gives an access token that proves the viewer', async () => {
    const { result } = await signIn(naru.url);
    const { accessToken } = result.data.signIn;
    expect((await post(naru.url, VIEWER, accessToken)).result.data).toEqual({
      viewer: { username: 'alice' },
    });
  });

  test.each([
    ['a wrong password', { password: 'not this one at all' }],
    ['an unknown login', { login: 'nobody' }],
    ['no text at all', { login: '', password: '' }],
  ])('with %s is refused with the same words', async (_name, given) => {
    const { result } = await signIn(naru.url, given);
    expect(result.data.signIn).toEqual({
      __typename: 'InvalidCredentialsError',
      code: 'INVALID_CREDENTIALS',
      message: 'Login and password do not match',
    });
  });

  test('a refresh gives tokens that count, and spends the token', async () => {
    const { result } = await signIn(naru.url);
    const { refreshToken } = result.data.signIn;
    const first = await refresh(naru.url, refreshToken);
    expect(first.__typename).toBe('SessionRefreshed');
    expect((await post(naru.url, VIEWER, first.accessToken)).result.data.viewer).toEqual({
      username: 'alice',
    });
    const again = await refresh(naru.url, refreshToken);
    expect(again.refreshToken).toBe(first.refreshToken);
    expect((await refresh(naru.url, first.refreshToken)).__typename).toBe('SessionRefreshed');
    expect((await refresh(naru.url, refreshToken)).__typename).toBe('UnauthenticatedError');
  });
});

test('the seeded password is one that the policy takes', async () => {
  const { result } = await post(naru.url, {
    query: `mutation ($input: SignUpInput!) { signUp(input: $input) { __typename } }`,
    variables: {
      input: {
        email: 'x@example.com',
        username: 'xavier',
        displayName: 'X',
        password: SEED_PASSWORD,
      },
    },
  });
  expect(result.data.signUp).toEqual({ __typename: 'SignUpAccepted' });
});
