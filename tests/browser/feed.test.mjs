// SPDX-License-Identifier: MIT
// The page's feed against a scripted server, socket and clock. Run: node --test tests/browser/

import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  ASK_MS,
  FIRST_PAUSE_MS,
  Feed,
  LONGEST_PAUSE_MS,
  OPEN_MS,
  PONG_MS,
  RESET_SPREAD_MS,
  RESTART_SPREAD_MS,
  STABLE_MS,
  parseCursor,
} from '../../client/feed.js';
import { Clock, Socket, answer, comesBack, event, heartbeat, live, page, settled } from './scripted.mjs';

test('a cursor is read in its short and its long form', () => {
  assert.deepEqual(parseCursor('k3f9:42'), { text: 'k3f9:42', epoch: 'k3f9', seq: 42 });
  assert.deepEqual(parseCursor('k3f9:42:1700000000'), { text: 'k3f9:42:1700000000', epoch: 'k3f9', seq: 42 });
  for (const bad of [undefined, null, '', 'k3f9', 'k3f9:', ':4', 'k3f9:-1', 'k3f9:x']) assert.equal(parseCursor(bad), null);
});

test('rows, then socket, then the subscription since the cursor of the rows', async () => {
  const it = page({ snapshots: [{ tasks: [{ id: 1 }], cursor: 'e:10:1000' }] });
  it.feed.start();
  assert.deepEqual(it.states, [{ name: 'connecting' }]);
  await settled();
  assert.deepEqual(it.tasks, [{ tasks: [{ id: 1 }], reloaded: null }]);
  assert.deepEqual(it.socket.sent, [], 'nothing is sent before the handshake is over');
  it.socket.opens();
  assert.deepEqual(it.socket.sent, [{ type: 'subscribe', user_id: 1, since: 'e:10:1000' }]);
  assert.equal(it.state.name, 'connecting', 'live is what the server says, not what the socket says');
  it.socket.says(answer());
  assert.equal(it.state.name, 'live');
});

test('without an Event-Cursor the feed begins where the answer says', async () => {
  const it = page({ snapshots: [{ tasks: [], cursor: null }] });
  it.feed.start();
  await settled();
  it.socket.opens();
  assert.equal(it.socket.sent[0].since, null);
  it.socket.says(answer({ cursor: 'e:7:1000' }));
  it.socket.says(event('e:7'));
  it.socket.says(event('e:8'));
  assert.deepEqual(it.events, ['e:8']);
});

test('events come in order, and none twice', async () => {
  const it = await live();
  for (const seq of [9, 10, 11, 11, 12, 11, 13, 12, 13]) it.socket.says(event(`e:${seq}`));
  assert.deepEqual(it.events, ['e:11', 'e:12', 'e:13']);
  assert.equal(it.state.name, 'live');
});

test('sequence numbers are compared as numbers', async () => {
  const it = await live({ snapshots: [{ tasks: [], cursor: 'e:9' }] });
  it.socket.says(event('e:10'));
  it.socket.says(event('e:9'));
  assert.deepEqual(it.events, ['e:10']);
});

test('the replay follows the answer, and its first event need not be the next of a cursor without a number', async () => {
  const it = page({ snapshots: [{ tasks: [], cursor: 'e:0:1000' }] });
  it.feed.start();
  await settled();
  it.socket.opens();
  it.socket.says(answer({ cursor: 'e:10:1000', replayed: 2, until: 'e:12' }));
  it.socket.says(event('e:11'));
  it.socket.says(event('e:12'));
  assert.deepEqual(it.events, ['e:11', 'e:12']);
  assert.equal(it.loads.length, 1);
});

test('cut after the answer and in the middle of the replay, it asks for exactly the rest', async () => {
  const it = await live();
  it.socket.drops();
  await comesBack(it);
  it.socket.opens();
  it.socket.says(answer({ cursor: 'e:10:1000', replayed: 3, until: 'e:13' }));
  it.socket.drops();
  await comesBack(it);
  it.socket.opens();
  assert.equal(it.socket.sent[0].since, 'e:10:1000');
  it.socket.says(answer({ cursor: 'e:10:1000', replayed: 3, until: 'e:13' }));
  it.socket.says(event('e:11'));
  it.socket.drops();
  await comesBack(it);
  it.socket.opens();
  assert.equal(it.socket.sent[0].since, 'e:11');
  it.socket.says(answer({ cursor: 'e:11', replayed: 2, until: 'e:13' }));
  it.socket.says(event('e:12'));
  it.socket.says(event('e:13'));
  assert.deepEqual(it.events, ['e:11', 'e:12', 'e:13']);
  assert.equal(it.loads.length, 1);
});

test('an event without a cursor is shown and moves nothing', async () => {
  const it = await live();
  it.socket.says({ type: 'notification', message: 'from elsewhere', task: { id: 1, user_id: 1 } });
  it.socket.says(event('e:11'));
  assert.deepEqual(it.events, ['from elsewhere', 'e:11']);
  assert.equal(it.loads.length, 1);
});

test('after an outage it resumes since the last event, without reading the rows again', async () => {
  const it = await live();
  it.socket.says(event('e:11'));
  it.socket.drops();
  assert.equal(it.state.name, 'offline');
  assert.ok(it.state.retryAt > it.clock.now());
  await comesBack(it);
  it.socket.opens();
  assert.equal(it.socket.sent[0].since, 'e:11');
  it.socket.says(answer({ cursor: 'e:11', replayed: 2, until: 'e:13' }));
  it.socket.says(event('e:11'));
  it.socket.says(event('e:12'));
  it.socket.says(event('e:13'));
  assert.deepEqual(it.events, ['e:11', 'e:12', 'e:13']);
  assert.equal(it.loads.length, 1);
});

test('a heartbeat renews the cursor, so that an idle user comes back with a young one', async () => {
  const it = await live();
  it.socket.says(heartbeat('e:10:2000'));
  it.socket.drops();
  await comesBack(it);
  it.socket.opens();
  assert.equal(it.socket.sent[0].since, 'e:10:2000');
});

test('an older heartbeat does not turn the cursor back', async () => {
  const it = await live();
  it.socket.says(event('e:11'));
  it.socket.says(heartbeat('e:10:2000'));
  it.socket.drops();
  await comesBack(it);
  it.socket.opens();
  assert.equal(it.socket.sent[0].since, 'e:11');
});

test("another user's frames, other types and noise change nothing", async () => {
  const it = await live();
  const noise = ['', 'not json', 'null', '[]', '1', { type: 'heartbeat', user_id: 2, cursor: 'e:99' }, { type: 'hello' }];
  for (const message of noise) it.socket.says(message);
  it.socket.says({ type: 'error', code: 'bad_request', message: 'x' });
  it.socket.says({ type: 'reset', user_id: 2, cursor: 'e:99', reason: 'lost' });
  assert.equal(it.state.name, 'live');
  assert.equal(it.loads.length, 1);
});

for (const [name, happens] of [
  ['recovered:false', (it) => it.socket.says(answer({ recovered: false, reason: 'truncated' }))],
  ['reset', (it) => it.socket.says({ type: 'reset', user_id: 1, cursor: 'e:40:9', reason: 'truncated' })],
]) {
  test(`${name}: rows again over HTTP, on from their cursor, and said so`, async () => {
    const it = await live({
      snapshots: [
        { tasks: [], cursor: 'e:10:1000' },
        { tasks: [{ id: 5 }], cursor: 'e:40:2000' },
      ],
    });
    const old = it.socket;
    happens(it);
    await it.clock.advance(RESET_SPREAD_MS);
    assert.ok(old.closed);
    assert.deepEqual(it.tasks.at(-1), { tasks: [{ id: 5 }], reloaded: 'truncated' });
    it.socket.opens();
    assert.equal(it.socket.sent[0].since, 'e:40:2000');
    it.socket.says(answer({ cursor: 'e:40:2001' }));
    it.socket.says(event('e:40'));
    it.socket.says(event('e:41'));
    assert.deepEqual(it.events, ['e:41']);
    assert.equal(it.state.name, 'live');
  });
}

test('recovered:false after a long outage is followed at once, whatever the pauses had grown to', async () => {
  const it = await live();
  it.socket.drops();
  for (let n = 0; n < 8; n++) {
    await comesBack(it);
    it.socket.drops();
  }
  await comesBack(it);
  it.socket.opens();
  it.socket.says(answer({ recovered: false, reason: 'truncated' }));
  await it.clock.advance(1);
  assert.equal(it.loads.length, 2);
});

test('a server that says recovered:false again and again is asked with growing pauses', async () => {
  const it = await live();
  const pauses = [];
  for (let n = 0; n < 8; n++) {
    it.socket.says(answer({ recovered: false, reason: 'epoch' }));
    pauses.push(await comesBack(it));
    it.socket.opens();
  }
  assert.ok(pauses[0] <= 100, `the first time at once, not after ${pauses[0]}`);
  assert.ok(pauses.at(-1) >= LONGEST_PAUSE_MS / 2, `then slower: ${pauses}`);
  assert.equal(it.loads.length, 9);
});

test('a hole in the sequence is not passed over: the event is shown, the rows are read again', async () => {
  const it = await live({
    snapshots: [
      { tasks: [], cursor: 'e:10' },
      { tasks: [], cursor: 'e:13' },
    ],
  });
  it.socket.says(event('e:11'));
  it.socket.says(event('e:13'));
  await it.clock.advance(RESET_SPREAD_MS);
  assert.deepEqual(it.events, ['e:11', 'e:13']);
  assert.equal(it.tasks.at(-1).reloaded, 'gap');
  it.socket.opens();
  assert.equal(it.socket.sent[0].since, 'e:13');
});

test('a heartbeat that knows of more than was sent is a hole too', async () => {
  const it = await live();
  it.socket.says(heartbeat('e:12:2000'));
  await it.clock.advance(RESET_SPREAD_MS);
  assert.equal(it.tasks.at(-1).reloaded, 'gap');
});

test('another epoch: the numbers start anew, the rows are read again', async () => {
  const it = await live({
    snapshots: [
      { tasks: [], cursor: 'e:10' },
      { tasks: [], cursor: 'f:3' },
    ],
  });
  it.socket.says(event('f:3'));
  await it.clock.advance(RESET_SPREAD_MS);
  assert.equal(it.tasks.at(-1).reloaded, 'epoch');
  it.socket.opens();
  it.socket.says(answer());
  it.socket.says(event('f:3'));
  it.socket.says(event('f:4'));
  assert.deepEqual(it.events, ['f:3', 'f:4']);
});

test('a socket that was given up is not listened to any more', async () => {
  const it = await live();
  const dead = it.socket;
  await it.clock.advance(ASK_MS + PONG_MS);
  dead.says(event('e:11'));
  dead.drops();
  await comesBack(it);
  dead.drops();
  assert.equal(it.state.name, 'connecting');
  assert.deepEqual(it.events, []);
});

test('a handshake that never ends is given up', async () => {
  const it = page();
  it.feed.start();
  await it.clock.advance(OPEN_MS);
  assert.equal(it.state.name, 'offline');
  assert.ok(it.sockets[0].closed);
});

test('an open socket on which the subscription is not answered is given up too', async () => {
  const it = page();
  it.feed.start();
  await settled();
  it.socket.opens();
  await it.clock.advance(ASK_MS + PONG_MS);
  assert.equal(it.state.name, 'offline');
});

test('an error instead of the answer: another attempt, and not at once', async () => {
  const it = page();
  it.feed.start();
  await settled();
  it.socket.opens();
  it.socket.says({ type: 'error', code: 'unavailable', message: 'not now' });
  assert.equal(it.state.name, 'offline');
  assert.equal(it.state.error.message, 'not now');
  assert.ok((await comesBack(it)) >= FIRST_PAUSE_MS / 2);
});

test('pauses double up to 30 s and are jittered', async () => {
  for (const [chance, part] of [
    [0, 0.5],
    [0.999999, 1],
  ]) {
    const it = await live({ chance });
    it.socket.drops();
    for (const expected of [1, 2, 4, 8, 16, 30, 30, 30]) {
      const pause = it.state.retryAt - it.clock.now();
      assert.ok(Math.abs(pause - expected * 1000 * part) < 5, `${pause} for ${expected} s at chance ${chance}`);
      await comesBack(it);
      it.socket.drops();
    }
  }
});

test('a connection that lasted makes the pauses short again, a flapping one does not', async () => {
  const it = await live();
  for (let n = 0; n < 4; n++) {
    it.socket.drops();
    await comesBack(it);
  }
  it.socket.opens();
  it.socket.says(answer());
  it.socket.drops();
  assert.ok(it.state.retryAt - it.clock.now() > 8 * FIRST_PAUSE_MS, 'it lived for a moment only');
  await comesBack(it);
  it.socket.opens();
  it.socket.says(answer());
  await it.clock.advance(STABLE_MS);
  it.socket.drops();
  assert.ok(it.state.retryAt - it.clock.now() <= FIRST_PAUSE_MS);
});

test('after 1012 the pages come back spread over time', async () => {
  const pauses = [];
  for (const chance of [0.02, 0.25, 0.5, 0.75, 0.99]) {
    const it = await live({ chance });
    await it.clock.advance(STABLE_MS);
    it.socket.drops(1012);
    pauses.push(Math.round(it.state.retryAt - it.clock.now()));
  }
  assert.deepEqual(
    pauses,
    [0.02, 0.25, 0.5, 0.75, 0.99].map((chance) => Math.round(chance * RESTART_SPREAD_MS)),
  );
});

test('a page that is refused (4401, 4403, 4429) asks rarely', async () => {
  for (const code of [4401, 4403, 4429]) {
    const it = await live();
    it.socket.drops(code);
    assert.ok(it.state.retryAt - it.clock.now() >= LONGEST_PAUSE_MS / 2);
    assert.equal(it.state.code, code);
  }
});

test('4429 says when to come back, and not all do so together', async () => {
  for (const [seconds, chance, least, most] of [
    [10, 0, 10_000, 10_000],
    [10, 0.5, 12_500, 12_500],
    [60, 0.5, 75_000, 75_000],
    [2, 0.5, 2_500, 2_500],
  ]) {
    const it = await live({ chance });
    it.socket.drops(4429, `too many messages; retry after ${seconds} s`);
    const pause = it.state.retryAt - it.clock.now();
    assert.ok(pause >= least && pause <= most, `${seconds} s: ${pause}`);
    assert.equal(it.state.code, 4429);
  }
});

test('a page that is refused with 4429 again and again waits longer than told', async () => {
  const it = await live({ chance: 0.5 });
  const pauses = [];
  for (let i = 0; i < 5; i++) {
    it.socket.drops(4429, 'too many new connections; retry after 2 s');
    pauses.push(it.state.retryAt - it.clock.now());
    await comesBack(it);
  }
  assert.ok(pauses.at(-1) > 2 * pauses[0], pauses.join(' '));
});

test('a reason that is no such text says nothing', async () => {
  for (const reason of ['', 'retry after 5 s', 'x; retry after 99999 s', 'x; retry after 5 s and more', undefined]) {
    const it = await live();
    it.socket.drops(4429, reason);
    const pause = it.state.retryAt - it.clock.now();
    assert.ok(pause >= LONGEST_PAUSE_MS / 2 && pause <= LONGEST_PAUSE_MS, `${reason}: ${pause}`);
  }
});

test('when the first GET fails it is repeated like everything else', async () => {
  const failure = Object.assign(new Error('503'), { retryAfter: 7 });
  const it = page({ snapshots: [new Error('no network'), failure, { tasks: [], cursor: 'e:1' }] });
  it.feed.start();
  await settled();
  assert.equal(it.state.name, 'offline');
  assert.equal(it.state.error.message, 'no network');
  await it.clock.advance(FIRST_PAUSE_MS);
  assert.equal(it.state.error, failure);
  const pause = it.state.retryAt - it.clock.now();
  assert.ok(pause > 6000 && pause < 11_000, `Retry-After is kept, with jitter: ${pause}`);
  assert.equal(it.sockets.length, 0);
  await comesBack(it);
  it.socket.opens();
  it.socket.says(answer());
  assert.equal(it.state.name, 'live');
  assert.equal(it.tasks[0].reloaded, null, 'the first rows are no reload');
});

test('when the GET of a reload fails the old rows stay and the reload is repeated', async () => {
  const it = await live({ snapshots: [{ tasks: [], cursor: 'e:10' }, new Error('503'), { tasks: [], cursor: 'e:20' }] });
  it.socket.says({ type: 'reset', user_id: 1, cursor: 'e:20', reason: 'lost' });
  await it.clock.advance(it.chance * RESET_SPREAD_MS);
  assert.equal(it.state.name, 'offline');
  assert.equal(it.tasks.length, 1);
  await comesBack(it);
  assert.deepEqual(it.tasks.at(-1), { tasks: [], reloaded: 'lost' });
});

test('a socket that cannot even be made counts as a failed attempt', async () => {
  const states = [];
  const clock = new Clock();
  const feed = new Feed({
    userId: 1,
    load: async () => ({ tasks: [], cursor: 'e:1' }),
    connect: () => {
      throw new Error('refused');
    },
    clock,
    random: () => 0.5,
    on: { tasks() {}, event() {}, state: (state) => states.push(state) },
  });
  feed.start();
  await clock.advance(0);
  assert.equal(states.at(-1).name, 'offline');
});

test('retryNow cuts a pause short and does nothing else', async () => {
  const it = await live();
  it.feed.retryNow();
  assert.equal(it.sockets.length, 1);
  it.socket.drops();
  it.feed.retryNow();
  await settled();
  assert.equal(it.sockets.length, 2);
  it.feed.retryNow();
  await settled();
  assert.equal(it.sockets.length, 2);
});

test('stop ends everything: no timer, no socket, no word', async () => {
  const it = await live();
  const states = it.states.length;
  it.feed.stop();
  assert.ok(it.socket.closed);
  assert.equal(it.clock.pending, 0);
  await it.clock.advance(10 * 60_000);
  assert.equal(it.states.length, states);
  assert.equal(it.sockets.length, 1);
});

test('stop while the rows are read, and stop from within an event', async () => {
  const early = page();
  early.feed.start();
  early.feed.stop();
  await early.clock.advance(60_000);
  assert.ok(early.loads[0].aborted);
  assert.equal(early.tasks.length, 0);
  assert.equal(early.sockets.length, 0);

  const clock = new Clock();
  let socket;
  const feed = new Feed({
    userId: 1,
    load: async () => ({ tasks: [], cursor: 'e:1' }),
    connect: () => (socket = new Socket()),
    clock,
    random: () => 0.5,
    on: { tasks() {}, event: () => feed.stop(), state() {} },
  });
  feed.start();
  await clock.advance(0);
  socket.opens();
  socket.says(answer());
  socket.says(event('e:9'));
  assert.equal(clock.pending, 0);
});

test('a long life with outages, doubles and reloads: the model and the page agree', async () => {
  // The server: a log of one user. The page may be cut off anywhere; what it shows must be the log from
  // where it began, in order and once, except where it was told that it must read the rows again.
  let seed = 12345;
  const random = () => ((seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648);
  let seq = 10;
  let tell = true; // false: this outage was too long for the ring
  const clock = new Clock();
  const shown = [];
  const excused = []; // ranges that the page was told it would not get
  const reads = [];
  let socket = null;
  let subscribed = false;
  const feed = new Feed({
    userId: 1,
    load: async () => {
      reads.push(seq);
      return { tasks: [], cursor: `e:${seq}:1` };
    },
    connect: () => {
      subscribed = false;
      return (socket = new Socket());
    },
    clock,
    random,
    on: {
      tasks: () => excused.push([shown.at(-1) ?? reads[0], reads.at(-1)]),
      event: ({ cursor }) => shown.push(parseCursor(cursor).seq),
      state() {},
    },
  });
  feed.start();
  for (let step = 0; step < 5000; step++) {
    await clock.advance(random() * 2000);
    if (socket?.onopen && !socket.sent.length) socket.opens();
    if (socket?.sent.length === 1 && !subscribed) {
      const since = parseCursor(socket.sent[0].since).seq;
      socket.sent.push('answered');
      const recovered = tell;
      tell = true;
      socket.says(answer({ recovered, cursor: `e:${since}:1`, reason: 'truncated', replayed: seq - since, until: `e:${seq}` }));
      subscribed = recovered;
      if (recovered) for (let n = Math.max(1, since - 2); n <= seq; n++) socket.says(event(`e:${n}`));
      continue;
    }
    const dice = random();
    if (dice < 0.6) {
      seq++;
      if (subscribed) socket.says(event(`e:${seq}`));
    } else if (dice < 0.8 && subscribed) {
      socket.says(event(`e:${seq}`));
      socket.says(heartbeat(`e:${seq}:1`));
    } else if (dice < 0.85 && socket) {
      subscribed = false;
      socket.drops(random() < 0.5 ? 1006 : 1012);
      tell = random() < 0.8;
    }
  }
  assert.ok(shown.length > 1000, `${shown.length} events shown`);
  assert.ok(excused.length > 5, `${excused.length} reloads`);
  for (let n = 1; n < shown.length; n++) {
    assert.ok(shown[n] > shown[n - 1], `twice or out of order: ${shown[n - 1]}, ${shown[n]}`);
    for (let missed = shown[n - 1] + 1; missed < shown[n]; missed++)
      assert.ok(
        excused.some(([from, to]) => missed > from && missed <= to),
        `${missed} was lost without a word`,
      );
  }
});

// --- tokens ---

test('the subscription carries the token there is at that moment', async () => {
  let token = null;
  const it = page({ token: () => token });
  it.feed.start();
  await settled();
  token = 'a.b.c';
  it.socket.opens();
  assert.deepEqual(it.socket.sent, [{ type: 'subscribe', user_id: 1, since: 'e:10:1000', token: 'a.b.c' }]);
});

test('a fresh token extends a live connection in place', async () => {
  let token = 'old';
  const it = await live({ token: () => token });
  it.socket.says(event('e:11'));
  token = 'new';
  it.feed.renew();
  assert.deepEqual(it.socket.sent.at(-1), { type: 'subscribe', user_id: 1, since: 'e:11', token: 'new' });
  it.socket.says(answer({ cursor: 'e:11', replayed: 1, until: 'e:12' }));
  it.socket.says(event('e:12'));
  assert.deepEqual(it.events, ['e:11', 'e:12']);
  assert.equal(it.sockets.length, 1);
  assert.equal(it.state.name, 'live');
});

test('a page that waits is let in at once by a fresh token', async () => {
  const it = await live({ token: () => 'x' });
  it.socket.drops(4401);
  assert.equal(it.state.code, 4401);
  it.feed.renew();
  await settled();
  assert.equal(it.sockets.length, 2);
});

test('a refusal is told with its code, whichever way it comes', async () => {
  const said = page({ token: () => 'x' });
  said.feed.start();
  await settled();
  said.socket.opens();
  said.socket.says({ type: 'error', code: 'unauthenticated', message: 'the token has expired' });
  said.socket.drops(4401, 'token expired');
  assert.equal(said.state.code, 4401);
  assert.equal(said.state.reason, 'token expired', 'the close says which of the causes it was');
  const cut = page({ token: () => 'x' });
  cut.feed.start();
  await settled();
  cut.socket.opens();
  cut.socket.says({ type: 'error', code: 'forbidden', message: 'the token is for another user' });
  cut.socket.onclose({});
  assert.equal(cut.state.code, 4403, 'the close itself did not come through');
  const read = page({ snapshots: [Object.assign(new Error('no'), { status: 401 })] });
  read.feed.start();
  await settled();
  assert.equal(read.state.code, 4401);
  assert.ok(read.state.retryAt - read.clock.now() >= LONGEST_PAUSE_MS / 2, 'asking again soon cannot help');
});
