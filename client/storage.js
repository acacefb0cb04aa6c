// SPDX-License-Identifier: MIT
// Where the cursor is kept: { get(), set(cursor) }, each of which may promise. One place for one state: what the
// application holds must be what it made of the events up to that cursor.

import { parseCursor } from './feed.js';

/** As long as the program runs: each start begins by `start`. */
export function memory() {
  let kept = null;
  return {
    get: () => kept,
    set: (cursor) => {
      kept = cursor;
    },
  };
}

/** In the browser's localStorage under `key`, for an application that keeps what it made of the events there, too
 *  (in IndexedDB, say). Tabs share it, and none turns it back. */
export function local(key, storage = globalThis.localStorage) {
  return {
    get: () => storage.getItem(key),
    set: (cursor) => {
      const next = parseCursor(cursor);
      const kept = parseCursor(storage.getItem(key));
      if (kept && next && kept.epoch === next.epoch && kept.seq > next.seq) return;
      storage.setItem(key, cursor);
    },
  };
}
