// SPDX-License-Identifier: MIT
// The live feed of one user: HTTP snapshot, WebSocket, cursor, and how to come back after any outage.
//
// The contract with the server, in one paragraph: a snapshot is rows and the cursor they were read at.
// Subscribing with that cursor gives everything that happened since, in order. Every notification moves the
// cursor one step; a heartbeat confirms it. After a broken connection the same cursor asks for what was
// missed. Where the server cannot tell (`recovered:false`, `reset`, a hole in the sequence), the journal is asked
// over HTTP from the same cursor. Only when that does not reach back either are the rows read again.
//
// Three ways lead to the events, each for networks in which the one before does not pass: the WebSocket, the same
// feed as an event stream over HTTP, and reading the journal every few seconds. The cursor is the same for all.
//
// A silent connection is not trusted: the client sends a ping, and the server has PONG_MS to answer.
//
// No DOM, no globals: the loader, the socket, the clock and chance come from outside, so that
// tests/browser/feed.test.mjs can play them. Applications use index.js; the page of Carillon uses this.

export const OPEN_MS = 15_000; // a handshake that takes longer is given up
export const SILENCE_MS = 60_000; // heartbeats come every 25 s: so long without a word is a dead connection
export const ASK_MS = 30_000; // a heartbeat is overdue: ask whether the server is there
export const PONG_MS = 5_000; // its answer, or any other word, takes no longer
export const CHECK_MS = 5_000; // how often a live connection is looked at
export const JUMP_MS = 3_000; // two clocks that differ by so much more than before: the machine slept, or one was set
export const FIRST_PAUSE_MS = 1_000; // pauses double from here ...
export const LONGEST_PAUSE_MS = 30_000; // ... to here
export const RESTART_SPREAD_MS = 5_000; // after 1012 all clients come back: not all at once
export const RESET_SPREAD_MS = 2_000; // a reset may concern all clients, too: do not all read at once
export const STABLE_MS = 10_000; // a connection that lived so long starts with short pauses again

export const JOURNAL_MS = 10_000; // how often the journal is read where no feed passes
export const DETOUR_MS = 300_000; // how long a way that did not pass is not tried again

const SOCKET = 0; // the ways, the best first
const STREAM = 1;
const JOURNAL = 2;

const RESTARTING = new Set([1001, 1012]);
const REFUSALS = { unauthenticated: 4401, forbidden: 4403 }; // the close that follows such an error, with its reason
const ASKED = 'asked'; // why rows are read when the user wants to see them: no reload that is to be told
const REFUSED = new Set([4401, 4403, 4429]); // asking again soon cannot help
const GONE = Symbol('gone'); // 410: the journal does not reach back

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
 * new Feed({ userId, since, load, connect, stream, journal, clock, random, on })
 *   since         the cursor to go on from; without one the rows are read first
 *   load(signal, reason)  promises { tasks, cursor }; may reject with an error that has `status`, `retryAfter` (seconds)
 *   token()       the bearer token, or null; may be left out
 *   connect()     a WebSocket, or something with its onopen, onmessage, onclose, send and close; may be left out
 *   stream(since) an EventStream (stream.js) of what came after the cursor `since`; may be left out
 *   journal(since, signal)  promises { events, cursor, more }: what came after it, and whether it is to be asked for
 *                 the rest from `cursor`; rejects like load(), with the status 410 when it does not reach back; may
 *                 be left out
 *   clock         { now(), wall(), setTimeout(f, ms), clearTimeout(id) }: now() cannot be set but may stand still
 *                 while the machine sleeps, wall() is the time of day
 *   random()      0 <= x < 1
 *   on.tasks(tasks, reloaded)  the rows as they are; `reloaded` says why, or is null the first time
 *   on.event(message)          each notification once, in order
 *   on.cursor(text)            the cursor moved without an event; may be left out
 *   on.state({ name, retryAt, code, reason, error })  connecting, live; offline, or delayed (the journal could be
 *                              read, no feed), both until `retryAt` by clock.now()
 */
export class Feed {
  #options;
  #cursor = null; // the newest one: "I have everything up to here"
  #outdated = 'start'; // why the rows must be read (again) before the next connection; null: they need not
  #socket = null;
  #loading = null; // AbortController of the running load
  #timer = null; // the one thing being waited for: next attempt, handshake or silence
  #way = SOCKET; // where the next attempt begins
  #wayUntil = 0; // then the best way is tried again
  #unopened = 0; // sockets in a row on which no word was heard
  #link = null; // { way, since, open, passed } of #socket
  #heardAt = 0;
  #askedAt = null; // since when the server owes a word
  #offset = 0; // between the two clocks, when they were last compared
  #liveSince = null;
  #failures = 0; // attempts that came to nothing since the last stable connection
  #reloads = 0; // the same for reloads
  #gone = false; // the journal does not reach back to the cursor
  #turn = 0; // counts what was ended
  #waiting = null; // 'offline' or 'delayed', during a pause
  #heeding = false; // the pause is as long as the server said
  #stopped = false;

  constructor(options) {
    this.#options = options;
    this.#way = this.#best;
    this.#cursor = parseCursor(options.since);
    if (this.#cursor) this.#outdated = null;
  }

  get #best() {
    return this.#options.connect ? SOCKET : STREAM;
  }

  start() {
    this.#attempt();
  }

  /** Ends for good; nothing is reported any more. */
  stop() {
    this.#stopped = true;
    this.#disconnect();
  }

  /** The user wants to see how things are: the rows are read again, then every way is tried. */
  retryNow() {
    if (!this.#waiting) return;
    this.#way = this.#best;
    this.#outdated ??= ASKED;
    this.#attempt();
  }

  /** The user looks at the page again, or the network changed: is what it shows still true? A pause ends, unless the
   *  server asked for it; a connection has to show that it lives. */
  look() {
    if (this.#waiting && !this.#heeding) this.#attempt();
    else if (!this.#link) return;
    else if (this.#link.open) this.#ask();
    else if (this.#options.clock.now() - this.#link.since >= PONG_MS) this.#attempt();
  }

  /** The network is another one, or back: ways that did not pass may do so now. */
  networkChanged() {
    this.#way = this.#best;
    this.look();
  }

  /** There is a fresh token: a live connection is told of it and stays, any other attempt begins with it. */
  renew() {
    if (this.#liveSince !== null && this.#link.way === SOCKET) this.#subscribe();
    else if (this.#waiting || this.#liveSince !== null) this.#attempt();
  }

  // --- one attempt: rows if they are needed, then a connection, then the subscription ---

  async #attempt() {
    const quiet = this.#waiting === 'delayed' && this.#outdated === null;
    this.#disconnect();
    if (this.#options.clock.now() >= this.#wayUntil) this.#way = this.#best;
    if (!quiet) this.#report('connecting');
    if (this.#outdated && !(await this.#catchUp())) return;
    if (this.#way === JOURNAL) this.#readJournal({});
    else this.#open(this.#way);
  }

  /** What was missed, from the journal; where it does not help, the rows. True: nothing is missing. */
  async #catchUp() {
    if (!this.#canRead()) return this.#readRows();
    const caught = await this.#readMissed();
    if (caught === false) return this.#readRows();
    if (caught) this.#outdated = null;
    return caught;
  }

  /** Can the journal tell what is missing? */
  #canRead() {
    return Boolean(this.#options.journal) && this.#cursor !== null && !this.#gone && this.#outdated !== ASKED;
  }

  /** Tells what the journal has after the cursor. True: nothing is missing now. False: it does not reach back. Null: it
   *  failed, which is dealt with, or something else began meanwhile. */
  async #readMissed() {
    for (;;) {
      const missed = await this.#read((signal) => this.#options.journal(this.#cursor.text, signal));
      if (missed === GONE) return false;
      if (!missed) return null;
      const turn = this.#turn;
      for (const message of missed.events) {
        if (this.#isHole(parseCursor(message.cursor))) return false;
        this.#step(message);
        if (this.#stopped || this.#turn !== turn) return null;
      }
      const cursor = parseCursor(missed.cursor);
      if (cursor?.epoch === this.#cursor.epoch && cursor.seq >= this.#cursor.seq) this.#moved(cursor);
      if (!missed.more) return true;
    }
  }

  /** Awaits what `read` promises. Null when it failed, which is dealt with, or when something else began meanwhile. */
  async #read(read) {
    const loading = new AbortController();
    this.#loading = loading;
    let result = null;
    let failure = null;
    try {
      result = await read(loading.signal);
    } catch (error) {
      failure = error;
    }
    if (this.#loading !== loading) return null;
    this.#loading = null;
    if (failure?.status === 410) return GONE;
    if (failure) {
      const code = failure.status === 401 || failure.status === 403 ? 4000 + failure.status : undefined;
      this.#retryLater({ code, error: failure, atLeast: (failure.retryAfter ?? 0) * 1000 });
    }
    return result;
  }

  async #readRows() {
    const asked = this.#outdated === ASKED;
    const reason = asked || this.#outdated === 'start' ? null : this.#outdated;
    const snapshot = await this.#read((signal) => this.#options.load(signal, reason));
    if (snapshot === GONE) this.#retryLater({ error: new Error('410') });
    if (!snapshot || snapshot === GONE) return false;
    const cursor = parseCursor(snapshot.cursor);
    this.#outdated = null;
    this.#gone = false;
    // Rows that are newer than the cursor do no harm: the events in between come to the same.
    if (!asked || cursor?.epoch !== this.#cursor?.epoch) this.#cursor = cursor;
    this.#tell('tasks', snapshot.tasks, reason);
    return !this.#stopped;
  }

  #open(way) {
    let socket;
    try {
      socket = way === SOCKET ? this.#options.connect() : this.#options.stream(this.#cursor?.text ?? null);
    } catch (error) {
      this.#ended(way, false, { error });
      return;
    }
    const link = { way, since: this.#options.clock.now(), open: false, passed: false };
    this.#socket = socket;
    this.#link = link;
    this.#after(OPEN_MS, () => this.#ended(way, false, { error: new Error('handshake timeout') }));
    socket.onopen = () => {
      if (way === STREAM) return; // its beginning may come through where the rest does not: the first word counts
      this.#listen();
      this.#subscribe();
    };
    socket.onmessage = ({ data }) => {
      if (!link.open) this.#listen();
      if (!link.passed) this.#passed(link);
      this.#heardAt = this.#options.clock.now();
      this.#receive(data);
    };
    socket.onclose = ({ code = link.refusal, reason, status, retryAfter = 0 } = {}) =>
      this.#ended(way, link.passed, { code, reason, status, atLeast: Math.max(retryAfterMs(reason), retryAfter * 1000) });
  }

  #passed(link) {
    link.passed = true;
    if (link.way === SOCKET) this.#unopened = 0;
    else this.#remember(link.way);
  }

  #remember(way) {
    this.#way = way;
    this.#wayUntil = this.#options.clock.now() + DETOUR_MS;
  }

  /** A connection is over. When it brought no message at all, something in the network may block it: the next way is tried. */
  #ended(way, passed, end) {
    this.#settle();
    const told = end.code !== undefined && end.code !== 1006;
    if (passed || told) this.#retryLater(end);
    else if (way === SOCKET) {
      if (++this.#unopened < 2 || !this.#options.stream) this.#retryLater(end);
      else {
        this.#disconnect();
        this.#open(STREAM);
      }
    } else {
      this.#disconnect();
      const away = end.status === undefined ? !end.error : end.status >= 500;
      if (!away) this.#remember(JOURNAL);
      this.#readJournal(end);
    }
  }

  /** What happened since the cursor, by asking for it; the list stays true without a feed. */
  async #readJournal(end) {
    if (!this.#options.journal || !this.#cursor) return this.#retryLater(end);
    const caught = await this.#readMissed();
    if (caught === null) return;
    if (!caught) {
      this.#gone = true;
      this.#reload('truncated', 0);
      return;
    }
    const { random } = this.#options;
    const pause = this.#way === JOURNAL ? JOURNAL_MS * (0.75 + random() / 2) : this.#pause(this.#failures++);
    this.#wait(Math.max(pause, (end.atLeast ?? 0) * (1 + random() / 2)), {}, 'delayed');
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
    if (message.type === 'pong' || (message.type === 'error' && this.#askedAt !== null)) this.#askedAt = null;
    else if (message.type === 'subscribe') this.#subscribed(message);
    else if (message.type === 'notification') this.#notified(message);
    else if (message.type === 'heartbeat') this.#heartbeat(message);
    else if (message.type === 'reset') this.#reload(message.reason ?? 'reset', RESET_SPREAD_MS);
    else if (message.type === 'error' && message.code in REFUSALS) this.#link.refusal = REFUSALS[message.code];
    else if (message.type === 'error' && this.#liveSince === null)
      this.#retryLater({ error: new Error(message.message ?? message.code) });
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
      this.#moved(told);
    this.#liveSince = this.#options.clock.now();
    this.#report('live');
  }

  #notified(message) {
    const next = parseCursor(message.cursor);
    const hole = this.#isHole(next);
    // What is missing comes first: the journal has it, and this event after it.
    if (!hole || !this.#canRead()) this.#step(message);
    if (hole) this.#reload(hole, RESET_SPREAD_MS);
  }

  /** Is something missing between the cursor and `next`? 'gap' or 'epoch', or null. */
  #isHole(next) {
    const last = this.#cursor;
    if (next === null || last === null) return null;
    if (next.epoch !== last.epoch) return 'epoch';
    return next.seq > last.seq + 1 ? 'gap' : null;
  }

  /** Tells of an event that is new, and moves the cursor. */
  #step(message) {
    const next = parseCursor(message.cursor);
    const last = this.#cursor;
    if (next && last && next.epoch === last.epoch && next.seq <= last.seq) return;
    // No cursor: another program published it without one. It cannot be told from its twin, so it is shown.
    this.#cursor = next ?? last;
    this.#tell('event', message);
  }

  #heartbeat({ cursor }) {
    const next = parseCursor(cursor);
    const last = this.#cursor;
    if (next === null) return;
    if (last !== null && next.epoch === last.epoch && next.seq < last.seq) return;
    const ahead = last !== null && (next.epoch !== last.epoch || next.seq > last.seq);
    if (!ahead || !this.#canRead()) this.#moved(next);
    if (ahead) this.#reload(next.epoch === last.epoch ? 'gap' : 'epoch', RESET_SPREAD_MS);
  }

  /** The cursor says more than before, of the same events. */
  #moved(cursor) {
    this.#cursor = cursor;
    if (this.#options.on.cursor) this.#tell('cursor', cursor.text);
  }

  // --- what goes wrong ---

  /** Something is missing: it is read soon the first time, with growing pauses when that does not help. */
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

  #retryLater({ code, reason, error, atLeast = 0 }) {
    this.#settle();
    this.#disconnect();
    const { random } = this.#options;
    const told = code === 4429 ? atLeast : 0; // then the page need not guess
    let pause = this.#pause(REFUSED.has(code) && !told ? Infinity : this.#failures);
    if (RESTARTING.has(code)) pause = Math.max(this.#failures ? pause : 0, RESTART_SPREAD_MS * random());
    pause = Math.max(pause, atLeast * (1 + random() / 2));
    this.#failures++;
    this.#wait(Math.min(pause, Math.max(LONGEST_PAUSE_MS, told * 1.5)), { code, reason, error });
    this.#heeding = told > 0;
  }

  #wait(ms, why, name = 'offline') {
    this.#waiting = name;
    this.#after(ms, () => this.#attempt());
    this.#report(name, { retryAt: this.#options.clock.now() + ms, ...why });
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

  // --- is it alive? ---

  #listen() {
    const { clock } = this.#options;
    this.#link.open = true;
    this.#heardAt = clock.now();
    this.#offset = clock.wall() - clock.now();
    this.#watch();
  }

  /** Looks again and again. Timers are late in hidden tabs and after sleep: only what was asked and not answered, or
   *  cannot be asked, counts as dead. */
  #watch() {
    const { clock } = this.#options;
    const now = clock.now();
    const offset = clock.wall() - now;
    const jumped = Math.abs(offset - this.#offset) > JUMP_MS;
    this.#offset = offset;
    if (this.#link.way === STREAM) {
      if (jumped) this.#attempt();
      else if (now - this.#heardAt >= SILENCE_MS) this.#retryLater({ error: new Error('silence') });
      else this.#after(CHECK_MS, () => this.#watch());
      return;
    }
    if (jumped || now - this.#heardAt >= ASK_MS) this.#sendPing(now);
    const due = this.#askedAt === null ? this.#heardAt + ASK_MS : Math.max(this.#askedAt, this.#heardAt) + PONG_MS;
    if (now >= due) this.#retryLater({ error: new Error('silence') });
    else this.#after(Math.min(due - now, CHECK_MS), () => this.#watch());
  }

  #sendPing(now) {
    if (this.#askedAt !== null) return;
    this.#askedAt = now;
    this.#socket.send('{"type":"ping"}');
  }

  /** An event stream cannot be asked. One that has been quiet for long is opened anew, which costs little. */
  #ask() {
    const { clock } = this.#options;
    const now = clock.now();
    if (this.#link.way === SOCKET) this.#sendPing(now);
    else if (now - this.#heardAt >= ASK_MS) return this.#attempt();
    this.#watch();
  }

  /** Ends what was going on. A dead socket may take minutes to report its end, so it is not listened to. */
  #disconnect() {
    this.#turn++;
    this.#options.clock.clearTimeout(this.#timer);
    this.#timer = null;
    this.#waiting = null;
    this.#heeding = false;
    this.#liveSince = null;
    this.#link = null;
    this.#askedAt = null;
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
    this.#tell('state', { name, ...more });
  }

  /** What goes wrong in the page is told like any error, and does not stop the feed. */
  #tell(name, ...what) {
    if (this.#stopped) return;
    try {
      this.#options.on[name](...what);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}
