import type { Context, Origin } from '#context.ts';
import { RateLimitedError, UnavailableError } from '#lib/errors.ts';
import { networkOf } from '#lib/network.ts';
import type { RateLimiter, Taken } from '#redis/rate-limit.ts';

/**
 * How often credentials may be tried. Each try takes a point of every limit that it falls under before
 * anything is hashed or looked up, and what was right gets it back. A network is an IPv4 address or an IPv6 /64.
 */
export const CREDENTIAL_LIMITS = {
  /** Wrong sign-ins from one network, whatever the login. */
  'sign-in-network': { points: 100, perSeconds: 600 },
  /** Wrong sign-ins for one login from one network. */
  'sign-in-login-network': { points: 10, perSeconds: 900 },
  /**
   * Wrong sign-ins for one login from everywhere. It does not hold for networks that the account has
   * signed in from before, so that nobody can lock somebody else out.
   */
  'sign-in-login': { points: 100, perSeconds: 3_600 },
  /** Wrong passwords within one session. */
  'password-session': { points: 10, perSeconds: 900 },
  /** Changes of the password within one session, tried or done: each is two hashes. */
  'password-change': { points: 20, perSeconds: 900 },
  /** Accounts asked for from one network. */
  'sign-up-network': { points: 20, perSeconds: 3_600 },
  /** One-time tokens tried from one network. */
  'one-time-network': { points: 30, perSeconds: 600 },
  /** Sign-ins with GitHub begun from one network. */
  'github-network': { points: 100, perSeconds: 600 },
  /** Password resets and address changes asked for from one network. */
  'mail-network': { points: 20, perSeconds: 3_600 },
  /**
   * Mails of each kind (sign-up, reset, change) to one address, asked for from one network: more are left
   * out, and nobody is told. The window is shorter than any token in them lives, so that whoever is told
   * of a mail has one that counts; and by network, so that nobody keeps somebody else's mail away.
   */
  'mail-address-network': { points: 3, perSeconds: 1_500 },
  /** The same from everywhere: what a mailbox has to bear. */
  'mail-address': { points: 12, perSeconds: 3_600 },
} as const;

export type CredentialLimiter = RateLimiter<keyof typeof CREDENTIAL_LIMITS>;

const hashed = new WeakSet<Origin>();

/**
 * Work that hashes a password. One field of a request may, whatever its aliases: hashing is what attackers
 * would have us do. Throws `RateLimitedError`, and `UnavailableError` where too many wait for theirs.
 */
export function withHash<Result>(
  { origin, passwords }: Context,
  work: () => Promise<Result>,
): Promise<Result> {
  return passwords.admit(async () => {
    if (hashed.has(origin)) {
      throw new RateLimitedError('One password a request: send the others by themselves', 1);
    }
    hashed.add(origin);
    return work();
  });
}

/** Returns what was taken for `work` where that succeeds, and where nothing could be tried. */
export async function giveBackUnlessWrong<Result>(
  taken: Taken,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    const result = await work();
    await taken.giveBack();
    return result;
  } catch (error) {
    if (error instanceof UnavailableError) await taken.giveBack();
    throw error;
  }
}

/** Whether one more mail of this kind may go to the address. */
export async function mayMail(
  ctx: Context,
  kind: 'sign-up' | 'reset' | 'change',
  email: string,
): Promise<boolean> {
  try {
    await ctx.credentialLimiter.take([
      { name: 'mail-address-network', key: `${kind} ${email} ${networkOfClient(ctx)}` },
      { name: 'mail-address', key: `${kind} ${email}` },
    ]);
    return true;
  } catch (error) {
    if (error instanceof RateLimitedError) return false;
    throw error;
  }
}

/** Where the request comes from, as limits count it. */
export function networkOfClient({ origin }: Context): string {
  return networkOf(origin.client.ipAddress);
}
