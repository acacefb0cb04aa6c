// SPDX-License-Identifier: MIT
// One socket for all tabs: what the worker tells each, and that their feeds are none the wiser. Run: node --test tests/browser/

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Switchboard } from '../../client/switchboard.js';
import { Socket, answer, event, heartbeat } from './scripted.mjs';

const URL = 'ws://here/ws';

function worker() {
  const it = { sockets: [], tabs: [] };
  const board = new Switchboard((url) => {
    assert.equal(url, URL);
    it.sockets.push(new Socket());
    return it.sockets.at(-1);
  });
  /** A tab that has subscribed; `heard` has its frames since then, `closed` how its socket ended. */
  it.tab = (since, more = {}) => {
    const tab = { heard: [], closed: null };
    const end = board.join(({ message, close }) => {
      if (message) tab.heard.push(JSON.parse(message));
      if (close) tab.closed = close;
    });
    tab.subscribe = (cursor, extra = {}) => end.hear({ send: JSON.stringify({ type: 'subscribe', user_id: 1, since: cursor, ...extra }) });
    tab.ping = () => end.hear({ send: '{"type":"ping"}' });
    tab.leave = () => end.hear({ leave: true });
    tab.cursors = () => tab.heard.filter(({ type }) => type === 'notification').map(({ cursor }) => cursor);
    end.hear({ url: URL });
    tab.subscribe(since, more);
    return tab;
  };
  return it;
}

/** One tab, whose subscription since e:10 was answered. */
function live() {
  const it = worker();
  it.first = it.tab('e:10');
  [it.socket] = it.sockets;
  it.socket.opens();
  it.socket.says(answer({ cursor: 'e:10' }));
  return it;
}

test('the first subscription goes to the server as it is, and its answer back', () => {
  const it = worker();
  const tab = it.tab('e:10', { token: 't' });
  assert.deepEqual(it.sockets[0].sent, []);
  it.sockets[0].opens();
  assert.deepEqual(it.sockets[0].sent, [{ type: 'subscribe', user_id: 1, since: 'e:10', token: 't' }]);
  it.sockets[0].says(answer({ cursor: 'e:10' }));
  it.sockets[0].says(event('e:11'));
  assert.deepEqual(tab.heard, [answer({ cursor: 'e:10' }), event('e:11')]);
});

test('a second tab has no socket of its own, and is told exactly what it missed', () => {
  const it = live();
  for (const seq of [11, 12, 13]) it.socket.says(event(`e:${seq}`));
  const tab = it.tab('e:11');
  assert.equal(it.sockets.length, 1);
  assert.equal(it.socket.sent.length, 1);
  assert.deepEqual(tab.heard[0], { type: 'subscribe', user_id: 1, cursor: 'e:11', recovered: true, replayed: 2, until: 'e:13' });
  it.socket.says(event('e:14'));
  it.socket.says(heartbeat('e:14:9'));
  assert.deepEqual(tab.cursors(), ['e:12', 'e:13', 'e:14']);
  assert.equal(tab.heard.at(-1).type, 'heartbeat');
  assert.deepEqual(it.first.cursors(), ['e:11', 'e:12', 'e:13', 'e:14']);
});

test('without a cursor it begins where the socket is; with one that is ahead, too', () => {
  const it = live();
  it.socket.says(event('e:11'));
  const [none, ahead] = [it.tab(null), it.tab('e:12')];
  assert.equal(none.heard[0].cursor, 'e:11');
  assert.equal(ahead.heard[0].recovered, true);
  it.socket.says(event('e:12'));
  assert.deepEqual(none.cursors(), ['e:12']);
});

test('an older cursor than is remembered, and one of another life, are told so', () => {
  const it = live();
  assert.deepEqual(it.tab('e:9').heard, [{ type: 'subscribe', user_id: 1, cursor: 'e:9', recovered: false, reason: 'truncated' }]);
  assert.equal(it.tab('f:10').heard[0].reason, 'epoch');
  const stale = it.tab('e:9');
  it.socket.says(event('e:11'));
  assert.deepEqual(stale.cursors(), [], 'and hear nothing before they have come back');
});

test('only so much is remembered', () => {
  const it = live();
  for (let seq = 11; seq <= 700; seq++) it.socket.says(event(`e:${seq}`));
  assert.equal(it.tab('e:199').heard[0].recovered, false);
  assert.equal(it.tab('e:200').cursors().length, 500);
  const large = live();
  for (let seq = 11; seq <= 20; seq++) large.socket.says({ ...event(`e:${seq}`), message: 'x'.repeat(300_000) });
  assert.equal(large.tab('e:16').heard[0].recovered, false);
  assert.deepEqual(large.tab('e:17').cursors(), ['e:18', 'e:19', 'e:20']);
});

test('a listener that comes while the answer is awaited is answered after it, and not before', () => {
  const it = worker();
  const first = it.tab('e:10');
  const [older, newer] = [it.tab('e:9'), it.tab('e:11')];
  it.sockets[0].opens();
  assert.equal(it.sockets[0].sent.length, 1);
  it.sockets[0].says(answer({ cursor: 'e:10', replayed: 2, until: 'e:12' }));
  it.sockets[0].says(event('e:11'));
  it.sockets[0].says(event('e:12'));
  assert.deepEqual(first.cursors(), ['e:11', 'e:12']);
  assert.equal(older.heard[0].recovered, false);
  assert.deepEqual(newer.cursors(), ['e:11', 'e:12'], 'what it has, its feed drops');
});

test('recovered:false is told to the one that asked; the others ask anew', () => {
  const it = worker();
  const [first, second] = [it.tab('e:1'), it.tab('e:10')];
  it.sockets[0].opens();
  it.sockets[0].says(answer({ recovered: false, reason: 'truncated', cursor: 'e:1' }));
  assert.equal(first.heard[0].recovered, false);
  assert.ok(it.sockets[0].closed);
  it.sockets[1].opens();
  assert.equal(it.sockets[1].sent[0].since, 'e:10');
  it.sockets[1].says(answer({ cursor: 'e:10' }));
  assert.equal(second.heard[0].recovered, true);
});

test('the end of the socket is the end for all, with its code; the next attempt opens one again', () => {
  const it = live();
  const second = it.tab('e:10');
  it.socket.drops(4429, 'too many messages; retry after 10 s');
  for (const tab of [it.first, second]) assert.deepEqual(tab.closed, { code: 4429, reason: 'too many messages; retry after 10 s' });
  it.first.subscribe('e:10');
  second.subscribe('e:10');
  assert.equal(it.sockets.length, 2);
});

test('a reset is told to all, and the socket is given up', () => {
  const it = live();
  const second = it.tab('e:10');
  it.socket.says({ type: 'reset', user_id: 1, cursor: 'e:10', reason: 'lost' });
  for (const tab of [it.first, second]) assert.equal(tab.heard.at(-1).type, 'reset');
  assert.ok(it.socket.closed);
});

test('a hole is passed on, and nothing from before it is replayed', () => {
  const it = live();
  it.socket.says(event('e:13'));
  assert.deepEqual(it.first.cursors(), ['e:13']);
  assert.equal(it.tab('e:11').heard[0].recovered, false);
  assert.equal(it.tab('e:13').heard[0].recovered, true);
});

test('doubles are not told twice; an event without a cursor goes to all and is not remembered', () => {
  const it = live();
  it.socket.says(event('e:11'));
  it.socket.says(event('e:11'));
  it.socket.says({ type: 'notification', message: 'from elsewhere' });
  assert.equal(it.first.heard.filter(({ type }) => type === 'notification').length, 2);
  assert.deepEqual(it.tab('e:10').cursors(), ['e:11']);
});

test('pings go to the server; while there is no connection the worker answers', () => {
  const it = worker();
  const tab = it.tab('e:10');
  tab.ping();
  assert.deepEqual(tab.heard, [{ type: 'pong' }]);
  it.sockets[0].opens();
  tab.ping();
  assert.deepEqual(it.sockets[0].sent.at(-1), { type: 'ping' });
  it.sockets[0].says({ type: 'pong' });
  assert.equal(tab.heard.length, 2);
});

test('a token opens what is its own: another one has another socket', () => {
  const it = live();
  const other = it.tab('e:10', { token: 'other' });
  assert.equal(it.sockets.length, 2);
  it.sockets[1].opens();
  it.sockets[1].drops(4401, 'token not valid');
  assert.equal(other.closed.code, 4401);
  assert.equal(it.first.closed, null);
  it.socket.says(event('e:11'));
  assert.deepEqual(other.cursors(), []);
});

test('a tab with a fresh token moves to its socket, and the old one ends with its last tab', () => {
  const it = live();
  const second = it.tab('e:10');
  it.first.subscribe('e:10', { token: 'fresh' });
  assert.ok(!it.socket.closed);
  second.subscribe('e:10', { token: 'fresh' });
  assert.ok(it.socket.closed);
  assert.equal(it.sockets.length, 2);
  it.sockets[1].opens();
  it.sockets[1].says(answer({ cursor: 'e:10' }));
  for (const tab of [it.first, second]) assert.equal(tab.heard.at(-1).recovered, true);
});

test('the last tab that leaves takes the socket with it; one that leaves before its answer does not take it from others', () => {
  const it = worker();
  const [first, second] = [it.tab('e:10'), it.tab('e:10')];
  it.sockets[0].opens();
  first.leave();
  it.sockets[0].says(answer({ cursor: 'e:10' }));
  assert.equal(second.heard[0].recovered, true);
  assert.deepEqual(first.heard, []);
  second.leave();
  assert.ok(it.sockets[0].closed);
  assert.equal(it.tab('e:10').heard.length, 0);
  assert.equal(it.sockets.length, 2);
});

test('an error of the server is told to all that wait', () => {
  const it = worker();
  const [first, second] = [it.tab('e:10'), it.tab('e:10')];
  it.sockets[0].opens();
  it.sockets[0].says({ type: 'error', code: 'limit', message: 'too many subscriptions' });
  for (const tab of [first, second]) assert.equal(tab.heard[0].code, 'limit');
});
