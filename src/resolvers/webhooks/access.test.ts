import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ALL_SCOPES } from '#auth/scopes.ts';
import type { Role, Viewer } from '#auth/viewer.ts';
import type { Context } from '#context.ts';
import { createDatabase, type Database } from '#database/client.ts';
import { createPrisma } from '#database/prisma.ts';
import type { PrismaClient, WebhookMessage } from '#generated/prisma/client.ts';
import { newId } from '#lib/ids.ts';
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts';
import {
  canReadMessage,
  canReadSource,
  createGrantLoader,
  readableMessages,
  readableSources,
} from './access.ts';

const ROLES: readonly Role[] = ['USER', 'OPERATOR', 'AUDITOR', 'ADMIN'];
const OUTCOMES = ['VERIFIED', 'UNSIGNED', 'UNVERIFIED'] as const;
const USERS = [newId(), newId(), newId()];
const SOURCES = [newId(), newId(), newId()];

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
    data: SOURCES.map((id) => ({ id, path: id, provider: 'NONE' as const })),
  });
  let position = 0;
  for (const sourceId of [...SOURCES, null]) {
    for (const verification of OUTCOMES) {
      position += 1;
      const rest = { path: '/', method: 'POST', headers: [], byteSize: 0, receivedAt: new Date() };
      await prisma.webhookMessage.create({
        data: { id: newId(), position, sourceId, verification, ...rest },
      });
    }
  }
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
  { selector: (grant) => JSON.stringify(grant), maxLength: 6 },
);

const viewers: fc.Arbitrary<Viewer | null> = fc.option(
  fc
    .record({
      userId: fc.constantFrom(...USERS),
      roles: fc.subarray([...ROLES]),
      scopes: fc.oneof(fc.constant([...ALL_SCOPES]), fc.subarray([...ALL_SCOPES])),
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

test('what the statement reads is what the rule for one message allows, and both are the rule', async () => {
  await fc.assert(
    fc.asyncProperty(grants, viewers, async (given, viewer) => {
      await prisma.webhookSourceGrant.deleteMany({});
      await prisma.webhookSourceGrant.createMany({
        data: given.map((grant) => ({ ...grant, id: newId() })),
      });
      if (viewer !== null) {
        const roles = [...viewer.roles];
        await prisma.user.update({ where: { id: viewer.userId }, data: { roles } });
      }
      const reads = viewer?.scopes.has('webhooks:read') ?? false;
      const isOperator = viewer?.roles.has('OPERATOR') || viewer?.roles.has('ADMIN');
      const granted = (sourceId: string | null) =>
        reads &&
        given.some(
          (grant) =>
            grant.sourceId === sourceId &&
            (grant.userId === viewer?.userId ||
              (grant.role !== null && viewer?.roles.has(grant.role))),
        );
      const allowed = messages.filter((message) =>
        message.verification === 'UNVERIFIED' ? reads && isOperator : granted(message.sourceId),
      );
      const ids = allowed.map(({ id }) => id);

      const rows = await prisma.webhookMessage.findMany({
        where: readableMessages(viewer),
        orderBy: { position: 'asc' },
      });
      expect(rows.map(({ id }) => id)).toEqual(ids);

      // The rule for one thing asks nothing else of a context.
      const loadGrants = createGrantLoader(database);
      const ctx = { viewer, loadGrants, remembered: new Map() } as unknown as Context;
      const one = await Promise.all(messages.map((message) => canReadMessage(ctx, message)));
      expect(messages.filter((_, index) => one[index]).map(({ id }) => id)).toEqual(ids);

      const sources = await prisma.webhookSource.findMany({ where: readableSources(viewer) });
      for (const id of SOURCES) {
        expect(await canReadSource(ctx, id)).toBe(granted(id));
        expect(sources.some((source) => source.id === id)).toBe(granted(id));
      }
    }),
    { numRuns: 150 },
  );
});
