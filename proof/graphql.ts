// An operation against whichever node answers. A node may die at any moment, so that no answer means
// nothing: neither that it was done nor that it was not.

const TIMEOUT_MS = 10_000;

export interface GraphQLFailure {
  readonly message: string;
  readonly extensions?: { readonly code?: string };
}

/** Null when no answer came, or one that says "not now". Throws for any other error: nobody may see one. */
export async function ask<Data>(
  nodeUrl: string,
  token: string,
  query: string,
  variables: unknown,
): Promise<Data | null> {
  const answer = await fetch(`${nodeUrl}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  })
    .then(
      async (response) => (await response.json()) as { data?: Data; errors?: GraphQLFailure[] },
      () => null,
    )
    .catch(() => null);
  if (answer === null) return null;
  if (answer.errors?.some(({ extensions }) => extensions?.code === 'UNAVAILABLE')) return null;
  if (answer.errors || answer.data === undefined) {
    throw new Error(`Refused: ${JSON.stringify(answer.errors ?? answer)}`);
  }
  return answer.data;
}
