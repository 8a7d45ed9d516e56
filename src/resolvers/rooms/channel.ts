/** The channel of a room that Naru does not know, by another system's id for it. */
export function externalChannel(externalId: string): string {
  return `external:${externalId}`;
}

export function userChannel(userId: string): string {
  return `user:${userId}`;
}
