// One withdrawal of one repository, looked at from every side while it lasts, and what comes back after it.
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { decodeGlobalId, encodeGlobalId } from '#lib/global-id.ts';
import { passTime } from '../tests/support/accounts.ts';
import type { GitHubStandIn } from '../tests/support/github.ts';
import { ACK, EXTEND, REPLAY } from '../tests/support/inbox.ts';
import { type HandOut, type PulledDelivery, pullInto } from './audience.ts';
import type { Denial } from './denials.ts';
import { ask } from './graphql.ts';
import type { LinkedPerson } from './linked-people.ts';
import { memberEvent, type RepositoryStream } from './repository-stream.ts';

export interface WithdrawalOptions {
  readonly nodeUrls: readonly [string, string];
  readonly github: GitHubStandIn;
  readonly stream: RepositoryStream;
  readonly database: pg.Client;
  readonly handOuts: HandOut[];
  readonly person: LinkedPerson;
  readonly repository: number;
  /** Its id in the API. */
  readonly repositoryId: string;
  readonly by: Denial['by'];
  readonly onFault: (fault: string) => void;
}

export interface Withdrawal {
  readonly denial: Denial;
  /** Leases that were held when it came: tried to be settled and extended, in vain. */
  readonly leased: number;
  /** From GitHub's word of the new permission, projected, to the first message that was stored meanwhile. */
  readonly historyMs: number;
}

/** GitHub's answer is believed this long. */
const BELIEVED_SECONDS = 300;
const STORED_MEANWHILE = 3;
const WAIT_MS_MAX = 60_000;

export async function withdraw(options: WithdrawalOptions): Promise<Withdrawal> {
  const { nodeUrls, github, stream, person, repository, repositoryId, by } = options;
  const filter = { repositoryIds: [repositoryId] };
  const leased = await pullInto(options.handOuts, {
    nodeUrl: nodeUrls[0],
    person,
    input: { limit: 5, leaseSeconds: 600, waitSeconds: 2, filter },
  });
  const [some] = await storedSince(options, 0n);

  github.repositories.revoke(repository, person.id);
  const position = await untilItCounts(options);
  const from = performance.now();
  await probe(options, leased, some);
  await until('messages come meanwhile', async () => {
    return (await storedSince(options, position)).length >= STORED_MEANWHILE;
  });
  await probe(options, leased, some);
  const meanwhile = new Set(await storedSince(options, position));
  const denied = { personId: person.id, repository, by, position, from };
  const denial: Denial = { ...denied, until: performance.now() };

  github.repositories.grant(repository, person.id);
  await positionOf(options, await stream.send(repository, 'member', memberEvent('added', person)));
  const grantedAt = performance.now();
  const seenBefore = options.handOuts.length;
  await until('what was stored meanwhile can be pulled', async () => {
    await pullInto(options.handOuts, {
      nodeUrl: nodeUrls[1],
      person,
      input: { limit: 100, leaseSeconds: 2, filter },
    });
    return options.handOuts
      .slice(seenBefore)
      .some((one) => one.personId === person.id && meanwhile.has(one.messageId));
  });
  return { denial, leased: leased.length, historyMs: performance.now() - grantedAt };
}

/** The position from which on nothing may be handed out any more. */
async function untilItCounts(options: WithdrawalOptions): Promise<bigint> {
  const { stream, database, person, repository, by } = options;
  if (by === 'event') {
    const event = memberEvent('removed', person);
    return positionOf(options, await stream.send(repository, 'member', event));
  }
  const query = async <Row extends object>(text: string, values: readonly unknown[] = []) =>
    (await database.query<Row>(text, [...values])).rows;
  await passTime(query, BELIEVED_SECONDS + 1);
  const [feed] = await query<{ head: string }>(
    `SELECT last_position AS head FROM feed WHERE name = 'webhooks' AND key = ''`,
  );
  return BigInt(feed?.head ?? 0);
}

/** Every path by which the repository could still come, on both nodes. Live and pull are judged by the log. */
async function probe(
  options: WithdrawalOptions,
  leased: readonly PulledDelivery[],
  some: string | undefined,
): Promise<void> {
  const { nodeUrls, person, repositoryId, handOuts, by, onFault } = options;
  const filter = { repositoryIds: [repositoryId] };
  const refuse = (path: string, found: unknown) => {
    const shown = JSON.stringify(found);
    if (shown !== '[]' && shown !== 'null') onFault(`${path} after the ${by}: ${shown}`);
  };
  for (const nodeUrl of nodeUrls) {
    const read = await ask<Read>(nodeUrl, person.token, READ, {
      filter,
      message: some ?? repositoryId,
      repository: repositoryId,
    });
    // Null where GitHub could not be asked in time: nothing was shown then.
    refuse('page', read?.webhookMessages.nodes ?? []);
    refuse('node', read?.message ?? null);
    refuse('node of the repository', read?.repository ?? null);
    refuse('counts', (read?.webhookInbox.pending ?? 0) + (read?.webhookInbox.leased ?? 0) || null);
    if (some !== undefined) {
      const input = { messageIds: [some] };
      const replayed = await ask<Settling>(nodeUrl, person.token, REPLAY, { input });
      refuse('replay', replayed?.result.count || null);
    }
    const input = { limit: 100, leaseSeconds: 1, filter };
    await pullInto(handOuts, { nodeUrl, person, input });
    if (leased.length === 0) continue;
    const receipts = leased.map(({ receipt }) => receipt);
    const extended = await ask<Settling>(nodeUrl, person.token, EXTEND, {
      input: { receipts, leaseSeconds: 600 },
    });
    refuse('extending', extended?.result.deliveries ?? []);
    const settled = await ask<Settling>(nodeUrl, person.token, ACK, { input: { receipts } });
    refuse('ack', settled?.result.acknowledged ?? []);
  }
}

interface Read {
  readonly webhookMessages: { readonly nodes: readonly unknown[] };
  readonly webhookInbox: { readonly pending: number; readonly leased: number };
  readonly message: { readonly id: string } | null;
  readonly repository: { readonly id: string } | null;
}

interface Settling {
  readonly result: {
    readonly count?: number;
    readonly deliveries?: readonly unknown[];
    readonly acknowledged?: readonly string[];
  };
}

const READ = `query($filter: WebhookMessageFilter, $message: ID!, $repository: ID!) {
  webhookMessages(last: 10, filter: $filter) { nodes { id } }
  webhookInbox(filter: $filter) { pending leased }
  message: node(id: $message) { id }
  repository: node(id: $repository) { id } }`;

/** Resolves with the message's position once it is projected. */
async function positionOf(
  { database }: Pick<WithdrawalOptions, 'database'>,
  messageId: string,
): Promise<bigint> {
  let position: string | undefined;
  await until('a webhook is projected', async () => {
    const { rows } = await database.query<{ position: string }>(
      'SELECT position FROM webhook_message WHERE id = $1',
      [decodeGlobalId(messageId).id],
    );
    position = rows[0]?.position;
    return position !== undefined;
  });
  return BigInt(position ?? 0);
}

/** Ids of the repository's messages after a position, as the API writes them. */
async function storedSince(
  { database, repository }: WithdrawalOptions,
  position: bigint,
): Promise<string[]> {
  const { rows } = await database.query<{ id: string }>(
    `SELECT m.id FROM webhook_message m JOIN webhook_repository r ON r.id = m.repository_id
     WHERE r.github_id = $1 AND m.position > $2 ORDER BY m.position LIMIT 100`,
    [repository, position.toString()],
  );
  return rows.map(({ id }) => encodeGlobalId('WebhookMessage', id));
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WAIT_MS_MAX;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`Not within ${WAIT_MS_MAX} ms: ${what}`);
    await delay(10);
  }
}
