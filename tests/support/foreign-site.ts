import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A web server of somebody else, with one empty page: what its scripts do, a test lets them do. */
export interface ForeignSite {
  /** Another origin of Naru's own site: cookies do not tell ports apart. */
  readonly sameSite: string;
  /** Another site altogether, as browsers see it. */
  readonly crossSite: string;
  close(): Promise<void>;
}

export async function startForeignSite(): Promise<ForeignSite> {
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><link rel="icon" href="data:,"><title>Somebody else</title>');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    sameSite: `http://127.0.0.1:${port}`,
    crossSite: `http://localhost:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
