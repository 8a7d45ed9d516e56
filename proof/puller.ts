// Pulls, and then acknowledges, hands back, extends or forgets, as workers do that are good, slow or dead.
// Keeps a log of every lease it was given, by which it is judged whether a message was ever in two hands.
import { setTimeout as delay } from 'node:timers/promises';
import { ask } from './graphql.ts';
import type { Chance } from './random.ts';

/** One lease, as its holder knows it, in milliseconds of this machine's clock. */
export interface Lease {
  readonly user: string;
  readonly messageId: string;
  readonly attempt: number;
  readonly from: number;
  /** When it ran out, or when its holder first asked to settle it, whichever came first. */
  until: number;
  /** When the holder read that it is settled for good. */
  acknowledgedAt: number | null;
}

export interface PullerOptions {
  readonly user: string;
  readonly token: string;
  readonly nodeUrls: readonly [string, string];
  readonly chance: Chance;
  readonly leases: Lease[];
  /** Told when the acknowledgement was sent, by `performance.now()`. */
  readonly onAcknowledged: (askedAt: number) => void;
  readonly onFault: (fault: string) => void;
  readonly signal: AbortSignal;
  /** Acknowledges everything it gets. */
  readonly isDiligent?: boolean;
}

const LEASE_SECONDS = 2;
const EXTEND_SECONDS = 3;
const PULL = `mutation($limit: Int!) {
  pullWebhookMessages(input: { limit: $limit, leaseSeconds: ${LEASE_SECONDS}, waitSeconds: 1 }) {
    ... on WebhookMessagesPulled { deliveries { receipt attempt leaseExpiresAt message { id } } }
    ... on Error { code message }
  } }`;
const ACK = `mutation($receipts: [String!]!) {
  ackWebhookMessages(input: { receipts: $receipts }) {
    ... on WebhookMessagesAcknowledged { acknowledged refused { receipt reason } }
    ... on Error { code message }
  } }`;
const NACK = `mutation($receipts: [String!]!) {
  nackWebhookMessages(input: { receipts: $receipts }) {
    ... on WebhookMessagesHandedBack { handedBack }
    ... on Error { code message }
  } }`;
const EXTEND = `mutation($receipts: [String!]!) {
  extendWebhookLeases(input: { receipts: $receipts, leaseSeconds: ${EXTEND_SECONDS} }) {
    ... on WebhookLeasesExtended { deliveries { receipt attempt leaseExpiresAt message { id } } }
    ... on Error { code message }
  } }`;

interface Delivery {
  readonly receipt: string;
  readonly attempt: number;
  readonly leaseExpiresAt: string;
  readonly message: { readonly id: string };
}

interface Held {
  receipt: string;
  readonly lease: Lease;
}

export async function pull(options: PullerOptions): Promise<void> {
  const { chance, signal, onFault } = options;
  while (!signal.aborted) {
    try {
      await pullOnce(options);
    } catch (error) {
      onFault(`A puller of ${options.user} met: ${String(error)}`);
    }
    await delay(chance.between(1, 20));
  }
}

async function pullOnce(options: PullerOptions): Promise<void> {
  const { user, chance, leases, isDiligent = false } = options;
  const limit = isDiligent ? 100 : chance.between(1, 20);
  const data = await run<{ pullWebhookMessages: { deliveries: Delivery[] } }>(options, PULL, {
    limit,
  });
  if (data === null) return;
  const held = data.pullWebhookMessages.deliveries.map((delivery): Held => {
    const until = Date.parse(delivery.leaseExpiresAt);
    const lease: Lease = {
      user,
      messageId: delivery.message.id,
      attempt: delivery.attempt,
      // Both ends as the database's clock told them: the answer itself may have taken long.
      from: until - LEASE_SECONDS * 1_000,
      until,
      acknowledgedAt: null,
    };
    leases.push(lease);
    return { receipt: delivery.receipt, lease };
  });
  if (held.length === 0) return;
  // Every worker draws for itself, so that one batch ends in several ways.
  const fates = held.map((one) => ({ one, fate: isDiligent ? 0 : chance.next() }));
  const those = (from: number, to: number) =>
    fates.flatMap(({ one, fate }) => (fate >= from && fate < to ? [one] : []));
  await extend(options, those(0.7, 0.8));
  await handBack(options, those(0.8, 0.9));
  await acknowledge(options, those(0, 0.8));
}

async function acknowledge(options: PullerOptions, held: readonly Held[]): Promise<void> {
  if (held.length === 0) return;
  const { onAcknowledged, onFault } = options;
  for (const { lease } of held) lease.until = Math.min(lease.until, Date.now());
  const receipts = held.map(({ receipt }) => receipt);
  // Asked again where no answer came; a second acknowledgement is refused by name and harms nothing.
  for (let tries = 0; tries < 2; tries += 1) {
    const askedAt = performance.now();
    const data = await run<{
      ackWebhookMessages: {
        acknowledged: string[];
        refused: { receipt: string; reason: string }[];
      };
    }>(options, ACK, { receipts });
    if (data === null) continue;
    const { acknowledged, refused } = data.ackWebhookMessages;
    const at = Date.now();
    for (const { receipt, lease } of held) {
      const refusal = refused.find((one) => one.receipt === receipt)?.reason;
      if (refusal === undefined && acknowledged.includes(lease.messageId)) {
        lease.acknowledgedAt = at;
        onAcknowledged(askedAt);
      } else if (refusal === undefined) onFault('A receipt was neither acknowledged nor refused');
      else if (!['EXPIRED', 'STALE', 'DEAD', 'ALREADY_ACKNOWLEDGED'].includes(refusal)) {
        onFault(`A receipt of one's own was refused as ${refusal}`);
      }
    }
    return;
  }
}

async function handBack(options: PullerOptions, held: readonly Held[]): Promise<void> {
  if (held.length === 0) return;
  for (const { lease } of held) lease.until = Math.min(lease.until, Date.now());
  await run(options, NACK, { receipts: held.map(({ receipt }) => receipt) });
}

async function extend(options: PullerOptions, held: readonly Held[]): Promise<void> {
  if (held.length === 0) return;
  const data = await run<{ extendWebhookLeases: { deliveries: Delivery[] } }>(options, EXTEND, {
    receipts: held.map(({ receipt }) => receipt),
  });
  for (const delivery of data?.extendWebhookLeases.deliveries ?? []) {
    const one = held.find(({ lease }) => lease.messageId === delivery.message.id);
    if (one === undefined) continue;
    one.receipt = delivery.receipt;
    one.lease.until = Date.parse(delivery.leaseExpiresAt);
  }
}

async function run<Data>(
  { nodeUrls, token, chance }: PullerOptions,
  mutation: string,
  variables: unknown,
): Promise<Data | null> {
  const data = await ask<Record<string, { code?: string; message?: string }>>(
    chance.pick(nodeUrls),
    token,
    mutation,
    variables,
  );
  if (data === null) {
    await delay(20);
    return null;
  }
  for (const { code, message } of Object.values(data)) {
    if (code !== undefined) throw new Error(`${code}: ${message}`);
  }
  return data as Data;
}
