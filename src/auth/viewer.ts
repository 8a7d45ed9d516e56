import type { Scope } from './scopes.ts';

export type Role = 'USER' | 'OPERATOR' | 'AUDITOR' | 'ADMIN';

export interface Account {
  readonly id: string;
  readonly username: string;
  readonly displayName: string;
  readonly avatarUrl: string | null;
  readonly email: string | null;
  readonly emailVerifiedAt: Date | null;
  readonly roles: Role[];
  readonly disabledAt: Date | null;
  readonly deletedAt: Date | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** What proved who is asking. */
export type Proof =
  | {
      readonly kind: 'token';
      readonly id: string;
      /** Whether it runs documents of the manifest and no other. */
      readonly trustedDocumentsOnly: boolean;
    }
  | {
      readonly kind: 'session';
      readonly id: string;
      readonly transport: 'COOKIE' | 'TOKENS';
      readonly expiresAt: Date;
      /** Whether the credentials were proven within the last 15 minutes: what is sensitive wants that. */
      readonly isFresh: boolean;
    };

/** Who is asking, as found at the start of this request: never kept for the next one. */
export interface Viewer {
  readonly userId: string;
  /** The account's row, read with the token: asking who is asking costs nothing more. */
  readonly user: Account;
  readonly roles: ReadonlySet<Role>;
  /** Every scope with a session, the token's own with a personal access token. */
  readonly scopes: ReadonlySet<Scope>;
  readonly proof: Proof;
}

/** Operators see what nobody else may: unverified webhooks, and which part is down. */
export function isOperator(viewer: Viewer | null): boolean {
  return viewer !== null && (viewer.roles.has('OPERATOR') || viewer.roles.has('ADMIN'));
}
