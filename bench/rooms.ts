// Rooms: messages a second into one room and over many, by the rule alone and through GraphQL over HTTP, beside the
// same statements by `pg`; and from a message's commit to each of many subscribers on another node having it, beside
// bare NATS. `node bench/rooms.ts --only sends,live --rounds 2 --seconds 3 --rooms 1000 --subscribers 200
// --live-per-second 5 --live-seconds 10`
import { parseArgs } from 'node:util';
import { benchRoomsLive } from './rooms-live.ts';
import { benchRoomsSends } from './rooms-sends.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: 'sends,live' },
    rounds: { type: 'string', default: '2' },
    seconds: { type: 'string', default: '3' },
    rooms: { type: 'string', default: '1000' },
    subscribers: { type: 'string', default: '200' },
    'live-per-second': { type: 'string', default: '5' },
    'live-seconds': { type: 'string', default: '10' },
  },
});
const rounds = Number(values.rounds);

const SCENARIOS: Readonly<Record<string, () => Promise<void>>> = {
  sends: () =>
    benchRoomsSends({ rounds, seconds: Number(values.seconds), rooms: Number(values.rooms) }),
  live: () =>
    benchRoomsLive({
      rounds,
      subscribers: Number(values.subscribers),
      perSecond: Number(values['live-per-second']),
      seconds: Number(values['live-seconds']),
    }),
};

for (const name of values.only.split(',')) {
  const run = SCENARIOS[name];
  if (run === undefined) throw new TypeError(`There is no scenario ${name}`);
  await run();
}
