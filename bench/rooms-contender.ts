// Run as a child: hands what is published on one NATS subject to every socket, and does nothing else.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from '@nats-io/transport-node';
import { WebSocketServer } from 'ws';

export interface BareOrder {
  readonly kind: 'bare';
  readonly natsUrl: string;
  readonly subject: string;
}

process.once('message', (order: BareOrder) => void serve(order));
process.once('disconnect', () => process.exit(0));

async function serve({ natsUrl, subject }: BareOrder): Promise<void> {
  const server = createServer();
  const sockets = new WebSocketServer({ server, perMessageDeflate: false });
  const nats = await connect({ servers: natsUrl });
  nats.subscribe(subject, {
    callback(_error, message) {
      const frame = message.string();
      for (const socket of sockets.clients) socket.send(frame);
    },
  });
  await nats.flush();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  process.send?.({ url: `http://127.0.0.1:${port}` });
}
