// SPDX-License-Identifier: MIT
// Every HTTP call of the page. Answers are plain objects; what is not 2xx becomes an ApiError that
// carries the server's problem (RFC 9457), so that the page can show it in words where it happened.
//
// Addresses are relative to the page, which may lie under a path of its own (/carillon/).

import { refusal } from './refusals.js';

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

/** From now on calls carry a token: `source` returns it, or null where none is needed. */
export function useToken(source) {
  token = source;
}

/** The header with the token, where there is one. */
export function identity() {
  const value = token();
  return value ? { Authorization: `Bearer ${value}` } : {};
}

/** `data` is what the JSON says; with `plain` the text as it came. */
async function call(method, url, { body, headers, signal, plain = false } = {}) {
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
    if (plain) return { data: text, headers: response.headers };
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
    // Not from our server: only the status is known.
  }
  const { status } = response;
  const reason = problem.detail ?? problem.title;
  const slug =
    (status === 401 || status === 403) && refusal({ code: 4000 + status, reason, hasToken: token() !== null });
  const type = /\/problems\/([a-z0-9-]+)$/.exec(problem.type ?? '')?.[1];
  return new ApiError(slug || type || (status >= 500 ? 'unavailable' : 'refused'), {
    status,
    problem,
    retryAfter: Number(response.headers.get('Retry-After')) || 0,
  });
}

/** Which arguments ask for the next page, whatever host and path a proxy wrote before them. */
export function nextPage(link) {
  const target = /<([^>]*)>\s*;[^,]*\brel="?next"?/.exec(link ?? '')?.[1];
  return target ? new URL(target, 'http://page/').search : null;
}

/** All pages of a list, and the cursors of the first and the last. */
async function everything(path, query, signal) {
  const rows = [];
  const cursors = [];
  const seen = new Set();
  for (let page = query; page && !seen.has(page); ) {
    seen.add(page);
    const { data, headers } = await call('GET', path + page, { signal });
    rows.push(...(Array.isArray(data) ? data : []).filter((row) => row !== null && typeof row === 'object'));
    cursors.push(headers.get('Event-Cursor'));
    page = nextPage(headers.get('Link'));
  }
  return { rows, first: cursors[0], last: cursors.at(-1) };
}

/** A program's figures, as text. */
export async function readText(address, signal) {
  return (await call('GET', address, { signal, plain: true })).data;
}

/** How database, broker and events are; a 503 says it in its `problem`. */
export async function readReadiness(signal) {
  return (await call('GET', 'readyz', { signal })).data;
}

export async function listUsers(signal) {
  return (await everything('users', `?limit=${PAGE}`, signal)).rows;
}

/** The cursor is the first page's: later pages are newer, and the feed says how. No such user: 'unknown-user'. */
export async function listTasks(userId, signal) {
  const { rows, first } = await everything('tasks', `?user_id=${userId}&limit=${PAGE}`, signal);
  if (rows.length === 0) await expectUser(userId, signal);
  return { tasks: rows, cursor: first };
}

/** An empty list is the same for a user that does not exist. */
async function expectUser(userId, signal) {
  try {
    await call('GET', `users/${userId}`, { signal });
  } catch (error) {
    if (error.status === 404) throw new ApiError('unknown-user', { status: 404, problem: error.problem });
    if (error.slug === 'network') throw error;
  }
}

/** What happened since a cursor, and up to which cursor that is. 410: the journal does not reach back. */
export async function listEvents(userId, since, signal) {
  const { rows, last } = await everything(`users/${userId}/events`, `?since=${encodeURIComponent(since)}&limit=${PAGE}`, signal);
  return { events: rows, cursor: last };
}

/** `key`: the same for every attempt at the same task, so that one whose answer was lost is not made twice. */
export async function createTask(userId, content, key) {
  const { data } = await call('POST', 'tasks', {
    body: { user_id: userId, content },
    headers: { 'Idempotency-Key': key },
  });
  return data;
}

export async function setStatus(id, status) {
  const { data } = await call('PATCH', `tasks/${id}`, { body: { status } });
  return data;
}

export async function deleteTask(id) {
  await call('DELETE', `tasks/${id}`);
}

const ATTEMPTS = 3; // at a content whose task changes all the time

/** Writes a new content, unless it is no longer `before` that is replaced: then 'changed-meanwhile', with the `task`. */
export async function setContent(id, content, before) {
  for (let attempt = 1; ; attempt++) {
    const { data, headers } = await call('GET', `tasks/${id}`);
    if (data.content !== before) throw Object.assign(new ApiError('changed-meanwhile', { status: 412 }), { task: data });
    const etag = headers.get('ETag');
    try {
      return (await call('PATCH', `tasks/${id}`, { body: { content }, headers: etag ? { 'If-Match': etag } : {} })).data;
    } catch (error) {
      if (error.status !== 412 || attempt === ATTEMPTS) throw error;
    }
  }
}
