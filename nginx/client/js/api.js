// Every HTTP call of the page. Answers are plain objects; whatever is not 2xx becomes an ApiError that
// carries the problem (RFC 9457) the server sent, so that it can be told in words where it happened.

const TIMEOUT_MS = 15_000;
const PAGE = 200; // the largest page the API serves

export class ApiError extends Error {
  /** `slug` is the last part of the problem's type; 'network' when no answer came at all. */
  constructor(slug, { status = 0, problem = {}, retryAfter = 0, cause } = {}) {
    super(problem.detail ?? problem.title ?? slug, { cause });
    this.slug = slug;
    this.status = status;
    this.problem = problem;
    this.retryAfter = retryAfter;
  }
}

let token = () => null;

/** From now on calls say who is asking: `source` returns the token, or null where none is needed. */
export function useToken(source) {
  token = source;
}

function identity() {
  const value = token();
  return value ? { Authorization: `Bearer ${value}` } : {};
}

async function call(method, url, { body, headers, signal } = {}) {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), TIMEOUT_MS);
  const abort = () => limit.abort();
  signal?.addEventListener('abort', abort);
  if (signal?.aborted) abort();
  try {
    const response = await fetch(url, {
      method,
      signal: limit.signal,
      cache: 'no-store',
      headers: {
        ...identity(),
        ...(body && { 'Content-Type': 'application/json' }),
        ...headers,
      },
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw failure(response, text);
    return { data: text ? JSON.parse(text) : null, headers: response.headers };
  } catch (error) {
    throw error instanceof ApiError ? error : new ApiError('network', { cause: error });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}

function failure(response, text) {
  let problem = {};
  try {
    problem = JSON.parse(text) ?? {};
  } catch {
    // Not from our server: the status alone has to do.
  }
  const slug = /^\/problems\/([a-z0-9-]+)$/.exec(problem.type ?? '')?.[1];
  if (response.status === 401) return new ApiError(token() ? 'token-refused' : 'token-missing', { status: 401, problem });
  return new ApiError(slug ?? (response.status >= 500 ? 'unavailable' : 'refused'), {
    status: response.status,
    problem,
    retryAfter: Number(response.headers.get('Retry-After')) || 0,
  });
}

/** The address of the next page, on this origin whatever host a proxy wrote into it. */
export function nextPage(link) {
  const target = /<([^>]*)>\s*;[^,]*\brel="?next"?/.exec(link ?? '')?.[1];
  if (!target) return null;
  const { pathname, search } = new URL(target, 'http://page/');
  return pathname + search;
}

/** All pages of a list. The cursor is the first page's: later pages are newer, and the feed says how. */
async function everything(url, signal) {
  const rows = [];
  let cursor = null;
  const seen = new Set();
  for (let page = url; page && !seen.has(page); ) {
    seen.add(page);
    const { data, headers } = await call('GET', page, { signal });
    rows.push(...data);
    cursor ??= headers.get('Event-Cursor');
    page = nextPage(headers.get('Link'));
  }
  return { rows, cursor };
}

export async function listUsers(signal) {
  return (await everything(`/users?limit=${PAGE}`, signal)).rows;
}

export async function listTasks(userId, signal) {
  const { rows, cursor } = await everything(`/tasks?user_id=${userId}&limit=${PAGE}`, signal);
  return { tasks: rows, cursor };
}

/** `key`: the same for every attempt at the same task, so that one whose answer was lost is not made twice. */
export async function createTask(userId, content, key) {
  const { data } = await call('POST', '/tasks', {
    body: { user_id: userId, content },
    headers: { 'Idempotency-Key': key },
  });
  return data;
}

export async function setStatus(id, status) {
  const { data } = await call('PATCH', `/tasks/${id}`, { body: { status } });
  return data;
}

export async function deleteTask(id) {
  await call('DELETE', `/tasks/${id}`);
}
