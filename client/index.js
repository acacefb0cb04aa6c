// SPDX-License-Identifier: MIT
// listen(): one user's events for an application. Decides which cursor to keep, and when.
//
// The cursor that is kept is that of the last event the application has taken, never that of one it was only given. So
// whatever ends between two events, the next start goes on with the first that was not taken: none is missing, and at
// most the last is given twice.

import { Feed } from './feed.js';
import { Http, HttpError } from './http.js';
import { Queue } from './queue.js';
import { local, memory } from './storage.js';
import { EventStream } from './stream.js';
import { SharedSocket } from './tabs.js';

export { HttpError, local, memory };

const MOST_WAITING = 1_000; // events that the application has not taken: then it is not told more for a while

export function listen(options) {
  return new Listening(check(options));
}

function check({ url = globalThis.document?.baseURI, user, start, event, ...more }) {
  if (!Number.isSafeInteger(user) || user < 1) throw new TypeError(`user must be a number from 1, not ${user}`);
  if (typeof start !== 'function') throw new TypeError('start must be a function: it makes the state that events then change');
  if (typeof event !== 'function') throw new TypeError('event must be a function');
  const base = new URL(url);
  if (!/^https?:$/.test(base.protocol)) throw new TypeError(`url must begin with http:// or https://, not ${base.protocol}`);
  base.search = base.hash = '';
  base.pathname = base.pathname.replace(/[^/]*$/, '');
  return { ...more, base, user, start, event };
}

/** now() cannot be set, and may stand still while the machine sleeps; the feed looks at both. */
const realClock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  setTimeout: (run, ms) => setTimeout(run, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};

/** Without a function `state`: logs what does not end by itself. */
function complain({ name, code, reason, error }) {
  if (name === 'failed') console.error('carillon-client:', error);
  else if (code >= 4400) console.warn(`carillon-client: ${reason ?? error?.message ?? code}`);
}

class Listening {
  #options;
  #http;
  #queue;
  #feed = null;
  #full = false; // the feed ended because too much waits
  #taken = null; // the cursor of what the application has taken
  #quiet = []; // ends the listening for signs from the browser
  #stopped = false;

  constructor({ storage = memory(), share = true, state = complain, clock = realClock, random = Math.random, ...options }) {
    const { token, fetch = (...call) => globalThis.fetch(...call), WebSocket = globalThis.WebSocket } = options;
    const who = typeof token === 'function' ? token : () => token ?? null;
    this.#options = { ...options, storage, share, state, clock, random, fetch, WebSocket, token: who };
    this.#http = new Http(options.base, options.user, who, fetch);
    this.#queue = new Queue(
      (what) => this.#take(what),
      (error) => this.#tell('failed', { error }),
      clock,
    );
    this.#begin();
  }

  /** Up to where the application has taken the events; null before the first `start`. */
  get cursor() {
    return this.#taken;
  }

  /** There is a fresh token. */
  renew() {
    this.#feed?.renew();
  }

  /** Ends a pause between two attempts: the user wants to see how things are. */
  retry() {
    this.#feed?.networkChanged();
  }

  /** For good. Promises that the event the application is taking at this moment is taken, and its cursor kept. */
  stop() {
    this.#stopped = true;
    this.#feed?.stop();
    this.#queue.clear();
    for (const end of this.#quiet) end();
    return this.#queue.idle();
  }

  async #begin() {
    try {
      this.#taken = (await this.#options.storage.get()) ?? null;
    } catch (error) {
      this.#tell('failed', { error }); // it is not known where we were: start over
    }
    if (this.#stopped) return;
    this.#open();
    this.#heedSigns();
  }

  #open() {
    const { user, token, clock, random } = this.#options;
    this.#full = false;
    this.#feed = new Feed({
      userId: user,
      since: this.#taken,
      load: (signal, reason) => this.#startOver(signal, reason),
      journal: async (since, signal) => {
        await this.#queue.idle(); // no more than a page waits
        return this.#http.journal(since, signal);
      },
      token,
      connect: this.#options.WebSocket && (() => this.#socket()),
      stream: (since) => this.#stream(since),
      clock,
      random,
      on: {
        tasks() {},
        event: (message) => this.#given(message),
        cursor: (cursor) => this.#queue.push({ cursor }),
        state: ({ name, retryAt, ...more }) =>
          this.#tell(name, retryAt === undefined ? more : { ...more, retryIn: retryAt - clock.now() }),
      },
    });
    this.#feed.start();
  }

  // --- from the feed to the application ---

  /** The cursor is read before the application reads: what happens in between comes as an event, too. */
  async #startOver(signal, reason) {
    this.#queue.clear();
    await this.#queue.idle();
    const cursor = await this.#http.cursor(signal);
    const read = (path) => this.#http.read(path, signal);
    try {
      await this.#options.start({ reason, cursor, signal, read });
    } catch (error) {
      if (!signal.aborted && !(error instanceof HttpError)) this.#tell('failed', { error });
      throw error;
    }
    if (!signal.aborted) await this.#keep(cursor);
    return { tasks: null, cursor };
  }

  #given(message) {
    this.#queue.push({ message, cursor: message.cursor });
    if (this.#queue.length < MOST_WAITING || this.#full) return;
    this.#full = true;
    this.#feed.stop();
    this.#queue.idle().then(() => this.#stopped || this.#open());
  }

  async #take({ message, cursor }) {
    if (message) await this.#options.event(message);
    if (cursor) await this.#keep(cursor);
  }

  /** A storage that fails keeps an older cursor, which is safe: what came after it will come again. */
  async #keep(cursor) {
    this.#taken = cursor;
    try {
      await this.#options.storage.set(cursor);
    } catch (error) {
      this.#tell('failed', { error });
    }
  }

  #tell(name, more) {
    if (!this.#stopped) this.#options.state({ name, ...more });
  }

  // --- the ways ---

  #socket() {
    const { base, share, WebSocket, clock } = this.#options;
    const url = new URL('ws', base);
    url.protocol = url.protocol.replace('http', 'ws');
    const alone = () => new WebSocket(url.href);
    return share && SharedSocket.possible() ? new SharedSocket(url.href, alone, clock) : alone();
  }

  #stream(since) {
    const url = new URL('events', this.#options.base);
    url.searchParams.set('user_id', this.#options.user);
    if (since) url.searchParams.set('since', since);
    return new EventStream(url, this.#http.identity(), this.#options.fetch);
  }

  /** A browser says when the machine or the network was away. */
  #heedSigns() {
    const { document, addEventListener } = globalThis;
    if (!document || !addEventListener) return;
    const on = (target, sign, run) => {
      target.addEventListener(sign, run);
      this.#quiet.push(() => target.removeEventListener(sign, run));
    };
    on(globalThis, 'online', () => this.#feed?.networkChanged());
    on(globalThis, 'offline', () => this.#feed?.look());
    on(globalThis, 'pageshow', ({ persisted }) => persisted && this.#feed?.look());
    on(document, 'visibilitychange', () => document.hidden || this.#feed?.look());
    on(document, 'resume', () => this.#feed?.look());
  }
}
