import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from '#generated/prisma/client.ts';
import type { Database } from './client.ts';

/** Prisma on the pool that plain SQL uses, so that one number bounds the connections of a node. */
export function createPrisma(database: Database): PrismaClient {
  return new PrismaClient({ adapter: new PrismaPg(database.pool, { disposeExternalPool: false }) });
}
