import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startNaru, type TestNaru } from './support/naru.ts';
import { addMember, addMembers, makeRoom } from './support/rooms.ts';
import { createActs } from './support/room-acts.ts';
import { post } from './support/graphql-client.ts';
let naru: TestNaru;
beforeAll(async () => { naru = await startNaru(); }, 120000);
afterAll(async () => { await naru.close(); });
const q = (t: string, v: unknown[] = []) => naru.app.database.query(t, v as never) as Promise<any[]>;
const log = (...a: unknown[]) => console.log(...a.map((x) => typeof x === 'string' ? x : JSON.stringify(x)).map((s) => s.slice(0, 1500)));

it('scopes: own email with rooms:read only', async () => {
  const [a, b] = [await addMember(naru, ['rooms:read']), await addMember(naru)];
  const room = await makeRoom(naru, { owner: a, members: [b] });
  const query = `query($id: ID!){ room(id:$id){ participants { nodes { user { id username email emailVerified roles disabledAt githubAccount{login} } } } } viewer { id } }`;
  log('SCOPES', (await post(naru.url, { query, variables: { id: room.id } }, a.token)).result);
  log('NODE', (await post(naru.url, { query: `query($id: ID!, $o: ID!){ node(id:$id){ id } o: node(id:$o) { id ... on User { email } } }`, variables: { id: a.id, o: b.id } }, a.token)).result);
  // node after show
  log('NODE2', (await post(naru.url, { query: `query($id: ID!, $o: ID!){ room(id:$id){ participants { nodes { user { id } } } } o: node(id:$o) { id ... on User { email username } } nodes(ids: [$o]) { id } }`, variables: { id: room.id, o: b.id } }, a.token)).result);
});

it('search cost', async () => {
  const a = await addMember(naru);
  const room = await makeRoom(naru, { owner: a });
  const N = 3000;
  const body = 'aab' + 'c' + 'a'.repeat(7900);
  await q(`INSERT INTO chat_message (id, room_id, sequence, position, author_id, client_message_id, fingerprint, body)
    SELECT gen_random_uuid(), $1, n, n+1, $2, 'c'||n, '', $3 FROM generate_series(1, $4::int) n`, [room.roomId, a.userId, body, N]);
  await q(`UPDATE room SET last_position=$2::int+1, last_sequence=$2::int WHERE id=$1`, [room.roomId, N]);
  for (const text of ['zz', 'a'.repeat(98) + 'b', 'ㄱ' + 'a'.repeat(50) + 'b', 'a'.repeat(50) + 'b']) {
    const t = Date.now();
    const r = await post(naru.url, { query: `query($id: ID!, $t: String!){ room(id:$id){ searchMessages(query:$t){ nodes { id } pageInfo { hasNextPage } } } }`, variables: { id: room.id, t: text } }, a.token);
    log('SEARCH', text.slice(0, 5), text.length, String(Date.now() - t) + 'ms', r.result);
  }
}, 200000);

it('amplification: edits, nested messages', async () => {
  const a = await addMember(naru);
  const room = await makeRoom(naru, { owner: a });
  const N = 100;
  const body = '가'.repeat(8000);
  await q(`INSERT INTO chat_message (id, room_id, sequence, position, author_id, client_message_id, fingerprint, body, revision)
    SELECT gen_random_uuid(), $1, n, n+1, $2, 'c'||n, '', $3, 50 FROM generate_series(1, $4::int) n`, [room.roomId, a.userId, body, N]);
  await q(`UPDATE room SET last_position=$2::int+1, last_sequence=$2::int WHERE id=$1`, [room.roomId, N]);
  await q(`INSERT INTO chat_message_edit (message_id, revision, position, body) SELECT m.id, n, 1, $2 FROM chat_message m, generate_series(1,50) n WHERE m.room_id=$1`, [room.roomId, body]);
  const run = async (name: string, query: string) => {
    const t = Date.now(); const before = process.memoryUsage().rss;
    let peak = before; const timer = setInterval(() => { peak = Math.max(peak, process.memoryUsage().rss); }, 20);
    const r = await post(naru.url, { query, variables: { id: room.id } }, a.token).catch((e) => ({ status: -1, text: String(e), result: {}, headers: new Headers() }));
    clearInterval(timer);
    log(name, r.status, 'len', r.text.length, Date.now() - t, 'ms rss+', Math.round((Math.max(peak, process.memoryUsage().rss) - before) / 1e6), 'MB', r.headers.get('x-cost') ?? '', r.text.slice(-300));
  };
  await run('MSGS', `query($id: ID!){ room(id:$id){ messages(last:100){ nodes { body } } } }`);
  await run('ALIAS', `query($id: ID!){ room(id:$id){ ${Array.from({length:20},(_,i)=>`m${i}: messages(last:100){ nodes { body } }`).join(' ')} } }`);
  await run('BODYALIAS', `query($id: ID!){ room(id:$id){ messages(last:100){ nodes { ${Array.from({length:50},(_,i)=>`b${i}: body`).join(' ')} } } } }`);
  await run('EDITS10', `query($id: ID!){ room(id:$id){ messages(last:100){ nodes { edits(limit:10){ body } } } } }`);
  await run('EDITS50', `query($id: ID!){ room(id:$id){ messages(last:100){ nodes { edits(limit:50){ body } } } } }`);
}, 200000);

it('room stuffing', async () => {
  const [attacker, ...victims] = await addMembers(naru, 21);
  const acts = createActs(() => naru.url);
  let made = 0;
  for (let i = 0; i < 8; i++) {
    const r = await acts.act(attacker!, 'createRoom', { name: 'x', userIds: victims.map((v) => v.id) }, '... on CreateRoomSucceeded { room { id } }');
    if (r.room === undefined) { log('STUFF', r); break; }
    made++;
    const l = await acts.act(attacker!, 'leaveRoom', { roomId: r.room.id });
    if (i === 0) log('LEFT', l);
  }
  log('STUFFED', made, await q(`SELECT count(*)::int, count(*) FILTER (WHERE role='OWNER')::int AS owners FROM room_participant WHERE user_id = ANY($1) AND left_position IS NULL`, [victims.map((v) => v.userId)]));
  // top up one victim
  const v = victims[0]!;
  await q(`WITH r AS (INSERT INTO room (id, kind, name, participant_count, last_position) SELECT gen_random_uuid(), 'GROUP', 'x', 1, 1 FROM generate_series(1,492) RETURNING id) INSERT INTO room_participant (room_id,user_id,joined_position,joined_sequence) SELECT id,$1,1,0 FROM r`, [v.userId]);
  log('VICTIM createRoom', await acts.act(v, 'createRoom', { name: 'mine' }));
  log('VICTIM direct', await acts.act(v, 'openDirectRoom', { userId: victims[1]!.id }));
}, 100000);

it('hostile ids', async () => {
  const a = await addMember(naru);
  const room = await makeRoom(naru, { owner: a });
  const acts = createActs(() => naru.url);
  const id = (s: string) => Buffer.from(s).toString('base64url');
  for (const s of ['ChatMessage:zzz', `ChatMessage:${randomUUID().toUpperCase()}`, `Room:${room.roomId.toUpperCase()}`, `Participant:${room.roomId}`, `MessageReport:${randomUUID()}`])
    log('NODE', s, (await post(naru.url, { query: `query($id: ID!){ node(id:$id){ id __typename } }`, variables: { id: id(s) } }, a.token)).result);
  log(await acts.act(a, 'sendMessage', { roomId: id(`Room:${room.roomId.toUpperCase()}`), clientMessageId: 'x', body: 'hi' }).catch(String));
  log(await acts.act(a, 'sendMessage', { roomId: room.id, clientMessageId: 'x2', body: 'hi', replyToId: id(`ChatMessage:${randomUUID()}`) }).catch(String));
  log(await acts.act(a, 'sendMessage', { roomId: room.id, clientMessageId: 'x3', body: 'hi', mentionIds: [a.id, id(`User:${a.userId.toUpperCase()}`)] }).catch(String));
  log(await acts.act(a, 'muteParticipant', { roomId: room.id, userId: a.id, until: '9999-12-31T23:59:59.999Z' }).catch(String));
  log(await acts.act(a, 'openDirectRoom', { userId: id(`User:${randomUUID()}`) }).catch(String));
});
