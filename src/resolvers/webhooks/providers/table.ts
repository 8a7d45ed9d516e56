import type { WebhookProvider } from '#generated/prisma/enums.ts';
import { github } from './github.ts';
import { none } from './none.ts';
import type { ProviderAdapter } from './provider.ts';

export const PROVIDERS: Readonly<Record<WebhookProvider, ProviderAdapter>> = {
  GITHUB: github,
  NONE: none,
};
