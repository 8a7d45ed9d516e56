import type { Services } from '#context.ts';
import { UnavailableError } from '#lib/errors.ts';
import { createSlots } from '#lib/slots.ts';
import type { GitHub } from '#outbound/github.ts';
import { reportRefusedGitHubToken, useGitHubToken } from '#resolvers/users/github-link.ts';
import { listRepositories } from './ask.ts';
import { takeLease } from './lease.ts';
import { storeListed } from './listed-answer.ts';
import { type Asking, listDue, prolong, readSet, type SetState } from './permission-set.ts';
import { listSingles, storeSingle } from './single-answer.ts';

/** What GitHub says of who may see which repository, kept in PostgreSQL, where whoever hands out reads it. */
export interface Permissions {
  /**
   * Asks GitHub, unless it has just been asked and nothing has happened since; who comes while it is being
   * asked gets the same answer. Whatever comes of it is in PostgreSQL then: nothing is thrown because
   * GitHub is away, limits us, or takes the link's token no longer. Throws when PostgreSQL is away.
   */
  refresh(userId: string): Promise<void>;
  /** Keeps the user's answer fresh on this node until what this returns is called; twice is once. */
  follow(userId: string): () => void;
  /** For a job: asks about those of the followed whose answer is about to stop counting. */
  refreshFollowed(): Promise<void>;
}

type Deps = Pick<Services, 'config' | 'database' | 'github' | 'log' | 'redis' | 'session'>;

const USERS_AT_ONCE_MAX = 4;
const ROUNDS_MAX = 5;
/** GitHub is then left alone for a while: what changes all the time would use up the user's budget. */
const ROUNDS_REST_MS = 5_000;
/** What was answered so lately is not asked again, unless something has happened since. */
const PAUSE_MS = 2_000;

export function createPermissions(app: Deps): Permissions {
  const { database, log, redis } = app;
  const underWay = new Map<string, Promise<void>>();
  const followers = new Map<string, number>();
  /** Until when GitHub is left alone about a user, by the database's clock. */
  const restsUntil = new Map<string, number>();
  const slots = createSlots(USERS_AT_ONCE_MAX);

  function isToAsk(state: SetState | null, seen: SetState | null): state is SetState {
    if (state === null) return false;
    const now = state.beganAt.getTime();
    if (now < (restsUntil.get(state.userId) ?? 0)) return false;
    if (!state.isSound || state.checkedAt === null) return true;
    // Somebody else has been answered since we began.
    if (seen !== null && state.checkedAt.getTime() !== seen.checkedAt?.getTime()) return false;
    return now - state.checkedAt.getTime() >= PAUSE_MS;
  }

  async function run(github: GitHub, userId: string): Promise<void> {
    const seen = await readSet(database, userId);
    if (!isToAsk(seen, null)) return;
    const isAnswered = async () => !isToAsk(await readSet(database, userId), seen);
    const release = await takeLease(redis, userId, isAnswered);
    if (release === null) return;
    try {
      await slots(() => askInRounds(github, userId, seen));
    } finally {
      await release();
    }
  }

  /** No connection to PostgreSQL is held while GitHub thinks, so what happens meanwhile makes a round void. */
  async function askInRounds(github: GitHub, userId: string, seen: SetState): Promise<void> {
    let { beganAt } = seen;
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      const state = await readSet(database, userId);
      if (!isToAsk(state, seen)) return;
      if (await ask(github, state)) return;
      ({ beganAt } = state);
    }
    restsUntil.set(userId, beganAt.getTime() + ROUNDS_REST_MS);
    log.warn({ userId }, 'Permissions changed faster than GitHub could be asked');
  }

  /** False where what it came to does not count. */
  async function ask(github: GitHub, state: SetState): Promise<boolean> {
    const { userId } = state;
    try {
      const accessToken = await useGitHubToken(app, userId);
      if (accessToken === null) return true;
      const outcome = await askAll(github, accessToken, state);
      if (outcome === 'REFUSED') await reportRefusedGitHubToken(app, { userId, accessToken });
      else restsUntil.delete(userId);
      return outcome === 'STORED';
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
      log.warn({ err: error, userId }, 'GitHub does not say now who may see what');
      const now = await prolong(app, state);
      restsUntil.set(userId, now.getTime() + error.retryAfterSeconds * 1_000);
      return true;
    }
  }

  async function askAll(
    github: GitHub,
    accessToken: string,
    state: SetState,
  ): Promise<'STORED' | 'OVERTAKEN' | 'REFUSED'> {
    const answer = await listRepositories(github, accessToken, state.etags);
    if (answer === 'REFUSED') return answer;
    if (answer !== 'SAME' && answer.isCut) {
      log.warn({ userId: state.userId }, 'Of more than 10,000 repositories the rest is denied');
    }
    if (!(await storeListed(app, state, answer))) return 'OVERTAKEN';
    return askSingles(github, accessToken, state);
  }

  async function askSingles(github: GitHub, accessToken: string, asking: Asking) {
    for (const id of await listSingles(database, asking)) {
      const repository = await github.getRepository(accessToken, id);
      if (repository === 'REFUSED') return repository;
      if (!(await storeSingle(app, asking, id, repository?.ownerId ?? null))) return 'OVERTAKEN';
    }
    return 'STORED';
  }

  async function refresh(userId: string): Promise<void> {
    if (app.github === null) return;
    const known = underWay.get(userId);
    if (known !== undefined) return known;
    const running = run(app.github, userId).finally(() => underWay.delete(userId));
    underWay.set(userId, running);
    return running;
  }

  return {
    refresh,

    follow(userId) {
      followers.set(userId, (followers.get(userId) ?? 0) + 1);
      let isFollowing = true;
      return () => {
        if (!isFollowing) return;
        isFollowing = false;
        const left = (followers.get(userId) ?? 1) - 1;
        if (left === 0) followers.delete(userId);
        else followers.set(userId, left);
      };
    },

    async refreshFollowed() {
      if (app.github === null || followers.size === 0) return;
      const due = (await listDue(database, [...followers.keys()])).values();
      const work = async () => {
        for (const userId of due) {
          await refresh(userId).catch((error: unknown) => {
            log.warn({ err: error, userId }, 'Permissions could not be refreshed');
          });
        }
      };
      await Promise.all(Array.from({ length: USERS_AT_ONCE_MAX }, work));
    },
  };
}
