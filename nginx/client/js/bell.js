// SPDX-License-Identifier: MIT
// The notifications on the screen: the list, how many there are, and on a phone, where the list lies below the tasks,
// the newest one at the lower edge.

import { readTime } from './i18n.js';

const KEPT = 200;

const find = (id) => document.getElementById(id);

export class Bell {
  #words;
  #inView = false;

  constructor(words) {
    this.#words = words;
    find('clear').addEventListener('click', () => {
      if (document.activeElement === find('clear')) find('notifications').focus();
      this.clear();
    });
    new IntersectionObserver(([entry]) => {
      this.#inView = entry.isIntersecting;
      if (this.#inView) find('latest').hidden = true;
    }).observe(find('notification-list').parentElement);
  }

  clear() {
    find('notification-list').replaceChildren();
    find('latest').hidden = true;
    this.#count();
  }

  /** A message of the feed. Those of other programs may lack anything but a text. */
  ring({ event, message, task, data }) {
    const named = typeof event === 'string' && event !== '';
    const ours = named && event.startsWith('task.');
    const content = typeof task?.content === 'string' ? task.content : '';
    const said = message ?? data ?? '';
    const text = typeof said === 'string' ? said : JSON.stringify(said);
    this.#add(ours ? event : 'other', {
      verb: ours || !named ? this.#words.verb(ours ? event : 'other') : event,
      subject: ours && content ? content : text,
      at: (ours && eventTime(message)) || new Date(),
    });
  }

  reloaded() {
    this.#add('reloaded', { verb: this.#words.say('reloaded'), subject: this.#words.say('reloadedWhy'), at: new Date() });
  }

  #add(kind, { verb, subject, at }) {
    const row = find('notification-row').content.firstElementChild.cloneNode(true);
    row.dataset.kind = kind;
    row.querySelector('.verb').textContent = verb;
    row.querySelector('.subject').textContent = subject;
    const time = row.querySelector('time');
    time.dateTime = at.toISOString();
    time.textContent = this.#words.moment(at);
    const list = find('notification-list');
    list.prepend(row);
    while (list.children.length > KEPT) list.lastElementChild.remove();
    find('latest').dataset.kind = kind;
    find('latest-verb').textContent = verb;
    find('latest-subject').textContent = subject;
    find('latest').hidden = this.#inView;
    this.#count();
  }

  #count() {
    const count = find('notification-list').children.length;
    find('notification-count').textContent = count;
    find('notifications-empty').hidden = count > 0;
    find('clear').hidden = count === 0;
  }
}

/** The API's sentences end with "... at <date>", as JavaScript writes it: a replayed event is shown with the time it
 *  happened. Null where there is no such date. */
const SAID_AT = / at ([A-Z][a-z]{2} [A-Z][a-z]{2} \d{2} \d{4} \d{2}:\d{2}:\d{2} GMT[+-]\d{4})( \([^)]*\))?$/;

function eventTime(message) {
  const said = SAID_AT.exec(message)?.[1];
  return said ? readTime(new Date(said).toJSON()) : null;
}
