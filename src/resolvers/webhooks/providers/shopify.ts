import { storableText } from '#lib/storable-text.ts';
import { deliveryIdIn } from './delivery-id.ts';
import { payloadAt, textAt } from './payload-at.ts';
import type { ProviderAdapter } from './provider.ts';
import { timeOfIso } from './provider-time.ts';
import { verifySignedBody } from './signed-body.ts';

const SIGNATURE = {
  header: 'x-shopify-hmac-sha256',
  algorithm: 'sha256',
  encoding: 'base64',
  prefix: '',
} as const;

/**
 * Shopify signs the untouched body with the app's client secret. The delivery's id is the one that its
 * retries repeat; X-Shopify-Event-Id is shared by all topics that one change sets off, so that taking it
 * would drop all but the first of them. X-Shopify-Triggered-At and the shop are in headers, unsigned.
 */
export const shopify: ProviderAdapter = {
  mediaTypes: ['application/json', 'application/xml'],
  verify: (input) => verifySignedBody(input, SIGNATURE),
  deliveryId: ({ headers }) => deliveryIdIn(headers, 'x-shopify-webhook-id'),
  // Shopify makes the secret; it cannot be told one.
  generateSecret: null,

  readFields({ header, payload }) {
    const topic = storableText(header('x-shopify-topic'));
    return {
      eventName: topic !== null && agreesWithBody(topic, payload) ? topic : null,
      action: null,
      branch: null,
      sender: null,
      repository: null,
      occurredAt:
        timeOfIso(payloadAt(payload, 'updated_at')) ?? timeOfIso(payloadAt(payload, 'created_at')),
    };
  },
};

const TOPIC = /^[a-z0-9_]{1,64}\/[a-z0-9_]{1,64}$/;

// The resource whose topics carry an object of this kind as their body, where there is just one.
const RESOURCES = new Map([
  ['Cart', 'carts'],
  ['Checkout', 'checkouts'],
  ['Collection', 'collections'],
  ['Customer', 'customers'],
  ['DraftOrder', 'draft_orders'],
  ['Fulfillment', 'fulfillments'],
  ['InventoryItem', 'inventory_items'],
  ['InventoryLevel', 'inventory_levels'],
  ['Location', 'locations'],
  ['Order', 'orders'],
  ['OrderTransaction', 'order_transactions'],
  ['Product', 'products'],
  ['Refund', 'refunds'],
]);

/** The topic's header is not signed: believed unless the signed body names a kind that it does not fit. */
function agreesWithBody(topic: string, payload: unknown): boolean {
  if (!TOPIC.test(topic)) return false;
  const kind = textAt(payload, 'admin_graphql_api_id')?.match(/^gid:\/\/shopify\/(\w+)\//)?.[1];
  const resource = RESOURCES.get(kind ?? '');
  return resource === undefined || topic.startsWith(`${resource}/`);
}
