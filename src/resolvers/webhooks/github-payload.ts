import DataLoader from 'dataloader';
import type { z } from 'zod';
import { type Context, perContext } from '#context.ts';
import type { VerificationOutcome, WebhookProvider } from '#generated/prisma/enums.ts';
import { parsePayload } from '#lib/body-text.ts';
import { bodyLoader } from './body.ts';
import { GITHUB_SHAPES } from './github-shapes.ts';

export type GitHubEventName = keyof typeof GITHUB_SHAPES;

export type GitHubPayloadOf<Name extends GitHubEventName> = z.output<
  (typeof GITHUB_SHAPES)[Name]
> & { readonly eventName: Name };

export type GitHubPayload = { [Name in GitHubEventName]: GitHubPayloadOf<Name> }[GitHubEventName];

interface Message {
  readonly id: string;
  readonly sourceId: string | null;
  readonly verification: VerificationOutcome;
  readonly eventName: string | null;
  readonly contentType: string | null;
}

/**
 * The body of a message that the caller has already been allowed to see, by its event's shape. Null where it
 * is not GitHub's, nobody vouches for it, its event has no shape here, or it is not of that shape.
 */
export async function findGitHubPayload(
  ctx: Context,
  message: Message,
): Promise<GitHubPayload | null> {
  const { id, sourceId, verification, eventName } = message;
  if (verification !== 'VERIFIED' || sourceId === null || !isGitHubEvent(eventName)) return null;
  if ((await providerLoader(ctx).load(sourceId)) !== 'GITHUB') return null;
  const read = payloads(ctx);
  const found = read.get(id) ?? readPayload(ctx, message, eventName);
  read.set(id, found);
  return found;
}

/** Null for a body that does not fit. */
export function parseGitHubPayload(
  eventName: GitHubEventName,
  payload: unknown,
): GitHubPayload | null {
  const { success, data } = GITHUB_SHAPES[eventName].safeParse(payload);
  // The compiler does not see that name and shape go together.
  return success ? ({ ...data, eventName } as GitHubPayload) : null;
}

/** Read and judged once, however often a document asks for it. */
const payloads = perContext(() => new Map<string, Promise<GitHubPayload | null>>());

async function readPayload(ctx: Context, message: Message, eventName: GitHubEventName) {
  const body = await bodyLoader(ctx).load(message.id);
  return parseGitHubPayload(eventName, parsePayload(message.contentType, body));
}

function isGitHubEvent(name: string | null): name is GitHubEventName {
  return name !== null && Object.hasOwn(GITHUB_SHAPES, name);
}

/** Null for a source that is gone. */
const providerLoader = perContext(
  (ctx) =>
    new DataLoader<string, WebhookProvider | null>(async (ids) => {
      const rows = await ctx.database.query<{ id: string; provider: WebhookProvider }>(
        'SELECT id, provider FROM webhook_source WHERE id = ANY($1)',
        [ids],
        'read-source-providers',
      );
      const byId = new Map(rows.map(({ id, provider }) => [id, provider]));
      return ids.map((id) => byId.get(id) ?? null);
    }),
);
