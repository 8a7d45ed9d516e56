import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

const REQUEST_SECONDS = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10];
const BODY_BYTES = [1e3, 1e4, 1e5, 1e6, 1e7];

export type Metrics = ReturnType<typeof createMetrics>;

/** Every metric of a node. Labels come from closed sets: nothing that a client can choose. */
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, prefix: 'naru_' });
  return {
    registry,
    httpRequestSeconds: new Histogram({
      name: 'naru_http_request_duration_seconds',
      help: 'Time to answer, by route pattern and status class.',
      labelNames: ['route', 'status'],
      buckets: REQUEST_SECONDS,
      registers,
    }),
    graphqlOperationSeconds: new Histogram({
      name: 'naru_graphql_operation_duration_seconds',
      help: 'Time to execute a query or mutation, or one entry of a subscription.',
      labelNames: ['transport', 'kind', 'outcome'],
      buckets: REQUEST_SECONDS,
      registers,
    }),
    webhookRequests: new Counter({
      name: 'naru_webhook_requests_total',
      help: 'Webhooks that came in, by provider and what became of them.',
      labelNames: ['provider', 'outcome'],
      registers,
    }),
    webhookBodyBytes: new Histogram({
      name: 'naru_webhook_body_bytes',
      help: 'Size of accepted webhook bodies.',
      buckets: BODY_BYTES,
      registers,
    }),
    webhookProjectionLagSeconds: new Gauge({
      name: 'naru_webhook_projection_lag_seconds',
      help: 'Age of the newest webhook when it became readable.',
      registers,
    }),
    websocketConnections: new Gauge({
      name: 'naru_websocket_connections',
      help: 'Open WebSocket connections, of every protocol.',
      registers,
    }),
    subscriptions: new Gauge({
      name: 'naru_subscriptions',
      help: 'Subscriptions being followed, over every transport.',
      registers,
    }),
    passwordHashSeconds: new Histogram({
      name: 'naru_password_hash_duration_seconds',
      help: 'Time that one argon2id hash took, without the wait before it.',
      labelNames: ['kind'],
      buckets: REQUEST_SECONDS,
      registers,
    }),
    passwordOverflows: new Counter({
      name: 'naru_password_overflows_total',
      help: 'Passwords not hashed because too many waited already.',
      registers,
    }),
    signIns: new Counter({
      name: 'naru_sign_ins_total',
      help: 'Sign-ins with a password, by what became of them.',
      labelNames: ['outcome'],
      registers,
    }),
    sessionRefreshes: new Counter({
      name: 'naru_session_refreshes_total',
      help: 'Refreshes: rotated, repeated within the grace, refused, or reused (the session was ended).',
      labelNames: ['outcome'],
      registers,
    }),
    mail: new Counter({
      name: 'naru_mail_total',
      help: 'Attempts to send mail: sent, failed (tried again), dropped after the last one, or refused for good.',
      labelNames: ['outcome'],
      registers,
    }),
    outboundCalls: new Counter({
      name: 'naru_outbound_calls_total',
      help: 'Calls to other servers: answered, failed, forbidden, or spared because the server failed too often.',
      labelNames: ['who', 'outcome'],
      registers,
    }),
    addressRefusals: new Counter({
      name: 'naru_address_refusals_total',
      help: 'Requests refused for the address that they came from, by group of routes.',
      labelNames: ['group'],
      registers,
    }),
    bodiesRefused: new Counter({
      name: 'naru_bodies_refused_total',
      help: 'Request bodies refused unread because too much was being received already.',
      registers,
    }),
    rateLimited: new Counter({
      name: 'naru_rate_limited_total',
      help: 'What a limit refused: a field’s name, `cost`, `webhook-network` or `webhook-source`.',
      labelNames: ['limit'],
      registers,
    }),
    roomSignals: new Counter({
      name: 'naru_room_signals_total',
      help: 'Live-only signals of rooms that this node sent, by type.',
      labelNames: ['type'],
      registers,
    }),
    jobFailures: new Counter({
      name: 'naru_job_failures_total',
      help: 'Runs of a job that threw; it is tried again.',
      labelNames: ['job'],
      registers,
    }),
  };
}
