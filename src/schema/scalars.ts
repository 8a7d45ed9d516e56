import { DateTimeResolver, JSONResolver } from 'graphql-scalars';
import { builder } from './builder.ts';

builder.addScalarType('DateTime', DateTimeResolver, {
  description: 'A moment: RFC 3339 in UTC with milliseconds, e.g. `2026-11-21T09:30:00.000Z`.',
});

builder.addScalarType('JSON', JSONResolver, {
  description: 'Any JSON value, for what other people define: the body of a webhook.',
});

builder.scalarType('Cursor', {
  description:
    'A place in a feed: opaque, signed, bound to the feed and not to the viewer. Codes: CURSOR_INVALID, ' +
    'CURSOR_EXPIRED (with `extensions.earliestCursor`), FEED_RESET.',
  serialize: String,
  parseValue: (value) => {
    if (typeof value !== 'string') throw new TypeError('A cursor is a string');
    return value;
  },
});

// Plain text that their resolvers read: a fault in it is told as the mutation's own typed error, with the
// field, rather than as an error of the whole operation.
builder.scalarType('EmailAddress', {
  description:
    'An e-mail address, at most 254 characters. Letter case makes no difference; a suffix (`ann+shop@…`) does.',
  serialize: String,
  parseValue: parseText,
});

builder.scalarType('URL', {
  description: 'An absolute URL.',
  serialize: String,
  parseValue: parseText,
});

function parseText(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('This is text');
  return value;
}
