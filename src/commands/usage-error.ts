/** What was typed cannot be done by anybody: the exit code is 2, and the help may tell how. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}
