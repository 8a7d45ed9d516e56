import type { VerificationInput } from '#resolvers/webhooks/providers/provider.ts';

export interface GivenRequest {
  /** In the case and order that the sender wrote them. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body?: string | Uint8Array;
  readonly secrets: readonly string[];
  readonly url?: string;
  readonly settings?: VerificationInput['settings'];
  readonly toleranceSeconds?: number;
  readonly now?: Date;
}

/** A request as ingress would hand it to an adapter: duplicate headers are joined as Node joins them. */
export function verificationInput(given: GivenRequest): VerificationInput {
  const headers: Record<string, string> = {};
  for (const [name, value] of given.headers) {
    const key = name.toLowerCase();
    const before = Object.hasOwn(headers, key) ? headers[key] : undefined;
    headers[key] = before === undefined ? value : `${before}, ${value}`;
  }
  return {
    headers,
    rawHeaders: given.headers.flat(),
    url: given.url ?? 'https://naru.example/webhook/source',
    body: Buffer.from(given.body ?? ''),
    secrets: given.secrets,
    settings: given.settings ?? {},
    toleranceSeconds: given.toleranceSeconds ?? 300,
    now: given.now ?? new Date('2026-11-21T12:00:00Z'),
  };
}
