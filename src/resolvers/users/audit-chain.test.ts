import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDatabase, type Database, type Sql } from '#database/client.ts';
import { newId } from '#lib/ids.ts';
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts';
import { until } from '../../../tests/support/graphql-client.ts';
import { type AuditActor, eraseAuditAddresses, recordAudit, SYSTEM_ACTOR } from './audit.ts';
import { sealAuditEntries, verifyAuditChain } from './audit-chain.ts';

const LOCK = `SELECT pg_advisory_xact_lock(hashtextextended('naru audit chain', 0))`;

let testDatabase: TestDatabase;
/** Two nodes. */
let database: Database;
let otherDatabase: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  const options = { connectionString: testDatabase.url, poolMax: 5, onIdleError: () => {} };
  database = createDatabase(options);
  otherDatabase = createDatabase(options);
});
afterAll(async () => {
  await Promise.all([database?.close(), otherDatabase?.close()]);
  await testDatabase?.drop();
});
beforeEach(() => database.query('TRUNCATE audit_entry'));

const seal = (node: Database = database) => sealAuditEntries({ database: node });

function actor(): AuditActor {
  return { userId: newId(), sessionId: newId(), ipAddress: '192.0.2.7' };
}

async function record(sql: Sql, count = 1): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    await recordAudit(sql, actor(), {
      action: 'ROLES_CHANGED',
      subject: { type: 'User', id: newId() },
      details: { before: ['USER'], after: ['USER', 'ADMIN'], index },
    });
  }
}

/** Quicker than one by one, for chains that are longer than a batch or a page. */
function recordMany(count: number): Promise<unknown> {
  return database.query(
    `INSERT INTO audit_entry (id, action, subject_type, details)
     SELECT gen_random_uuid(), 'SIGNED_IN', 'User', jsonb_build_object('n', n)
     FROM generate_series(1, $1) n`,
    [count],
  );
}

function positions(): Promise<{ position: string | null }[]> {
  return database.query('SELECT position FROM audit_entry ORDER BY position');
}

const gapless = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ position: String(index + 1) }));

/** What verifying says after this was done to the database; then it is undone. */
async function verdictAfter(
  tamper: string | ((sql: Sql) => Promise<unknown>),
  options?: { expectedHead: string | null },
) {
  const undo = new Error('undo');
  let verdict: Awaited<ReturnType<typeof verifyAuditChain>> | undefined;
  const work = database.transaction(async (sql) => {
    await (typeof tamper === 'string' ? sql.query(tamper) : tamper(sql));
    verdict = await verifyAuditChain(sql, options);
    throw undo;
  });
  await expect(work).rejects.toBe(undo);
  if (verdict === undefined) throw new Error('No verdict');
  return verdict;
}

describe('sealing', () => {
  test('gives every entry a place, gapless from 1, in the order of ids', async () => {
    expect(await verifyAuditChain(database)).toEqual({
      sealed: 0n,
      unsealed: 0n,
      head: null,
      fault: null,
    });
    await record(database, 3);
    expect(await verifyAuditChain(database)).toMatchObject({ sealed: 0n, unsealed: 3n });
    await seal();
    const rows = await database.query<{ id: string; position: string }>(
      'SELECT id, position FROM audit_entry ORDER BY id',
    );
    expect(rows.map(({ position }) => position)).toEqual(['1', '2', '3']);
    await record(database, 2);
    await seal();
    await seal();
    expect(await positions()).toEqual(gapless(5));
    expect(await verifyAuditChain(database)).toMatchObject({ sealed: 5n, fault: null });
  });

  test('hashes the hash before and the entry as RFC 8785 writes it', async () => {
    const ids = ['1', '2'].map((n) => `0193f0e0-0000-7000-8000-00000000000${n}`);
    const [user] = ids;
    for (const id of ids) {
      await database.query(
        `INSERT INTO audit_entry (id, at, action, actor_id, ip_address, ip_salt, ip_digest, subject_type,
           subject_id, details)
         VALUES ($1, '2026-11-21T09:30:00.5Z', 'ROLES_CHANGED', $2, '2001:db8::1', 'salt',
           sha256('salt2001:db8::1'), 'User', $2, $3)`,
        [id, user, '{"é": null, "zeal": [1.50, true], "a\\"b": 1e3, "B": "가"}'],
      );
    }
    await seal();
    const digest = createHash('sha256').update('salt2001:db8::1').digest('hex');
    let hash: Uint8Array = Buffer.alloc(32);
    for (const [index, id] of ids.entries()) {
      const text =
        `{"action":"ROLES_CHANGED","actorId":"${user}","at":"2026-11-21T09:30:00.500Z",` +
        `"details":{"B":"가","a\\"b":1000,"zeal":[1.5,true],"é":null},"id":"${id}",` +
        `"ipDigest":"${digest}","position":"${index + 1}","sessionId":null,` +
        `"subjectId":"${user}","subjectType":"User"}`;
      hash = createHash('sha256').update(hash).update(text).digest();
    }
    const { head } = await verifyAuditChain(database);
    expect(head).toBe(Buffer.from(hash).toString('hex'));
  });

  test('stays whole when an address is erased with its actor’s account', async () => {
    const userId = newId();
    await database.transaction((sql) =>
      recordAudit(
        sql,
        { ...actor(), userId },
        { action: 'SIGNED_UP', subject: { type: 'User', id: userId } },
      ),
    );
    await seal();
    const before = await verifyAuditChain(database);
    await eraseAuditAddresses(database, userId);
    expect(await verifyAuditChain(database)).toEqual(before);
    const rows = await database.query<{ erased: boolean }>(
      'SELECT ip_address IS NULL AND ip_salt IS NULL AS erased FROM audit_entry WHERE actor_id = $1',
      [userId],
    );
    expect(rows).toEqual([{ erased: true }]);
  });

  test('takes any details that the database can hold', async () => {
    const storable = (value: unknown) => !/\\u0000|\\ud[89a-f]/i.test(JSON.stringify(value));
    const samples = fc.sample(fc.jsonValue().filter(storable), {
      numRuns: 300,
      seed: 4,
    });
    for (const details of samples) {
      await database.query(
        `INSERT INTO audit_entry (id, action, subject_type, details) VALUES ($1, 'SIGNED_IN', 'User', $2)`,
        [newId(), JSON.stringify(details)],
      );
    }
    await seal();
    expect(await verifyAuditChain(database)).toMatchObject({ sealed: 300n, fault: null });
  });

  test('goes on through a backlog longer than a batch, and verifying through one longer than a page', async () => {
    await recordMany(2_300);
    await seal();
    expect(await positions()).toEqual(gapless(2_300));
    expect(await verifyAuditChain(database)).toMatchObject({ sealed: 2_300n, fault: null });
  });

  test('leaves what is not committed to a later place', async () => {
    let early = '';
    await database.transaction(async (sql) => {
      await record(sql);
      const [row] = await sql.query<{ id: string }>('SELECT id FROM audit_entry');
      early = row?.id ?? '';
      await record(otherDatabase);
      await seal(otherDatabase);
      expect(await verifyAuditChain(otherDatabase)).toMatchObject({ sealed: 1n, unsealed: 0n });
    });
    await seal(otherDatabase);
    const [last] = await database.query('SELECT id FROM audit_entry WHERE position = 2');
    expect(last).toEqual({ id: early });
    expect(await verifyAuditChain(database)).toMatchObject({ sealed: 2n, fault: null });
  });

  test('is never waited for by those who write, but by another sealer', async () => {
    await record(database);
    let second: Promise<void> | undefined;
    await database.transaction(async (sql) => {
      await sql.query(LOCK);
      await sql.query('SELECT FROM audit_entry FOR UPDATE');
      await record(otherDatabase);
      second = seal(otherDatabase);
      const waits = `SELECT count(*)::int AS count
        FROM pg_locks l JOIN pg_database d ON d.oid = l.database
        WHERE l.locktype = 'advisory' AND NOT l.granted AND d.datname = current_database()`;
      await until(async () => (await sql.query<{ count: number }>(waits))[0]?.count === 1);
      expect(await positions()).toEqual([{ position: null }, { position: null }]);
    });
    await second;
    expect(await verifyAuditChain(database)).toMatchObject({ sealed: 2n, unsealed: 0n });
  });

  test('that dies half-way has sealed nothing, and the next one seals all', async () => {
    await record(database, 3);
    const dying = database.transaction(async (sql) => {
      await sql.query(LOCK);
      await sql.query(`UPDATE audit_entry SET position = 1, hash = '\\x00'
                       WHERE id = (SELECT min(id::text)::uuid FROM audit_entry)`);
      const [own] = await sql.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      await otherDatabase.query('SELECT pg_terminate_backend($1, 5000)', [own?.pid]);
      await sql.query('SELECT 1');
    });
    await expect(dying).rejects.toThrow();
    await seal(otherDatabase);
    expect(await positions()).toEqual(gapless(3));
    expect(await verifyAuditChain(database)).toMatchObject({ sealed: 3n, fault: null });
  });

  test('by two nodes, while eight write and some take back, makes one chain that holds', async () => {
    const nodes = [database, otherDatabase];
    const undo = new Error('undo');
    let committed = 0;
    const write = async (writer: number) => {
      const node = nodes[writer % 2] ?? database;
      for (let round = 0; round < 30; round += 1) {
        const entries = 1 + ((writer + round) % 3);
        const takesBack = (writer * 7 + round) % 5 === 0;
        await node
          .transaction(async (sql) => {
            await record(sql, entries);
            if (takesBack) throw undo;
            committed += entries;
          })
          .catch((error: unknown) => {
            if (error !== undo) throw error;
          });
      }
    };
    let writing = true;
    const keepSealing = async (node: Database) => {
      while (writing) await seal(node);
    };
    const sealing = nodes.map(keepSealing);
    try {
      await Promise.all(Array.from({ length: 8 }, (_, writer) => write(writer)));
    } finally {
      writing = false;
      await Promise.all(sealing);
    }
    await Promise.all(nodes.map(seal));
    expect(await positions()).toEqual(gapless(committed));
    expect(await verifyAuditChain(database)).toMatchObject({
      sealed: BigInt(committed),
      unsealed: 0n,
      fault: null,
    });
  });
});

describe('verifying', () => {
  beforeEach(async () => {
    await record(database, 2);
    await recordAudit(database, SYSTEM_ACTOR, {
      action: 'SIGNING_KEY_ROTATED',
      subject: { type: 'SigningKey', id: null },
    });
    await record(database, 2);
    await seal();
  });

  const other = `'0193f0e0-0000-7000-8000-000000000009'`;
  test.each([
    ['time', "at = at + interval '1 millisecond'"],
    ['time, to none', "at = 'infinity'"],
    ['era', "at = at - interval '4052 years'"],
    ['action', "action = 'SIGNED_OUT'"],
    ['id', `id = ${other}`],
    ['actor', `actor_id = ${other}`],
    ['actor, to nobody', 'actor_id = NULL'],
    ['session', `session_id = ${other}`],
    ['address', "ip_address = '192.0.2.8'"],
    ['address, to none', 'ip_address = NULL'],
    ['type of subject', "subject_type = 'Session'"],
    ['subject', `subject_id = ${other}`],
    ['subject for its actor', 'subject_id = actor_id, actor_id = subject_id'],
    ['details', `details = jsonb_set(details, '{after,1}', '"AUDITOR"')`],
    ['details, by one less', "details = details - 'before'"],
    ['details, by one more', `details = details || '{"more": null}'`],
    ['hash', 'hash = sha256(hash)'],
    ['hash, to none', 'hash = NULL'],
  ])('finds another %s', async (_field, change) => {
    const verdict = await verdictAfter(`UPDATE audit_entry SET ${change} WHERE position = 4`);
    expect(verdict).toMatchObject({
      sealed: 3n,
      fault: { position: 4n, reason: expect.stringContaining('changed') },
    });
  });

  test.each([1, 2, 4])('finds that entry %i was removed', async (position) => {
    expect(
      await verdictAfter(`DELETE FROM audit_entry WHERE position = ${position}`),
    ).toMatchObject({
      fault: { position: BigInt(position), reason: expect.stringContaining('removed') },
    });
  });

  test('finds what was removed when the rest has moved up', async () => {
    const verdict = await verdictAfter(async (sql) => {
      await sql.query('DELETE FROM audit_entry WHERE position = 2');
      for (const position of [3, 4, 5]) {
        await sql.query('UPDATE audit_entry SET position = position - 1 WHERE position = $1', [
          position,
        ]);
      }
    });
    expect(verdict.fault).toMatchObject({ position: 2n });
  });

  test('finds entries that changed places, with their hashes or without', async () => {
    const swap = (columns: string) => async (sql: Sql) => {
      await sql.query('CREATE TEMP TABLE swapped ON COMMIT DROP AS SELECT * FROM audit_entry');
      await sql.query('UPDATE audit_entry SET position = NULL WHERE position IN (2, 4)');
      await sql.query(
        `UPDATE audit_entry SET ${columns} FROM swapped mine JOIN swapped theirs
           ON mine.position + theirs.position = 6 AND mine.position IN (2, 4)
         WHERE audit_entry.id = mine.id`,
      );
    };
    for (const columns of [
      'position = theirs.position',
      'position = theirs.position, hash = theirs.hash',
    ]) {
      expect((await verdictAfter(swap(columns))).fault).toMatchObject({ position: 2n });
    }
  });

  test.each([-9_223_372_036_854_775_808n, 0n, 6n])(
    'finds an entry added as %s',
    async (position) => {
      const add = `INSERT INTO audit_entry (id, position, action, subject_type, details, hash)
        SELECT gen_random_uuid(), ${position}, action, subject_type, details, hash
        FROM audit_entry WHERE position = 5`;
      expect((await verdictAfter(add)).fault).toMatchObject({ position });
    },
  );

  test('finds an entry that was changed and given a hash that fits, by the next one', async () => {
    const verdict = await verdictAfter(async (sql) => {
      await sql.query('CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM audit_entry');
      await sql.query("UPDATE audit_entry SET action = 'SIGNED_OUT' WHERE position = 3");
      await sql.query('UPDATE audit_entry SET position = NULL, hash = NULL WHERE position >= 3');
      await sealAuditEntries({ database: { transaction: (work) => work(sql) } });
      await sql.query(
        'UPDATE audit_entry SET hash = kept.hash FROM kept WHERE kept.id = audit_entry.id AND kept.position > 3',
      );
    });
    expect(verdict).toMatchObject({ sealed: 3n, fault: { position: 4n } });
  });

  test('finds a second entry of one place, also between two pages', async () => {
    await recordMany(995);
    await seal();
    const verdict = await verdictAfter(async (sql) => {
      await sql.query('DROP INDEX audit_entry_position_key');
      await sql.query(`INSERT INTO audit_entry
        SELECT 'ffffffff-ffff-4fff-8fff-ffffffffffff', position, at, action, actor_id, session_id,
               ip_address, ip_digest, ip_salt, subject_type, subject_id, details, hash
        FROM audit_entry WHERE position = 1000`);
    });
    expect(verdict).toMatchObject({ sealed: 1_000n, fault: { position: 1_000n } });
  });

  test('finds a lost end, or a chain made anew, only by a head that was kept', async () => {
    const { head } = await verifyAuditChain(database);
    const removeEnd = 'DELETE FROM audit_entry WHERE position > 3';
    expect(await verdictAfter(removeEnd)).toMatchObject({ sealed: 3n, fault: null });
    const lost = { fault: { position: null, reason: expect.stringContaining('expected head') } };
    expect(await verdictAfter(removeEnd, { expectedHead: head })).toMatchObject(lost);
    expect(await verdictAfter('DELETE FROM audit_entry', { expectedHead: head })).toMatchObject(
      lost,
    );

    await database.query(
      "UPDATE audit_entry SET position = NULL, hash = NULL, action = 'SIGNED_IN'",
    );
    await seal();
    expect(await verifyAuditChain(database)).toMatchObject({ sealed: 5n, fault: null });
    expect(await verifyAuditChain(database, { expectedHead: head })).toMatchObject(lost);
  });

  test('holds against a head that was kept long ago', async () => {
    const { head } = await verifyAuditChain(database);
    await record(database, 3);
    await seal();
    const later = await verifyAuditChain(database, { expectedHead: head?.toUpperCase() ?? '' });
    expect(later).toMatchObject({ sealed: 8n, fault: null });
    expect(later.head).not.toBe(head);
  });
});
