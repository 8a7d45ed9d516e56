import type { Config } from '#config.ts';
import type { WebhookProvider } from '#generated/prisma/enums.ts';
import { InvalidInputError } from '#lib/errors.ts';
import { type SourceSettings, sourceSettings } from './providers/settings.ts';
import { PROVIDERS } from './providers/table.ts';

export const TOLERANCE_SECONDS_MAX = 86_400;
export const MESSAGES_PER_MINUTE_MAX = 1_000_000;
export const SECRET_LENGTH_MAX = 1_024;

const SEGMENT = /^[A-Za-z0-9._-]{1,64}$/;
const SEGMENTS_MAX = 5;

/** As given; throws `InvalidInputError` for what is no path, or would look like another one. */
export function parseSourcePath(path: string): string {
  const segments = path.split('/');
  const areNames = segments.every(
    (segment) => SEGMENT.test(segment) && segment !== '.' && segment !== '..',
  );
  if (areNames && segments.length <= SEGMENTS_MAX) return path;
  throw new InvalidInputError(
    `A path is 1–${SEGMENTS_MAX} names with slashes between; a name is 1–64 of A–Z a–z 0–9 . _ -, not . or ..`,
    'input.path',
  );
}

/** Null where the server's own limit is to count. */
export interface SourceLimits {
  readonly bodyBytesMax?: number | null | undefined;
  readonly messagesPerMinute?: number | null | undefined;
  readonly toleranceSeconds?: number | null | undefined;
}

/** Throws `InvalidInputError` for a limit that is none, or wider than the server's. */
export function requireLimits(limits: SourceLimits, config: Config): void {
  requireWithin('bodyBytesMax', limits.bodyBytesMax, config.webhookBodyBytesMax);
  requireWithin('messagesPerMinute', limits.messagesPerMinute, MESSAGES_PER_MINUTE_MAX);
  requireWithin('toleranceSeconds', limits.toleranceSeconds, TOLERANCE_SECONDS_MAX);
}

function requireWithin(name: string, value: number | null | undefined, maximum: number): void {
  if (value == null || (value >= 1 && value <= maximum)) return;
  throw new InvalidInputError(`${name} is 1 to ${maximum}`, `input.${name}`);
}

/** What a client wrote: nothing of it is known yet, and null is the same as absent. */
export type GivenSettings = { readonly [Name in keyof SourceSettings]?: string | null | undefined };

/** As it is stored: names of headers in lower case. Throws `InvalidInputError` that names the setting. */
export function parseSettings(given: GivenSettings): SourceSettings {
  const { header, deliveryIdHeader, eventNameHeader, ...rest } = given;
  const lower = (name: string | null | undefined) => name?.toLowerCase();
  const wanted = {
    ...Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null)),
    header: lower(header),
    deliveryIdHeader: lower(deliveryIdHeader),
    eventNameHeader: lower(eventNameHeader),
  };
  const parsed = sourceSettings.safeParse(wanted);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const name = String(issue?.path[0] ?? '');
  throw new InvalidInputError(FAULTS[name] ?? 'This is no such setting', `input.settings.${name}`);
}

const HEADER_FAULT = 'The name of a header is 1–100 of the characters that RFC 9110 allows';
const FAULTS: Readonly<Record<string, string>> = {
  header: HEADER_FAULT,
  deliveryIdHeader: HEADER_FAULT,
  eventNameHeader: HEADER_FAULT,
  prefix: 'A prefix has at most 100 characters',
  publicUrl: 'This is no URL of at most 2,000 characters',
};

/**
 * The secret that an operator brings, or a new one of ours where they bring none; null where there is to be
 * none. Throws `InvalidInputError` for one that the provider would not sign with, and where one must be brought.
 */
export function chooseSecret(
  provider: WebhookProvider,
  given: string | null | undefined,
  isOptional: boolean,
): { readonly value: string; readonly isOurs: boolean } | null {
  const adapter = PROVIDERS[provider];
  const refuse = (message: string) => new InvalidInputError(message, 'input.secret');
  if (adapter.verify === null) {
    if (given == null) return null;
    throw refuse('This provider signs nothing');
  }
  if (given != null) {
    const isText = given.length >= 1 && given.length <= SECRET_LENGTH_MAX && given.isWellFormed();
    if (!isText) throw refuse(`A secret has 1 to ${SECRET_LENGTH_MAX} characters`);
    const fault = adapter.findSecretFault?.(given) ?? null;
    if (fault !== null) throw refuse(fault);
    return { value: given, isOurs: false };
  }
  if (adapter.generateSecret !== null) return { value: adapter.generateSecret(), isOurs: true };
  if (isOptional) return null;
  throw refuse('This provider makes the secret itself: bring it, or begin with MONITOR');
}
