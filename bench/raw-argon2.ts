// The control of sign-in: the library's own verify with today's parameters, and nothing else.
import { hash, verify } from '@node-rs/argon2';

process.once('message', (message) => void run(message as Run));

interface Run {
  readonly seconds: number;
  readonly atOnce: number;
}

async function run({ seconds, atOnce }: Run): Promise<void> {
  const phc = await hash('a landing by the river', {
    memoryCost: 19_456,
    timeCost: 2,
    parallelism: 1,
  });
  const startedAt = performance.now();
  let done = 0;
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (performance.now() - startedAt < seconds * 1000) {
        await verify(phc, 'a landing by the river');
        done += 1;
      }
    }),
  );
  process.send?.({ rate: (done * 1000) / (performance.now() - startedAt) });
  process.disconnect();
}
