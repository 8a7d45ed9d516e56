// How GitHub is asked, whatever for: with what headers, and what its answers mean that are about this
// server rather than about what was asked.
import type { z } from 'zod';
import type { GitHubConfig } from '#config.ts';
import { UnavailableError } from '#lib/errors.ts';
import { ForbiddenTargetError, type Guard } from './guard.ts';
import type { PinnedInit } from './pinned-request.ts';

/** Both throw `UnavailableError` when GitHub is away, and `callApi` also when it limits us. */
export interface GitHubApi {
  call(url: string, init: PinnedInit, bytesMax?: number): Promise<Response>;
  /** `path` is below the API's own address. */
  callApi(path: string, init: PinnedInit, bytesMax?: number): Promise<Response>;
}

export const USER_AGENT = 'naru';
const API_VERSION = '2022-11-28';
const BODY_BYTES_MAX = 2 ** 20;
/** What GitHub asks for where it limits us and does not say until when. */
const LIMIT_SECONDS = 60;
/** A primary limit is an hour's; whatever says more is no time to wait. */
const LIMIT_SECONDS_MAX = 3_600;

export function createGitHubApi(
  config: GitHubConfig,
  { guard, timeoutMs }: { readonly guard: Guard; readonly timeoutMs: number },
): GitHubApi {
  const configuredOrigins = [config.url, config.apiUrl].map((url) => new URL(url).origin);

  async function call(url: string, init: PinnedInit, bytesMax = BODY_BYTES_MAX) {
    try {
      const options = { timeoutMs, bytesMax, configuredOrigins };
      return await guard.fetchGuarded('GitHub', url, init, options);
    } catch (error) {
      // Only an operator or a resolver names this target.
      if (!(error instanceof ForbiddenTargetError)) throw error;
      throw new UnavailableError('GitHub cannot be reached now', { cause: error });
    }
  }

  return {
    call,
    async callApi(path, init, bytesMax) {
      const headers = {
        accept: 'application/vnd.github+json',
        'user-agent': USER_AGENT,
        'x-github-api-version': API_VERSION,
        ...(init.headers as Record<string, string>),
      };
      const response = await call(`${config.apiUrl}${path}`, { ...init, headers }, bytesMax);
      refuseOverload(response);
      return response;
    },
  };
}

/** Rate limits come as 403 or 429, and are about us rather than about the token. */
function refuseOverload(response: Response): void {
  const { status, headers } = response;
  if (status >= 500) throw unexpected(response);
  const isLimit =
    status === 429 ||
    (status === 403 &&
      (headers.has('retry-after') || headers.get('x-ratelimit-remaining') === '0'));
  if (isLimit) throw limited(headers);
}

export function limited(headers: Headers): UnavailableError {
  return new UnavailableError('GitHub limits this server now', {
    retryAfterSeconds: Math.min(secondsUntilAllowed(headers), LIMIT_SECONDS_MAX),
  });
}

function secondsUntilAllowed(headers: Headers): number {
  const seconds = Number(headers.get('retry-after'));
  if (Number.isInteger(seconds) && seconds > 0) return seconds;
  // By GitHub's own clock: ours may be wrong.
  const now = Date.parse(headers.get('date') ?? '') / 1_000;
  const left = Math.ceil(Number(headers.get('x-ratelimit-reset')) - now);
  return left > 0 ? left : LIMIT_SECONDS;
}

/** Throws `UnavailableError` for whatever is not of this shape. */
export async function parseBody<Shape extends z.ZodType>(
  response: Response,
  shape: Shape,
): Promise<z.infer<Shape>> {
  if (response.status !== 200) throw unexpected(response);
  const parsed = shape.safeParse(await response.json().catch(() => null));
  if (!parsed.success) throw unexpected(response);
  return parsed.data;
}

export function unexpected(response: Response): UnavailableError {
  return new UnavailableError('GitHub does not answer as expected', {
    cause: new Error(`GitHub answered ${response.status} in another form than it documents`),
  });
}
