// SPDX-License-Identifier: MIT
// A small chart of the last ten minutes: lines in an SVG, with the present values below it and in its name for those who
// do not see it. Lines differ by their dashes, too, not by colour alone.

import { SPAN_MS } from './rates.js';

const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 600;
const HEIGHT = 100;

/** The next of 1, 2, 5, 10, 20... that is not less than `value`, nor than `least`. */
export function ceiling(value, least) {
  const wanted = Math.max(value, least);
  const power = 10 ** Math.floor(Math.log10(wanted));
  return [1, 2, 5, 10].find((step) => step * power >= wanted * (1 - 1e-9)) * power;
}

/** The line as an SVG path: `now` is at the right edge, `top` at the upper one; what is not known is a gap. */
export function pathOf(line, now, top) {
  let pen = 'M';
  const steps = [];
  line.forEach(([at, value], index) => {
    if (value === null) {
      pen = 'M';
      return;
    }
    const x = (WIDTH * (1 - (now - at) / SPAN_MS)).toFixed(1);
    const y = (HEIGHT * (1 - value / top)).toFixed(1);
    const alone = pen === 'M' && (line[index + 1]?.[1] ?? null) === null;
    steps.push(`${pen}${x} ${y}${alone ? 'h0' : ''}`); // a line without length is a dot
    pen = 'L';
  });
  return steps.join('');
}

function draw(name, attributes = {}) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function make(name, className, text = '') {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}

export class Chart {
  #lines; // [{ name, label, path, value }]
  #scale = make('p', 'scale muted');
  #drawing = draw('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' });
  #title;
  #format;
  #least;
  #words;

  /** `lines`: [{ name, label }]; `format` makes a text of a value; `least` is the least that the upper edge stands for. */
  constructor(id, title, lines, { format, least, words }) {
    this.#title = title;
    this.#format = format;
    this.#least = least;
    this.#words = words;
    this.#lines = lines.map(({ name, label }, index) => {
      const path = draw('path', { class: `line line-${index}` });
      this.#drawing.append(path);
      return { name, label, path, value: make('strong') };
    });
    this.element = make('section', 'card chart');
    this.element.id = id;
    const axis = make('p', 'axis muted');
    axis.append(make('span', '', words.say('tenMinutesAgo')), make('span', '', words.say('now')));
    const legend = make('ul', 'legend');
    legend.setAttribute('role', 'list');
    legend.append(...this.#lines.map(({ label, value }, index) => this.#entry(label, value, index)));
    this.element.append(make('h2', '', title), this.#scale, this.#drawing, axis, legend);
  }

  #entry(label, value, index) {
    const item = make('li');
    const sample = draw('svg', { viewBox: '0 0 24 4', class: 'sample', 'aria-hidden': 'true' });
    sample.append(draw('path', { class: `line line-${index}`, d: 'M1 2h22' }));
    item.append(sample, make('span', '', label), value);
    return item;
  }

  draw(history, now) {
    const most = history.most(...this.#lines.map(({ name }) => name));
    const top = ceiling(most, this.#least);
    const said = [];
    for (const { name, label, path, value } of this.#lines) {
      path.setAttribute('d', pathOf(history.line(name), now, top));
      value.textContent = this.#text(history.last(name));
      said.push(`${label} ${value.textContent}`);
    }
    this.#scale.textContent = this.#format(top);
    const values = said.join(', ');
    this.#drawing.setAttribute('aria-label', this.#words.say('chart', { title: this.#title, values, most: this.#format(most) }));
  }

  #text(value) {
    return value === null ? this.#words.say('none') : this.#format(value);
  }
}
