// SPDX-License-Identifier: MIT
/** What happened to a task, or what another program published. Further members may come: ignore what you do not know. */
export interface CarillonEvent<Task = CarillonTask> {
  type: 'notification';
  /** Such as "task.completed". */
  event?: string;
  /** Absent where another program published without one; such an event is given once to each that listens just then. */
  cursor?: string;
  message: string | null;
  task?: Task;
  data?: unknown;
  /** Whose it is, where another program made it; a task has its own. */
  user_id?: number;
  /** W3C Trace Context, of the request that caused it: the parent of your own span. Absent where that was not traced. */
  traceparent?: string;
}

export interface CarillonTask {
  id: number;
  user_id: number;
  status: 0 | 1;
  content: string;
  createdAt: string;
  completedAt: string | null;
}

export type State =
  /** An attempt is under way. */
  | { name: 'connecting' }
  /** Events come as they happen. */
  | { name: 'live' }
  /** No connection; `delayed`: the journal could be read all the same. The next attempt is `retryIn` milliseconds away. */
  | { name: 'offline' | 'delayed'; retryIn: number; code?: number; reason?: string; error?: unknown }
  /** `start`, `event` or the storage failed with `error`; it is tried again. */
  | { name: 'failed'; error: unknown };

export interface Start {
  /** null the first time; else why: 'truncated' (away for longer than the journal reaches back), 'epoch' (a backup was
   *  restored), 'lost', 'gap'. */
  reason: string | null;
  /** The events that follow are those after this cursor. */
  cursor: string;
  /** Aborted when this is no longer wanted. */
  signal: AbortSignal;
  /** The JSON at an address of the service, with the token; of a list all its pages. */
  read(path: string): Promise<any>;
}

/** Where the cursor is kept. */
export interface Storage {
  get(): string | null | undefined | Promise<string | null | undefined>;
  set(cursor: string): unknown;
}

export interface Options<Task = CarillonTask> {
  /** The service's page, such as https://tasks.example.org/; in a browser the document's address without it. */
  url?: string | URL;
  user: number;
  /** The bearer token, where the service wants one. Call `renew()` when there is a fresh one. */
  token?: string | (() => string | null | undefined);
  /** memory() without it. */
  storage?: Storage;
  /** Makes the state that events then change, from what the application reads now. Called when no cursor is kept, and when
   *  it can no longer be told what was missed. */
  start(how: Start): unknown;
  /** Each event once, in order, one at a time. While what it returns is pending no other is given; when it fails, the same
   *  one is given again after a pause. */
  event(event: CarillonEvent<Task>): unknown;
  /** What to show of the connection. Without it failures and refusals go to the console. */
  state?(state: State): void;
  /** false: a socket for each tab. */
  share?: boolean;
  /** For Node before 22, such as that of `ws`; without any, the events come as a stream over HTTP. null: never one. */
  WebSocket?: (new (url: string) => any) | null;
  fetch?: (url: URL, init: { headers: Record<string, string>; cache: 'no-store'; signal: AbortSignal }) => Promise<Response>;
}

export interface Listening {
  /** Up to where the events were taken. */
  readonly cursor: string | null;
  /** There is a fresh token. */
  renew(): void;
  /** Ends a pause between two attempts. */
  retry(): void;
  /** Ends for good. Promises that the event being taken is taken. */
  stop(): Promise<void>;
}

/** One user's events, until `stop()`. */
export function listen<Task = CarillonTask>(options: Options<Task>): Listening;

/** As long as the program runs. */
export function memory(): Storage;

/** In localStorage under `key`, or in something with its getItem and setItem. */
export function local(key: string, storage?: { getItem(key: string): string | null; setItem(key: string, value: string): void }): Storage;

/** An answer that was not 2xx, or none. */
export class HttpError extends Error {
  /** 0 when no answer came. */
  readonly status: number;
  /** RFC 9457. */
  readonly problem: { type?: string; title?: string; detail?: string; [member: string]: unknown };
  /** Seconds; 0 when nothing is said. */
  readonly retryAfter: number;
}
