// SPDX-License-Identifier: MIT
// The push server: what the queue says goes to the sockets of that user.
'use strict';

const amqp = require('amqplib');
const { WebSocketServer } = require('ws');
const settings = require('./settings');

const PING_MS = 25000;
const sockets = new Map(); // user id -> Set of sockets

function subscribe(socket, userId) {
  if (!sockets.has(userId)) sockets.set(userId, new Set());
  sockets.get(userId).add(socket);
  socket.on('close', () => {
    const all = sockets.get(userId);
    all.delete(socket);
    if (all.size === 0) sockets.delete(userId);
  });
}

async function consume() {
  const connection = await amqp.connect(settings.amqp);
  const channel = await connection.createChannel();
  await channel.assertQueue(settings.queue, { durable: true });
  await channel.consume(settings.queue, (message) => {
    const { task } = JSON.parse(message.content);
    for (const socket of sockets.get(task.user_id) ?? []) socket.send(message.content, { binary: false });
  }, { noAck: true });
}

// After consume(): a client that can connect misses no message.
function listen() {
  const server = new WebSocketServer({ host: '127.0.0.1', port: settings.port, perMessageDeflate: false });

  server.on('connection', (socket) => {
    socket.isAlive = true;
    socket.on('error', () => {});
    socket.on('pong', () => { socket.isAlive = true; });
    socket.on('message', (data) => {
      const message = JSON.parse(data);
      if (message.type !== 'subscribe') return;
      subscribe(socket, message.user_id);
      socket.send(data, { binary: false });
    });
  });

  // As in the README of ws: find broken connections.
  setInterval(() => {
    for (const socket of server.clients) {
      if (!socket.isAlive) socket.terminate();
      else {
        socket.isAlive = false;
        socket.ping();
      }
    }
  }, PING_MS);
}

consume().then(listen).catch((error) => {
  console.error(error);
  process.exit(1);
});
