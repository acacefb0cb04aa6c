// SPDX-License-Identifier: MIT
// From figures to what charts draw: counters become rates, and the last ten minutes are kept. Knows nothing of the page.

export const SPAN_MS = 600_000;

/** How much a counter grew. One that fell began again at zero, by a restart; null when one of the two is not known. */
export function growth(before, now) {
  if (before === null || now === null) return null;
  return now < before ? now : now - before;
}

/** What one program said at two looks. `before` is null at the first look: rates are not known then. */
export class Interval {
  constructor(before, now, seconds) {
    Object.assign(this, { before, now, seconds });
  }

  grown(name) {
    return growth(this.before?.get(name) ?? null, this.now.get(name));
  }

  /** Growth by a label: a Map, empty at the first look. */
  grownBy(name, label) {
    const before = this.before?.by(name, label);
    if (!before) return new Map();
    return new Map([...this.now.by(name, label)].map(([key, value]) => [key, growth(before.get(key) ?? 0, value)]));
  }

  rate(grown) {
    return grown === null || !(this.seconds > 0) ? null : grown / this.seconds;
  }
}

/** The sum of what is known; null when nothing is. */
function sum(values) {
  const known = values.filter((value) => value !== null && value !== undefined);
  return known.length ? known.reduce((all, value) => all + value, 0) : null;
}

/** What was observed between two looks, on average over all programs; null when nothing was. */
function mean(intervals, name) {
  const count = sum(intervals.map((one) => one.grown(`${name}_count`)));
  return count ? sum(intervals.map((one) => one.grown(`${name}_sum`))) / count : null;
}

/** The values of one look. `api` and each of `notifiers` are Intervals, or null where a program did not answer. */
export function measure(api, notifiers) {
  const heard = notifiers.filter((one) => one !== null);
  const asked = api ? [api] : [];
  const codes = api ? api.grownBy('carillon_api_requests_total', 'code') : new Map();
  const requests = (...wanted) => api?.rate(sum(wanted.map((code) => codes.get(code)))) ?? null;
  const values = {
    sockets: sum(heard.map((one) => one.now.get('carillon_notifier_clients'))),
    subscriptions: sum(heard.map((one) => one.now.get('carillon_notifier_subscriptions'))),
    published: sum(asked.map((one) => one.rate(one.grown('carillon_api_events_published_total')))),
    delivered: sum(heard.map((one) => one.rate(one.grown('carillon_notifier_deliveries_total')))),
    oldest: sum(asked.map((one) => one.now.get('carillon_api_outbox_oldest_seconds'))),
    confirmed: mean(asked, 'carillon_api_publish_lag_seconds'),
    heard: mean(heard, 'carillon_notifier_event_lag_seconds'),
    outbox: sum(asked.map((one) => one.now.get('carillon_api_outbox_events'))),
    answered: requests('2xx', '3xx'),
    refused: requests('4xx'),
    failed: requests('5xx'),
  };
  for (const one of heard)
    for (const [reason, grown] of one.grownBy('carillon_notifier_closed_total', 'reason'))
      values[`closed:${reason}`] = (values[`closed:${reason}`] ?? 0) + grown;
  return values;
}

/** The looks of the last ten minutes. */
export class History {
  #looks = []; // { at, values }, the oldest first; `at` in milliseconds

  add(at, values) {
    this.#looks.push({ at, values });
    while (this.#looks[0].at < at - SPAN_MS) this.#looks.shift();
  }

  /** [[at, value or null], ...] */
  line(name) {
    return this.#looks.map(({ at, values }) => [at, values[name] ?? null]);
  }

  last(name) {
    return this.#looks.at(-1)?.values[name] ?? null;
  }

  most(...names) {
    return Math.max(0, ...this.#looks.flatMap(({ values }) => names.map((name) => values[name] ?? 0)));
  }

  total(name) {
    return this.#looks.reduce((all, { values }) => all + (values[name] ?? 0), 0);
  }
}
