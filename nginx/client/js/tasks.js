// SPDX-License-Identifier: MIT
// The rows of one user as this page knows them, from three sources that race: the snapshot over HTTP, the
// events of the feed, and the answers to this page's own requests.
//
// Events are in order, so the last one wins. An answer does not say where it lies between the events; it is
// taken only when nothing was heard about its task since the request left. Its own event then confirms it.

export class TaskList {
  #tasks = new Map();
  #changedAt = new Map(); // task id -> #now when the feed last spoke of it, deleted ones too
  #replacedAt = 0;
  #now = 0;

  constructor(userId) {
    this.userId = userId;
  }

  /** A new snapshot: it replaces what was known. A row that is no task is left out, the others are shown. */
  replace(tasks) {
    this.#tasks = new Map(tasks.filter(isRow).map((task) => [task.id, task]));
    this.#replacedAt = ++this.#now;
  }

  /** The task of a notification. True when it was a task of this user that can be shown. */
  apply({ event, task }) {
    if (!isTask(task) || task.user_id !== this.userId) return false;
    this.#changedAt.set(task.id, ++this.#now);
    this.#put(task.id, event === 'task.deleted' ? null : task);
    return true;
  }

  /** The time before a request leaves, for confirm(). */
  mark() {
    return this.#now;
  }

  /** The answer to a request of this page: the task, or null when it is gone. */
  confirm(mark, id, task) {
    if (this.#replacedAt > mark || (this.#changedAt.get(id) ?? 0) > mark) return;
    this.#put(id, task);
  }

  get(id) {
    return this.#tasks.get(id);
  }

  /** Newest first. */
  all() {
    return [...this.#tasks.values()].sort((a, b) => b.id - a.id);
  }

  #put(id, task) {
    if (task) this.#tasks.set(id, task);
    else this.#tasks.delete(id);
  }
}

/** What is needed to show a row. */
function isRow(task) {
  return typeof task === 'object' && Number.isSafeInteger(task?.id) && typeof task.content === 'string';
}

/** Other programs may publish too: what they call a task is shown only when it is one. */
function isTask(task) {
  return isRow(task) && (task.status === 0 || task.status === 1);
}
