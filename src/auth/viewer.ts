import type { Scope } from './scopes.ts';

export type Role = 'USER' | 'OPERATOR' | 'AUDITOR' | 'ADMIN';

export interface Account {
  readonly id: string;
  readonly username: string;
  readonly displayName: string;
  readonly roles: Role[];
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** Who is asking, as found at the start of this request: never kept for the next one. */
export interface Viewer {
  readonly userId: string;
  /** The account's row, read with the token: asking who is asking costs nothing more. */
  readonly user: Account;
  readonly roles: ReadonlySet<Role>;
  readonly scopes: ReadonlySet<Scope>;
  readonly tokenId: string;
}

/** Operators see what nobody else may: unverified webhooks, and which part is down. */
export function isOperator(viewer: Viewer | null): boolean {
  return viewer !== null && (viewer.roles.has('OPERATOR') || viewer.roles.has('ADMIN'));
}
