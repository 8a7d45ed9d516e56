// Uses sessions and ends them at the same moment, over and over, on two nodes; then looks whether anything
// that was ever handed out still counts. docs/proofs.md says what is claimed and how to repeat it.
import { setTimeout as delay } from 'node:timers/promises';
import { createToken, hashToken } from '#auth/tokens.ts';
import { newId } from '#lib/ids.ts';
import { SEED_PASSWORD } from '../prisma/seed.ts';
import { addAccount, run, type TestAccount, viewerOf } from '../tests/support/accounts.ts';
import { refresh, signIn, type Tokens } from '../tests/support/sessions.ts';
import { measureClosings } from './closings.ts';
import { type Chance, createChance } from './random.ts';
import { createWorld, type World } from './world.ts';

export interface AuthProofOptions {
  readonly rounds: number;
  /** Revocations after which what was live is timed until it is closed. */
  readonly closings: number;
  readonly seed: number;
  /** Data and logs of this run; the caller removes it. */
  readonly folder: string;
  readonly postgresBinFolder?: string | undefined;
  readonly say?: (line: string) => void;
}

export interface RaceOutcome {
  rounds: number;
  /** Access and refresh tokens, each of which was tried afterwards. */
  handedOut: number;
  /** Calls that raced and were refused: with `handedOut` it shows that both orders came up. */
  beaten: number;
}

export interface AuthProof {
  readonly faults: readonly string[];
  readonly races: Readonly<Record<string, RaceOutcome>>;
  readonly closing: ClosingTimes;
  readonly seconds: number;
}

/** From the answer of what ended a session to the end of what was live by it. */
export interface ClosingTimes {
  readonly samples: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const NEW_PASSWORD = 'another landing by the sea';
const CLOSED_WITHIN_MS = 1_000;
const WORKERS = 3;
const SAY_EVERY = 100;
const FAULTS_MAX = 20;

/** One account with two sessions, seen from one address of its own, so that limits do not meet. */
interface Scene extends TestAccount {
  readonly world: World;
  readonly chance: Chance;
  readonly victim: Tokens;
  readonly owner: Tokens;
  readonly admin: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly outcome: RaceOutcome;
  readonly fault: (what: string) => void;
}

type Revoke = (scene: Scene, url: string) => Promise<string>;

const changePassword: Revoke = ({ owner, headers }, url) =>
  run(
    url,
    'changePassword',
    { currentPassword: SEED_PASSWORD, newPassword: NEW_PASSWORD },
    owner.accessToken,
    headers,
  );
const disableUser: Revoke = ({ id, admin }, url) => run(url, 'disableUser', { userId: id }, admin);
const deleteAccount: Revoke = ({ owner, headers }, url) =>
  run(url, 'deleteAccount', { password: SEED_PASSWORD }, owner.accessToken, headers);

const RACES: Readonly<Record<string, (scene: Scene) => Promise<void>>> = {
  'refresh, signOut': (scene) =>
    raceRefresh(scene, ({ victim }, url) => run(url, 'signOut', {}, victim.accessToken)),
  'refresh, signOut everywhere': (scene) =>
    raceRefresh(scene, ({ owner }, url) =>
      run(url, 'signOut', { everywhere: true }, owner.accessToken),
    ),
  'refresh, revokeSession': (scene) =>
    raceRefresh(scene, ({ owner, victim }, url) =>
      run(url, 'revokeSession', { id: victim.sessionId }, owner.accessToken),
    ),
  'refresh, changePassword': (scene) => raceRefresh(scene, changePassword),
  'refresh, disableUser': (scene) => raceRefresh(scene, disableUser),
  'refresh, deleteAccount': (scene) => raceRefresh(scene, deleteAccount),
  'refresh, refresh': raceRefreshes,
  'signIn, changePassword': (scene) => raceSignIn(scene, changePassword),
  'signIn, disableUser': (scene) => raceSignIn(scene, disableUser),
  'signIn, deleteAccount': (scene) => raceSignIn(scene, deleteAccount),
};

/** Resolves with what was found wrong, which should be nothing. Rejects when it could not be tried. */
export async function proveAuth(options: AuthProofOptions): Promise<AuthProof> {
  const { rounds, closings, seed, folder, postgresBinFolder, say = () => {} } = options;
  const faults: string[] = [];
  const onFault = (fault: string) => {
    faults.push(fault);
    say(`FAULT ${fault}`);
  };
  const world = await createWorld({
    folder,
    bus: 'postgres',
    onFault,
    postgresBinFolder,
    settings: {
      // Both nodes issue for one audience.
      PUBLIC_URL: 'https://naru.proof',
      // So that each account has an address of its own.
      TRUSTED_PROXIES: '127.0.0.1',
    },
  });
  try {
    const startedAt = performance.now();
    const admin = await addAdminToken(world);
    const races: Record<string, RaceOutcome> = {};
    let begun = 0;
    const work = async () => {
      while (begun < rounds && faults.length < FAULTS_MAX) {
        const round = begun++;
        const names = Object.keys(RACES);
        const name = names[round % names.length] ?? '';
        races[name] ??= { rounds: 0, handedOut: 0, beaten: 0 };
        races[name].rounds += 1;
        const fault = (what: string) => onFault(`round ${round} (${name}): ${what}`);
        const chance = createChance(seed, `round ${round}`);
        const scene = await openScene({ world, chance, admin, outcome: races[name], fault });
        await RACES[name]?.(scene).catch((error: unknown) => fault(String(error)));
        if ((round + 1) % SAY_EVERY === 0) say(`${round + 1} rounds`);
      }
    };
    await Promise.all(Array.from({ length: WORKERS }, work));
    const times = await measureClosings({ world, count: closings, admin, fault: onFault });
    const closing = summarise(times);
    if (closing.p99Ms > CLOSED_WITHIN_MS) onFault(`p99 of closing is ${closing.p99Ms} ms`);
    return { faults, races, closing, seconds: (performance.now() - startedAt) / 1_000 };
  } finally {
    await world.close();
  }
}

function summarise(times: readonly number[]): ClosingTimes {
  const sorted = times.toSorted((one, other) => one - other);
  const at = (share: number) =>
    Math.round(sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0);
  return { samples: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}

async function addAdminToken({ query }: World): Promise<string> {
  const token = createToken('personalAccessToken');
  await query(
    `INSERT INTO personal_access_token (id, user_id, name, token_hash, scopes, expires_at)
     SELECT $1, id, 'proof', $2, '{users:read,users:write}', now() + interval '1 day'
     FROM users WHERE username = 'admin'`,
    [newId(), hashToken(token)],
  );
  return token;
}

async function openScene(
  given: Pick<Scene, 'world' | 'chance' | 'admin' | 'outcome' | 'fault'>,
): Promise<Scene> {
  const { world, chance } = given;
  const account = await addAccount(world.query);
  const address = [10, ...[1, 2, 3].map(() => chance.between(0, 255))].join('.');
  const headers = { 'x-forwarded-for': address };
  const open = async () => {
    const { result } = await signIn(anyNode(given), { login: account.login }, headers);
    const { session, accessToken, refreshToken } = result.data.signIn;
    return { sessionId: session.id, accessToken, refreshToken } as Tokens;
  };
  return { ...given, ...account, headers, victim: await open(), owner: await open() };
}

function anyNode({ world, chance }: Pick<Scene, 'world' | 'chance'>): string {
  return chance.pick(world.nodeUrls);
}

/** The end, at some moment; with when its answer came. Rejects when it was refused: there is no race then. */
async function revokeSoon(scene: Scene, revoke: Revoke): Promise<{ answeredAt: number }> {
  await delay(scene.chance.between(0, 25));
  const outcome = await revoke(scene, anyNode(scene));
  if (/Error|[A-Z]{2}/.test(outcome)) throw new Error(`It could not be ended: ${outcome}`);
  return { answeredAt: performance.now() };
}

/** A client that refreshes as fast as it can, each token from two tabs at once, while its session is ended. */
async function raceRefresh(scene: Scene, revoke: Revoke): Promise<void> {
  const { victim, chance, outcome, fault } = scene;
  const accessTokens = [victim.accessToken];
  const refreshTokens = [victim.refreshToken];
  const began: number[] = [];
  let isOver = false;
  const revoking = revokeSoon(scene, revoke).finally(() => {
    isOver = true;
  });
  let refusals = 0;
  // One step past the answer: it is to be refused.
  for (let isLast = false; refusals === 0 && !isLast; ) {
    isLast = isOver;
    const token = refreshTokens.at(-1) ?? '';
    const successors = new Set<string>();
    const tabs = [0, chance.between(0, 3)].map(async (pauseMs) => {
      await delay(pauseMs);
      const beganAt = performance.now();
      const answer = await refresh(anyNode(scene), token);
      if (answer.__typename !== 'SessionRefreshed') {
        refusals += 1;
        return;
      }
      began.push(beganAt);
      accessTokens.push(answer.accessToken);
      successors.add(answer.refreshToken);
    });
    await Promise.all(tabs);
    if (successors.size > 1) fault('one token got two successors');
    refreshTokens.push(...successors);
  }
  const { answeredAt } = await revoking;
  if (refusals === 0) fault('refreshing was never refused');
  if (began.some((at) => at > answeredAt)) fault('a refresh began after the end, and was answered');
  outcome.beaten += refusals;
  await expectWorthless(scene, accessTokens, refreshTokens);
}

/** Sign-ins by a password that is about to count no more. */
async function raceSignIn(scene: Scene, revoke: Revoke): Promise<void> {
  const { chance, login, headers, outcome } = scene;
  const accessTokens = [scene.victim.accessToken];
  const refreshTokens = [scene.victim.refreshToken];
  const signing = [0, 1, 2].map(async () => {
    await delay(chance.between(0, 300));
    const { result } = await signIn(anyNode(scene), { login }, headers);
    const { __typename, accessToken, refreshToken } = result.data.signIn;
    if (__typename === 'SignedIn') {
      accessTokens.push(accessToken);
      refreshTokens.push(refreshToken);
    } else if (['InvalidCredentialsError', 'ForbiddenError'].includes(__typename)) {
      outcome.beaten += 1;
    } else {
      scene.fault(`a sign-in came to ${__typename}`);
    }
  });
  await Promise.all([revokeSoon(scene, revoke), ...signing]);
  await expectWorthless(scene, accessTokens, refreshTokens);
}

/** Many at once, then a thief who comes within the grace, then one who comes after it. */
async function raceRefreshes(scene: Scene): Promise<void> {
  const { world, victim, owner, outcome, fault } = scene;
  const first = await Promise.all(
    Array.from({ length: 20 }, () => refresh(anyNode(scene), victim.refreshToken)),
  );
  const successors = new Set(first.map(({ refreshToken }) => refreshToken));
  const [successor] = successors;
  if (successors.size !== 1 || !successor) return fault(`${successors.size} successors`);
  const [second, again] = await Promise.all([
    refresh(anyNode(scene), successor),
    refresh(anyNode(scene), victim.refreshToken),
  ]);
  if (second.__typename !== 'SessionRefreshed') fault('the successor was refused');
  if (again.__typename === 'SessionRefreshed' && again.refreshToken !== successor) {
    fault('a repeated token got another successor');
  }
  const late = await refresh(anyNode(scene), victim.refreshToken);
  if (late.__typename !== 'UnauthenticatedError') fault('the successor was used, and given again');
  if ((await viewerOf(anyNode(scene), second.accessToken)) === null) {
    fault('coming again within the grace ended the session');
  }
  // Its clock, and nobody else's.
  await world.query(
    `UPDATE refresh_token SET used_at = used_at - interval '11 seconds' WHERE session_id IN (
       SELECT session_id FROM refresh_token WHERE token_hash = $1)`,
    [hashToken(victim.refreshToken)],
  );
  const thieves = await Promise.all(
    [victim.refreshToken, victim.refreshToken, successor].map((token) =>
      refresh(anyNode(scene), token),
    ),
  );
  outcome.beaten += thieves.filter(({ __typename }) => __typename !== 'SessionRefreshed').length;
  const accessTokens = [...first, second].map(({ accessToken }) => accessToken);
  await expectWorthless(
    scene,
    [victim.accessToken, ...accessTokens],
    [victim.refreshToken, successor, second.refreshToken],
  );
  const audited = await world.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM audit_entry WHERE action = 'REFRESH_REUSED' AND subject_id = $1`,
    [scene.userId],
  );
  if (audited[0]?.count !== 1) fault(`${audited[0]?.count} entries of the audit log`);
  if ((await viewerOf(anyNode(scene), owner.accessToken)) === null) {
    fault('another session of the account was ended as well');
  }
}

async function expectWorthless(
  scene: Scene,
  accessTokens: readonly string[],
  refreshTokens: readonly string[],
): Promise<void> {
  scene.outcome.handedOut += accessTokens.length + refreshTokens.length;
  for (const url of scene.world.nodeUrls) {
    for (const token of accessTokens) {
      if ((await viewerOf(url, token)) !== null) scene.fault('an access token still counts');
    }
    for (const token of refreshTokens) {
      const { __typename } = await refresh(url, token);
      if (__typename !== 'UnauthenticatedError') scene.fault('a refresh token still counts');
    }
  }
}
