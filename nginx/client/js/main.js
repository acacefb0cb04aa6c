// SPDX-License-Identifier: MIT
// The page's entry: which user is chosen, which feed is open, and what each action of the user does.

import { Feed } from '../client/feed.js';
import { EventStream } from '../client/stream.js';
import * as api from './api.js';
import { Words, pickLocale } from './i18n.js';
import { refusal } from './refusals.js';
import { TaskList } from './tasks.js';
import { Token, tabStorage, takeFromAddress } from './token.js';
import { View } from './view.js';

const CONTENT_LIMIT = 1000; // code points, as the API counts them
const USERS_RETRY_MS = 5_000;

const token = new Token(tabStorage());
api.useToken(() => token.value);
takeFromAddress(token);

// performance.now() cannot be set, and may stand still while the machine sleeps; the feed looks at both.
const clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  setTimeout: (run, ms) => setTimeout(run, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};

const words = new Words(pickLocale(navigator.languages));
const view = new View(words, clock, {
  choose: (userId, replace) => {
    const address = userId === null ? location.pathname : `?user_id=${userId}`;
    if (replace) history.replaceState(null, '', address);
    else history.pushState(null, '', address);
    show(userId);
  },
  create,
  tick,
  edit,
  remove,
  retry: () => feed?.retryNow(),
});

let list = null; // the chosen user's tasks
let feed = null; // and the feed that keeps them true

/** `?user_id=1` in the address, or null. */
function chosenUser() {
  const text = new URLSearchParams(location.search).get('user_id');
  return /^[1-9]\d{0,9}$/.test(text ?? '') ? Number(text) : null;
}

function show(userId) {
  feed?.stop();
  feed = null;
  list = userId === null ? null : new TaskList(userId);
  draft = null;
  view.choose(userId);
  if (userId !== null) listen(list);
}

// --- what comes in ---

function listen(tasks) {
  let told = false; // the page shows what is wrong with the feed
  feed = new Feed({
    userId: tasks.userId,
    load: (signal) => api.listTasks(tasks.userId, signal),
    journal: (since, signal) => api.listEvents(tasks.userId, since, signal),
    token: () => token.value,
    connect: () => new WebSocket(here('ws').href.replace(/^http/, 'ws')),
    stream: (since) => {
      const url = here('events');
      url.searchParams.set('user_id', tasks.userId);
      if (since) url.searchParams.set('since', since);
      return new EventStream(url, api.identity());
    },
    clock,
    random: Math.random,
    on: {
      tasks(rows, reloaded) {
        tasks.replace(rows);
        view.rows.show(tasks.all());
        if (reloaded) view.bell.reloaded();
      },
      event(message) {
        console.log(message);
        view.bell.ring(message);
        if (!tasks.apply(message)) return;
        view.rows.show(tasks.all());
        view.rows.error(message.task.id, null);
        view.rows.flash(message.task.id);
      },
      state({ name, retryAt, code, reason, error }) {
        view.connection(name, retryAt);
        if (name === 'connecting') return;
        const refused = refusal({ code, reason, hasToken: token.value !== null });
        const why = error instanceof api.ApiError ? because(error) : refused && because({ slug: refused });
        if (error?.slug === 'unknown-user') return leave(why);
        if (why) view.pageError(refused ? why : words.say('failed.load', { why }));
        else if (told || name === 'live') view.pageError(null);
        told = Boolean(why);
      },
    },
  });
  feed.start();
}

/** An address of the service: relative to the page, which may lie under a path of its own. */
function here(path) {
  return new URL(path, document.baseURI);
}

/** Why something failed, in words. */
function because(error) {
  return words.why(error, { origin: location.origin, user: list?.userId, content: error.task?.content });
}

/** There is no such user: nothing to listen to. */
function leave(why) {
  feed.stop();
  feed = null;
  view.noUser(why);
}

async function loadUsers() {
  try {
    view.users(await api.listUsers(), chosenUser(), token.value === null);
    if (list === null) view.pageError(null);
  } catch (error) {
    if (list === null) view.pageError(words.say('failed.users', { why: because(error) }));
    setTimeout(loadUsers, USERS_RETRY_MS);
  }
}

// --- what the user does ---

let draft = null; // { content, key }: the text being added and the key that makes it one task, however often sent
let creating = false;

/** What is wrong with a content, in words; null when nothing is. */
function wrongContent(content) {
  const count = [...content].length;
  if (!content.trim()) return words.say('contentMissing');
  return count > CONTENT_LIMIT ? words.say('contentTooLong', { limit: CONTENT_LIMIT, count }) : null;
}

async function create(content) {
  if (creating) return;
  const wrong = wrongContent(content);
  if (wrong) return view.createError(wrong);
  const tasks = list;
  const mark = tasks.mark();
  if (draft?.content !== content) draft = { content, key: randomKey() };
  creating = true;
  view.creating(true);
  try {
    const task = await api.createTask(tasks.userId, content, draft.key);
    if (list !== tasks) return;
    draft = null;
    tasks.confirm(mark, task.id, task);
    view.created(content);
    view.rows.show(tasks.all());
  } catch (error) {
    if (list === tasks) view.createError(words.say('failed.create', { why: because(error) }));
  } finally {
    creating = false;
    view.creating(false);
  }
}

function tick(id, done) {
  return change(id, 'status', () => api.setStatus(id, done ? 1 : 0));
}

/** `before` is the content that the user saw when the change began: only that one is replaced. */
async function edit(id, content, before) {
  const wrong = wrongContent(content);
  if (wrong) return view.rows.error(id, wrong);
  const unchanged = content === before;
  if (unchanged || (await change(id, 'content', () => api.setContent(id, content, before)))) view.rows.edited(id);
}

function remove(id) {
  return change(id, 'delete', async () => {
    await api.deleteTask(id);
    return null;
  });
}

/** Sends a change of one task; the row waits, then shows how the task really is, or what went wrong. True: done. */
async function change(id, what, send) {
  const tasks = list;
  const mark = tasks.mark();
  view.rows.busy(id, true);
  view.rows.error(id, null);
  let failure = null;
  try {
    tasks.confirm(mark, id, await send());
  } catch (error) {
    failure = error;
    if (error.status === 404) tasks.confirm(mark, id, null);
    if (error.task) tasks.confirm(mark, id, error.task);
  }
  if (list !== tasks) return false;
  const problem = failure && words.say(`failed.${what}`, { why: because(failure) });
  view.rows.busy(id, false);
  view.rows.show(tasks.all());
  if (failure?.task) view.rows.editedAgainst(id, failure.task.content);
  if (!problem) view.pageError(null);
  else if (tasks.get(id)) view.rows.error(id, problem);
  else if (what !== 'delete') view.pageError(problem);
  return !problem;
}

/** crypto.randomUUID is for secure origins only; this is for any. */
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

// --- begin ---

addEventListener('popstate', () => chosenUser() === (list?.userId ?? null) || show(chosenUser())); // not for #anchors
addEventListener('hashchange', () => {
  if (!takeFromAddress(token)) return;
  loadUsers();
  feed?.renew();
});
addEventListener('online', () => feed?.networkChanged());
addEventListener('offline', () => feed?.look()); // for what is said to be gone may be there: a server on this machine
addEventListener('pageshow', ({ persisted }) => persisted && feed?.look());
document.addEventListener('visibilitychange', () => document.hidden || feed?.look());
document.addEventListener('resume', () => feed?.look());

show(chosenUser());
loadUsers();
