// SPDX-License-Identifier: MIT
// The bearer token, where the service wants one. It comes once with the address (`#token=...`,
// a part that browsers do not send), is taken out of it at once, and stays with this tab.

const KEY = 'carillon.token';

export class Token {
  #storage;
  #value = null;

  /** `storage` may be null: then the token lives as long as the page. */
  constructor(storage) {
    this.#storage = storage;
    try {
      this.#value = storage?.getItem(KEY) ?? null;
    } catch {
      this.#storage = null; // the browser keeps nothing for us
    }
  }

  get value() {
    return this.#value;
  }

  /** Takes the token out of an address; returns the address without it, null when there was none. */
  take(href) {
    const url = new URL(href);
    const parts = new URLSearchParams(url.hash.slice(1));
    const value = parts.get('token');
    if (value === null) return null;
    this.#value = value || null; // `#token=` forgets it
    try {
      if (this.#value) this.#storage?.setItem(KEY, this.#value);
      else this.#storage?.removeItem(KEY);
    } catch {
      // Full or forbidden: it lives with the page.
    }
    parts.delete('token');
    url.hash = parts.toString();
    return url.href;
  }
}
