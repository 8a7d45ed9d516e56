import type { WebhookProvider } from '#generated/prisma/enums.ts';
import { bitbucket } from './bitbucket.ts';
import { gitea } from './gitea.ts';
import { github } from './github.ts';
import { gitlab } from './gitlab.ts';
import { hmac } from './hmac.ts';
import { jira } from './jira.ts';
import { none } from './none.ts';
import type { ProviderAdapter } from './provider.ts';
import { shopify } from './shopify.ts';
import { slack } from './slack.ts';
import { standardWebhooks } from './standard-webhooks.ts';
import { stripe } from './stripe.ts';
import { token } from './token.ts';
import { twilio } from './twilio.ts';

export const PROVIDERS: Readonly<Record<WebhookProvider, ProviderAdapter>> = {
  GITHUB: github,
  GITLAB: gitlab,
  BITBUCKET: bitbucket,
  GITEA: gitea,
  JIRA: jira,
  STRIPE: stripe,
  SLACK: slack,
  SHOPIFY: shopify,
  TWILIO: twilio,
  STANDARD_WEBHOOKS: standardWebhooks,
  HMAC: hmac,
  TOKEN: token,
  NONE: none,
};
