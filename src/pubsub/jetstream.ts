export async function createJetStreamBus(_: unknown): Promise<never> {
  throw new Error('not yet');
}
