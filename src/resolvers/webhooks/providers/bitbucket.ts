import { storableText } from '#lib/storable-text.ts';
import { deliveryIdIn } from './delivery-id.ts';
import { generateSecret } from './generate-secret.ts';
import { originOf } from './origin-of.ts';
import { payloadAt, textAt } from './payload-at.ts';
import type { ProviderAdapter, RepositoryFields } from './provider.ts';
import { timeOfIso } from './provider-time.ts';
import { verifySignedBody } from './signed-body.ts';

const SIGNATURE = {
  header: 'x-hub-signature',
  algorithm: 'sha256',
  encoding: 'hex',
  prefix: 'sha256=',
} as const;

/**
 * Bitbucket Cloud and Data Center sign alike and shape their bodies apart: Cloud's are in snake case and
 * know a repository by a UUID, Data Center's are in camel case, know it by a number, and name the event.
 */
export const bitbucket: ProviderAdapter = {
  mediaTypes: ['application/json'],
  verify: (input) => verifySignedBody(input, SIGNATURE),
  deliveryId: ({ headers }) => deliveryIdIn(headers, 'x-request-uuid', 'x-request-id'),
  generateSecret,

  readFields({ header, payload }) {
    const name = storableText(header('x-event-key'));
    return {
      eventName: name !== null && agreesWithBody(name, payload) ? name : null,
      // It is in the event's name: `pullrequest:created`.
      action: null,
      branch: branchOf(payload),
      sender: textAt(payload, 'actor', 'nickname') ?? textAt(payload, 'actor', 'name'),
      repository: cloudRepositoryOf(payload) ?? serverRepositoryOf(payload),
      occurredAt: occurredAtOf(payload),
    };
  },
};

const EVENT_KEY = /^[a-z_]{1,32}(:[a-z_]{1,64}){1,2}$/;

// What a body of Cloud holds for events whose name begins so.
const CLOUD_SHAPES = new Map([
  ['repo:push', 'push'],
  ['pullrequest', 'pullrequest'],
  ['issue', 'issue'],
]);

/** The event's header is not signed: believed if the signed body names the same, or has its shape. */
function agreesWithBody(name: string, payload: unknown): boolean {
  if (!EVENT_KEY.test(name)) return false;
  const signedName = payloadAt(payload, 'eventKey');
  if (signedName !== undefined) return signedName === name;
  const key = CLOUD_SHAPES.get(name) ?? CLOUD_SHAPES.get(name.split(':', 1)[0] ?? '');
  if (key !== undefined) return payloadAt(payload, key) !== undefined;
  return [...CLOUD_SHAPES.values()].every((other) => payloadAt(payload, other) === undefined);
}

/** The one branch that was pushed, if it was one; the branch that a pull request goes to. */
function branchOf(payload: unknown): string | null {
  const changes = payloadAt(payload, 'push', 'changes') ?? payloadAt(payload, 'changes');
  if (!Array.isArray(changes)) {
    return (
      textAt(payload, 'pullrequest', 'destination', 'branch', 'name') ??
      textAt(payload, 'pullRequest', 'toRef', 'displayId')
    );
  }
  const branches = new Set(changes.map(branchOfChange).filter((branch) => branch !== null));
  const [first, ...others] = branches;
  return others.length === 0 ? (first ?? null) : null;
}

function branchOfChange(change: unknown): string | null {
  // What is deleted has no `new`, what is created no `old`.
  const cloudRef = payloadAt(change, 'new') ?? payloadAt(change, 'old');
  if (payloadAt(cloudRef, 'type') === 'branch') return textAt(cloudRef, 'name');
  const isBranch = payloadAt(change, 'ref', 'type') === 'BRANCH';
  return isBranch ? textAt(change, 'ref', 'displayId') : null;
}

function cloudRepositoryOf(payload: unknown): RepositoryFields | null {
  const providerId = textAt(payload, 'repository', 'uuid');
  const fullName = textAt(payload, 'repository', 'full_name');
  if (providerId === null || fullName === null) return null;
  return {
    providerId,
    fullName,
    previousName: textAt(payload, 'changes', 'full_name', 'old'),
    origin: originOf(payloadAt(payload, 'repository', 'links', 'html', 'href')),
  };
}

function serverRepositoryOf(payload: unknown): RepositoryFields | null {
  const isRenamed = payloadAt(payload, 'eventKey') === 'repo:modified';
  const repository = isRenamed
    ? payloadAt(payload, 'new')
    : (payloadAt(payload, 'repository') ??
      payloadAt(payload, 'pullRequest', 'toRef', 'repository'));
  const id = payloadAt(repository, 'id');
  const fullName = serverNameOf(repository);
  if (!Number.isSafeInteger(id) || fullName === null) return null;
  const previousName = isRenamed ? serverNameOf(payloadAt(payload, 'old')) : null;
  const [link] = [payloadAt(repository, 'links', 'self')].flat();
  return {
    providerId: String(id),
    fullName,
    previousName,
    origin: originOf(payloadAt(link, 'href')),
  };
}

function serverNameOf(repository: unknown): string | null {
  const project = textAt(repository, 'project', 'key');
  const slug = textAt(repository, 'slug');
  return project === null || slug === null ? null : storableText(`${project}/${slug}`);
}

/** Data Center dates every event; of Cloud's only those tell a time that are about a dated thing. */
function occurredAtOf(payload: unknown): Date | null {
  return (
    timeOfIso(payloadAt(payload, 'date')) ??
    timeOfIso(payloadAt(payload, 'approval', 'date')) ??
    timeOfIso(payloadAt(payload, 'comment', 'updated_on')) ??
    timeOfIso(payloadAt(payload, 'commit_status', 'updated_on')) ??
    timeOfIso(payloadAt(payload, 'pullrequest', 'updated_on')) ??
    timeOfIso(payloadAt(payload, 'issue', 'updated_on'))
  );
}
