// Echoes every message; counts what is open. GET / says how many. Listens on PORT of 127.0.0.1.
'use strict';
const http = require('node:http');
const { WebSocketServer } = require('ws');

const server = http.createServer((request, response) => response.end(JSON.stringify({ open: sockets.clients.size })));
const sockets = new WebSocketServer({ server, perMessageDeflate: false, maxPayload: 4 * 1024 * 1024 });
sockets.on('connection', (socket) => {
  socket.on('error', () => socket.terminate());
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
});
server.listen({ port: Number(process.env.PORT), host: '127.0.0.1', backlog: 1024 });
