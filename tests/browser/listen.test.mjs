// SPDX-License-Identifier: MIT
// listen() of the package against a scripted service: what is kept, and when. Run: node --test tests/browser/

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { HttpError, listen, local, memory } from '../../client/index.js';
import { Queue } from '../../client/queue.js';
import { Clock, Socket, answer, event, heartbeat, settled } from './scripted.mjs';

/** An application of user 1. `answers` are by path: each a list, of which the last stays. */
function application({ answers = {}, start, take, ...options } = {}) {
  const it = {
    clock: new Clock(),
    sockets: [],
    asked: [],
    started: [],
    taken: [],
    states: [],
    stored: [],
    answers: { '/tasks': [{ json: [], headers: { 'Event-Cursor': 'e:10:1000' } }], ...answers },
    get socket() {
      return it.sockets.at(-1);
    },
  };
  const memo = memory();
  it.storage = { get: () => memo.get(), set: (cursor) => (it.stored.push(cursor), memo.set(cursor)) };
  it.options = {
    url: 'http://service/under/a/path/index.html?user_id=7#x',
    user: 1,
    storage: it.storage,
    start: async (how) => {
      it.started.push(how.reason);
      await start?.(how, it);
    },
    event: async (message) => {
      await take?.(message, it);
      it.taken.push(message.cursor ?? message.message);
    },
    state: (state) => it.states.push(state),
    clock: it.clock,
    random: () => 0.5,
    fetch: async (url, { headers, signal }) => {
      it.asked.push({ url: url.pathname + url.search, headers });
      const found = it.answers[url.pathname.replace('/under/a/path', '')];
      const next = found.length > 1 ? found.shift() : found[0];
      if (next instanceof Error) throw next;
      signal.throwIfAborted();
      return new Response(JSON.stringify(next.json ?? {}), { status: next.status ?? 200, headers: next.headers });
    },
    WebSocket: class extends Socket {
      constructor(url) {
        super();
        this.url = url;
        it.sockets.push(this);
      }
    },
    ...options,
  };
  it.turn = async () => {
    for (let n = 0; n < 20; n++) await new Promise(setImmediate);
  };
  it.listen = async () => {
    it.feed = listen(it.options);
    await it.turn();
  };
  return it;
}

async function live(how) {
  const it = application(how);
  await it.listen();
  it.socket.opens();
  it.socket.says(answer({ cursor: 'e:10:1000' }));
  await it.turn();
  return it;
}

const journal = (seqs, cursor, headers = {}) => ({ json: seqs.map((seq) => event(`e:${seq}`)), headers: { 'Event-Cursor': cursor, ...headers } });

test('the cursor is read first, then the application reads, then it listens from that cursor', async () => {
  const order = [];
  const it = application({
    start: async ({ read, cursor, reason }) => {
      order.push(it.asked.length, cursor, reason);
      assert.deepEqual(await read('tasks?user_id=1'), []);
    },
  });
  await it.listen();
  assert.deepEqual(order, [1, 'e:10:1000', null]);
  assert.deepEqual(it.asked.map(({ url }) => url), ['/under/a/path/tasks?user_id=1&limit=1', '/under/a/path/tasks?user_id=1']);
  assert.equal(it.socket.url, 'ws://service/under/a/path/ws');
  it.socket.opens();
  assert.deepEqual(it.socket.sent, [{ type: 'subscribe', user_id: 1, since: 'e:10:1000' }]);
  assert.equal(it.feed.cursor, 'e:10:1000');
});

test('an event is given as it came, with its traceparent', async () => {
  const given = [];
  const it = await live({ take: (message) => given.push(message) });
  const traced = { ...event('e:11'), traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' };
  it.socket.says(traced);
  it.socket.says(event('e:12'));
  await it.turn();
  assert.deepEqual(given, [traced, event('e:12')]);
});

test('a cursor is kept when its event has been taken, not before, and events are taken one at a time', async () => {
  const gates = [];
  const it = await live({ take: () => new Promise((open) => gates.push(open)) });
  it.socket.says(event('e:11'));
  it.socket.says(event('e:12'));
  await it.turn();
  assert.equal(gates.length, 1);
  assert.equal(it.feed.cursor, 'e:10:1000');
  gates[0]();
  await it.turn();
  assert.deepEqual(it.stored, ['e:10:1000', 'e:10:1000', 'e:11']);
  assert.equal(gates.length, 2);
  gates[1]();
  await it.turn();
  assert.equal(it.feed.cursor, 'e:12');
});

test('an event that is not taken is given again, and no other before it', async () => {
  let failures = 2;
  const it = await live({
    take: () => {
      if (failures-- > 0) throw new Error('no room');
    },
  });
  it.socket.says(event('e:11'));
  it.socket.says(event('e:12'));
  await it.turn();
  assert.deepEqual(it.taken, []);
  assert.equal(it.states.at(-1).error.message, 'no room');
  await it.clock.advance(1000);
  await it.turn();
  await it.clock.advance(2000);
  await it.turn();
  assert.deepEqual(it.taken, ['e:11', 'e:12']);
  assert.equal(it.stored.at(-1), 'e:12');
});

test('a program that is started again goes on from what it had taken', async () => {
  const it = await live();
  it.socket.says(event('e:11'));
  await it.turn();
  await it.feed.stop();
  await it.listen();
  assert.deepEqual(it.started, [null], 'it need not start over');
  it.socket.opens();
  assert.equal(it.socket.sent[0].since, 'e:11');
});

test('stop lets the event that is being taken be taken, and keeps its cursor', async () => {
  let open;
  const it = await live({ take: () => new Promise((resolve) => (open = resolve)) });
  it.socket.says(event('e:11'));
  it.socket.says(event('e:12'));
  await it.turn();
  const stopped = it.feed.stop();
  open();
  await stopped;
  assert.deepEqual(it.taken, ['e:11']);
  assert.equal(it.stored.at(-1), 'e:11');
  assert.ok(it.socket.closed);
});

test('a heartbeat keeps the cursor young, behind the events that wait', async () => {
  const it = await live();
  it.socket.says(event('e:11'));
  it.socket.says(heartbeat('e:11:2000'));
  await it.turn();
  assert.deepEqual(it.stored.slice(-2), ['e:11', 'e:11:2000']);
});

test('what the feed cannot tell comes from the journal, page by page, and the application does not start over', async () => {
  const it = await live({
    answers: {
      '/users/1/events': [
        journal([11, 12], 'e:12', { Link: '</elsewhere?since=e:12&limit=200>; rel="next"' }),
        journal([13], 'e:13:2000'),
      ],
    },
  });
  it.socket.says(answer({ recovered: false, reason: 'truncated', cursor: 'e:10:1000' }));
  await it.clock.advance(1);
  await it.turn();
  assert.deepEqual(it.taken, ['e:11', 'e:12', 'e:13']);
  assert.deepEqual(it.started, [null]);
  const pages = it.asked.slice(1).map(({ url }) => url);
  assert.deepEqual(pages, ['/under/a/path/users/1/events?since=e%3A10%3A1000&limit=200', '/under/a/path/users/1/events?since=e%3A12&limit=200']);
  it.socket.opens();
  assert.equal(it.socket.sent[0].since, 'e:13:2000');
});

test('only a journal that does not reach back makes it start over, and it is told why', async () => {
  const it = await live({
    answers: {
      '/tasks': [
        { json: [], headers: { 'Event-Cursor': 'e:10:1000' } },
        { json: [], headers: { 'Event-Cursor': 'f:3:1' } },
      ],
      '/users/1/events': [{ status: 410, json: { title: 'gone' } }],
    },
  });
  it.socket.says(answer({ recovered: false, reason: 'epoch', cursor: 'e:10' }));
  await it.clock.advance(1);
  await it.turn();
  assert.deepEqual(it.started, [null, 'epoch']);
  assert.equal(it.feed.cursor, 'f:3:1');
});

test('a start that fails is tried again, and nothing is kept before it succeeded', async () => {
  let failures = 1;
  const it = application({
    start: () => {
      if (failures-- > 0) throw new Error('my database is away');
    },
  });
  await it.listen();
  assert.deepEqual(it.states.map(({ name }) => name), ['connecting', 'failed', 'offline']);
  assert.deepEqual(it.stored, []);
  assert.ok(it.states.at(-1).retryIn > 0);
  await it.clock.advance(1000);
  await it.turn();
  assert.deepEqual(it.stored, ['e:10:1000']);
  assert.equal(it.sockets.length, 1);
});

test('a start over while an event is being taken waits for it, and forgets those that wait', async () => {
  let open;
  const it = await live({
    take: () => new Promise((resolve) => (open = resolve)),
    answers: { '/users/1/events': [{ status: 410 }] },
  });
  it.socket.says(event('e:11'));
  it.socket.says(event('e:12'));
  await it.turn();
  it.socket.says({ type: 'reset', user_id: 1, cursor: 'e:12', reason: 'epoch' });
  await it.clock.advance(2000);
  await it.turn();
  assert.deepEqual(it.started, [null]);
  open();
  await it.turn();
  // The journal was to be asked when nothing waits; then the second is taken, too.
  open();
  await it.turn();
  assert.deepEqual(it.taken, ['e:11', 'e:12']);
  assert.deepEqual(it.started, [null, 'epoch']);
});

test('an application that takes more slowly than events come bounds what waits', async () => {
  let gate;
  const held = new Promise((open) => (gate = open));
  const it = await live({ take: () => held });
  for (let seq = 11; seq < 1300; seq++) it.socket?.says(event(`e:${seq}`));
  assert.ok(it.socket.closed, 'the feed ends for a while');
  gate();
  await it.turn();
  assert.equal(it.taken.length, 1000);
  it.socket.opens();
  assert.equal(it.socket.sent[0].since, 'e:1010', 'and goes on where it ended');
});

test('the token is asked for each time, and a fresh one extends the connection', async () => {
  let token = 'one';
  const it = await live({ token: () => token });
  assert.equal(it.asked[0].headers.Authorization, 'Bearer one');
  assert.equal(it.socket.sent[0].token, 'one');
  token = 'two';
  it.feed.renew();
  assert.equal(it.socket.sent[1].token, 'two');
  assert.equal(it.sockets.length, 1);
});

test('a storage that fails is told, and costs repetitions only', async () => {
  const broken = { get: () => Promise.reject(new Error('get')), set: () => Promise.reject(new Error('set')) };
  const it = await live({ storage: broken });
  it.socket.says(event('e:11'));
  await it.turn();
  assert.deepEqual(it.started, [null]);
  assert.deepEqual(it.taken, ['e:11']);
  assert.deepEqual([...new Set(it.states.filter(({ name }) => name === 'failed').map(({ error }) => error.message))], ['get', 'set']);
});

test('without a cursor from the service it does not guess', async () => {
  const it = application({ answers: { '/tasks': [{ json: [] }] } });
  await it.listen();
  assert.deepEqual(it.started, []);
  assert.match(it.states.at(-1).error.message, /no user 1/);
  assert.ok(it.states.at(-1).error instanceof HttpError);
});

test('a refusal says its code and its reason', async () => {
  const it = application({ answers: { '/tasks': [{ status: 401, json: { title: 'x', detail: 'The token has expired' } }] } });
  await it.listen();
  assert.equal(it.states.at(-1).code, 4401);
  assert.match(it.states.at(-1).error.message, /401, The token has expired/);
});

test('lists are read to their last page, whatever host a proxy put into the link', async () => {
  let rows;
  const it = application({
    answers: {
      '/tasks': [
        { json: [], headers: { 'Event-Cursor': 'e:1' } },
        { json: [1, 2], headers: { Link: '<http://inside:8080/tasks?user_id=1&after=2>; rel="next"' } },
        { json: [3] },
      ],
    },
    start: async ({ read }) => (rows = await read('tasks?user_id=1')),
  });
  await it.listen();
  assert.deepEqual(rows, [1, 2, 3]);
  assert.equal(it.asked.at(-1).url, '/under/a/path/tasks?user_id=1&after=2');
});

test('what cannot be is said at once', () => {
  const good = { url: 'http://x/', user: 1, start() {}, event() {} };
  for (const [bad, said] of [
    [{ user: '1' }, /user must be/],
    [{ user: 0 }, /user must be/],
    [{ start: undefined }, /start must be/],
    [{ event: 7 }, /event must be/],
    [{ url: 'ftp://x/' }, /http/],
    [{ url: 'nothing' }, /URL/i],
  ])
    assert.throws(() => listen({ ...good, ...bad }), said);
});

test('localStorage is not turned back by a tab that is behind, and takes another life of the data', () => {
  const kept = new Map();
  const storage = local('k', { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) });
  assert.equal(storage.get(), null);
  for (const [cursor, then] of [
    ['e:5', 'e:5'],
    ['e:4', 'e:5'],
    ['e:5:2000', 'e:5:2000'],
    ['f:1', 'f:1'],
  ]) {
    storage.set(cursor);
    assert.equal(storage.get(), then);
  }
});

test('what is given anew while an older thing is being taken is not taken for it', async () => {
  let open;
  const taken = [];
  const queue = new Queue(async (thing) => {
    if (thing === 'old') await new Promise((resolve) => (open = resolve));
    taken.push(thing);
  }, assert.fail, new Clock());
  queue.push('old');
  await settled();
  queue.clear();
  queue.push('new');
  open();
  await queue.idle();
  assert.deepEqual(taken, ['old', 'new']);
});
