// Accounts that came by signing in with GitHub, as people do it, and what GitHub lets them see.
import type { GitHubStandIn } from '../tests/support/github.ts';
import type { World } from './world.ts';

export interface LinkedPerson {
  /** GitHub's number. */
  readonly id: number;
  readonly login: string;
  readonly token: string;
}

export const PUBLIC_URL = 'https://naru.proof';

const BINDING = /__Host-naru-oauth=([^;]*)/;

/** Needs `TRUSTED_PROXIES=127.0.0.1`, so that each comes from an address of their own. */
export async function signInPerson(
  world: World,
  github: GitHubStandIn,
  id: number,
): Promise<LinkedPerson> {
  const login = `person-${id}`;
  const [nodeUrl] = world.nodeUrls;
  const headers = { 'x-forwarded-for': `10.0.${id >> 8}.${id & 255}` };
  github.put({ id, login });
  const start = await fetch(`${nodeUrl}/auth/github`, { headers, redirect: 'manual' });
  const [cookie] = BINDING.exec(start.headers.getSetCookie().join()) ?? [];
  const location = start.headers.get('location');
  if (cookie === undefined || location === null)
    throw new Error(`No way to GitHub: ${start.status}`);
  const back = await github.authorize(location, id);
  const arrived = await fetch(`${nodeUrl}${back.pathname}${back.search}`, {
    headers: { ...headers, cookie },
    redirect: 'manual',
  });
  const [account] = await world.query<{ username: string }>(
    'SELECT u.username FROM users u JOIN github_account g ON g.user_id = u.id WHERE g.github_id = $1',
    [id],
  );
  if (account === undefined) throw new Error(`Nobody signed in: ${arrived.status}`);
  return { id, login, token: await world.issueToken(account.username) };
}
