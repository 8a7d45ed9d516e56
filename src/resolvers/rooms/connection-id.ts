/** Whether a client may call its connection so: 1–64 visible ASCII characters. */
export function isConnectionId(text: string): boolean {
  return /^[\x21-\x7e]{1,64}$/.test(text);
}
