// SPDX-License-Identifier: MIT
// Where WebSockets do not pass: the event stream, then the journal. Run: node --test tests/browser/

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ASK_MS, CHECK_MS, DETOUR_MS, JOURNAL_MS, LONGEST_PAUSE_MS, OPEN_MS, SILENCE_MS } from '../../client/feed.js';
import { answer, comesBack, event, heartbeat, live, page, settled } from './scripted.mjs';

/** Runs to where the second socket in a row could not be opened. */
async function blocked(options) {
  const it = page({ ways: true, ...options });
  it.feed.start();
  await settled();
  it.socket.drops();
  await comesBack(it);
  it.socket.drops();
  await settled();
  return it;
}

async function streaming(options) {
  const it = await blocked(options);
  it.stream.opens();
  it.stream.says(answer());
  assert.equal(it.state.name, 'live');
  return it;
}

test('one handshake that fails is bad luck, two are a network that lets none through', async () => {
  const it = page({ ways: true });
  it.feed.start();
  await settled();
  it.socket.drops();
  assert.equal(it.streams.length, 0);
  await comesBack(it);
  it.socket.drops();
  assert.equal(it.streams.length, 1);
  assert.equal(it.stream.since, 'e:10:1000');
  assert.equal(it.state.name, 'connecting');
});

test('a handshake that hangs is one that failed', async () => {
  const it = page({ ways: true });
  it.feed.start();
  await it.clock.advance(OPEN_MS);
  await comesBack(it);
  await it.clock.advance(OPEN_MS);
  assert.equal(it.streams.length, 1);
});

test('a stream is the same feed', async () => {
  const it = await streaming();
  it.stream.says(event('e:11'));
  it.stream.says(event('e:11'));
  it.stream.says(heartbeat('e:11:9'));
  assert.deepEqual(it.events, ['e:11']);
  assert.deepEqual(it.stream.sent, [], 'there is nothing to say on it');
});

test('a stream that ends is opened again with the cursor, without asking for a socket each time', async () => {
  const it = await streaming();
  it.stream.says(event('e:11'));
  const sockets = it.sockets.length;
  it.stream.drops(undefined);
  assert.equal(it.state.name, 'offline');
  await it.clock.advance(2000);
  assert.equal(it.streams.length, 2);
  assert.equal(it.stream.since, 'e:11');
  assert.equal(it.sockets.length, sockets);
});

test('after a while, or in another network, the socket is tried again', async () => {
  const later = await streaming();
  const before = later.sockets.length;
  for (let passed = 0; passed < DETOUR_MS; passed += 20_000) {
    await later.clock.advance(20_000);
    later.stream.says(heartbeat('e:10:9'));
  }
  assert.equal(later.sockets.length, before, 'a feed that works is left alone');
  later.stream.drops(undefined);
  await later.clock.advance(2000);
  assert.equal(later.sockets.length, before + 1);

  const moved = await streaming();
  moved.stream.drops(undefined);
  moved.feed.networkChanged();
  await settled();
  assert.equal(moved.sockets.length, 3);
  moved.socket.opens();
  moved.socket.says(answer());
  assert.equal(moved.state.name, 'live');
});

test('a stream cannot be asked: silence ends it, a look or a jump of the clock opens it anew', async () => {
  const silent = await streaming();
  await silent.clock.advance(SILENCE_MS);
  assert.equal(silent.state.name, 'offline');

  const looked = await streaming();
  looked.feed.look();
  assert.equal(looked.streams.length, 1, 'it spoke a moment ago');
  await looked.clock.advance(ASK_MS);
  looked.feed.look();
  await settled();
  assert.equal(looked.streams.length, 2);

  const slept = await streaming();
  slept.clock.sleep(3600_000);
  await slept.clock.advance(CHECK_MS);
  assert.equal(slept.streams.length, 2);
});

test('a fresh token opens the stream anew', async () => {
  const it = await streaming({ token: () => 'x' });
  it.feed.renew();
  await settled();
  assert.equal(it.streams.length, 2);
  assert.ok(it.streams[0].closed);
});

test('where no stream passes either, the journal is read', async () => {
  const missed = [
    { events: [event('e:11'), event('e:12')], cursor: 'e:12:9' },
    { events: [event('e:13')], cursor: 'e:13:9' },
  ];
  const it = await blocked({ missed });
  it.stream.opens();
  await it.clock.advance(OPEN_MS); // its beginning came through, nothing else
  assert.deepEqual(it.events, ['e:11', 'e:12']);
  assert.equal(it.state.name, 'delayed');
  const pause = it.state.retryAt - it.clock.now();
  assert.ok(pause >= JOURNAL_MS * 0.75 && pause <= JOURNAL_MS * 1.25, `${pause}`);
  const states = it.states.length;
  await it.clock.advance(JOURNAL_MS * 1.25);
  assert.deepEqual(it.looks, ['e:10:1000', 'e:12:9']);
  assert.deepEqual(it.events, ['e:11', 'e:12', 'e:13']);
  assert.ok(it.states.slice(states).every(({ name }) => name === 'delayed'), 'no flicker');
  assert.equal(it.loads.length, 1, 'the rows need not be read again');
});

test('the journal is read while the notifier is away, and sockets are tried each time', async () => {
  const it = await blocked();
  it.stream.onclose({ status: 503 });
  await settled();
  assert.equal(it.state.name, 'delayed');
  const sockets = it.sockets.length;
  await comesBack(it);
  assert.equal(it.sockets.length, sockets + 1);
  it.socket.opens();
  it.socket.says(answer());
  assert.equal(it.state.name, 'live');
});

test('a server that is away for long is asked with growing pauses', async () => {
  const it = await blocked();
  for (let n = 0; n < 8; n++) {
    it.stream.onclose({});
    await settled();
    if (n < 7) await comesBack(it);
    if (n < 7) it.socket.drops();
  }
  assert.ok(it.state.retryAt - it.clock.now() >= LONGEST_PAUSE_MS / 2);
  assert.equal(it.looks.length, 8);
});

test('when nothing answers it is offline', async () => {
  const it = await blocked({ missed: [new Error('no network')] });
  it.stream.onclose({});
  await settled();
  assert.equal(it.state.name, 'offline');
  assert.equal(it.state.error.message, 'no network');
});

test('a journal that does not reach back: the rows are read again, and said so', async () => {
  const it = await blocked({
    missed: [Object.assign(new Error('gone'), { status: 410 })],
    snapshots: [
      { tasks: [], cursor: 'e:10' },
      { tasks: [{ id: 1 }], cursor: 'e:90' },
    ],
  });
  it.stream.onclose({});
  await it.clock.advance(1);
  assert.deepEqual(it.tasks.at(-1), { tasks: [{ id: 1 }], reloaded: 'truncated' });
});

test('a refusal of the stream is a refusal', async () => {
  const it = await blocked();
  it.stream.onclose({ code: 4401, reason: 'The token has expired', status: 401 });
  await settled();
  assert.equal(it.state.name, 'offline');
  assert.equal(it.state.code, 4401);
  assert.equal(it.looks.length, 0);
  const full = await blocked();
  full.stream.onclose({ code: 4429, reason: 'too many clients; retry after 10 s', status: 429, retryAfter: 10 });
  assert.ok(full.state.retryAt - full.clock.now() >= 10_000);
});

test('"Try now" reads the rows, keeps its place in the feed, and tries the best way first', async () => {
  const it = await blocked({
    snapshots: [
      { tasks: [], cursor: 'e:10' },
      { tasks: [{ id: 3 }], cursor: 'e:12' },
    ],
  });
  it.stream.opens();
  await it.clock.advance(OPEN_MS);
  assert.equal(it.state.name, 'delayed');
  const sockets = it.sockets.length;
  it.feed.retryNow();
  await settled();
  assert.deepEqual(it.tasks.at(-1), { tasks: [{ id: 3 }], reloaded: null }, 'that is no reload to be told');
  assert.equal(it.sockets.length, sockets + 1);
  it.socket.opens();
  assert.equal(it.socket.sent[0].since, 'e:10', 'what happened between is still told');
});

test('in another life of the data "Try now" begins where the rows are', async () => {
  const it = await live({
    ways: true,
    snapshots: [
      { tasks: [], cursor: 'e:10' },
      { tasks: [], cursor: 'f:2' },
    ],
  });
  it.socket.drops();
  it.feed.retryNow();
  await settled();
  it.socket.opens();
  assert.equal(it.socket.sent[0].since, 'f:2');
});

// --- what the feed cannot tell, the journal can ---

for (const [name, happens] of [
  ['recovered:false', (it) => it.socket.says(answer({ recovered: false, reason: 'truncated' }))],
  ['a reset', (it) => it.socket.says({ type: 'reset', user_id: 1, cursor: 'e:40:9', reason: 'lost' })],
  ['a hole before an event', (it) => it.socket.says(event('e:13'))],
  ['a hole before a heartbeat', (it) => it.socket.says(heartbeat('e:13:9'))],
]) {
  test(`${name}: the journal is asked from the cursor, and the rows are not read again`, async () => {
    const it = await live({
      ways: true,
      missed: [
        { events: [event('e:11'), event('e:12')], cursor: 'e:12', more: true },
        { events: [event('e:13')], cursor: 'e:13:9' },
      ],
    });
    happens(it);
    await it.clock.advance(2000);
    assert.deepEqual(it.looks, ['e:10:1001', 'e:12']);
    assert.deepEqual(it.events, ['e:11', 'e:12', 'e:13'], 'in order, the one that showed the hole too');
    assert.equal(it.loads.length, 1);
    it.socket.opens();
    assert.equal(it.socket.sent[0].since, 'e:13:9');
    it.socket.says(answer({ cursor: 'e:13:9' }));
    assert.equal(it.state.name, 'live');
    it.socket.says(event('e:14'));
    assert.equal(it.events.at(-1), 'e:14');
  });
}

for (const [name, first, reason] of [
  ['is gone', Object.assign(new Error('gone'), { status: 410 }), 'epoch'],
  ['has a hole of its own', { events: [event('e:12')], cursor: 'e:12' }, 'epoch'],
]) {
  test(`a journal that ${name}: only then the rows are read again, and at once`, async () => {
    const it = await live({
      ways: true,
      missed: [first],
      snapshots: [
        { tasks: [], cursor: 'e:10:1000' },
        { tasks: [{ id: 5 }], cursor: 'f:3' },
      ],
    });
    it.socket.says(answer({ recovered: false, reason }));
    await it.clock.advance(1);
    assert.deepEqual(it.tasks.at(-1), { tasks: [{ id: 5 }], reloaded: reason });
    assert.deepEqual(it.events, []);
    it.socket.opens();
    assert.equal(it.socket.sent[0].since, 'f:3');
  });
}

test('a journal that fails is asked again, and the rows are left', async () => {
  const it = await live({ ways: true, missed: [new Error('503'), { events: [event('e:11')], cursor: 'e:11' }] });
  it.socket.says(answer({ recovered: false, reason: 'truncated' }));
  await it.clock.advance(1);
  assert.equal(it.state.name, 'offline');
  await comesBack(it);
  assert.deepEqual(it.looks, ['e:10:1001', 'e:10:1001']);
  assert.deepEqual(it.events, ['e:11']);
  assert.equal(it.loads.length, 1);
});

test('a server that cannot tell again and again is asked with growing pauses, and loses nothing', async () => {
  const it = await live({ ways: true });
  for (let n = 0; n < 8; n++) {
    it.socket.says(answer({ recovered: false, reason: 'truncated' }));
    await comesBack(it);
    it.socket.opens();
  }
  it.socket.says(answer({ recovered: false, reason: 'truncated' }));
  assert.ok(it.state.retryAt - it.clock.now() >= LONGEST_PAUSE_MS / 2);
  assert.equal(it.loads.length, 1);
});

test('with a cursor from before it goes on from there, without reading rows', async () => {
  const it = page({ ways: true, since: 'e:7' });
  it.feed.start();
  await settled();
  it.socket.opens();
  assert.equal(it.socket.sent[0].since, 'e:7');
  assert.equal(it.loads.length, 0);
  assert.equal(page({ since: 'nonsense' }).feed.start(), undefined);
});

test('where there are no WebSockets the event stream is the first way', async () => {
  const it = page({ ways: true, sockets: false });
  it.feed.start();
  await settled();
  assert.equal(it.sockets.length, 0);
  it.stream.says(answer());
  assert.equal(it.state.name, 'live');
  it.stream.drops(undefined);
  it.feed.networkChanged();
  await settled();
  assert.equal(it.streams.length, 2);
  assert.equal(it.sockets.length, 0);
});

test('what is stopped in the middle of the journal tells no more of it', async () => {
  const it = await live({ ways: true, missed: [{ events: [event('e:11'), event('e:12')], cursor: 'e:12' }] });
  it.onEvent = () => it.feed.stop();
  it.socket.says(answer({ recovered: false, reason: 'truncated' }));
  await it.clock.advance(1);
  assert.deepEqual(it.events, ['e:11']);
  assert.equal(it.clock.pending, 0);
});

test('a cursor that moves without an event is told', async () => {
  const it = await live({ ways: true });
  it.socket.says(heartbeat('e:10:2000'));
  assert.deepEqual(it.cursors, ['e:10:1001', 'e:10:2000']);
});
