// Sends webhooks as GitHub does and remembers every 202. What got none may be stored or not; some of it is
// delivered again, with the same delivery id, until it is taken, as a sender that retries would.
import { createHash, createHmac } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { DEVELOPMENT_WEBHOOK_SECRET } from '#config.ts';
import type { Chance } from './random.ts';

/** One delivery that was tried at least once. */
export interface Sent {
  readonly deliveryId: string;
  readonly bodyHash: string;
  /** The id that a 202 told; null while it got none. */
  acceptedAs: string | null;
}

export interface SenderOptions {
  readonly name: string;
  readonly nodeUrls: readonly [string, string];
  readonly chance: Chance;
  readonly sent: Map<string, Sent>;
  /** Told when the post began, by `performance.now()`. */
  readonly onAccepted: (askedAt: number) => void;
  readonly onFault: (fault: string) => void;
  readonly signal: AbortSignal;
}

const PAUSE_MS = 25;
const TIMEOUT_MS = 10_000;
const LARGE_BYTES = 1_500_000;

export async function send(options: SenderOptions): Promise<void> {
  const { name, chance, sent, signal } = options;
  for (let index = 0; !signal.aborted; index += 1) {
    const deliveryId = `${name}-${index}`;
    const body = makeBody(deliveryId, chance);
    const delivery: Sent = { deliveryId, bodyHash: hashOf(body), acceptedAs: null };
    sent.set(deliveryId, delivery);
    const triesAgain = chance.happens(0.7);
    const repeats = chance.happens(0.05);
    do await post(options, delivery, body);
    while (triesAgain && delivery.acceptedAs === null && !signal.aborted);
    if (repeats) await post(options, delivery, body);
    await delay(chance.between(1, 2 * PAUSE_MS));
  }
}

async function post(options: SenderOptions, delivery: Sent, body: string): Promise<void> {
  const { nodeUrls, chance, onAccepted, onFault } = options;
  const { deliveryId } = delivery;
  const askedAt = performance.now();
  const signature = createHmac('sha256', DEVELOPMENT_WEBHOOK_SECRET).update(body).digest('hex');
  const response = await fetch(`${chance.pick(nodeUrls)}/webhook/github`, {
    method: 'POST',
    body,
    headers: {
      'content-type': 'application/json',
      'x-github-event': 'push',
      'x-github-delivery': deliveryId,
      'x-hub-signature-256': `sha256=${signature}`,
    },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }).catch(() => null);
  const answer = await response?.json().then(
    (json) => json as { id: string },
    () => null,
  );
  if (response === null || answer === null || answer === undefined) {
    await delay(PAUSE_MS);
  } else if (response.status === 202) {
    if (delivery.acceptedAs !== null && delivery.acceptedAs !== answer.id) {
      onFault(`${deliveryId} was accepted under two ids`);
    }
    delivery.acceptedAs = answer.id;
    onAccepted(askedAt);
  } else if (response.status === 503) await delay(PAUSE_MS);
  else onFault(`${deliveryId} was refused with ${response.status}: ${JSON.stringify(answer)}`);
}

/** Mostly small; one in a hundred is larger than what a NATS server takes. */
function makeBody(deliveryId: string, chance: Chance): string {
  const fillerBytes = chance.happens(0.01) ? LARGE_BYTES : chance.between(0, 4_000);
  const letter = String.fromCodePoint(chance.between(0xac00, 0xd7a3));
  const id = chance.between(1, 4);
  return JSON.stringify({
    deliveryId,
    repository: { id, full_name: `proof/repository-${id}` },
    filler: letter.repeat(Math.ceil(fillerBytes / 3)),
    nonce: chance.next(),
  });
}

export function hashOf(body: string | Uint8Array): string {
  return createHash('sha256').update(body).digest('base64');
}
