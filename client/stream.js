// SPDX-License-Identifier: MIT
// The feed as Server-Sent Events, for networks that let no WebSocket through. Looks like a WebSocket that only listens,
// so that feed.js need not know which of the two it has.
//
// Not EventSource: it cannot send a token, does not tell why it was refused, and reconnects by rules of its
// own. For the same reason no Accept: text/event-stream is sent, to which a refusal would be a 200 (docs/protocol.md).

/** The `data` of an event stream, piece by piece. */
export class EventParser {
  #rest = '';
  #data = [];
  #onData;

  constructor(onData) {
    this.#onData = onData;
  }

  /** Text as it arrives, cut anywhere. */
  take(text) {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    for (const line of lines) this.#line(line);
  }

  #line(line) {
    if (line === '') {
      if (this.#data.length) this.#onData(this.#data.join('\n'));
      this.#data = [];
    } else if (line.startsWith('data:')) this.#data.push(line.slice(line[5] === ' ' ? 6 : 5));
  }
}

/** 4000 + the HTTP status, as the WebSocket would be closed; undefined where it has no such code. */
const CODES = { 401: 4401, 403: 4403, 429: 4429 };

export class EventStream {
  onopen = null;
  onmessage = null;
  /** Gets { code, reason } as of a WebSocket where there are such, and `status` and `retryAfter` of an HTTP answer. */
  onclose = null;
  #abort = new AbortController();

  /** `fetch` is the browser's, or a test's. */
  constructor(url, headers, fetch = (...call) => globalThis.fetch(...call)) {
    this.#run(url, headers, fetch).then(
      (end) => this.#end(end),
      () => this.#end({}),
    );
  }

  /** Nothing is reported after this, not even the end. */
  close() {
    this.#abort.abort();
  }

  #end(how) {
    if (!this.#abort.signal.aborted) this.onclose?.(how);
  }

  async #run(url, headers, fetch) {
    const answer = await fetch(url, { headers, cache: 'no-store', signal: this.#abort.signal });
    const { status } = answer;
    if (!answer.ok || !answer.headers.get('Content-Type')?.startsWith('text/event-stream')) return refusal(answer);
    this.onopen?.({});
    const parser = new EventParser((data) => this.onmessage?.({ data }));
    const decoder = new TextDecoder();
    for (const reader = answer.body.getReader(); ; ) {
      const { value, done } = await reader.read();
      if (done) return { status };
      parser.take(decoder.decode(value, { stream: true }));
    }
  }
}

async function refusal(answer) {
  const { status } = answer;
  const retryAfter = Number(answer.headers.get('Retry-After')) || 0;
  let problem = null;
  try {
    problem = JSON.parse(await answer.text());
  } catch {
    // Not from our server: only the status is known.
  }
  return { code: CODES[status], reason: problem?.detail ?? problem?.title, status, retryAfter };
}
