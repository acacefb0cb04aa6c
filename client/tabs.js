// SPDX-License-Identifier: MIT
// A tab's end of the socket that all tabs of an application share (worker.js has the other). Looks like a WebSocket. Where
// no worker comes up, it is one of the tab's own.

const HELLO_MS = 8_000; // a worker that has not said a word by then does not come

let comesUp = true; // until it is seen that it does not

export class SharedSocket {
  onopen = null;
  onmessage = null;
  onclose = null;
  #worker = null;
  #port = null;
  #own = null;
  #timer;
  #clock;
  #leave;

  static possible() {
    return comesUp && typeof globalThis.SharedWorker === 'function';
  }

  /** `alone()` makes a WebSocket of the tab's own. */
  constructor(url, alone, clock) {
    this.#clock = clock;
    const giveUp = () => this.#goAlone(alone);
    try {
      this.#worker = new SharedWorker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'carillon-client 1.0.0' });
      this.#worker.onerror = giveUp;
      this.#port = this.#worker.port;
    } catch {
      giveUp();
      return;
    }
    this.#timer = clock.setTimeout(giveUp, HELLO_MS);
    this.#port.onmessage = ({ data }) => this.#hear(data);
    this.#port.postMessage({ url, lock: holdLock() });
    this.#leave = () => this.#cut({ code: 1001 });
    globalThis.addEventListener?.('pagehide', this.#leave);
  }

  send(text) {
    if (this.#own) this.#own.send(text);
    else this.#port?.postMessage({ send: text });
  }

  close(code) {
    this.#end();
    this.#own?.close(code);
  }

  #hear({ open, message, close }) {
    if (open) {
      this.#clock.clearTimeout(this.#timer);
      this.onopen?.({});
    } else if (message !== undefined) this.onmessage?.({ data: message });
    else if (close) this.#cut(close);
  }

  #cut(how) {
    this.#end();
    this.onclose?.(how);
  }

  /** A tab that is hidden for good cannot say so later. */
  #end() {
    this.#clock.clearTimeout(this.#timer);
    globalThis.removeEventListener?.('pagehide', this.#leave);
    this.#port?.postMessage({ leave: true });
    this.#port?.close();
    this.#port = null;
  }

  #goAlone(alone) {
    if (this.#own) return;
    comesUp = false;
    this.#end();
    this.#own = alone();
    this.#own.onopen = (event) => this.onopen?.(event);
    this.#own.onmessage = (event) => this.onmessage?.(event);
    this.#own.onclose = (event) => this.onclose?.(event);
  }
}

let lock = null;

/** The name of a lock that this tab holds until it is gone, however it goes; null where there are none. */
function holdLock() {
  if (lock !== null || !globalThis.navigator?.locks) return lock;
  lock = `carillon-client ${crypto.randomUUID()}`;
  navigator.locks.request(lock, () => new Promise(() => {}));
  return lock;
}
