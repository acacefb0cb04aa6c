// SPDX-License-Identifier: MIT
// Server-Sent Events by fetch. Run: node --test tests/browser/

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';

import { EventParser, EventStream } from '../../client/stream.js';

const read = (...pieces) => {
  const data = [];
  const parser = new EventParser((text) => data.push(text));
  for (const piece of pieces) parser.take(piece);
  return data;
};

test('events, however they are cut and whatever ends their lines', () => {
  const text = 'event: subscribe\nid: e:1\ndata: {"a":1}\n\n: a comment\n\nretry: 5\n\ndata:{"b":2}\n\n';
  for (const whole of [text, text.replaceAll('\n', '\r\n'), text.replaceAll('\n', '\r')]) {
    const end = whole.endsWith('\r') ? '\n' : ''; // a CR at the end of what has come may be half a line's end
    assert.deepEqual(read(whole + end), ['{"a":1}', '{"b":2}']);
    assert.deepEqual(read(...whole, end), ['{"a":1}', '{"b":2}']);
  }
});

test('data in several lines is one text with line breaks; what has no end is no event', () => {
  const text = 'data: {\ndata:  "a": 1\ndata: }\n\ndata: half';
  assert.deepEqual(read(text), ['{\n "a": 1\n}']);
  assert.deepEqual(read(...text.replaceAll('\n', '\r\n')), ['{\n "a": 1\n}'], 'cut between CR and LF, too');
});

/** A stream from a server that answers with `answer`: its messages, and its end. */
async function against(answer, headers = {}) {
  const server = createServer(answer);
  await new Promise((started) => server.listen(0, '127.0.0.1', started));
  const said = [];
  const stream = new EventStream(`http://127.0.0.1:${server.address().port}/events?user_id=1`, headers);
  stream.onopen = () => said.push('open');
  stream.onmessage = ({ data }) => said.push(data);
  const end = await new Promise((ended) => (stream.onclose = ended));
  server.close();
  return { said, end };
}

const problem = (status, detail, headers = {}) => (request, response) => {
  response.writeHead(status, { 'Content-Type': 'application/problem+json', ...headers });
  response.end(JSON.stringify({ detail }));
};

test('what it is asked with, what it says, and its end', async () => {
  let asked = null;
  const { said, end } = await against(
    (request, response) => {
      asked = request;
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.end('data: "é"\n\n');
    },
    { Authorization: 'Bearer t' },
  );
  assert.deepEqual(said, ['open', '"é"']);
  assert.deepEqual(end, { status: 200 });
  assert.equal(asked.url, '/events?user_id=1');
  assert.equal(asked.headers.authorization, 'Bearer t');
  assert.equal(asked.headers.accept, '*/*', 'for text/event-stream a refusal would be a 200 that ends');
});

test('a refusal has the code of a WebSocket, and the reason', async () => {
  const { end } = await against(problem(401, 'The token has expired'));
  assert.deepEqual(end, { code: 4401, reason: 'The token has expired', status: 401, retryAfter: 0 });
  const full = await against(problem(429, 'too many clients; retry after 10 s', { 'Retry-After': '10' }));
  assert.deepEqual(full.end, { code: 4429, reason: 'too many clients; retry after 10 s', status: 429, retryAfter: 10 });
  const away = await against(problem(503, 'All workers are busy', { 'Retry-After': '1' }));
  assert.deepEqual(away.end, { code: undefined, reason: 'All workers are busy', status: 503, retryAfter: 1 });
});

test("another server's page is no stream", async () => {
  const { said, end } = await against((request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/html' });
    response.end('<h1>Welcome to the hotel</h1>');
  });
  assert.deepEqual(said, []);
  assert.equal(end.status, 200);
  assert.equal(end.code, undefined);
});

test('no server, and a connection that breaks: an end without a status', async () => {
  const { said, end } = await against((request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.write('data: 1\n\n', () => response.socket.destroy());
  });
  assert.deepEqual(said, ['open', '1']);
  assert.deepEqual(end, {});
  const stream = new EventStream('http://127.0.0.1:1/', {}, () => Promise.reject(new TypeError('Failed to fetch')));
  assert.deepEqual(await new Promise((ended) => (stream.onclose = ended)), {});
});

test('close ends it without a word', async () => {
  let gone = null;
  const ended = new Promise((resolve) => (gone = resolve));
  const server = createServer((request, response) => {
    request.on('close', gone);
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.write('data: 1\n\n');
  });
  await new Promise((started) => server.listen(0, '127.0.0.1', started));
  const stream = new EventStream(`http://127.0.0.1:${server.address().port}/`, {});
  await new Promise((heard) => (stream.onmessage = heard));
  stream.onclose = () => assert.fail('it was closed by us');
  stream.close();
  await ended;
  server.close();
});
