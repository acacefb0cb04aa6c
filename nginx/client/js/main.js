// The page's table of contents: who is chosen, which feed is open, and what follows from what the user does.

import * as api from './api.js';
import { Feed } from './feed.js';
import { Words, pickLocale } from './i18n.js';
import { TaskList } from './tasks.js';
import { Token } from './token.js';
import { View } from './view.js';

const CONTENT_LIMIT = 1000; // code points, as the API counts them
const USERS_RETRY_MS = 5_000;

const token = new Token(tabStorage());
api.useToken(() => token.value);
takeToken();

const words = new Words(pickLocale(navigator.languages));
const view = new View(words, {
  choose: (userId) => {
    history.pushState(null, '', userId === null ? location.pathname : `?user_id=${userId}`);
    show(userId);
  },
  create,
  tick,
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
  feed = new Feed({
    userId: tasks.userId,
    load: (signal) => api.listTasks(tasks.userId, signal),
    token: () => token.value,
    connect: () => new WebSocket(`${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}/ws`),
    clock: {
      now: () => Date.now(),
      setTimeout: (run, ms) => setTimeout(run, ms),
      clearTimeout: (timer) => clearTimeout(timer),
    },
    random: Math.random,
    on: {
      tasks(rows, reloaded) {
        tasks.replace(rows);
        view.tasks(tasks.all());
        if (reloaded) view.reloaded();
      },
      event(message) {
        console.log(message);
        view.notification(message);
        if (!tasks.apply(message)) return;
        view.tasks(tasks.all());
        view.taskError(message.task.id, null);
        view.flash(message.task.id);
      },
      state({ name, retryAt, code, error }) {
        view.connection(name, retryAt);
        if (code === 4401) view.pageError(words.say(token.value ? 'why.token-refused' : 'why.token-missing'));
        else if (code === 4403) view.pageError(words.say('why.forbidden'));
        else if (error instanceof api.ApiError) view.pageError(words.say('failed.load', { why: words.why(error) }));
        else if (name === 'live') view.pageError(null);
      },
    },
  });
  feed.start();
}

async function loadUsers() {
  try {
    view.users(await api.listUsers(), chosenUser());
    if (list === null) view.pageError(null);
  } catch (error) {
    if (list === null) view.pageError(words.say('failed.users', { why: words.why(error) }));
    setTimeout(loadUsers, USERS_RETRY_MS);
  }
}

// --- what the user does ---

let draft = null; // { content, key }: the text being added and the key that makes it one task, however often sent
let creating = false;

async function create(content) {
  if (creating) return;
  const count = [...content].length;
  if (!content.trim()) return view.createError(words.say('contentMissing'));
  if (count > CONTENT_LIMIT) return view.createError(words.say('contentTooLong', { limit: CONTENT_LIMIT, count }));
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
    view.tasks(tasks.all());
  } catch (error) {
    if (list === tasks) view.createError(words.say('failed.create', { why: words.why(error) }));
  } finally {
    creating = false;
    view.creating(false);
  }
}

function tick(id, done) {
  return change(id, 'status', () => api.setStatus(id, done ? 1 : 0));
}

function remove(id) {
  return change(id, 'delete', async () => {
    await api.deleteTask(id);
    return null;
  });
}

/** Sends a change of one task; the row waits, then shows how the task really is, or what went wrong. */
async function change(id, what, send) {
  const tasks = list;
  const mark = tasks.mark();
  view.busy(id, true);
  view.taskError(id, null);
  let problem = null;
  try {
    tasks.confirm(mark, id, await send());
  } catch (error) {
    if (error.status === 404) tasks.confirm(mark, id, null);
    problem = words.say(`failed.${what}`, { why: words.why(error) });
  }
  if (list !== tasks) return;
  view.busy(id, false);
  view.tasks(tasks.all());
  if (!problem) view.pageError(null);
  else if (tasks.get(id)) view.taskError(id, problem);
  else if (what !== 'delete') view.pageError(problem);
}

/** crypto.randomUUID is for secure origins only; this is for any. */
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

// --- who is asking ---

/** Takes a token that came with the address, which must not keep it: it would be in the history. */
function takeToken() {
  const rest = token.take(location.href);
  if (rest !== null) history.replaceState(history.state, '', rest);
  return rest !== null;
}

function tabStorage() {
  try {
    return sessionStorage;
  } catch {
    return null;
  }
}

// --- begin ---

addEventListener('popstate', () => chosenUser() === (list?.userId ?? null) || show(chosenUser())); // not for #anchors
addEventListener('hashchange', () => {
  if (!takeToken()) return;
  loadUsers();
  feed?.renew();
});
addEventListener('online', () => feed?.retryNow());
addEventListener('pageshow', ({ persisted }) => persisted && feed?.retryNow());
document.addEventListener('visibilitychange', () => document.hidden || feed?.retryNow());

show(chosenUser());
loadUsers();
