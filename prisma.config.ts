import { defineConfig } from 'prisma/config';

// `prisma generate` asks for a schema engine that it then never uses; naming any existing file lets
// it run where nothing can be downloaded. Set the variable to the real engine to run `prisma migrate`.
process.env['PRISMA_SCHEMA_ENGINE_BINARY'] ??= process.execPath;
process.env['CHECKPOINT_DISABLE'] ??= '1';

export default defineConfig({
  schema: 'prisma',
  migrations: { path: 'prisma/migrations' },
  datasource: { url: process.env['DATABASE_URL'] ?? 'postgresql://naru@127.0.0.1:54320/naru' },
});
