// SPDX-License-Identifier: MIT
// The package `ws` with its defaults: node websocket.mjs URL USER. Subscribes, pings, closes after the first notification;
// prints a line of JSON for each thing that happens.
import { createRequire } from 'node:module';

const [url, user] = process.argv.slice(2);
const WebSocket = createRequire(`${process.env.NODE_MODULES}/`)('ws');
const say = (what, more = {}) => console.log(JSON.stringify({ what, ...more }));

const socket = new WebSocket(url);
socket.on('open', () => {
  say('open', { extensions: socket.extensions, protocol: socket.protocol });
  socket.send(JSON.stringify({ type: 'subscribe', user_id: Number(user), since: null }));
  for (const payload of ['one', 'two', 'three']) socket.ping(payload);
});
socket.on('pong', (payload) => say('pong', { payload: String(payload) }));
socket.on('unexpected-response', (_, response) => say('refused', { status: response.statusCode, headers: response.headers }));
socket.on('error', (error) => say('error', { message: error.message }));
socket.on('message', (text) => {
  const frame = JSON.parse(text);
  say('message', { frame });
  if (frame.type === 'notification') socket.close(1000, 'enough');
});
socket.on('close', (code, reason) => say('close', { code, reason: String(reason) }));
