import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ALL_SCOPES } from '#auth/scopes.ts';
import type { Role, Viewer } from '#auth/viewer.ts';
import type { Context } from '#context.ts';
import { createDatabase, type Database } from '#database/client.ts';
import { createPrisma } from '#database/prisma.ts';
import type { PrismaClient, WebhookMessage } from '#generated/prisma/client.ts';
import { UnavailableError } from '#lib/errors.ts';
import { newId } from '#lib/ids.ts';
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts';
import {
  canReadMessage,
  canReadSource,
  createDecisionLoader,
  createDueLoader,
  createSourceLoader,
  decideMessage,
  type Permission,
} from './access.ts';
import { READABLE, SETTLEABLE } from './access-sql.ts';
import { findReadablePositions } from './readable-page.ts';

const ROLES: readonly Role[] = ['USER', 'OPERATOR', 'AUDITOR', 'ADMIN'];
const OUTCOMES = ['VERIFIED', 'UNSIGNED', 'UNVERIFIED'] as const;
const USERS = [newId(), newId(), newId()];
const SOURCES = [newId(), newId()];
/** Two of the first source that GitHub decides on, and one that it does not. */
const REPOSITORIES = [
  { id: newId(), githubId: 1_000n },
  { id: newId(), githubId: 2_000n },
  { id: newId(), githubId: null },
];
const LINK = newId();
const HOUR_MS = 3_600_000;

let testDatabase: TestDatabase;
let database: Database;
let prisma: PrismaClient;
let messages: readonly WebhookMessage[];

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = createDatabase({
    connectionString: testDatabase.url,
    poolMax: 4,
    onIdleError: () => {},
  });
  prisma = createPrisma(database);
  await prisma.user.createMany({
    data: USERS.map((id) => ({ id, username: id, displayName: id, roles: [] })),
  });
  await prisma.webhookSource.createMany({
    data: SOURCES.map((id) => ({ id, path: id, provider: 'GITHUB' as const })),
  });
  const [sourceId = ''] = SOURCES;
  await prisma.webhookRepository.createMany({
    data: REPOSITORIES.map((repository, index) => ({
      ...repository,
      sourceId,
      providerId: String(index),
      fullName: `octo/${index}`,
    })),
  });
  const lanes = [
    ...SOURCES.map((id) => ({ id, sourceId: id, repositoryId: null, githubId: null })),
    ...REPOSITORIES.map(({ id, githubId }) => ({ id, sourceId, repositoryId: id, githubId })),
  ];
  await prisma.webhookLane.createMany({ data: lanes });
  const places = [...lanes, { id: null, sourceId: null, repositoryId: null }];
  const rows = places.flatMap((place) => OUTCOMES.map((verification) => ({ place, verification })));
  await prisma.webhookMessage.createMany({
    data: rows.map(({ place, verification }, index) => ({
      id: newId(),
      position: index + 1,
      sourceId: place.sourceId,
      repositoryId: place.repositoryId,
      // As the projector has it: what nobody vouches for is in no lane.
      laneId: verification === 'UNVERIFIED' ? null : place.id,
      laneSequence: verification === 'UNVERIFIED' ? null : index + 1,
      verification,
      path: '/',
      method: 'POST',
      headers: [],
      byteSize: 0,
      receivedAt: new Date(),
    })),
  });
  messages = await prisma.webhookMessage.findMany({ orderBy: { position: 'asc' } });
});
afterAll(async () => {
  await prisma.$disconnect();
  await database.close();
  await testDatabase.drop();
});

interface Grant {
  readonly sourceId: string;
  readonly userId: string | null;
  readonly role: Role | null;
}

const grants = fc.uniqueArray(
  fc
    .tuple(
      fc.constantFrom(...SOURCES),
      fc.oneof(fc.constantFrom(...USERS), fc.constantFrom(...ROLES)),
    )
    .map(
      ([sourceId, to]): Grant =>
        USERS.includes(to)
          ? { sourceId, userId: to, role: null }
          : { sourceId, userId: null, role: to as Role },
    ),
  { selector: (grant) => JSON.stringify(grant), maxLength: 3 },
);

const viewers: fc.Arbitrary<Viewer | null> = fc.option(
  fc
    .record({
      userId: fc.constantFrom(...USERS),
      roles: fc.subarray([...ROLES]),
      scopes: fc.oneof(
        { weight: 4, arbitrary: fc.constant([...ALL_SCOPES]) },
        fc.subarray([...ALL_SCOPES]),
      ),
    })
    .map(({ userId, roles, scopes }) => ({
      userId,
      roles: new Set(roles),
      scopes: new Set(scopes),
      proof: { kind: 'token' as const, id: newId(), trustedDocumentsOnly: false },
      user: {
        id: userId,
        username: userId,
        displayName: userId,
        avatarUrl: null,
        email: null,
        emailVerifiedAt: null,
        disabledAt: null,
        deletedAt: null,
        roles,
        createdAt: new Date(0),
        updatedAt: new Date(0),
      },
    })),
  { freq: 10 },
);

/** Whether it lapses in an hour, did so an hour ago, or was never set. */
type Validity = 'VALID' | 'LAPSED' | null;
const validity: fc.Arbitrary<Validity> = fc.constantFrom('VALID', 'VALID', 'LAPSED', null);

/** What GitHub said for the viewer, in all the states in which its rows can be. */
const answers = fc.record({
  link: fc.constantFrom('LINKED', 'LINKED', 'LINKED', 'BROKEN', null),
  set: fc.option(
    fc.record({
      isOfLink: fc.oneof({ weight: 5, arbitrary: fc.constant(true) }, fc.constant(false)),
      wasAsked: fc.oneof({ weight: 5, arbitrary: fc.constant(true) }, fc.constant(false)),
      validity,
      isStale: fc.boolean(),
    }),
    { freq: 6 },
  ),
  rows: fc.array(
    fc.option(
      fc.record({
        state: fc.constantFrom('ALLOWED', 'ALLOWED', 'DENIED', 'UNKNOWN'),
        validity,
        wasAnswered: fc.boolean(),
      }),
    ),
    { minLength: 2, maxLength: 2 },
  ),
});
type Answers = typeof answers extends fc.Arbitrary<infer Value> ? Value : never;

const timeOf = (value: Validity) =>
  value === null ? null : new Date(Date.now() + (value === 'VALID' ? HOUR_MS : -HOUR_MS));

async function store(
  given: readonly Grant[],
  viewer: Viewer | null,
  { link, set, rows }: Answers,
): Promise<void> {
  await prisma.webhookSourceGrant.deleteMany({});
  await prisma.gitHubAccount.deleteMany({});
  await prisma.gitHubPermissionSet.deleteMany({});
  await prisma.gitHubPermission.deleteMany({});
  await prisma.webhookSourceGrant.createMany({
    data: given.map((grant) => ({ ...grant, id: newId() })),
  });
  if (viewer === null) return;
  const { userId } = viewer;
  await prisma.user.update({ where: { id: userId }, data: { roles: [...viewer.roles] } });
  if (link !== null) {
    const accessTokenSealed = new Uint8Array();
    await prisma.gitHubAccount.create({
      data: { id: LINK, userId, githubId: 1, login: 'octocat', state: link, accessTokenSealed },
    });
  }
  if (set !== null) {
    const { isOfLink, wasAsked, isStale } = set;
    await prisma.gitHubPermissionSet.create({
      data: {
        userId,
        linkId: isOfLink ? LINK : newId(),
        checkedAt: wasAsked ? new Date() : null,
        validUntil: wasAsked ? timeOf(set.validity) : null,
        isStale,
      },
    });
  }
  await prisma.gitHubPermission.createMany({
    data: rows.flatMap((row, index) =>
      row === null
        ? []
        : {
            userId,
            repositoryId: REPOSITORIES[index]?.githubId ?? 0n,
            state: row.state,
            checkedAt: row.validity !== null && row.wasAnswered ? new Date() : null,
            validUntil: timeOf(row.validity),
          },
    ),
  });
}

/** The rule in its plainest words, with what a page may not skip and what may be settled. */
function judge(
  message: WebhookMessage,
  viewer: Viewer | null,
  given: readonly Grant[],
  said: Answers,
) {
  const no = { permission: 'DENIED' as Permission, isUnsure: false, isSettleable: false };
  const yes = { permission: 'ALLOWED' as Permission, isUnsure: false, isSettleable: true };
  if (viewer === null || !viewer.scopes.has('webhooks:read')) return no;
  if (message.verification === 'UNVERIFIED') {
    const isOperator = viewer.roles.has('OPERATOR') || viewer.roles.has('ADMIN');
    return isOperator ? { ...yes, isSettleable: false } : no;
  }
  const isGranted = given.some(
    ({ sourceId, userId, role }) =>
      sourceId === message.sourceId &&
      (userId === viewer.userId || (role !== null && viewer.roles.has(role))),
  );
  if (isGranted) return yes;
  const index = REPOSITORIES.findIndex(({ id }) => id === message.repositoryId);
  if (said.link !== 'LINKED' || REPOSITORIES[index]?.githubId == null) return no;
  const row = said.rows[index] ?? null;
  const set = said.set?.isOfLink && said.set.wasAsked ? said.set : null;
  if (set === null) return { permission: 'UNKNOWN' as const, isUnsure: true, isSettleable: false };
  const counts = set.validity === 'VALID' && row?.validity !== 'LAPSED';
  const isOpen =
    row !== null &&
    row.state !== 'DENIED' &&
    !(row.state === 'ALLOWED' && counts) &&
    (row.validity === null || row.wasAnswered);
  if (set.validity !== 'VALID' || row?.validity === 'LAPSED') {
    return { permission: 'UNKNOWN' as const, isUnsure: isOpen, isSettleable: isOpen };
  }
  if (row === null) {
    return { ...no, permission: set.isStale ? ('UNKNOWN' as const) : ('DENIED' as const) };
  }
  if (row.state === 'ALLOWED') return yes;
  return { permission: row.state, isUnsure: isOpen, isSettleable: isOpen };
}

test('the statements, the rule for one message and the rule in words agree, whatever GitHub has said', async () => {
  await fc.assert(
    fc.asyncProperty(grants, viewers, answers, async (given, viewer, said) => {
      await store(given, viewer, said);
      const ctx = {
        viewer,
        database,
        github: {},
        // GitHub is away: what is UNKNOWN stays so.
        permissions: { refresh: () => Promise.reject(new UnavailableError('away')) },
        loadDecision: createDecisionLoader(database),
        loadSources: createSourceLoader(database),
        loadIsDue: createDueLoader(database),
        remembered: new Map(),
      } as unknown as Context;
      const judged = messages.map((message) => ({
        message,
        ...judge(message, viewer, given, said),
      }));

      for (const { message, permission } of judged) {
        expect((await decideMessage(ctx, message)).permission).toBe(permission);
        const reading = canReadMessage(ctx, message);
        if (permission === 'UNKNOWN') await expect(reading).rejects.toThrow(UnavailableError);
        else expect(await reading).toBe(permission === 'ALLOWED');
      }
      const allowed = judged.filter(({ permission }) => permission === 'ALLOWED');
      for (const id of SOURCES) {
        const isReadable = allowed.some(
          ({ message }) => message.sourceId === id && message.verification !== 'UNVERIFIED',
        );
        expect(await canReadSource(ctx, id)).toBe(isReadable);
      }
      if (viewer === null || !viewer.scopes.has('webhooks:read')) return;

      const bounds = { after: 0n, before: 1_000n, limit: 100, filter: {} };
      const page = findReadablePositions(ctx, { ...bounds, direction: 'forward' });
      if (judged.some(({ isUnsure }) => isUnsure)) {
        await expect(page).rejects.toThrow(UnavailableError);
      } else {
        expect(await page).toEqual(allowed.map(({ message }) => message.position));
      }
      const lanesOf = (some: typeof judged) =>
        new Set(some.flatMap(({ message }) => message.laneId ?? []));
      const select = async (pieces: string, name: string) =>
        new Set(
          (
            await database.query<{ id: string }>(`WITH ${pieces} SELECT id FROM ${name}`, [
              viewer.userId,
            ])
          ).map(({ id }) => id),
        );
      expect(await select(READABLE, 'readable')).toEqual(lanesOf(allowed));
      expect(await select(SETTLEABLE, 'settleable')).toEqual(
        lanesOf(judged.filter(({ isSettleable }) => isSettleable)),
      );
    }),
    { numRuns: 250 },
  );
});
