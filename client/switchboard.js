// SPDX-License-Identifier: MIT
// One socket for all tabs: of the same address, user and token. Runs in a SharedWorker, and speaks to each tab as the
// notifier does (docs/protocol.md), so that a tab's feed need not know whether it has a socket of its own.
//
// The first tab's subscription goes to the server. Later tabs are answered here, from the newest events that it
// remembers; a tab whose cursor is older gets `recovered:false`, and reads the journal.
//
// A token opens only what the server gave to that token: tabs with different ones have sockets of their own.

import { parseCursor } from './feed.js';

const OPEN_MS = 15_000; // a handshake that takes longer is given up
const MOST_FRAMES = 500; // remembered
const MOST_LENGTH = 1_000_000;

export class Switchboard {
  #connect;
  #lines = new Map(); // address, user and token => Line

  /** `connect(url)` makes a WebSocket. */
  constructor(connect) {
    this.#connect = connect;
  }

  /** A tab: `post(word)` reaches it, and what it says goes to hear() of what this returns. */
  join(post) {
    const tab = {
      post,
      url: null,
      line: null,
      asked: null, // its subscription
      joined: false, // and that it was answered
      hear: (word) => {
        if (word.url) {
          tab.url = word.url;
          post({ open: true });
        } else if (word.send !== undefined) this.#say(tab, word.send);
        else if (word.leave) tab.line?.leave(tab);
      },
    };
    return tab;
  }

  #say(tab, text) {
    const message = JSON.parse(text);
    if (message.type === 'subscribe') this.#subscribe(tab, message);
    else tab.line?.send(tab, text);
  }

  #subscribe(tab, message) {
    const key = JSON.stringify([tab.url, message.user_id, message.token ?? null]);
    if (tab.line?.key !== key) {
      tab.line?.leave(tab);
      tab.line = this.#lines.get(key) ?? this.#open(key, tab.url);
    }
    tab.line.subscribe(tab, message);
  }

  #open(key, url) {
    const line = new Line(key, () => this.#connect(url), {
      over: () => this.#lines.get(key) === line && this.#lines.delete(key),
      again: (tab) => {
        tab.line = null;
        this.#subscribe(tab, tab.asked);
      },
    });
    this.#lines.set(key, line);
    return line;
  }
}

/** One socket with one subscription, and the tabs that hear it. */
class Line {
  #socket;
  #on;
  #tabs = new Set();
  #open = false;
  #timer;
  #asker = null; // the tab whose subscription the server is to answer; it may have left
  #base = null; // what came after this cursor is remembered
  #newest = null; // the newest cursor
  #frames = []; // { seq, text }
  #length = 0; // of their texts

  constructor(key, connect, on) {
    this.key = key;
    this.#on = on;
    this.#timer = setTimeout(() => this.#ended({ code: 1006 }), OPEN_MS);
    this.#socket = connect();
    this.#socket.onopen = () => {
      clearTimeout(this.#timer);
      this.#open = true;
      this.#ask();
    };
    this.#socket.onmessage = ({ data }) => this.#hear(data);
    this.#socket.onclose = ({ code, reason }) => this.#ended({ code, reason });
  }

  subscribe(tab, message) {
    this.#tabs.add(tab);
    tab.asked = message;
    tab.joined = false;
    if (this.#newest) this.#admit(tab);
    else this.#ask();
  }

  /** A ping: before there is a connection only the worker can answer. */
  send(tab, text) {
    if (this.#open) this.#socket.send(text);
    else tab.post({ message: '{"type":"pong"}' });
  }

  leave(tab) {
    tab.line = null;
    tab.joined = false;
    this.#tabs.delete(tab);
    if (this.#tabs.size === 0) this.#over();
  }

  /** The first that waits asks the server. */
  #ask() {
    if (!this.#open || this.#asker || this.#tabs.size === 0) return;
    [this.#asker] = this.#tabs;
    this.#socket.send(JSON.stringify(this.#asker.asked));
  }

  /** Answers as the server would. */
  #admit(tab) {
    const { user_id, since } = tab.asked;
    const cursor = parseCursor(since ?? this.#newest.text);
    const answer = { type: 'subscribe', user_id, cursor: cursor?.text ?? null };
    const reason = cursor?.epoch !== this.#base.epoch ? 'epoch' : cursor.seq < this.#base.seq ? 'truncated' : null;
    const post = (message) => tab.post({ message: JSON.stringify(message) });
    if (reason) return post({ ...answer, recovered: false, reason });
    const missed = this.#frames.filter(({ seq }) => seq > cursor.seq);
    const until = missed.length > 0 && { until: `${cursor.epoch}:${missed.at(-1).seq}` };
    post({ ...answer, recovered: true, replayed: missed.length, ...until });
    for (const { text } of missed) tab.post({ message: text });
    tab.joined = true;
  }

  #hear(text) {
    const message = JSON.parse(text);
    if (message.type === 'subscribe') return this.#answered(message, text);
    if (message.type === 'notification' && !this.#isNew(message, text)) return;
    if (message.type === 'heartbeat') this.#newest = parseCursor(message.cursor) ?? this.#newest;
    const forAll = message.type === 'error' || message.type === 'pong';
    for (const tab of this.#tabs) if (tab.joined || forAll) tab.post({ message: text });
    if (message.type === 'reset') this.#over();
  }

  #answered(message, text) {
    const asker = this.#tabs.has(this.#asker) ? this.#asker : null;
    this.#asker = null;
    const cursor = parseCursor(message.cursor);
    if (message.recovered !== true || !cursor) {
      asker?.post({ message: text });
      const others = [...this.#tabs].filter((tab) => tab !== asker);
      this.#over();
      for (const tab of others) this.#on.again(tab);
      return;
    }
    this.#base = this.#newest = cursor;
    if (asker) {
      asker.joined = true;
      asker.post({ message: text });
    }
    for (const tab of this.#tabs) if (tab !== asker) this.#admit(tab);
  }

  /** Remembers an event. One without a cursor is passed on only. */
  #isNew(message, text) {
    const cursor = parseCursor(message.cursor);
    if (!cursor) return true;
    if (cursor.epoch === this.#newest?.epoch && cursor.seq <= this.#newest.seq) return false;
    if (cursor.epoch !== this.#newest?.epoch || cursor.seq !== this.#newest.seq + 1) {
      this.#frames = [];
      this.#length = 0;
      this.#base = cursor;
    } else {
      this.#frames.push({ seq: cursor.seq, text });
      this.#length += text.length;
    }
    this.#newest = cursor;
    while (this.#frames.length > MOST_FRAMES || this.#length > MOST_LENGTH) {
      const { seq, text: old } = this.#frames.shift();
      this.#length -= old.length;
      this.#base = { ...cursor, seq };
    }
    return true;
  }

  #ended(how) {
    const tabs = [...this.#tabs];
    this.#over();
    for (const tab of tabs) tab.post({ close: how });
  }

  #over() {
    clearTimeout(this.#timer);
    this.#on.over();
    for (const tab of this.#tabs) tab.line = null;
    this.#tabs.clear();
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(1000);
  }
}
