import { VERSION } from '#lib/version.ts';
import { builder } from './builder.ts';
import { withCacheControl } from './policy.ts';

const ServerInfo = builder.objectRef<{ readonly version: string }>('ServerInfo').implement({
  description: 'What answers. Open to everybody.',
  fields: (t) => ({
    version: t.exposeString('version', {
      description: 'The version of Naru, as in its changelog.',
    }),
  }),
});

builder.queryField('serverInfo', (t) =>
  t.field({
    type: ServerInfo,
    description: 'What answers. Open to everybody.',
    // Changes when another version starts, which nobody announces.
    ...withCacheControl({ maxAge: 60 }),
    resolve: () => ({ version: VERSION }),
  }),
);
