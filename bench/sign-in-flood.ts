// Sign-ins that arrive at a fixed rate, each from an address of its own, whether or not the last ones
// were answered; until told to stop.
import http from 'node:http';

interface Flood {
  readonly url: string;
  readonly perSecond: number;
  readonly accounts: number;
  readonly password: string;
  readonly query: string;
}

const TICK_MS = 10;
const agent = new http.Agent({ keepAlive: true, maxSockets: 256 });
const told = { signedIn: 0, unavailable: 0, other: 0, refusedMs: [] as number[] };

process.once('message', (message) => {
  const flood = message as Flood;
  let due = 0;
  let sent = 0;
  const timer = setInterval(() => {
    due += (flood.perSecond * TICK_MS) / 1000;
    for (; sent < due; sent += 1) send(flood, sent);
  }, TICK_MS);
  process.send?.({ url: '' });
  process.once('message', () => {
    clearInterval(timer);
    agent.destroy();
    process.send?.(told);
    process.disconnect();
  });
});

function send({ url, accounts, password, query }: Flood, turn: number): void {
  const login = `bench${(turn % accounts) + 1}`;
  const body = JSON.stringify({
    query,
    variables: { input: { login, password, transport: 'TOKENS' } },
  });
  const startedAt = performance.now();
  const headers = {
    'content-type': 'application/json',
    'x-forwarded-for': `10.${turn % 250}.${Math.floor(turn / 250) % 250}.${Math.floor(turn / 62_500)}`,
  };
  const request = http.request(url, { method: 'POST', agent, headers }, (response) => {
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => (text += chunk));
    response.on('end', () => {
      const kind = JSON.parse(text).data?.signIn?.__typename;
      if (kind === 'SignedIn') told.signedIn += 1;
      else if (kind === 'UnavailableError') {
        told.unavailable += 1;
        told.refusedMs.push(performance.now() - startedAt);
      } else told.other += 1;
    });
  });
  request.on('error', () => {});
  request.end(body);
}
