// Who may reach which routes, by address: decided before a body is read or anybody is asked who they are.
import type { FastifyInstance } from 'fastify';
import type { RouteGroup } from '#config.ts';
import type { Services } from '#context.ts';
import { allowsAddress, hasAddresses } from '#lib/address-rule.ts';
import { ForbiddenError } from '#lib/errors.ts';
import { networkPrefixOf } from '#lib/network-prefix.ts';

/** Refuses with 403 whom the rule of a route's group keeps out. A route that names no group is `api`. */
export function registerAddresses(fastify: FastifyInstance, app: Services): void {
  if (!Object.values(app.config.addresses).some(hasAddresses)) return;
  fastify.addHook('onRequest', (request, reply, done) => {
    const { group = 'api' } = request.routeOptions.config;
    if (group === null || mayReach(app, group, request.ip, request.id)) return done();
    // What is still on its way of the body is not waited for.
    reply.header('connection', 'close');
    done(new ForbiddenError('Not for the address that this came from'));
  });
}

/**
 * `ipAddress` is the client's as the proxies that are trusted tell it, and the connection's own where none
 * is: `X-Forwarded-For` of anybody else is not read.
 */
export function mayReach(
  { config, log, metrics }: Services,
  group: RouteGroup,
  ipAddress: string | undefined,
  requestId?: string,
): boolean {
  if (allowsAddress(config.addresses[group], ipAddress)) return true;
  metrics.addressRefusals.inc({ group });
  log.debug({ requestId, group, network: networkPrefixOf(ipAddress) }, 'An address is refused');
  return false;
}
