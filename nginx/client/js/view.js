// What is on the screen. Knows the document and the words, nothing of HTTP or sockets; says what the user
// did through `on`. Text always goes in as text, never as markup.

const NOTIFICATIONS_KEPT = 200;

const find = (id) => document.getElementById(id);

export class View {
  #words;
  #on;
  #rows = new Map(); // task id -> its <li>
  #shown = new Map(); // task id -> the task its row shows: a thousand events must not redraw a thousand rows each
  #flashing = new Set(); // task ids to flash with the next frame
  #countdown = null;

  /** on: { choose(userId), create(content), tick(id, done), remove(id), retry() } */
  constructor(words, on) {
    this.#words = words;
    this.#on = on;
    this.#translate();
    find('user').addEventListener('change', ({ target }) => on.choose(Number(target.value) || null));
    find('create').addEventListener('submit', (event) => {
      event.preventDefault();
      on.create(find('content').value);
    });
    find('retry').addEventListener('click', () => on.retry());
    find('clear').addEventListener('click', () => this.#clearNotifications());
  }

  #translate() {
    document.documentElement.lang = this.#words.language;
    for (const element of document.querySelectorAll('[data-i18n]'))
      element.textContent = this.#words.say(element.dataset.i18n);
    for (const element of document.querySelectorAll('[data-i18n-placeholder]'))
      element.placeholder = this.#words.say(element.dataset.i18nPlaceholder);
  }

  // --- who ---

  users(users, chosen) {
    const select = find('user');
    select.replaceChildren(select.options[0], ...users.map(({ id, name }) => new Option(name, id)));
    this.#mark(chosen);
  }

  /** Shows who is chosen, also somebody the list does not know (yet). */
  #mark(chosen) {
    const select = find('user');
    const value = String(chosen ?? '');
    if (![...select.options].some((option) => option.value === value))
      select.add(new Option(this.#words.say('unknownUser', { id: chosen }), value));
    select.value = value;
    document.title = chosen === null ? 'Carillon' : `${select.selectedOptions[0].text} · Carillon`;
  }

  /** Empties everything for another user, or for nobody. */
  choose(userId) {
    this.#mark(userId);
    find('welcome').hidden = userId !== null;
    for (const id of ['tasks', 'notifications', 'connection']) find(id).hidden = userId === null;
    find('content').value = '';
    this.createError(null);
    this.pageError(null);
    this.#clearNotifications();
    this.#rows.clear();
    this.#shown.clear();
    find('task-list').replaceChildren();
    find('task-count').textContent = '';
    this.#empty(this.#words.say('loadingTasks'));
    clearInterval(this.#countdown);
  }

  // --- connection ---

  /** state: 'connecting', 'live', or 'offline' with the time of the next attempt. */
  connection(state, retryAt) {
    clearInterval(this.#countdown);
    find('connection').dataset.state = state;
    find('retry').hidden = state !== 'offline';
    const said = find('connection-state');
    const word = this.#words.say(state);
    if (said.textContent !== word) said.textContent = word; // a screen reader hears each change once
    const counter = find('connection-countdown');
    counter.textContent = '';
    if (state !== 'offline') return;
    const count = () => {
      const seconds = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
      counter.textContent = this.#words.say('nextAttempt', { seconds });
    };
    count();
    this.#countdown = setInterval(count, 250);
  }

  pageError(text) {
    showError(find('page-error'), text);
  }

  // --- tasks ---

  /** Brings the list to these tasks; rows that stay keep their focus and state. */
  tasks(tasks) {
    const list = find('task-list');
    const wanted = new Set(tasks.map(({ id }) => id));
    for (const [id, row] of this.#rows) if (!wanted.has(id)) this.#removeRow(id, row);
    let place = list.firstElementChild;
    for (const task of tasks) {
      const row = this.#rows.get(task.id) ?? this.#newRow(task.id);
      if (this.#shown.get(task.id) !== task) this.#fillRow(row, task);
      if (row === place) place = place.nextElementSibling;
      else list.insertBefore(row, place);
    }
    const done = tasks.filter(({ status }) => status === 1).length;
    find('task-count').textContent = this.#words.say('taskCount', { done, count: tasks.length });
    this.#empty(tasks.length ? null : this.#words.say('noTasks'));
  }

  #empty(text) {
    find('tasks-empty').hidden = text === null;
    find('tasks-empty').textContent = text ?? '';
  }

  #newRow(id) {
    const row = find('task-row').content.firstElementChild.cloneNode(true);
    row.dataset.task = id;
    const tick = row.querySelector('input');
    const error = row.querySelector('.error');
    const content = row.querySelector('.content');
    error.id = `task-${id}-error`;
    content.id = `task-${id}-content`;
    tick.setAttribute('aria-describedby', error.id);
    tick.setAttribute('aria-labelledby', content.id);
    tick.addEventListener('click', (event) => {
      if (row.getAttribute('aria-busy') === 'true') event.preventDefault();
    });
    tick.addEventListener('change', () => this.#on.tick(id, tick.checked));
    row.querySelector('.delete').addEventListener('click', () => this.#askToRemove(id));
    this.#rows.set(id, row);
    return row;
  }

  #fillRow(row, task) {
    this.#shown.set(task.id, task);
    const done = task.status === 1;
    row.classList.toggle('done', done);
    if (row.getAttribute('aria-busy') !== 'true') row.querySelector('input').checked = done;
    row.querySelector('.content').textContent = task.content;
    row.querySelector('.when').textContent = done
      ? this.#words.say('done', { date: this.#words.date(task.completedAt) })
      : this.#words.say('added', { date: this.#words.date(task.createdAt) });
    row.querySelector('.delete').setAttribute('aria-label', this.#words.say('deleteTask', { content: task.content }));
  }

  #removeRow(id, row) {
    const focused = row.contains(document.activeElement);
    const next = row.nextElementSibling ?? row.previousElementSibling;
    row.remove();
    this.#rows.delete(id);
    this.#shown.delete(id);
    if (focused) (next?.querySelector('input') ?? find('content')).focus();
  }

  /** While its request is under way a row does not take another one, but keeps its focus. */
  busy(id, busy) {
    const row = this.#rows.get(id);
    this.#shown.delete(id); // what the user ticked need not be what is
    if (busy) row?.setAttribute('aria-busy', 'true');
    else row?.removeAttribute('aria-busy');
  }

  taskError(id, text) {
    const row = this.#rows.get(id);
    if (row) showError(row.querySelector('.error'), text);
  }

  /** Draws the eye to a row that changed by itself. */
  flash(id) {
    if (this.#flashing.size === 0) requestAnimationFrame(() => this.#flashAll());
    this.#flashing.add(id);
  }

  #flashAll() {
    const rows = [...this.#flashing].map((id) => this.#rows.get(id)).filter(Boolean);
    this.#flashing.clear();
    for (const row of rows) row.classList.remove('flash');
    void find('task-list').offsetWidth; // lets the animation begin anew
    for (const row of rows) row.classList.add('flash');
  }

  #askToRemove(id) {
    const dialog = find('confirm');
    find('confirm-content').textContent = this.#rows.get(id).querySelector('.content').textContent;
    dialog.returnValue = 'cancel';
    dialog.onclose = () => {
      if (dialog.returnValue === 'delete') this.#on.remove(id);
    };
    dialog.showModal();
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

  // --- notifications ---

  notification({ event, message, task }) {
    const at = eventTime(message);
    this.#notify(event?.startsWith('task.') ? event : 'other', {
      verb: this.#words.verb(event),
      subject: task?.content ?? '',
      raw: typeof message === 'string' ? message : JSON.stringify(message ?? ''),
      at,
    });
  }

  reloaded() {
    this.#notify('reloaded', {
      verb: this.#words.say('reloaded'),
      subject: this.#words.say('reloadedWhy'),
      raw: '',
      at: new Date(),
    });
  }

  #notify(kind, { verb, subject, raw, at }) {
    const row = find('notification-row').content.firstElementChild.cloneNode(true);
    row.dataset.kind = kind;
    row.querySelector('.verb').textContent = verb;
    row.querySelector('.subject').textContent = subject;
    row.querySelector('.raw').textContent = raw;
    row.querySelector('.raw').hidden = !raw;
    const time = row.querySelector('time');
    time.dateTime = at.toISOString();
    time.textContent = this.#words.moment(at);
    const list = find('notification-list');
    list.prepend(row);
    while (list.children.length > NOTIFICATIONS_KEPT) list.lastElementChild.remove();
    this.#countNotifications();
  }

  #clearNotifications() {
    if (document.activeElement === find('clear')) find('notifications').focus();
    find('notification-list').replaceChildren();
    this.#countNotifications();
  }

  #countNotifications() {
    const count = find('notification-list').children.length;
    find('notification-count').textContent = count;
    find('notifications-empty').hidden = count > 0;
    find('clear').hidden = count === 0;
  }
}

function showError(element, text) {
  element.textContent = text ?? '';
  element.hidden = !text;
}

/** The server's sentence ends with "... at <date>": a replayed event is shown with the time it happened. */
function eventTime(message) {
  const parsed = new Date(/ at (.*)$/.exec(message)?.[1] ?? NaN);
  return Number.isNaN(parsed.getTime()) ? new Date() : parsed;
}
