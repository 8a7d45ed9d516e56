import { UnavailableError } from '#lib/errors.ts';
import type { GitHub } from '#outbound/github.ts';
import type { GitHubRepositoryPage } from '#outbound/github-repositories.ts';

/** Whom a repository belongs to, by its number at GitHub. */
export type Listed = ReadonlyMap<bigint, { readonly ownerId: bigint }>;

export interface ListedAnswer {
  readonly listed: Listed;
  /** One a page, to ask next time for changes only; none where GitHub gave not all of them. */
  readonly etags: readonly string[];
  /** There are more than we ask for. */
  readonly isCut: boolean;
}

/** 10,000 repositories, and as many as a person's hourly limit bears once in five minutes. */
const PAGES_MAX = 100;

interface ChangedPage {
  readonly page: number;
  readonly answer: GitHubRepositoryPage;
}

/**
 * Every repository that the token's owner sees; SAME where no page has changed since it had its ETag.
 * Repositories do not stay on their pages, so that with one changed page all are read. Throws
 * `UnavailableError` when GitHub is away or limits us.
 */
export async function listRepositories(
  github: GitHub,
  accessToken: string,
  etags: readonly string[],
): Promise<ListedAnswer | 'SAME' | 'REFUSED'> {
  const changed = etags.length === 0 ? null : await findChange(github, accessToken, etags);
  if (changed === 'SAME' || changed === 'REFUSED') return changed;
  const listed = new Map<bigint, { readonly ownerId: bigint }>();
  const newEtags: string[] = [];
  let hasNext = true;
  let page = 1;
  for (; hasNext && page <= PAGES_MAX; page += 1) {
    const answer =
      changed?.page === page
        ? changed.answer
        : await github.listRepositories(accessToken, { page, etag: null });
    if (answer === 'REFUSED') return answer;
    if (answer === 'SAME') throw new UnavailableError('GitHub does not answer as expected');
    // One that moved to the next page while we asked comes twice.
    for (const { id, ownerId } of answer.repositories) listed.set(id, { ownerId });
    if (answer.etag !== null) newEtags.push(answer.etag);
    hasNext = answer.hasNext;
  }
  const isWhole = newEtags.length === page - 1;
  return { listed, etags: isWhole ? newEtags : [], isCut: hasNext };
}

async function findChange(
  github: GitHub,
  accessToken: string,
  etags: readonly string[],
): Promise<ChangedPage | 'SAME' | 'REFUSED'> {
  for (const [index, etag] of etags.entries()) {
    const page = index + 1;
    const answer = await github.listRepositories(accessToken, { page, etag });
    if (answer === 'REFUSED') return answer;
    if (answer !== 'SAME') return { page, answer };
  }
  return 'SAME';
}
