// A broker that has been in use for long, made by set-based SQL straight into its tables: users that GitHub and a
// source's grants allow repositories, and messages of those repositories, in the order in which chance dealt them.
import pg from 'pg';

export interface BrokerSize {
  readonly users: number;
  readonly repositories: number;
  readonly messages: number;
  readonly seed: number;
}

const CHUNK = 100_000;

/** The accounts are `scale-1` to `scale-<users>`. The same size and seed store the same rows. */
export async function storeBroker(databaseUrl: string, size: BrokerSize): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await storeUsers(client, size);
    await storeRepositories(client, size);
    await storeMessages(client, size);
    // As autovacuum leaves a table that has been in use for long.
    await client.query('VACUUM (ANALYZE)');
  } finally {
    await client.end();
  }
}

export const usernameOf = (index: number) => `scale-${index}`;

/** The first half of the repositories is GitHub's to allow; the rest belongs to a source with grants. */
export const githubShareOf = (repositories: number) => Math.ceil(repositories / 2);

async function storeUsers(client: pg.Client, { users, repositories, seed }: BrokerSize) {
  await client.query(
    `CREATE TEMP TABLE scale_user AS
     SELECT n, md5($2 || ' user ' || n)::uuid AS id FROM generate_series(1, $1::int) n`,
    [users, `${seed}`],
  );
  await client.query(
    `INSERT INTO users (id, username, display_name, roles)
     SELECT id, 'scale-' || n, 'scale-' || n, '{USER}' FROM scale_user`,
  );
  // A token that nobody has to use: what GitHub said counts for longer than this lasts.
  await client.query(
    `INSERT INTO github_account (id, user_id, github_id, login, state, access_token_sealed)
     SELECT id, id, n, 'scale-' || n, 'LINKED', '' FROM scale_user`,
  );
  await client.query(
    `INSERT INTO github_permission_set (user_id, link_id, generation, checked_at, valid_until)
     SELECT id, id, 1, naru_now(), naru_now() + interval '1 day' FROM scale_user`,
  );
  await client.query(
    `INSERT INTO github_permission (user_id, repository_id, owner_id, state)
     SELECT u.id, r, 1, 'ALLOWED' FROM scale_user u CROSS JOIN generate_series(1, $1::int) r`,
    [githubShareOf(repositories)],
  );
}

async function storeRepositories(client: pg.Client, { repositories, seed }: BrokerSize) {
  await client.query(
    `INSERT INTO webhook_source (id, path, provider)
     VALUES (md5($1 || ' source github')::uuid, 'scale/github', 'GITHUB'),
            (md5($1 || ' source granted')::uuid, 'scale/granted', 'NONE')`,
    [`${seed}`],
  );
  await client.query(
    `INSERT INTO webhook_source_grant (id, source_id, user_id)
     SELECT md5('grant ' || u.id)::uuid, md5($1 || ' source granted')::uuid, u.id FROM scale_user u`,
    [`${seed}`],
  );
  await client.query(
    `CREATE TEMP TABLE scale_repository AS
     SELECT n, md5($2 || ' repository ' || n)::uuid AS id,
            md5($2 || ' source ' || CASE WHEN n <= $3 THEN 'github' ELSE 'granted' END)::uuid AS source_id,
            CASE WHEN n <= $3 THEN n END AS github_id
     FROM generate_series(1, $1::int) n`,
    [repositories, `${seed}`, githubShareOf(repositories)],
  );
  await client.query(
    `INSERT INTO webhook_repository (id, source_id, provider_id, full_name, github_id)
     SELECT id, source_id, n::text, 'scale/' || n, github_id FROM scale_repository`,
  );
}

async function storeMessages(client: pg.Client, { repositories, messages, seed }: BrokerSize) {
  await client.query(
    `CREATE TEMP TABLE scale_message AS
     SELECT n, md5($3 || ' message ' || n)::uuid AS id, repository,
            row_number() OVER (PARTITION BY repository ORDER BY n) AS lane_sequence
     FROM (SELECT n, 1 + (hashint8extended(n, $2) & 9223372036854775807) % $1 AS repository
           FROM generate_series(1, $4::int) n) dealt`,
    [repositories, seed, `${seed}`, messages],
  );
  await client.query('CREATE INDEX ON scale_message (n)');
  await client.query('ANALYZE scale_message');
  await client.query(
    `INSERT INTO webhook_lane (id, source_id, repository_id, github_id, last_sequence)
     SELECT r.id, r.source_id, r.id, r.github_id, count(m.n)
     FROM scale_repository r LEFT JOIN scale_message m ON m.repository = r.n
     GROUP BY r.id, r.source_id, r.github_id`,
  );
  for (let from = 0; from < messages; from += CHUNK) {
    const range = [from, from + CHUNK];
    await client.query(
      `INSERT INTO webhook_message
         (id, position, source_id, repository_id, lane_id, lane_sequence, verification, path, method,
          headers, content_type, byte_size, delivery_id, event_name, branch, sender, received_at)
       SELECT m.id, f.last_position + m.n - $1, r.source_id, r.id, r.id, m.lane_sequence, 'VERIFIED',
              '/webhook/scale', 'POST', '[{"name":"content-type","value":"application/json"}]',
              'application/json', 2, m.n::text, 'push', 'main', 'octocat', naru_now()
       FROM scale_message m JOIN scale_repository r ON r.n = m.repository, feed f
       WHERE m.n > $1 AND m.n <= $2 AND f.name = 'webhooks' AND f.key = ''
       ORDER BY m.n`,
      range,
    );
    await client.query(
      `INSERT INTO webhook_body (message_id, compressed, data)
       SELECT id, false, '{}' FROM scale_message WHERE n > $1 AND n <= $2 ORDER BY n`,
      range,
    );
    await client.query(
      `UPDATE feed SET last_position = last_position + $1, stored_bytes = stored_bytes + 2 * $1
       WHERE name = 'webhooks' AND key = ''`,
      [Math.min(CHUNK, messages - from)],
    );
  }
}
