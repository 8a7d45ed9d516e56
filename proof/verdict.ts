// What must be true when all is quiet again, read back through the API and counted in the tables.

import { ask } from './graphql.ts';
import type { Lease } from './puller.ts';
import { hashOf, type Sent } from './sender.ts';
import type { World } from './world.ts';

export interface Verdict {
  readonly faults: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
}

export interface Evidence {
  readonly world: World;
  readonly sent: ReadonlyMap<string, Sent>;
  readonly leases: readonly Lease[];
  readonly followed: readonly string[];
}

interface Message {
  readonly id: string;
  readonly deliveryId: string;
  readonly rawBody: string;
  readonly inboxState: string;
}

export async function judge(evidence: Evidence): Promise<Verdict> {
  const { world, sent, leases, followed } = evidence;
  const faults: string[] = [];
  const messages = await readFeed(world, 'alice');
  judgeMessages(messages, sent, faults);
  judgeSequence(messages, followed, faults);
  judgeLeases(leases, faults);
  await judgeNumbers(world, faults);
  const states = new Map<string, number>();
  for (const user of ['alice', 'bob'] as const) {
    const inbox = user === 'alice' ? messages : await readFeed(world, user);
    judgeInbox(user, inbox, leases, faults);
    for (const { inboxState } of inbox) states.set(inboxState, (states.get(inboxState) ?? 0) + 1);
  }
  const accepted = [...sent.values()].filter(({ acceptedAs }) => acceptedAs !== null).length;
  return {
    faults,
    counts: {
      tried: sent.size,
      accepted,
      stored: messages.length,
      unansweredButStored: messages.length - accepted,
      followed: followed.length,
      leases: leases.length,
      acknowledged: states.get('ACKNOWLEDGED') ?? 0,
      dead: states.get('DEAD') ?? 0,
    },
  };
}

/** Every accepted delivery once, byte for byte, under the id that its sender was told. */
function judgeMessages(
  messages: readonly Message[],
  sent: ReadonlyMap<string, Sent>,
  faults: string[],
): void {
  const stored = Map.groupBy(messages, ({ deliveryId }) => deliveryId);
  for (const { deliveryId, bodyHash, acceptedAs } of sent.values()) {
    const found = stored.get(deliveryId) ?? [];
    if (found.length > 1) faults.push(`${deliveryId} is stored ${found.length} times`);
    const [message] = found;
    if (message === undefined) {
      if (acceptedAs !== null) faults.push(`${deliveryId} was accepted and is missing`);
      continue;
    }
    if (acceptedAs !== null && message.id !== acceptedAs)
      faults.push(`${deliveryId} has another id`);
    if (hashOf(Buffer.from(message.rawBody, 'base64')) !== bodyHash) {
      faults.push(`${deliveryId} has another body`);
    }
  }
  for (const deliveryId of stored.keys()) {
    if (!sent.has(deliveryId)) faults.push(`${deliveryId} was never sent`);
  }
}

function judgeSequence(
  messages: readonly Message[],
  followed: readonly string[],
  faults: string[],
): void {
  const index = messages.findIndex(({ id }, at) => followed[at] !== id);
  if (index !== -1) faults.push(`The follower left the feed's sequence at its item ${index + 1}`);
  if (followed.length !== messages.length) {
    faults.push(`The follower saw ${followed.length} of ${messages.length} messages`);
  }
}

// The clock is told in milliseconds, rounded.
const ROUNDING_MS = 1;

/** Nobody was given what somebody else still held, or what was settled already. */
function judgeLeases(leases: readonly Lease[], faults: string[]): void {
  for (const ofOne of Map.groupBy(leases, (l) => `${l.user} ${l.messageId}`).values()) {
    const inOrder = ofOne.toSorted((a, b) => a.from - b.from);
    for (const [index, lease] of inOrder.entries()) {
      const next = inOrder[index + 1];
      const about = `${lease.messageId} of ${lease.user}`;
      if (next && next.from < lease.until - ROUNDING_MS) faults.push(`${about} was in two hands`);
      if (next && lease.acknowledgedAt !== null) faults.push(`${about} came again when settled`);
      if (next && next.attempt <= lease.attempt) faults.push(`${about} did not count its attempts`);
    }
    const settled = ofOne.filter(({ acknowledgedAt }) => acknowledgedAt !== null);
    if (settled.length > 1) faults.push(`${settled.length} receipts settled the same message`);
  }
}

function judgeInbox(
  user: string,
  inbox: readonly Message[],
  leases: readonly Lease[],
  faults: string[],
): void {
  const settled = new Set(
    leases
      .filter((lease) => lease.user === user && lease.acknowledgedAt !== null)
      .map(({ messageId }) => messageId),
  );
  for (const { id, inboxState } of inbox) {
    const isFinal = inboxState === 'ACKNOWLEDGED' || inboxState === 'DEAD';
    if (!isFinal) faults.push(`${id} is ${inboxState} for ${user} after all was drained`);
    if (settled.has(id) && inboxState !== 'ACKNOWLEDGED') faults.push(`${id} lost its settlement`);
  }
}

/** Positions and lanes without a gap; nothing parked, nothing left over. */
async function judgeNumbers(world: World, faults: string[]): Promise<void> {
  const [numbers] = await world.query<Record<string, boolean>>(`
    SELECT
      (SELECT count(*) = f.last_position AND count(DISTINCT m.position) = count(*)
              AND coalesce(min(m.position), 1) = 1 AND coalesce(max(m.position), 0) = f.last_position
       FROM feed f LEFT JOIN webhook_message m ON true
       WHERE f.name = 'webhooks' GROUP BY f.last_position) AS "positions are gapless",
      NOT EXISTS (
        SELECT FROM webhook_lane l LEFT JOIN webhook_message m ON m.lane_id = l.id
        GROUP BY l.id, l.last_sequence
        HAVING count(m.id) <> l.last_sequence OR count(DISTINCT m.lane_sequence) <> l.last_sequence
          OR min(m.lane_sequence) <> 1 OR max(m.lane_sequence) <> l.last_sequence
      ) AS "lanes are gapless",
      NOT EXISTS (
        SELECT FROM webhook_message m WHERE NOT EXISTS (
          SELECT FROM webhook_body b WHERE b.message_id = m.id)
      ) AS "every message has its body",
      NOT EXISTS (SELECT FROM bus_failure) AS "no entry of the bus failed",
      NOT EXISTS (SELECT FROM outbox) AS "the outbox is empty"`);
  for (const [name, holds] of Object.entries(numbers ?? { 'the tables can be read': false })) {
    if (!holds) faults.push(`Not so: ${name}`);
  }
}

const PAGE = `query($after: String) { webhookMessages(first: 50, after: $after) {
  nodes { id deliveryId inboxState rawBody(encoding: BASE64) } pageInfo { hasNextPage endCursor } } }`;

async function readFeed(world: World, user: 'alice' | 'bob'): Promise<Message[]> {
  const messages: Message[] = [];
  for (let after: string | null = null; ; ) {
    const data: Page | null = await ask<Page>(world.nodeUrls[0], world.tokens[user], PAGE, {
      after,
    });
    if (data === null) throw new Error('The feed cannot be read though all is up');
    const { nodes, pageInfo }: Page['webhookMessages'] = data.webhookMessages;
    messages.push(...nodes);
    if (!pageInfo.hasNextPage) return messages;
    after = pageInfo.endCursor;
  }
}

interface Page {
  readonly webhookMessages: {
    readonly nodes: readonly Message[];
    readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string };
  };
}
