import type { Role } from '#auth/viewer.ts';
import type { Services } from '#context.ts';
import { newId } from '#lib/ids.ts';
import { transact } from '#outbox.ts';
import { storeRoom } from '#resolvers/rooms/create-room.ts';
import { enterRoom } from '#resolvers/rooms/enter-room.ts';
import { lockRoom } from '#resolvers/rooms/write-room.ts';

const USERS: readonly { username: string; displayName: string; roles: readonly Role[] }[] = [
  { username: 'alice', displayName: 'Alice', roles: ['USER'] },
  { username: 'bob', displayName: 'Bob', roles: ['USER'] },
  { username: 'oscar', displayName: 'Oscar', roles: ['USER', 'OPERATOR'] },
  { username: 'audrey', displayName: 'Audrey', roles: ['USER', 'AUDITOR'] },
  { username: 'admin', displayName: 'Admin', roles: ['USER', 'ADMIN'] },
];

/** Of every seeded account: they are for a machine that nobody else can reach. */
export const SEED_PASSWORD = 'a landing by the river';
// Of SEED_PASSWORD, so that starting takes no hashing.
const SEED_HASH =
  '$argon2id$v=19$m=19456,t=2,p=1$bmFydS1kZXZlbG9wbWVudA$0WGcwNa9R0889FwVzKMioJWyBbvrvOqPz+ynAwrploY';

/**
 * The small world of the docs and demos: five accounts, the source `github` granted to alice, and the room
 * `landing` with alice and bob in it.
 * What is there already stays as it is. Never in production.
 */
export async function seed(app: Services): Promise<void> {
  if (app.config.mode === 'production') throw new Error('Seeds never run in production');
  await app.prisma.user.createMany({
    data: USERS.map((user) => ({
      ...user,
      id: newId(),
      email: `${user.username}@example.com`,
      emailVerifiedAt: new Date(),
      roles: [...user.roles],
    })),
    skipDuplicates: true,
  });
  await app.database.query(
    `INSERT INTO password (user_id, hash) SELECT id, $1 FROM users WHERE username = ANY($2)
     ON CONFLICT DO NOTHING`,
    [SEED_HASH, USERS.map(({ username }) => username)],
  );
  await app.database.query(
    `INSERT INTO webhook_source_grant (id, source_id, user_id)
     SELECT $1, s.id, u.id FROM webhook_source s, users u
     WHERE s.path = 'github' AND s.deleted_at IS NULL AND u.username = 'alice'
     ON CONFLICT DO NOTHING`,
    [newId()],
  );
  await seedRoom(app);
}

async function seedRoom(app: Services): Promise<void> {
  const people = await app.prisma.user.findMany({
    where: { username: { in: ['alice', 'bob'] } },
    orderBy: { username: 'asc' },
    select: { id: true },
  });
  const [alice, bob] = people.map(({ id }) => id);
  if (alice === undefined || bob === undefined) return;
  await transact(app, async (sql, announce) => {
    const id = await storeRoom(sql, {
      kind: 'GROUP',
      name: 'Landing',
      externalId: 'landing',
      historyVisibility: 'SHARED',
      directKey: null,
      createdById: alice,
    });
    if (id === null) return;
    const write = await lockRoom(sql, announce, id);
    const entrants = [
      { userId: alice, role: 'OWNER' },
      { userId: bob, role: 'MEMBER' },
    ] as const;
    await enterRoom(write, entrants, alice);
    await write.store();
  });
}
