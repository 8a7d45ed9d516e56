// Whom the chat worker's protocol lets into a room. Whose room it is decides: one that another system knows is
// asked of that system's backend, where there is one; every other is Naru's, and wants a token of Naru. A token of
// Naru's is shown to no backend: it lets in who is in the room, here as everywhere.
import { type Credential, readAuthorization } from '#auth/credential.ts';
import type { Viewer } from '#auth/viewer.ts';
import { type Context, createContext, type Origin, type Services } from '#context.ts';
import { ForbiddenError, UnauthenticatedError } from '#lib/errors.ts';
import { storableText } from '#lib/storable-text.ts';
import { viewerMembership } from './access.ts';
import { externalChannel } from './channel.ts';
import { isIn, type PositionRange, readableRange } from './membership.ts';
import type { NamedRoom } from './named-room.ts';
import { setTyping } from './set-typing.ts';
import { noSuchRoom } from './write-room.ts';

/** Somebody who is in a room. */
export interface ChatGuest {
  /** Null for whom only the backend knows. */
  readonly account: {
    readonly userId: string;
    readonly credential: Credential;
  } | null;
  /**
   * What of the room's log they may be told now, asked anew of what decides; null once they are out of the room. A
   * backend is asked by `recheck` alone. Throws `UnavailableError`.
   */
  readableNow(): Promise<PositionRange | null>;
  /** Asks again, where nothing else would tell that they are out. Throws `UnavailableError`. */
  recheck(): Promise<boolean>;
  /**
   * Tells the others that they type, or do not any more. Throws `NotFoundError` once they are out of the room, and
   * `ForbiddenError` or `ConflictError` where they could not send what they type.
   */
  tellTyping(isTyping: boolean, connectionId: string): Promise<void>;
}

export interface ChatProof {
  readonly token: string;
  /** What the client says it is, which no rule hangs on. */
  readonly claimedUserId: unknown;
  readonly client: Origin['client'];
  readonly isGone: () => boolean;
  readonly requestId: string;
}

const EVERYTHING: PositionRange = { from: 0n, to: null };
const USER_ID_LENGTH_MAX = 200;
/** What the worker called somebody of whom nobody said who they are. */
const NOBODY = 'unknown';

/** Null for who is not let in, alike for a room that is not there. Throws `UnavailableError`. */
export async function admitToRoom(
  app: Services,
  room: NamedRoom | null,
  proof: ChatProof,
): Promise<ChatGuest | null> {
  const { participantCheck } = app;
  const externalId = room?.externalId ?? null;
  const { token } = proof;
  if (participantCheck === null || externalId === null || (await isOurs(app, token))) {
    return admitAccount(app, room?.roomId ?? null, proof);
  }
  const answer = await participantCheck.ask(externalId, token);
  if (answer === null) return null;
  const userId = answer.userId ?? claimOf(proof.claimedUserId);
  return {
    account: null,
    readableNow: async () => EVERYTHING,
    recheck: async () => (await participantCheck.ask(externalId, token)) !== null,
    tellTyping: (isTyping, connectionId) =>
      app.roomSignals.send(externalChannel(externalId), {
        type: 'TYPING',
        userId: userId ?? NOBODY,
        isTyping,
        connectionId,
      }),
  };
}

/** Also one that counts for nothing any more: what is written like ours may be somebody's slip of the key. */
async function isOurs(app: Services, token: string): Promise<boolean> {
  if (token.startsWith('naru_')) return true;
  return (await orNull(readAuthorization(`Bearer ${token}`, app.accessTokens))) !== null;
}

async function admitAccount(
  app: Services,
  roomId: string | null,
  proof: ChatProof,
): Promise<ChatGuest | null> {
  const ctx = await contextOf(app, proof);
  const credential = ctx?.origin.credential ?? null;
  if (roomId === null || credential === null || ctx === null) return null;
  const viewer = ctx.viewer !== null && maySpeakFreely(ctx.viewer) ? ctx.viewer : null;
  if (viewer === null) return null;
  const rangeIn = async (moment: Context) => {
    const membership = await viewerMembership(moment, roomId);
    return isIn(membership) ? readableRange(membership) : null;
  };
  if ((await rangeIn(ctx)) === null) return null;
  return {
    account: { userId: viewer.userId, credential },
    readableNow: async () => {
      const moment = await orNull(ctx.refresh());
      return moment === null ? null : rangeIn(moment);
    },
    recheck: async () => true,
    tellTyping: async (isTyping, connectionId) => {
      const moment = await orNull(ctx.refresh());
      if (moment === null) throw noSuchRoom();
      if (moment.viewer?.scopes.has('rooms:write') !== true) {
        throw new ForbiddenError('The token has no scope rooms:write');
      }
      await setTyping(moment, { roomId, isTyping, connectionId });
    },
  };
}

/** Null for a token that counts for nothing. */
async function contextOf(app: Services, proof: ChatProof): Promise<Context | null> {
  const { token, client, isGone, requestId } = proof;
  const credential = await orNull(readAuthorization(`Bearer ${token}`, app.accessTokens));
  if (credential === null) return null;
  return orNull(
    createContext(app, {
      requestId,
      credential,
      client,
      isGone,
      setSessionCookie: null,
      idempotencyKey: null,
      notes: { headers: {}, extensions: {} },
    }),
  );
}

/** The viewer of a bearer token; null for a token that counts for nothing. Throws `UnavailableError`. */
export async function viewerOfToken(
  app: Pick<Services, 'accessTokens' | 'authenticate'>,
  token: string,
): Promise<Viewer | null> {
  const viewer = await orNull(
    readAuthorization(`Bearer ${token}`, app.accessTokens).then(app.authenticate),
  );
  return viewer !== null && maySpeakFreely(viewer) ? viewer : null;
}

/** A token that runs the documents of the manifest and no other does nothing else, either. */
function maySpeakFreely({ proof }: Viewer): boolean {
  return proof.kind !== 'token' || !proof.trustedDocumentsOnly;
}

async function orNull<Value>(promise: Promise<Value>): Promise<Value | null> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof UnauthenticatedError) return null;
    throw error;
  }
}

function claimOf(value: unknown): string | null {
  const text = storableText(typeof value === 'number' ? String(value) : value);
  return text === null || text.length > USER_ID_LENGTH_MAX ? null : text;
}
