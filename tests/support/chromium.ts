import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const CHROMIUM = process.env['NARU_CHROMIUM'] ?? '/usr/bin/chromium';

/** For `describe.skipIf(!requireChromium())`. In CI nothing is skipped: there its absence is an error. */
export function requireChromium(): boolean {
  const found = existsSync(CHROMIUM);
  if (!found && process.env['CI']) throw new Error(`CI needs a chromium at ${CHROMIUM}.`);
  return found;
}

/** A real browser that asks nobody but the pages it is sent to. */
export function launchChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
