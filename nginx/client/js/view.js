// SPDX-License-Identifier: MIT
// The frame on the screen: the chosen user, the state of the connection, the form for a new task; rows.js and bell.js have the
// two lists. Knows the document and the words, nothing of HTTP or sockets; says what the user did through `on`.

import { Bell } from './bell.js';
import { Rows, showError } from './rows.js';

const WELCOMED = 12; // users named in the welcome
const KEYS_PAUSE_MS = 300; // the arrow keys change the user at each step: the page waits for the last one

const find = (id) => document.getElementById(id);

export class View {
  #words;
  #on;
  #clock;
  #countdown = null;

  /** on: { choose(userId, replace), create(content), retry() } and those of Rows; `clock` has the now() of retryAt. */
  constructor(words, clock, on) {
    this.#words = words;
    this.#clock = clock;
    this.#on = on;
    this.#translate();
    this.rows = new Rows(words, { ...on, orphan: (content) => this.#adopt(content) });
    this.bell = new Bell(words);
    this.#prepareUsers();
    find('create').addEventListener('submit', (event) => {
      event.preventDefault();
      on.create(find('content').value);
    });
    find('retry').addEventListener('click', () => on.retry());
  }

  #translate() {
    document.documentElement.lang = this.#words.language;
    const rows = find('task-row').content;
    for (const place of [document, rows]) {
      for (const element of place.querySelectorAll('[data-i18n]'))
        element.textContent = this.#words.say(element.dataset.i18n);
      for (const element of place.querySelectorAll('[data-i18n-placeholder]'))
        element.placeholder = this.#words.say(element.dataset.i18nPlaceholder);
      for (const element of place.querySelectorAll('[data-i18n-label]'))
        element.setAttribute('aria-label', this.#words.say(element.dataset.i18nLabel));
    }
    find('try-it').textContent = tryIt();
  }

  // --- the user ---

  /** The arrow keys change the user at each step: the first one is remembered by the browser's history, those that
   *  follow take its place, and the page follows when they rest. */
  #prepareUsers() {
    const select = find('user');
    let stepped = false; // by keys, since the select got its focus
    let byKey = false;
    let timer = null;
    select.addEventListener('keydown', () => (byKey = true));
    select.addEventListener('pointerdown', () => (byKey = false));
    select.addEventListener('blur', () => (stepped = byKey = false));
    select.addEventListener('change', () => {
      const choose = () => {
        this.#on.choose(Number(select.value) || null, byKey && stepped);
        stepped = byKey;
      };
      clearTimeout(timer);
      if (byKey) timer = setTimeout(choose, KEYS_PAUSE_MS);
      else choose();
    });
    find('welcome-users').addEventListener('click', (event) => {
      const link = event.target.closest('a');
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
      event.preventDefault();
      this.#on.choose(Number(link.dataset.user), false);
    });
  }

  /** `open`: no token is needed, so what is typed into a terminal works. */
  users(users, chosen, open) {
    const select = find('user');
    const named = users.map(({ id, name }) => ({ id, name: String(name ?? '') || this.#words.say('unknownUser', { id }) }));
    select.replaceChildren(select.options[0], ...named.map(({ id, name }) => new Option(name, id)));
    const links = named.slice(0, WELCOMED).map(({ id, name }) => {
      const item = document.createElement('li');
      const link = document.createElement('a');
      link.href = `?user_id=${id}`;
      link.dataset.user = id;
      link.dir = 'auto';
      link.textContent = name;
      item.append(link);
      return item;
    });
    find('welcome-users').replaceChildren(...links);
    const count = named.length - links.length;
    find('welcome-try').hidden = !open || !users.some(({ id }) => id === 1); // whose task it is
    find('welcome-more').textContent = count ? this.#words.say('welcomeMore', { count }) : '';
    this.#mark(chosen);
  }

  /** Shows which user is chosen, also one that the list does not know (yet). */
  #mark(chosen) {
    const select = find('user');
    const value = String(chosen ?? '');
    if (![...select.options].some((option) => option.value === value))
      select.add(new Option(this.#words.say('unknownUser', { id: chosen }), value));
    select.value = value;
    document.title = chosen === null ? 'Carillon' : `${select.selectedOptions[0].text} · Carillon`;
  }

  /** Empties everything for another user, or for none. */
  choose(userId) {
    this.#mark(userId);
    this.#open(userId !== null);
    find('content').value = '';
    this.createError(null);
    this.pageError(null);
    this.bell.clear();
    this.rows.clear();
    clearInterval(this.#countdown);
  }

  /** There is no such user: nothing of theirs can be shown. */
  noUser(text) {
    this.#open(false);
    clearInterval(this.#countdown);
    this.pageError(text);
  }

  #open(open) {
    find('welcome').hidden = open;
    for (const id of ['tasks', 'notifications', 'connection']) find(id).hidden = !open;
  }

  // --- connection ---

  /** state: 'connecting', 'live', or 'offline', 'delayed' with the time of the next attempt. */
  connection(state, retryAt) {
    clearInterval(this.#countdown);
    find('connection').dataset.state = state;
    find('retry').hidden = retryAt === undefined;
    const said = find('connection-state');
    const word = this.#words.say(state);
    if (said.textContent !== word) said.textContent = word; // a screen reader hears each change once
    const counter = find('connection-countdown');
    counter.textContent = '';
    if (retryAt === undefined) return;
    const count = () => {
      const seconds = Math.max(0, Math.ceil((retryAt - this.#clock.now()) / 1000));
      counter.textContent = this.#words.say(state === 'delayed' ? 'nextLook' : 'nextAttempt', { seconds });
    };
    count();
    this.#countdown = setInterval(count, 250);
  }

  pageError(text) {
    showError(find('page-error'), text);
  }

  // --- the form ---

  createError(text) {
    showError(find('create-error'), text);
    if (text) find('content').setAttribute('aria-invalid', 'true');
    else find('content').removeAttribute('aria-invalid');
    if (text) find('content').focus();
  }

  creating(busy) {
    find('create').setAttribute('aria-busy', String(busy));
  }

  /** The task is there: room for the next one, unless more was typed meanwhile. */
  created(content) {
    const input = find('content');
    if (input.value === content) input.value = '';
    this.createError(null);
    input.focus();
  }

  /** A text whose task was deleted while it was being changed is not lost, where there is room for it. */
  #adopt(content) {
    if (find('content').value !== '') return;
    find('content').value = content;
    this.createError(this.#words.say('goneWhileEditing'));
  }
}

/** What to type into a terminal, at this page's own address. */
function tryIt() {
  return `curl --request PATCH --data '{"status":1}' ${new URL('tasks/1', document.baseURI)}`;
}
