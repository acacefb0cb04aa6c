// SPDX-License-Identifier: MIT
// The administrators' page on the screen: the question for a token, the parts' states, the charts, the closings. Knows the
// document and the words, nothing of HTTP.

import { Chart } from './chart.js';
import { showError } from './rows.js';

const CHARTS = {
  sockets: { lines: ['sockets', 'subscriptions'], unit: 'count', least: 5 },
  events: { lines: ['published', 'delivered'], unit: 'rate', least: 1 },
  lag: { lines: ['oldest', 'confirmed', 'heard'], unit: 'duration', least: 0.1 },
  outbox: { lines: ['outbox'], unit: 'count', least: 5 },
  requests: { lines: ['answered', 'refused', 'failed'], unit: 'rate', least: 1 },
};

const find = (id) => document.getElementById(id);

/** A text that did not change is left alone: a screen reader would read it again. */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function cells(...texts) {
  const row = document.createElement('tr');
  row.append(...texts.map((text) => Object.assign(document.createElement('td'), { textContent: text })));
  return row;
}

export class AdminView {
  #words;
  #charts;
  #parts = new Map(); // by name: their element
  #count;
  #number;

  /** on: { token(text) } */
  constructor(words, on) {
    this.#words = words;
    this.#count = new Intl.NumberFormat(words.locale, { maximumFractionDigits: 0 });
    this.#number = new Intl.NumberFormat(words.locale, { maximumSignificantDigits: 2 });
    document.documentElement.lang = words.language;
    document.title = `${words.say('title')} · Carillon`;
    for (const element of document.querySelectorAll('[data-i18n]')) element.textContent = words.say(element.dataset.i18n);
    this.#charts = Object.entries(CHARTS).map(([id, { lines, unit, least }]) => {
      const named = lines.map((name) => ({ name, label: words.say(`charts.${id}.${name}`) }));
      return new Chart(id, words.say(`charts.${id}.title`), named, { format: (value) => this.#say(unit, value), least, words });
    });
    find('charts').prepend(...this.#charts.map(({ element }) => element));
    find('door').addEventListener('submit', (event) => {
      event.preventDefault();
      const field = find('token');
      if (field.value.trim()) on.token(field.value.trim());
      field.value = '';
    });
  }

  #say(unit, value) {
    if (unit === 'count') return this.#count.format(value);
    const number = value < 100 ? this.#number.format(value) : this.#count.format(value);
    if (unit === 'rate') return this.#words.say('perSecond', { number });
    if (value >= 1) return this.#words.say('seconds', { number });
    const thousandths = value < 0.1 ? this.#number.format(value * 1000) : this.#count.format(value * 1000);
    return this.#words.say('milliseconds', { number: thousandths });
  }

  /** Why nothing can be shown, with a field for a token; null: it can be. */
  refused(why) {
    if (why === null && find('door').contains(document.activeElement)) find('main').focus(); // it was in what goes
    find('door').hidden = why === null;
    find('figures').hidden = why !== null;
    showError(find('refused'), why);
  }

  /** [{ name, how, state }], always the same parts or more at the end; `how` is 'good', 'bad' or 'unknown'. */
  parts(parts) {
    for (const { name, how, state } of parts) {
      if (!this.#parts.has(name)) this.#parts.set(name, this.#newPart(name));
      const element = this.#parts.get(name);
      element.dataset.how = how;
      write(element.querySelector('.state'), state);
    }
    const [worst] = ['bad', 'unknown', 'good'].filter((how) => parts.some((part) => part.how === how));
    const told = parts.filter(({ how }) => how === worst).map(({ name, state }) => `${name}: ${state}.`);
    find('summary').dataset.how = worst;
    write(find('summary'), worst === 'good' ? this.#words.say('allWell') : told.join(' '));
  }

  #newPart(name) {
    const item = document.createElement('li');
    const dot = Object.assign(document.createElement('span'), { className: 'dot', ariaHidden: 'true' });
    const label = Object.assign(document.createElement('span'), { className: 'name', textContent: name });
    item.append(dot, label, ' ', Object.assign(document.createElement('span'), { className: 'state' }));
    find('parts').append(item);
    return item;
  }

  draw(history, now) {
    for (const chart of this.#charts) chart.draw(history, now);
  }

  /** [{ reason, lately, ever }] of the sockets that notifiers closed. */
  closings(rows) {
    const most = Math.max(1, ...rows.map(({ lately }) => lately));
    find('closings-none').hidden = rows.length > 0;
    find('closings-table').hidden = rows.length === 0;
    const lines = rows.map(({ reason, lately, ever }) => {
      const row = cells('', this.#count.format(lately), this.#count.format(ever));
      row.firstChild.append(Object.assign(document.createElement('code'), { textContent: reason }));
      const bar = Object.assign(document.createElement('span'), { className: 'bar', ariaHidden: 'true' });
      bar.style.inlineSize = `${(100 * lately) / most}%`;
      row.children[1].append(bar);
      return row;
    });
    find('closings-rows').replaceChildren(...lines);
  }

  looked(date, seconds) {
    write(find('looked'), this.#words.say('looked', { time: this.#words.timeOnly.format(date), seconds }));
  }
}
