// The broker as a whole: webhooks at a steady rate through signed ingress, live delivery to a thousand, and pulls with
// their acknowledgements, each beside its control. `node bench/webhooks.ts --only ingress,live,inbox --seconds 60
// --per-second 500 --subscribers 1000 --live-per-second 2 --live-seconds 20 --rounds 3 --inbox-seconds 5`
import { parseArgs } from 'node:util';
import { benchInbox } from './webhooks-inbox.ts';
import { benchIngress } from './webhooks-ingress.ts';
import { benchLive } from './webhooks-live.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: 'ingress,live,inbox' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '60' },
    'per-second': { type: 'string', default: '500' },
    subscribers: { type: 'string', default: '1000' },
    'live-seconds': { type: 'string', default: '20' },
    'live-per-second': { type: 'string', default: '2' },
    'inbox-seconds': { type: 'string', default: '5' },
    messages: { type: 'string', default: '200000' },
  },
});
const rounds = Number(values.rounds);

const SCENARIOS: Readonly<Record<string, () => Promise<void>>> = {
  ingress: () =>
    benchIngress({ seconds: Number(values.seconds), perSecond: Number(values['per-second']) }),
  live: () =>
    benchLive({
      rounds,
      subscribers: Number(values.subscribers),
      seconds: Number(values['live-seconds']),
      perSecond: Number(values['live-per-second']),
    }),
  inbox: () =>
    benchInbox({
      rounds,
      seconds: Number(values['inbox-seconds']),
      messages: Number(values.messages),
    }),
};

for (const name of values.only.split(',')) {
  const run = SCENARIOS[name];
  if (run === undefined) throw new TypeError(`There is no scenario ${name}`);
  await run();
}
