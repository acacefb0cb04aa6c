// SPDX-License-Identifier: MIT
// What is asked over HTTP: where a user's events are, what came after a cursor, and lists for the application.

const TIMEOUT_MS = 15_000;
const PAGE = 200; // the largest page the API serves

export class HttpError extends Error {
  /** `status` is 0 when no answer came; `problem` is the document (RFC 9457) that came with it, or {}. */
  constructor(message, { status = 0, problem = {}, retryAfter = 0, cause } = {}) {
    super(message, { cause });
    this.name = 'HttpError';
    this.status = status;
    this.problem = problem;
    this.retryAfter = retryAfter; // seconds, 0 when nothing is said
  }
}

export class Http {
  #base;
  #user;
  #token;
  #fetch;

  /** `base` is a URL that ends with a slash. `token()` returns the bearer token, or null to send none. */
  constructor(base, user, token, fetch) {
    this.#base = base;
    this.#user = user;
    this.#token = token;
    this.#fetch = fetch;
  }

  identity() {
    const token = this.#token();
    return token ? { Authorization: `Bearer ${token}` } : {};
  }

  /** Where the user's events are now. */
  async cursor(signal) {
    const { headers } = await this.#get(new URL(`tasks?user_id=${this.#user}&limit=1`, this.#base), signal);
    const cursor = headers.get('Event-Cursor');
    if (!cursor) throw new HttpError(`no Event-Cursor: there is no user ${this.#user}, or a proxy keeps that header`);
    return cursor;
  }

  /** One page of what came after `since`, oldest first; `more` where there is another page. */
  async journal(since, signal) {
    const path = `users/${this.#user}/events?since=${encodeURIComponent(since)}&limit=${PAGE}`;
    const { data, headers } = await this.#get(new URL(path, this.#base), signal);
    return { events: data, cursor: headers.get('Event-Cursor'), more: nextPage(headers.get('Link')) !== null };
  }

  /** The JSON at an address of the service; of a list all its pages. */
  async read(path, signal) {
    const found = [];
    for (let url = new URL(path, this.#base); ; ) {
      const { data, headers } = await this.#get(url, signal);
      if (!Array.isArray(data)) return data;
      found.push(...data);
      const next = nextPage(headers.get('Link'));
      if (next === null) return found;
      url = new URL(url); // only its arguments are taken: a proxy may have put another host and path before them
      url.search = next;
    }
  }

  async #get(url, signal) {
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), TIMEOUT_MS);
    const abort = () => limit.abort();
    signal?.addEventListener('abort', abort);
    if (signal?.aborted) abort();
    try {
      const answer = await this.#fetch(url, { headers: this.identity(), cache: 'no-store', signal: limit.signal });
      const text = await answer.text();
      if (!answer.ok) throw refused(url, answer, text);
      return { data: JSON.parse(text), headers: answer.headers };
    } catch (cause) {
      throw cause instanceof HttpError ? cause : new HttpError(`no answer from ${url.origin}${url.pathname}`, { cause });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    }
  }
}

function refused(url, answer, text) {
  let problem = {};
  try {
    problem = JSON.parse(text) ?? {};
  } catch {
    // Not from Carillon: only the status is known.
  }
  const { status } = answer;
  const why = problem.detail ?? problem.title ?? 'refused';
  return new HttpError(`${url.pathname}: ${status}, ${why}`, {
    status,
    problem,
    retryAfter: Number(answer.headers.get('Retry-After')) || 0,
  });
}

function nextPage(link) {
  const target = /<([^>]*)>\s*;[^,]*\brel="?next"?/.exec(link ?? '')?.[1];
  return target ? new URL(target, 'http://page/').search : null;
}
