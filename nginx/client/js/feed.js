// The live feed of one user: HTTP snapshot, WebSocket, cursor, and how to come back after any outage.
//
// The contract with the server, in one paragraph: GET /tasks says the rows and the cursor they were read at.
// Subscribing with that cursor gives everything that happened since, in order. Every notification moves the
// cursor one step; a heartbeat confirms it. After a broken connection the same cursor asks for what was
// missed. Only when the server cannot tell (`recovered:false`, `reset`, a hole in the sequence) are the rows
// read again over HTTP.
//
// No DOM, no globals: the loader, the socket, the clock and chance come from outside, so that
// tests/browser/feed.test.mjs can play them.

export const OPEN_MS = 15_000; // a handshake that takes longer is given up
export const SILENCE_MS = 60_000; // heartbeats come every 25 s: so long without a word is a dead connection
export const FIRST_PAUSE_MS = 1_000; // pauses double from here ...
export const LONGEST_PAUSE_MS = 30_000; // ... to here
export const RESTART_SPREAD_MS = 5_000; // after 1012 everybody comes back: not all at once
export const RESET_SPREAD_MS = 2_000; // a reset too may hit everybody: do not all read at once
export const STABLE_MS = 10_000; // a connection that lived so long starts with short pauses again

const RESTARTING = new Set([1001, 1012]);
const REFUSALS = { unauthenticated: 4401, forbidden: 4403 }; // the close that follows such an error
const REFUSED = new Set([4401, 4403, 4429]); // asking again soon cannot help

/** `epoch:seq` or `epoch:seq:time`; null when it is neither. Only epoch and seq mean something here. */
export function parseCursor(text) {
  const match = /^([^:]+):(\d+)(?::[^:]*)?$/.exec(text ?? '');
  return match && { text, epoch: match[1], seq: Number(match[2]) };
}

/** "too many clients; retry after 10 s": 10000. 0 when nothing is said. */
function retryAfterMs(reason) {
  return 1000 * (/; retry after (\d{1,3}) s$/.exec(reason ?? '')?.[1] ?? 0);
}

/**
 * new Feed({ userId, load, connect, clock, random, on })
 *   load(signal)  promises { tasks, cursor }; may reject with an error that has `retryAfter` (seconds)
 *   token()       what says who is asking, or null; may be left out
 *   connect()     a WebSocket, or something with its onopen, onmessage, onclose, send and close
 *   clock         { now(), setTimeout(f, ms), clearTimeout(id) }
 *   random()      0 <= x < 1
 *   on.tasks(tasks, reloaded)  the rows as they are; `reloaded` says why, or is null the first time
 *   on.event(message)          each notification once, in order
 *   on.state({ name, retryAt, error })  connecting, live, or offline until `retryAt` (by clock.now())
 */
export class Feed {
  #options;
  #cursor = null; // the newest one: "I have everything up to here"
  #outdated = 'start'; // why the rows must be read (again) before the next connection; null: they need not
  #socket = null;
  #loading = null; // AbortController of the running load
  #timer = null; // the one thing being waited for: next attempt, handshake or silence
  #heardAt = 0;
  #liveSince = null;
  #failures = 0; // attempts that came to nothing since the last stable connection
  #reloads = 0; // the same for reloads
  #waiting = false;
  #stopped = false;

  constructor(options) {
    this.#options = options;
  }

  start() {
    this.#attempt();
  }

  /** Ends for good; nothing is reported any more. */
  stop() {
    this.#stopped = true;
    this.#disconnect();
  }

  /** Cuts a pause short: the network is back, or somebody pressed the button. */
  retryNow() {
    if (this.#waiting) this.#attempt();
  }

  /** There is a fresh token: a live connection is told of it and stays, any other attempt begins with it. */
  renew() {
    if (this.#liveSince !== null) this.#subscribe();
    else this.retryNow();
  }

  // --- one attempt: rows if they are needed, then the socket, then the subscription ---

  async #attempt() {
    this.#disconnect();
    this.#report('connecting');
    if (this.#outdated && !(await this.#readRows())) return;
    this.#open();
  }

  /** False when it failed (the next attempt is arranged) or was overtaken by stop() or another attempt. */
  async #readRows() {
    const loading = new AbortController();
    this.#loading = loading;
    let snapshot = null;
    let failure = null;
    try {
      snapshot = await this.#options.load(loading.signal);
    } catch (error) {
      failure = error;
    }
    if (this.#loading !== loading) return false;
    this.#loading = null;
    if (failure) {
      const code = failure.status === 401 || failure.status === 403 ? 4000 + failure.status : undefined;
      this.#retryLater({ code, error: failure, atLeast: (failure.retryAfter ?? 0) * 1000 });
      return false;
    }
    const reason = this.#outdated === 'start' ? null : this.#outdated;
    this.#outdated = null;
    this.#cursor = parseCursor(snapshot.cursor);
    this.#options.on.tasks(snapshot.tasks, reason);
    return true;
  }

  #open() {
    let socket;
    try {
      socket = this.#options.connect();
    } catch (error) {
      this.#retryLater({ error });
      return;
    }
    this.#socket = socket;
    this.#after(OPEN_MS, () => this.#retryLater({ error: new Error('handshake timeout') }));
    socket.onopen = () => {
      this.#listen();
      this.#subscribe();
    };
    socket.onmessage = ({ data }) => {
      this.#heardAt = this.#options.clock.now();
      this.#receive(data);
    };
    socket.onclose = ({ code, reason } = {}) => this.#retryLater({ code, atLeast: retryAfterMs(reason) });
  }

  #subscribe() {
    const token = this.#options.token?.() ?? null;
    const message = { type: 'subscribe', user_id: this.#options.userId, since: this.#cursor?.text ?? null };
    this.#socket.send(JSON.stringify(token ? { ...message, token } : message));
  }

  // --- what the server says ---

  #receive(data) {
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (message === null || typeof message !== 'object') return;
    if (message.user_id !== undefined && message.user_id !== this.#options.userId) return;
    if (message.type === 'subscribe') this.#subscribed(message);
    else if (message.type === 'notification') this.#notified(message);
    else if (message.type === 'heartbeat') this.#heartbeat(message);
    else if (message.type === 'reset') this.#reload(message.reason ?? 'reset', RESET_SPREAD_MS);
    else if (message.type === 'error' && this.#liveSince === null)
      this.#retryLater({ code: REFUSALS[message.code], error: new Error(message.message ?? message.code) });
  }

  #subscribed({ recovered, reason, cursor, until }) {
    if (recovered === false) {
      this.#reload(reason ?? 'unknown', 0);
      return;
    }
    // Where we are, as every cursor: before the replay that follows and ends at `until`. It is ahead of ours only when
    // we had no number, and behind it when an event has come since we asked (renew): then ours is the newer one.
    const told = parseCursor(cursor);
    const mine = this.#cursor;
    if (told && (mine === null || (told.epoch === mine.epoch && (told.seq === mine.seq || (until && told.seq > mine.seq)))))
      this.#cursor = told;
    this.#liveSince = this.#options.clock.now();
    this.#report('live');
  }

  #notified(message) {
    const next = parseCursor(message.cursor);
    const last = this.#cursor;
    if (next === null || last === null) {
      // No cursor: another program published it without one. It cannot be told from its twin, so it is shown.
      this.#cursor = next ?? last;
      this.#options.on.event(message);
      return;
    }
    const sameLog = next.epoch === last.epoch;
    if (sameLog && next.seq <= last.seq) return;
    this.#cursor = next;
    this.#options.on.event(message);
    if (!sameLog || next.seq !== last.seq + 1) this.#reload(sameLog ? 'gap' : 'epoch', RESET_SPREAD_MS);
  }

  #heartbeat({ cursor }) {
    const next = parseCursor(cursor);
    const last = this.#cursor;
    if (next === null) return;
    if (last !== null && next.epoch === last.epoch && next.seq < last.seq) return;
    this.#cursor = next;
    if (last === null || (next.epoch === last.epoch && next.seq === last.seq)) return;
    this.#reload(next.epoch === last.epoch ? 'gap' : 'epoch', RESET_SPREAD_MS);
  }

  // --- what goes wrong ---

  /** The rows must be read again: soon the first time, with growing pauses when that does not help. */
  #reload(reason, spread) {
    this.#settle();
    this.#outdated = reason;
    this.#disconnect();
    const again = this.#reloads++;
    if (again) this.#wait(this.#pause(again), {});
    else {
      this.#report('connecting');
      this.#after(spread * this.#options.random(), () => this.#attempt());
    }
  }

  #retryLater({ code, error, atLeast = 0 }) {
    this.#settle();
    this.#disconnect();
    const { random } = this.#options;
    const told = code === 4429 ? atLeast : 0; // then nobody has to guess
    let pause = this.#pause(REFUSED.has(code) && !told ? Infinity : this.#failures);
    if (RESTARTING.has(code)) pause = Math.max(this.#failures ? pause : 0, RESTART_SPREAD_MS * random());
    pause = Math.max(pause, atLeast * (1 + random() / 2));
    this.#failures++;
    this.#wait(Math.min(pause, Math.max(LONGEST_PAUSE_MS, told * 1.5)), { code, error });
  }

  #wait(ms, { code, error }) {
    this.#report('offline', { retryAt: this.#options.clock.now() + ms, code, error });
    this.#waiting = true;
    this.#after(ms, () => this.#attempt());
  }

  /** Between half and the whole of 1 s, 2 s, 4 s ... 30 s. */
  #pause(failures) {
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures);
    return longest * (0.5 + this.#options.random() / 2);
  }

  /** A connection that lasted forgives what was before it; one that flaps does not. */
  #settle() {
    if (this.#liveSince !== null && this.#options.clock.now() - this.#liveSince >= STABLE_MS) {
      this.#failures = 0;
      this.#reloads = 0;
    }
  }

  /** Closes when nothing was heard for SILENCE_MS. The timer looks at the time itself: tabs in the
   *  background and machines that slept fire late. */
  #listen() {
    this.#heardAt = this.#options.clock.now();
    const check = () => {
      const left = this.#heardAt + SILENCE_MS - this.#options.clock.now();
      if (left <= 0) this.#retryLater({ error: new Error('silence') });
      else this.#after(Math.min(left, SILENCE_MS), check);
    };
    this.#after(SILENCE_MS, check);
  }

  /** Lets go of whatever was going on. A dead socket may take minutes to report its end: nobody listens. */
  #disconnect() {
    this.#options.clock.clearTimeout(this.#timer);
    this.#timer = null;
    this.#waiting = false;
    this.#liveSince = null;
    this.#loading?.abort();
    this.#loading = null;
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(1000);
  }

  #after(ms, run) {
    this.#options.clock.clearTimeout(this.#timer);
    if (this.#stopped) return;
    this.#timer = this.#options.clock.setTimeout(run, ms);
  }

  #report(name, more = {}) {
    if (this.#stopped) return;
    this.#options.on.state({ name, ...more });
  }
}
