// What GitHub sends, by @octokit/webhooks-examples: GitHub.com and the Enterprise Servers.
import { createRequire } from 'node:module';

export interface GitHubExample {
  readonly event: string;
  /** Which GitHub, and the how manieth of the event there. */
  readonly title: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

const SERVERS = ['api.github.com', 'ghes-31', 'ghes-32', 'ghes-33', 'ghes-34', 'ghes-35'];

// Its entry point is data, which a `require` reads without the import attributes.
const load = createRequire(import.meta.url);

export function gitHubExamples(servers: readonly string[] = SERVERS): GitHubExample[] {
  return servers.flatMap((server) => {
    const events: readonly {
      readonly name: string;
      readonly examples: readonly Readonly<Record<string, unknown>>[];
    }[] = load(`@octokit/webhooks-examples/${server}/index.json`);
    return events.flatMap(({ name, examples }) =>
      examples.map((payload, index) => ({
        event: name,
        title: `${name} ${index} of ${server}`,
        payload,
      })),
    );
  });
}
