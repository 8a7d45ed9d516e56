import type { Scope } from './scopes.ts';

export type Role = 'USER' | 'OPERATOR' | 'AUDITOR' | 'ADMIN';

/** Who is asking, as found at the start of this request: never kept for the next one. */
export interface Viewer {
  readonly userId: string;
  readonly username: string;
  readonly roles: ReadonlySet<Role>;
  readonly scopes: ReadonlySet<Scope>;
  readonly tokenId: string;
}

/** Operators see what nobody else may: unverified webhooks, and which part is down. */
export function isOperator(viewer: Viewer | null): boolean {
  return viewer !== null && (viewer.roles.has('OPERATOR') || viewer.roles.has('ADMIN'));
}
