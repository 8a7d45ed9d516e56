// What the stand-in for GitHub says of repositories: who may see which, in pages, with ETags and limits.
import { hash } from 'node:crypto';

export interface StandInRepository {
  readonly id: number;
  readonly fullName: string;
  readonly ownerId: number;
  readonly isPrivate?: boolean;
}

export interface Asked {
  readonly personId: number;
  /** Null where one repository was asked for. */
  readonly page: number | null;
}

export interface StandInRepositories {
  /** Adds a repository, or changes the one with this id. */
  put(repository: StandInRepository): void;
  remove(id: number): void;
  /** Makes the person an owner, collaborator or member. */
  grant(id: number, personId: number): void;
  revoke(id: number, personId: number): void;
  /** What was answered: in full, with 304, and of one repository. */
  readonly counts: { full: number; same: number; single: number };
  /** Runs when an answer is made and before it is sent: what happens elsewhere while it is on its way. */
  onTheWay: ((asked: Asked) => Promise<unknown>) | null;
  /** Refuses what is asked for so long, in one of the ways in which GitHub says so. */
  limit: { readonly seconds: number; readonly told: 'retry-after' | 'reset' | 'words' } | null;
  answer(asked: AskedOf): Promise<StandInAnswer | null>;
}

interface AskedOf {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly ifNoneMatch: string | undefined;
  readonly token: string;
  /** An OAuth App's token without the scope `repo` shows public repositories only. */
  readonly seesPrivate: boolean;
  readonly personId: number;
}

export interface StandInAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

const LIST_QUERY = 'per_page=100&sort=full_name&affiliation=owner,collaborator,organization_member';

export function createStandInRepositories(fault: (what: string) => void): StandInRepositories {
  const known = new Map<number, StandInRepository>();
  const people = new Map<number, Set<number>>();

  const shown = ({ id, fullName, ownerId, isPrivate = true }: StandInRepository) => ({
    id,
    full_name: fullName,
    private: isPrivate,
    owner: { id: ownerId, login: fullName.split('/')[0] },
  });
  const isShared = (id: number, personId: number) => people.get(id)?.has(personId) ?? false;
  const isHidden = ({ isPrivate = true }: StandInRepository, seesPrivate: boolean) =>
    isPrivate && !seesPrivate;

  function list({ query, ifNoneMatch, token, seesPrivate, personId }: AskedOf): StandInAnswer {
    const page = Number(query.get('page'));
    const asked = `per_page=${query.get('per_page')}&sort=${query.get('sort')}&affiliation=${query.get('affiliation')}`;
    if (asked !== LIST_QUERY || !(page >= 1)) fault(`repositories were asked for with ${query}`);
    const visible = [...known.values()]
      .filter((one) => isShared(one.id, personId) && !isHidden(one, seesPrivate))
      .toSorted((one, other) => (one.fullName < other.fullName ? -1 : 1));
    const body = visible.slice((page - 1) * 100, page * 100).map(shown);
    // As GitHub's: of the page alone, whatever follows it, and of the token.
    const etag = `W/"${hash('sha256', JSON.stringify([token, body]))}"`;
    const next = `<https://api.github.test/user/repos?page=${page + 1}>; rel="next"`;
    const headers = { etag, ...(visible.length > page * 100 && { link: next }) };
    if (ifNoneMatch !== etag) {
      standIn.counts.full += 1;
      return { status: 200, headers, body };
    }
    standIn.counts.same += 1;
    return { status: 304, headers: { etag }, body: null };
  }

  function single(id: number, { personId, seesPrivate }: AskedOf): StandInAnswer {
    standIn.counts.single += 1;
    const repository = known.get(id);
    const isVisible = repository?.isPrivate === false || isShared(id, personId);
    if (repository === undefined || !isVisible || isHidden(repository, seesPrivate)) {
      return { status: 404, headers: {}, body: { message: 'Not Found' } };
    }
    return { status: 200, headers: {}, body: shown(repository) };
  }

  function refuse({ seconds, told }: NonNullable<StandInRepositories['limit']>): StandInAnswer {
    const reset = Math.floor(Date.now() / 1_000) + seconds;
    const headers = {
      'retry-after': { 'retry-after': String(seconds) },
      reset: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(reset) },
      words: {},
    };
    const body = { message: 'You have exceeded a secondary rate limit.' };
    return { status: 403, headers: headers[told], body };
  }

  const standIn: StandInRepositories = {
    put: (repository) => known.set(repository.id, repository),
    remove: (id) => known.delete(id),
    grant(id, personId) {
      people.set(id, (people.get(id) ?? new Set()).add(personId));
    },
    revoke: (id, personId) => people.get(id)?.delete(personId),
    counts: { full: 0, same: 0, single: 0 },
    onTheWay: null,
    limit: null,
    async answer(asked) {
      const [, id] = asked.path.match(/^\/repositories\/(\d+)$/) ?? [];
      if (asked.path !== '/user/repos' && id === undefined) return null;
      if (standIn.limit !== null) return refuse(standIn.limit);
      const made = id === undefined ? list(asked) : single(Number(id), asked);
      const page = id === undefined ? Number(asked.query.get('page')) : null;
      await standIn.onTheWay?.({ personId: asked.personId, page });
      return made;
    },
  };
  return standIn;
}
