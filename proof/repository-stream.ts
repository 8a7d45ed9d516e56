// Webhooks of a few repositories at a steady rate, whatever the answers, and GitHub's own word of who came and went.
import { createHmac, randomUUID } from 'node:crypto';
import { DEVELOPMENT_WEBHOOK_SECRET } from '#config.ts';

export interface RepositoryStream {
  /** By the id that its 202 told: which repository a message is of, as GitHub numbers them. */
  readonly repositoryOf: ReadonlyMap<string, number>;
  readonly perSecond: () => number;
  /** Both resolve with the message's id once it is accepted. */
  push(repository: number): Promise<string>;
  send(repository: number, event: string, more: object): Promise<string>;
  start(perSecond: number): void;
  /** Resolves once all that was sent has been answered. */
  stop(): Promise<void>;
}

export interface StreamOptions {
  readonly nodeUrls: readonly [string, string];
  readonly githubUrl: string;
  readonly repositories: readonly number[];
  readonly onFault: (fault: string) => void;
}

const TURN_MS = 10;

export function createRepositoryStream(options: StreamOptions): RepositoryStream {
  const { nodeUrls, githubUrl, repositories, onFault } = options;
  const repositoryOf = new Map<string, number>();
  const open = new Set<Promise<unknown>>();
  let sent = 0;
  let startedAt = 0;
  let timer: NodeJS.Timeout | null = null;

  async function send(repository: number, event: string, more: object): Promise<string> {
    const fullName = `proof/repository-${repository}`;
    const body = JSON.stringify({
      ...more,
      repository: {
        id: repository,
        name: `repository-${repository}`,
        full_name: fullName,
        private: true,
        html_url: `${githubUrl}/${fullName}`,
        owner: { id: 1, login: 'proof' },
      },
      sender: { id: 1, login: 'octocat' },
    });
    const digest = createHmac('sha256', DEVELOPMENT_WEBHOOK_SECRET).update(body).digest('hex');
    sent += 1;
    const response = await fetch(`${nodeUrls[sent % 2]}/webhook/github`, {
      method: 'POST',
      body,
      headers: {
        'content-type': 'application/json',
        'x-github-event': event,
        'x-github-delivery': randomUUID(),
        'x-hub-signature-256': `sha256=${digest}`,
      },
    });
    const answer = (await response.json()) as { id?: string };
    if (response.status !== 202 || answer.id === undefined) {
      throw new Error(`A webhook was answered with ${response.status}: ${JSON.stringify(answer)}`);
    }
    repositoryOf.set(answer.id, repository);
    return answer.id;
  }

  const push = (repository: number) => send(repository, 'push', PUSH);
  const pushNth = (index: number) => {
    const sending = push(repositories[index % repositories.length] ?? 0)
      .catch((error: unknown) => onFault(String(error)))
      .finally(() => open.delete(sending));
    open.add(sending);
  };

  return {
    repositoryOf,
    perSecond: () => sent / ((performance.now() - startedAt) / 1_000),
    push,
    send,
    start(perSecond) {
      startedAt = performance.now();
      sent = 0;
      let due = 0;
      // By the clock and not by the answers, so that slow nodes do not get fewer of them.
      timer = setInterval(() => {
        const until = ((performance.now() - startedAt) / 1_000) * perSecond;
        for (; due < until; due += 1) pushNth(due);
      }, TURN_MS);
    },
    async stop() {
      if (timer !== null) clearInterval(timer);
      await Promise.all(open);
    },
  };
}

const PUSH = {
  ref: 'refs/heads/main',
  before: '0'.repeat(40),
  after: '1'.repeat(40),
  created: false,
  deleted: false,
  forced: false,
  commits: [],
  head_commit: null,
  pusher: { name: 'octocat' },
};

/** What GitHub tells when somebody's access to a repository began or ended. */
export function memberEvent(action: 'added' | 'removed', person: { id: number; login: string }) {
  return { action, member: { id: person.id, login: person.login, type: 'User' } };
}
