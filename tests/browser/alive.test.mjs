// SPDX-License-Identifier: MIT
// Is the connection alive? The feed asks, and does not believe a clock that can be set. Run: node --test tests/browser/

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ASK_MS, CHECK_MS, PONG_MS } from '../../client/feed.js';
import { answer, comesBack, event, heartbeat, live, page, settled } from './scripted.mjs';

const HOUR = 3600_000;
const pings = (socket) => socket.sent.filter(({ type }) => type === 'ping').length;

test('a heartbeat that is overdue is asked for; a server that does not answer is dead', async () => {
  const it = await live();
  const first = it.socket;
  for (let n = 0; n < 4; n++) {
    await it.clock.advance(ASK_MS - 1000);
    it.socket.says(heartbeat('e:10:2000'));
  }
  assert.equal(pings(first), 0, 'while heartbeats come nothing is asked');
  await it.clock.advance(ASK_MS);
  assert.deepEqual(first.sent.at(-1), { type: 'ping' });
  assert.equal(it.state.name, 'live');
  await it.clock.advance(PONG_MS);
  assert.equal(it.state.name, 'offline');
  assert.ok(first.closed);
  await comesBack(it);
  assert.equal(it.sockets.length, 2);
});

test('a pong is life; so is what a server answers that does not know pings', async () => {
  for (const word of [{ type: 'pong' }, { type: 'error', code: 'bad_request', message: 'x' }]) {
    const it = await live();
    for (let n = 1; n <= 3; n++) {
      it.feed.look();
      assert.equal(pings(it.socket), n);
      it.socket.says(word);
      await it.clock.advance(2 * PONG_MS);
    }
    assert.equal(it.state.name, 'live');
    assert.equal(it.sockets.length, 1);
  }
});

test('an error as the answer to a ping does not end a subscription that is not answered yet', async () => {
  const it = page();
  it.feed.start();
  await settled();
  it.socket.opens();
  await it.clock.advance(ASK_MS);
  it.socket.says({ type: 'error', code: 'bad_request', message: 'what is a ping?' });
  it.socket.says(answer());
  assert.equal(it.state.name, 'live');
});

test('a user who comes back to the page sees at once whether it is still live', async () => {
  const it = await live();
  it.feed.look();
  it.feed.look();
  assert.equal(pings(it.socket), 1, 'one question at a time');
  await it.clock.advance(PONG_MS - 1);
  assert.equal(it.state.name, 'live');
  await it.clock.advance(1);
  assert.equal(it.state.name, 'offline');
});

test('what lay in the buffer when the machine slept is no answer, only a delay', async () => {
  const it = await live();
  it.feed.look();
  it.socket.says(heartbeat('e:10:2000'));
  await it.clock.advance(PONG_MS);
  assert.equal(it.state.name, 'offline');
});

test('a long replay before the pong is life, too', async () => {
  const it = await live();
  it.feed.look();
  for (let seq = 11; seq < 30; seq++) {
    await it.clock.advance(PONG_MS / 2);
    it.socket.says(event(`e:${seq}`));
  }
  it.socket.says({ type: 'pong' });
  await it.clock.advance(2 * PONG_MS);
  assert.equal(it.state.name, 'live');
});

for (const [name, jump] of [
  ['a machine that slept asks at the first timer', 8 * HOUR],
  ['a clock set forward makes it ask', 2 * HOUR],
  ['a clock set back makes it ask', -2 * HOUR],
]) {
  test(name, async () => {
    const it = await live();
    it.clock.sleep(jump);
    await it.clock.advance(CHECK_MS);
    assert.equal(pings(it.socket), 1);
    assert.equal(it.state.name, 'live', 'nothing is known yet');
    await it.clock.advance(PONG_MS);
    assert.equal(it.state.name, 'offline');
    assert.ok(it.state.retryAt - it.clock.now() <= 1000, 'the countdown is by the clock that cannot be set');
    assert.ok((await comesBack(it)) <= 1000);
  });
}

test('a clock set back does not keep a dead connection live', async () => {
  const it = await live();
  it.clock.sleep(-2 * HOUR);
  await it.clock.advance(CHECK_MS);
  it.socket.says({ type: 'pong' });
  await it.clock.advance(ASK_MS + PONG_MS);
  assert.equal(it.state.name, 'offline');
});

test('a tab that was frozen asks before it gives a connection up', async () => {
  const it = await live();
  it.clock.freeze(HOUR);
  await it.clock.advance(0);
  assert.equal(it.state.name, 'live');
  it.socket.says({ type: 'pong' });
  await it.clock.advance(PONG_MS);
  assert.equal(it.state.name, 'live');
});

test('a look cuts a pause short, unless the server said how long to wait', async () => {
  const it = await live();
  it.socket.drops();
  it.feed.look();
  await settled();
  assert.equal(it.sockets.length, 2);
  it.socket.opens();
  it.socket.drops(4429, 'too many new connections; retry after 10 s');
  it.feed.look();
  await settled();
  assert.equal(it.sockets.length, 2, 'it stays away');
  it.feed.retryNow();
  await settled();
  assert.equal(it.sockets.length, 3, 'the button is the user');
});

test('a look begins a handshake anew that hangs since before', async () => {
  const it = page();
  it.feed.start();
  await settled();
  it.feed.look();
  assert.equal(it.sockets.length, 1, 'it has just begun');
  await it.clock.advance(PONG_MS);
  it.feed.look();
  await settled();
  assert.equal(it.sockets.length, 2);
});

test('a look after the end, or while rows are read, does nothing', async () => {
  const it = page();
  it.feed.start();
  it.feed.look();
  await settled();
  assert.equal(it.loads.length, 1);
  it.feed.stop();
  it.feed.look();
  it.feed.networkChanged();
  assert.equal(it.clock.pending, 0);
});
