// Everybody to whom messages are handed out: subscribers that share a few sockets, and workers that pull and
// acknowledge, or forget. What each was handed, and when, is written down for the verdict.
import { setTimeout as delay } from 'node:timers/promises';
import { openSocket, type Socket } from '../tests/support/graphql-client.ts';
import { ACK, PULL } from '../tests/support/inbox.ts';
import { ask } from './graphql.ts';
import type { LinkedPerson } from './linked-people.ts';
import { createChance } from './random.ts';

/** Times are of this process, in milliseconds. */
export interface HandOut {
  readonly personId: number;
  readonly messageId: string;
  readonly way: 'live' | 'pull';
  /** When a pull was asked for; of a live item, when it came. */
  readonly askedAt: number;
  readonly at: number;
  /** How often it was handed out, this time included; 1 for a live item. */
  readonly attempt: number;
}

export interface Subscriber {
  readonly personId: number;
  /** GitHub's number of the repository that it follows; null for all. */
  readonly repository: number | null;
  readonly seen: string[];
}

export interface Audience {
  readonly handOuts: HandOut[];
  readonly subscribers: readonly Subscriber[];
  /** How often a stream was told that its permission to something has changed. */
  readonly told: () => number;
  /** Ends the pullers first; whatever a subscriber should still get has come when this is called. */
  close(): Promise<void>;
}

export interface AudienceOptions {
  readonly nodeUrls: readonly [string, string];
  readonly people: readonly LinkedPerson[];
  /** GitHub's number of each repository, and its id in the API. */
  readonly repositories: ReadonlyMap<number, string>;
  readonly subscribers: number;
  readonly pullers: number;
  readonly seed: number;
  readonly onFault: (fault: string) => void;
}

const SUBSCRIPTION = `subscription($filter: WebhookMessageFilter) {
  webhookMessageReceived(filter: $filter) {
    __typename ... on WebhookMessageReceived { message { id } } } }`;
const LEASE_SECONDS = 2;
const FORGETS = 0.1;
/** So that all of them together begin forty pulls a second at most, however many they are. */
const PAUSE_MS = 25;

/** Resolves once nothing that is sent from now on can be missed. */
export async function gatherAudience(options: AudienceOptions): Promise<Audience> {
  const { people, nodeUrls, onFault } = options;
  const handOuts: HandOut[] = [];
  const subscribers: Subscriber[] = [];
  const sockets: Socket[] = [];
  const leaving = new AbortController();
  let told = 0;

  await Promise.all(
    people.map(async (person, index) => {
      const own = await Promise.all(nodeUrls.map((url) => openSocket(url, person.token)));
      sockets.push(...own);
      for (const socket of own) {
        void socket.closed.then(({ code, reason }) => {
          if (!leaving.signal.aborted) onFault(`A socket was closed: ${code} ${reason}`);
        });
      }
      await Promise.all(
        shareOf(options.subscribers, people.length, index).map((_, nth) =>
          subscribe(person, own[nth % own.length] as Socket, nth),
        ),
      );
    }),
  );
  const pullers = people.flatMap((person, index) =>
    shareOf(options.pullers, people.length, index).map((_, nth) => pull(person, nth)),
  );

  return {
    handOuts,
    subscribers,
    told: () => told,
    async close() {
      leaving.abort();
      await Promise.all(pullers);
      for (const { ws } of sockets) ws.close();
      await Promise.all(sockets.map(({ closed }) => closed));
    },
  };

  /** The first of a person follows all, so that a repository is lost among others; the rest one each. */
  async function subscribe(person: LinkedPerson, socket: Socket, nth: number): Promise<void> {
    const numbers = [...options.repositories.keys()];
    const repository = nth === 0 ? null : (numbers[(nth - 1) % numbers.length] ?? null);
    const subscriber: Subscriber = { personId: person.id, repository, seen: [] };
    const id = options.repositories.get(repository ?? 0);
    const variables = { filter: id === undefined ? null : { repositoryIds: [id] } };
    const operation = `follow-${nth}`;
    socket.subscribe(operation, { query: SUBSCRIPTION, variables });
    await take(await socket.next(operation));
    subscribers.push(subscriber);
    follow().catch((error: unknown) => {
      if (!leaving.signal.aborted) onFault(`A subscription ended: ${String(error)}`);
    });

    async function follow(): Promise<void> {
      for (;;) await take(await socket.next(operation));
    }

    async function take({ type, payload }: { type: string; payload?: unknown }): Promise<void> {
      const { data, errors } = (payload ?? {}) as ItemResult;
      if (type !== 'next') throw new Error(`${type} ${JSON.stringify(payload)}`);
      if (errors || !data) {
        onFault(`An item came as an error: ${JSON.stringify(errors)}`);
        return;
      }
      const { __typename, message } = data.webhookMessageReceived;
      if (__typename === 'WebhookPermissionChanged') told += 1;
      if (message === undefined) return;
      subscriber.seen.push(message.id);
      const at = performance.now();
      const of = { personId: person.id, messageId: message.id };
      handOuts.push({ ...of, way: 'live', askedAt: at, at, attempt: 1 });
    }
  }

  async function pull({ id: personId, token }: LinkedPerson, nth: number): Promise<void> {
    const chance = createChance(options.seed, `puller-${personId}-${nth}`);
    while (!leaving.signal.aborted) {
      try {
        await pullOnce(chance.between(1, 30));
      } catch (error) {
        onFault(`A puller met: ${String(error)}`);
      }
      await delay(chance.between(1, 2 * PAUSE_MS * options.pullers));
    }

    async function pullOnce(limit: number): Promise<void> {
      const deliveries = await pullInto(handOuts, {
        nodeUrl: chance.pick(nodeUrls),
        person: { id: personId, token },
        input: { limit, leaseSeconds: LEASE_SECONDS, waitSeconds: 1 },
      });
      const kept = deliveries.filter(() => !chance.happens(FORGETS));
      if (kept.length === 0) return;
      const receipts = kept.map(({ receipt }) => receipt);
      await ask(chance.pick(nodeUrls), token, ACK, { input: { receipts } });
    }
  }
}

interface ItemResult {
  readonly errors?: unknown;
  readonly data?: {
    readonly webhookMessageReceived: {
      readonly __typename: string;
      readonly message?: { readonly id: string };
    };
  } | null;
}

export interface PulledDelivery {
  readonly receipt: string;
  readonly attempt: number;
  readonly message: { readonly id: string };
}

/** One pull, written down; nothing where the answer was "not now". Throws on any other error. */
export async function pullInto(
  handOuts: HandOut[],
  options: {
    readonly nodeUrl: string;
    readonly person: Pick<LinkedPerson, 'id' | 'token'>;
    readonly input: object;
  },
): Promise<readonly PulledDelivery[]> {
  const { nodeUrl, person, input } = options;
  const askedAt = performance.now();
  const data = await ask<{ result: PullResult }>(nodeUrl, person.token, PULL, { input });
  if (data === null) return [];
  if (data.result.deliveries === undefined) throw new Error(JSON.stringify(data.result));
  const at = performance.now();
  for (const { attempt, message } of data.result.deliveries) {
    const of = { personId: person.id, messageId: message.id };
    handOuts.push({ ...of, way: 'pull', askedAt, at, attempt });
  }
  return data.result.deliveries;
}

interface PullResult {
  readonly deliveries?: readonly PulledDelivery[];
}

/** As many items as fall to one of so many. */
function shareOf(count: number, among: number, index: number): undefined[] {
  const share = Math.floor(count / among) + (index < count % among ? 1 : 0);
  return Array.from({ length: share });
}
