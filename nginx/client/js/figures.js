// SPDX-License-Identifier: MIT
// The figures of one program: Prometheus's text, read once and then asked by name (docs/metrics.md lists the names).

const SAMPLE = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? +(\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

export class Figures {
  #samples = new Map(); // name: [{ labels, value }, ...]

  /** Lines that are no samples are left out, and so are values that are no numbers. */
  constructor(text) {
    for (const line of text.split('\n')) {
      const [, name, labels, value] = SAMPLE.exec(line) ?? [];
      if (name === undefined || !Number.isFinite(Number(value))) continue;
      if (!this.#samples.has(name)) this.#samples.set(name, []);
      this.#samples.get(name).push({ labels: readLabels(labels ?? ''), value: Number(value) });
    }
  }

  /** The sum of a name's samples; null when there is none. */
  get(name) {
    const samples = this.#samples.get(name);
    return samples ? samples.reduce((sum, { value }) => sum + value, 0) : null;
  }

  /** A name's samples by one of their labels: a Map of numbers. */
  by(name, label) {
    return new Map((this.#samples.get(name) ?? []).map(({ labels, value }) => [labels[label], value]));
  }
}

function readLabels(text) {
  const meant = { n: '\n' };
  const pairs = [...text.matchAll(LABEL)].map(([, name, value]) => [name, value.replace(/\\(.)/g, (_, c) => meant[c] ?? c)]);
  return Object.fromEntries(pairs);
}
