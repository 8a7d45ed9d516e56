// Process entry: stands in for src/main.ts, and does over HTTP what a test asks for.
import http from 'node:http';

let ignoresStop = false;

const server = http.createServer((request, response) => {
  if (request.url === '/exit') process.exit(3);
  if (request.url === '/ignore-stop') ignoresStop = true;
  response.end(JSON.stringify(process.env));
});

process.on('SIGTERM', () => {
  process.stdout.write('app: asked to stop\n');
  if (ignoresStop) return;
  server.close(() => process.stdout.write('app: drained\n'));
  server.closeAllConnections();
});

const { HOST, PORT } = process.env;
server.listen(Number(PORT), HOST, () => process.send?.({ ready: `http://${HOST}:${PORT}` }));
