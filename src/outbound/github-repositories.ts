// Which repositories a person may see, as GitHub says it with that person's token. `/user/repos` serves
// the tokens of both kinds of client: a GitHub App's shows private repositories where the App is installed.
import { z } from 'zod';
import { storableText } from '#lib/storable-text.ts';
import { type GitHubApi, limited, parseBody, unexpected } from './github-api.ts';

export interface GitHubRepository {
  readonly id: bigint;
  readonly fullName: string;
  readonly ownerId: bigint;
  readonly isPrivate: boolean;
}

export interface GitHubRepositoryPage {
  readonly repositories: readonly GitHubRepository[];
  /** To ask next time whether the page has changed; null where GitHub gave none. */
  readonly etag: string | null;
  readonly hasNext: boolean;
}

/** Every call throws `UnavailableError` when GitHub is away or limits us: its `retryAfterSeconds` counts. */
export interface GitHubRepositories {
  /**
   * A page, from 1 on, of 100 of those that the person owns, or sees as a collaborator or a member of an
   * organisation. SAME: it is what it was when it had this ETag.
   */
  listRepositories(
    accessToken: string,
    input: { readonly page: number; readonly etag: string | null },
  ): Promise<GitHubRepositoryPage | 'SAME' | 'REFUSED'>;
  /** By its number. Null where there is none that this person may see. */
  getRepository(accessToken: string, id: bigint): Promise<GitHubRepository | 'REFUSED' | null>;
}

export const PAGE_SIZE = 100;
/** A hundred repositories are about 600 KB, as GitHub describes each. */
const PAGE_BYTES_MAX = 4 * 2 ** 20;
const LIST =
  `/user/repos?per_page=${PAGE_SIZE}&sort=full_name` +
  '&affiliation=owner,collaborator,organization_member';

const repositoryShape = z.object({
  id: z.int().positive(),
  full_name: z.string(),
  private: z.boolean(),
  owner: z.object({ id: z.int().positive() }),
});
const pageShape = z.array(repositoryShape);
const refusalShape = z.object({ message: z.string() });

export function createGitHubRepositories(api: GitHubApi): GitHubRepositories {
  return {
    async listRepositories(accessToken, { page, etag }) {
      const headers = {
        authorization: `Bearer ${accessToken}`,
        ...(etag !== null && { 'if-none-match': etag }),
      };
      const response = await api.callApi(`${LIST}&page=${page}`, { headers }, PAGE_BYTES_MAX);
      if (response.status === 401) return 'REFUSED';
      if (response.status === 304 && etag !== null) return 'SAME';
      await refuseUnmarkedLimit(response);
      const repositories = (await parseBody(response, pageShape)).map(repositoryOf);
      return {
        repositories,
        etag: etagOf(response),
        // A link tells of a page behind one that hides some; a full page is worth a look on any GitHub.
        hasNext: repositories.length === PAGE_SIZE || linksToNext(response),
      };
    },

    async getRepository(accessToken, id) {
      const headers = { authorization: `Bearer ${accessToken}` };
      const response = await api.callApi(`/repositories/${id}`, { headers });
      if (response.status === 401) return 'REFUSED';
      await refuseUnmarkedLimit(response);
      // Gone, hidden, not for this token, or blocked by law.
      if ([403, 404, 410, 451].includes(response.status)) return null;
      const repository = repositoryOf(await parseBody(response, repositoryShape));
      if (repository.id !== id) throw unexpected(response);
      return repository;
    },
  };
}

/** A secondary limit may be told in words only, and must not be taken for a refusal. */
async function refuseUnmarkedLimit(response: Response): Promise<void> {
  if (response.status !== 403) return;
  const told = refusalShape.safeParse(
    await response
      .clone()
      .json()
      .catch(() => null),
  );
  if (told.success && /rate limit|abuse detection/i.test(told.data.message))
    throw limited(response.headers);
}

function repositoryOf(shown: z.infer<typeof repositoryShape>): GitHubRepository {
  return {
    id: BigInt(shown.id),
    fullName: storableText(shown.full_name) ?? '',
    ownerId: BigInt(shown.owner.id),
    isPrivate: shown.private,
  };
}

function linksToNext(response: Response): boolean {
  return /;\s*rel="?next"?/.test(response.headers.get('link') ?? '');
}

function etagOf(response: Response): string | null {
  const etag = storableText(response.headers.get('etag'));
  return etag !== null && etag.length > 0 && etag.length <= 200 ? etag : null;
}
