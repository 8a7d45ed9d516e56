import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import DataLoader from 'dataloader';
import { perContext } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { PayloadTooLargeError } from '#lib/errors.ts';

const compress = promisify(gzip);
const decompress = promisify(gunzip);

// Below this a compressed body is hardly smaller, and every read would pay for unpacking it.
const COMPRESS_FROM_BYTES = 1_024;

export interface StoredBody {
  readonly compressed: boolean;
  readonly data: Buffer;
}

/** The form in which a body is kept: compressed where that makes it smaller. */
export async function packBody(body: Uint8Array): Promise<StoredBody> {
  const plain = {
    compressed: false,
    data: Buffer.from(body.buffer, body.byteOffset, body.byteLength),
  };
  if (body.byteLength < COMPRESS_FROM_BYTES) return plain;
  const data = await compress(body, { level: 1 });
  return data.byteLength < body.byteLength ? { compressed: true, data } : plain;
}

export async function unpackBody({ compressed, data }: StoredBody): Promise<Uint8Array> {
  return compressed ? decompress(data) : data;
}

/** Bodies of one operation together, whatever its fields are: each has to be held, and answered. */
export const BODY_BYTES_MAX = 64 * 2 ** 20;

/**
 * The untouched body of a message the caller has already been allowed to see. The messages of one
 * page share one statement. Throws `PayloadTooLargeError` for those past what one operation may read.
 */
export const bodyLoader = perContext((ctx) => {
  let bytes = 0;
  return new DataLoader<string, Uint8Array>(async (ids) => {
    const sizes = await readSizes(ctx.database, ids);
    const fitting = ids.filter((id) => {
      bytes += sizes.get(id) ?? 0;
      return bytes <= BODY_BYTES_MAX;
    });
    const bodies = await readBodies(ctx.database, fitting);
    return ids.map((id) => {
      const body = bodies.get(id);
      if (body !== undefined) return body;
      if (fitting.includes(id)) return new Error(`Message ${id} has no body`);
      return new PayloadTooLargeError('The bodies asked for at once are too large', BODY_BYTES_MAX);
    });
  });
});

async function readSizes(sql: Sql, ids: readonly string[]): Promise<Map<string, number>> {
  const rows = await sql.query<{ id: string; byte_size: number }>(
    'SELECT id, byte_size FROM webhook_message WHERE id = ANY($1)',
    [ids],
    'read-webhook-sizes',
  );
  return new Map(rows.map(({ id, byte_size }) => [id, byte_size]));
}

async function readBodies(sql: Sql, ids: readonly string[]): Promise<Map<string, Uint8Array>> {
  const rows = await sql.query<StoredBody & { message_id: string }>(
    'SELECT message_id, compressed, data FROM webhook_body WHERE message_id = ANY($1)',
    [ids],
    'read-webhook-bodies',
  );
  const bodies = await Promise.all(rows.map(unpackBody));
  return new Map(rows.map((row, index) => [row.message_id, bodies[index] ?? row.data]));
}
