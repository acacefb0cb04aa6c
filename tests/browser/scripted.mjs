// SPDX-License-Identifier: MIT
// A server, a socket and a clock that do what a test tells them, and a feed that believes in them.

import assert from 'node:assert/strict';

import { Feed } from '../../client/feed.js';

/** Time that moves only when set; promises run in between. As in a browser there are two clocks: a monotonic one,
 *  and the time of day. */
export class Clock {
  #now = 5_000;
  #offset = 1_700_000_000_000;
  #timers = new Map();
  #ids = 0;

  now() {
    return this.#now;
  }

  wall() {
    return this.#now + this.#offset;
  }

  setTimeout(run, ms) {
    this.#timers.set(++this.#ids, { at: this.#now + ms, run });
    return this.#ids;
  }

  clearTimeout(id) {
    this.#timers.delete(id);
  }

  get pending() {
    return this.#timers.size;
  }

  async advance(ms) {
    const end = this.#now + ms;
    await settled();
    for (;;) {
      const [id, timer] = [...this.#timers].sort(([, a], [, b]) => a.at - b.at)[0] ?? [];
      if (!timer || timer.at > end) break;
      this.#now = Math.max(this.#now, timer.at);
      this.#timers.delete(id);
      timer.run();
      await settled();
    }
    this.#now = end;
  }

  /** The machine slept: no timer ran, and only the time of day went on. Or the clock was set, back or forth. */
  sleep(ms) {
    this.#offset += ms;
  }

  /** The tab was frozen: time went on, no timer ran. */
  freeze(ms) {
    this.#now += ms;
  }
}

export async function settled() {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
}

export class Socket {
  sent = [];
  closed = false;

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.closed = true;
  }

  opens() {
    this.onopen?.({});
  }

  says(message) {
    this.onmessage?.({ data: typeof message === 'string' ? message : JSON.stringify(message) });
  }

  drops(code = 1006, reason = '') {
    this.onclose?.({ code, reason });
  }
}

/** A page of user 1: the server's answers are in `snapshots` (shifted while more than one is left). With `ways` it
 *  knows of event streams, and of a journal that answers with what is in `missed`, in the same manner. */
export function page({ snapshots = [{ tasks: [], cursor: 'e:10:1000' }], chance = 0.5, token, ways = false, missed = [], since, sockets = true } = {}) {
  const it = {
    clock: new Clock(),
    sockets: [],
    streams: [], // each with `since`
    loads: [],
    looks: [], // the cursors since which the journal was read
    tasks: [],
    events: [],
    onEvent: null,
    cursors: [], // that moved without an event
    states: [],
    snapshots,
    chance,
    get socket() {
      return it.sockets.at(-1);
    },
    get stream() {
      return it.streams.at(-1);
    },
    get state() {
      return it.states.at(-1);
    },
  };
  it.feed = new Feed({
    userId: 1,
    since,
    token,
    load: async (signal) => {
      it.loads.push(signal);
      const next = it.snapshots.length > 1 ? it.snapshots.shift() : it.snapshots[0];
      if (next instanceof Error) throw next;
      return next;
    },
    connect: sockets
      ? () => {
          it.sockets.push(new Socket());
          return it.socket;
        }
      : undefined,
    ...(ways && {
      stream: (since) => {
        it.streams.push(Object.assign(new Socket(), { since }));
        return it.stream;
      },
      journal: async (since) => {
        it.looks.push(since);
        const next = missed.length > 1 ? missed.shift() : (missed[0] ?? { events: [], cursor: since });
        if (next instanceof Error) throw next;
        return next;
      },
    }),
    clock: it.clock,
    random: () => it.chance,
    on: {
      tasks: (tasks, reloaded) => it.tasks.push({ tasks, reloaded }),
      event: (message) => {
        it.events.push(message.cursor ?? message.message);
        it.onEvent?.();
      },
      cursor: (text) => it.cursors.push(text),
      state: (state) => it.states.push(state),
    },
  });
  return it;
}

export const answer = (more = {}) => ({ type: 'subscribe', user_id: 1, cursor: 'e:10:1001', recovered: true, replayed: 0, ...more });
export const event = (cursor) => ({ type: 'notification', event: 'task.completed', cursor, message: 'm', task: {} });
export const heartbeat = (cursor) => ({ type: 'heartbeat', user_id: 1, cursor });

export async function live(options) {
  const it = page(options);
  it.feed.start();
  await settled();
  it.socket.opens();
  it.socket.says(answer());
  assert.equal(it.state.name, 'live');
  return it;
}

/** Waits until the page tries again; how long it took. */
export async function comesBack(it) {
  const before = it.sockets.length;
  const from = it.clock.now();
  while (it.sockets.length === before && it.clock.now() - from < 10 * 60_000) await it.clock.advance(50);
  return it.clock.now() - from;
}
