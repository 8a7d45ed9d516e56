import { expect, test } from 'vitest';
import { shopify } from './shopify.ts';

function read(topic: string | null, payload: unknown) {
  const header = (name: string) => (name === 'x-shopify-topic' ? topic : null);
  return shopify.readFields({ header, payload, settings: {} });
}

const order = {
  id: 820_982_911_946_154_500,
  admin_graphql_api_id: 'gid://shopify/Order/820982911946154508',
  created_at: '2026-01-30T11:00:00-05:00',
  updated_at: '2026-01-31T11:00:00-05:00',
};

test('an order is read, its time from the signed body', () => {
  expect(read('orders/create', order)).toEqual({
    eventName: 'orders/create',
    action: null,
    branch: null,
    sender: null,
    repository: null,
    occurredAt: new Date('2026-01-31T16:00:00Z'),
  });
  const { updated_at: _, ...without } = order;
  expect(read('orders/create', without).occurredAt).toEqual(new Date('2026-01-30T16:00:00Z'));
});

test('a topic that the signed body contradicts is not believed', () => {
  expect(read('products/update', order).eventName).toBeNull();
  expect(read('orders/paid', order).eventName).toBe('orders/paid');
  expect(read('Orders/Paid', order).eventName).toBeNull();
  expect(read('orders', order).eventName).toBeNull();
  expect(read(null, order).eventName).toBeNull();
});

test('a body that names no kind, or one of a kind unknown here, contradicts nothing', () => {
  expect(read('products/delete', { id: 1 }).eventName).toBe('products/delete');
  const payload = { admin_graphql_api_id: 'gid://shopify/Novelty/1' };
  expect(read('novelties/create', payload).eventName).toBe('novelties/create');
  const hostile = { admin_graphql_api_id: 'gid://shopify/__proto__/1' };
  expect(read('orders/create', hostile).eventName).toBe('orders/create');
});

test('the delivery is known by what its retries repeat, not by the event that several topics share', () => {
  const headers = { 'x-shopify-event-id': 'event', 'x-shopify-webhook-id': 'delivery' };
  expect(shopify.deliveryId({ headers, settings: {}, payload: () => undefined })).toBe('delivery');
});

test('Shopify gives the secret and takes none', () => {
  expect(shopify.generateSecret).toBeNull();
});
