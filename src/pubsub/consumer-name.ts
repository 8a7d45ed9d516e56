/** Consumer names are written in code, so a bad one is a bug: `TypeError`. */
export function requireConsumerName(name: string): void {
  if (!/^[a-z][a-z0-9-]{0,63}$/.test(name)) {
    throw new TypeError(`Consumer name ${JSON.stringify(name)} is not a lower-case word`);
  }
}
