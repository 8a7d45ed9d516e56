import { randomBytes } from 'node:crypto';

/** Gives ids that no other process gives: a random start and a count. Cheap, and short in a log. */
export function createRequestIds(): () => string {
  const start = randomBytes(9).toString('base64url');
  let count = 0;
  return () => {
    count += 1;
    return `${start}.${count.toString(36)}`;
  };
}
