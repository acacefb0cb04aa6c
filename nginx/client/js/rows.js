// SPDX-License-Identifier: MIT
// The tasks on the screen: the list and its filter, a row's tick, its text being changed, and the question before it is
// deleted. Text always goes in as text, never as markup.

const find = (id) => document.getElementById(id);

const FILTERS = {
  all: () => true,
  open: ({ status }) => status !== 1,
  done: ({ status }) => status === 1,
};
const NOTHING = { all: 'noTasks', open: 'noneOpen', done: 'noneDone' };

export class Rows {
  #words;
  #on;
  #tasks = [];
  #filter = 'all';
  #rows = new Map(); // task id -> its <li>
  #shown = new Map(); // task id -> the task its row shows: a thousand events must not redraw a thousand rows each
  #flashing = new Set(); // task ids to flash with the next frame

  /** on: { tick(id, done), edit(id, content, before), remove(id), orphan(content) } */
  constructor(words, on) {
    this.#words = words;
    this.#on = on;
    find('filter').addEventListener('change', ({ target }) => this.#choose(target.value));
  }

  /** Empties everything, for another user. */
  clear() {
    this.#tasks = [];
    this.#rows.clear();
    this.#shown.clear();
    find('task-list').replaceChildren();
    find('task-count').textContent = '';
    find('filter').hidden = true;
    find('filter').querySelector('[value="all"]').checked = true;
    this.#filter = 'all';
    this.#empty(this.#words.say('loadingTasks'));
  }

  #choose(filter) {
    this.#filter = filter;
    this.show(this.#tasks);
  }

  /** Brings the list to these tasks; rows that stay keep their focus and state. */
  show(tasks) {
    this.#tasks = tasks;
    const list = find('task-list');
    const chosen = tasks.filter(FILTERS[this.#filter]);
    const wanted = new Set(chosen.map(({ id }) => id));
    const known = new Set(tasks.map(({ id }) => id));
    for (const [id, row] of this.#rows) if (!wanted.has(id) && !this.#keeps(id, row, known)) this.#removeRow(id, row);
    let place = list.firstElementChild;
    for (const task of chosen) {
      const row = this.#rows.get(task.id) ?? this.#newRow(task.id);
      if (this.#shown.get(task.id) !== task) this.#fillRow(row, task);
      if (row === place) place = place.nextElementSibling;
      else list.insertBefore(row, place);
    }
    const done = tasks.filter(FILTERS.done).length;
    find('task-count').textContent = this.#words.say('taskCount', { done, count: tasks.length });
    find('filter').hidden = tasks.length === 0;
    this.#empty(chosen.length ? null : this.#words.say(tasks.length ? NOTHING[this.#filter] : 'noTasks'));
  }

  /** A row in which text is being changed stays, though the filter has no place for it any more. */
  #keeps(id, row, known) {
    return known.has(id) && isEdited(row);
  }

  #empty(text) {
    find('tasks-empty').hidden = text === null;
    find('tasks-empty').textContent = text ?? '';
  }

  #newRow(id) {
    const row = find('task-row').content.firstElementChild.cloneNode(true);
    row.dataset.task = id;
    const tick = row.querySelector('.tick input');
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
    row.querySelector('.change').addEventListener('click', () => this.#beginEdit(row));
    this.#prepareForm(id, row, error);
    this.#rows.set(id, row);
    return row;
  }

  #fillRow(row, task) {
    this.#shown.set(task.id, task);
    const done = task.status === 1;
    row.classList.toggle('done', done);
    if (row.getAttribute('aria-busy') !== 'true') row.querySelector('.tick input').checked = done;
    row.querySelector('.content').textContent = task.content;
    row.querySelector('.when').textContent = this.#when(task, done);
    const { content } = task;
    row.querySelector('.change').setAttribute('aria-label', this.#words.say('editTask', { content }));
    row.querySelector('.delete').setAttribute('aria-label', this.#words.say('deleteTask', { content }));
  }

  /** What other programs write into the database need not have a date that can be read. */
  #when({ createdAt, completedAt }, done) {
    const date = this.#words.date(done ? completedAt : createdAt);
    if (done) return date ? this.#words.say('done', { date }) : this.#words.say('doneUndated');
    return date ? this.#words.say('added', { date }) : '';
  }

  #removeRow(id, row) {
    const focused = row.contains(document.activeElement);
    const draft = isEdited(row) ? row.querySelector('textarea').value : null;
    const next = row.nextElementSibling ?? row.previousElementSibling;
    row.remove();
    this.#rows.delete(id);
    this.#shown.delete(id);
    if (draft !== null) this.#on.orphan(draft);
    else if (focused) (next?.querySelector('.tick input') ?? find('content')).focus();
  }

  /** While its request is under way a row does not take another one, but keeps its focus. */
  busy(id, busy) {
    const row = this.#rows.get(id);
    this.#shown.delete(id); // what the user ticked need not be what is
    if (busy) row?.setAttribute('aria-busy', 'true');
    else row?.removeAttribute('aria-busy');
  }

  error(id, text) {
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

  // --- a text being changed ---

  #prepareForm(id, row, error) {
    const form = row.querySelector('.edit');
    const field = form.querySelector('textarea');
    field.setAttribute('aria-describedby', error.id);
    const save = () => {
      if (row.getAttribute('aria-busy') !== 'true') this.#on.edit(id, field.value, row.dataset.before);
    };
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      save();
    });
    form.addEventListener('reset', (event) => {
      event.preventDefault();
      showError(error, null);
      this.#endEdit(row);
    });
    field.addEventListener('keydown', (event) => {
      if (event.isComposing) return;
      if (event.key === 'Escape') form.reset();
      else if (event.key === 'Enter' && !event.shiftKey) {
        event.preventDefault();
        save();
      }
    });
    field.addEventListener('input', () => fit(field));
  }

  #beginEdit(row) {
    const field = row.querySelector('textarea');
    row.dataset.before = field.value = row.querySelector('.content').textContent;
    this.#openForm(row, true);
    fit(field);
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
  }

  #openForm(row, open) {
    row.querySelector('.edit').hidden = !open;
    for (const part of ['.tick', '.change', '.delete']) row.querySelector(part).hidden = open;
  }

  #endEdit(row) {
    const focused = row.contains(document.activeElement);
    this.#openForm(row, false);
    if (focused) row.querySelector('.change').focus();
    this.show(this.#tasks);
  }

  /** It is saved. */
  edited(id) {
    const row = this.#rows.get(id);
    if (row && isEdited(row)) this.#endEdit(row);
  }

  /** The text was changed elsewhere meanwhile, and the user was told to what: saving again replaces that. */
  editedAgainst(id, content) {
    const row = this.#rows.get(id);
    if (row) row.dataset.before = content;
  }
}

function isEdited(row) {
  return !row.querySelector('.edit').hidden;
}

/** As high as its text. */
function fit(field) {
  field.rows = 1;
  while (field.scrollHeight > field.clientHeight + 1 && field.rows < 12) field.rows++;
}

export function showError(element, text) {
  element.textContent = text ?? '';
  element.hidden = !text;
}
