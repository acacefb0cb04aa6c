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

  /** Takes the token out of an address; returns the address without it, null when there was none. `#token=` forgets it. */
  take(href) {
    const url = new URL(href);
    const parts = new URLSearchParams(url.hash.slice(1));
    const value = parts.get('token');
    if (value === null) return null;
    this.set(value);
    parts.delete('token');
    url.hash = parts.toString();
    return url.href;
  }

  /** An empty text forgets it. */
  set(value) {
    this.#value = value || null;
    try {
      if (this.#value) this.#storage?.setItem(KEY, this.#value);
      else this.#storage?.removeItem(KEY);
    } catch {
      // Full or forbidden: it lives with the page.
    }
  }
}

/** Takes a token that came with the page's address, which must not keep it: it would be in the history. True: one came. */
export function takeFromAddress(token) {
  const rest = token.take(location.href);
  if (rest !== null) history.replaceState(history.state, '', rest);
  return rest !== null;
}

export function tabStorage() {
  try {
    return sessionStorage;
  } catch {
    return null;
  }
}
