// SPDX-License-Identifier: MIT
// The administrators' page's modules that need no browser: figures, rates, charts' lines, words. Run: node --test tests/browser/

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { adminCatalogues } from '../../nginx/client/js/admin-words.js';
import { ceiling, pathOf } from '../../nginx/client/js/chart.js';
import { Figures } from '../../nginx/client/js/figures.js';
import { Words } from '../../nginx/client/js/i18n.js';
import { History, Interval, SPAN_MS, growth, measure } from '../../nginx/client/js/rates.js';
import { Token } from '../../nginx/client/js/token.js';

const api = ({ ok = 0, failed = 0, published = 0, sum = 0, count = 0, outbox = 0, oldest = 0 }) =>
  new Figures(
    `carillon_api_requests_total{code="2xx"} ${ok}\ncarillon_api_requests_total{code="3xx"} 0\n` +
      `carillon_api_requests_total{code="4xx"} 0\ncarillon_api_requests_total{code="5xx"} ${failed}\n` +
      `carillon_api_events_published_total ${published}\ncarillon_api_outbox_events ${outbox}\n` +
      `carillon_api_outbox_oldest_seconds ${oldest}\n` +
      `carillon_api_publish_lag_seconds_sum ${sum}\ncarillon_api_publish_lag_seconds_count ${count}\n`,
  );
const notifier = ({ clients = 0, users = 0, delivered = 0, sum = 0, count = 0, slow = 0, dead = 0 }) =>
  new Figures(
    `carillon_notifier_clients ${clients}\ncarillon_notifier_subscriptions ${users}\n` +
      `carillon_notifier_deliveries_total ${delivered}\n` +
      `carillon_notifier_closed_total{reason="slow"} ${slow}\ncarillon_notifier_closed_total{reason="dead"} ${dead}\n` +
      `carillon_notifier_event_lag_seconds_sum ${sum}\ncarillon_notifier_event_lag_seconds_count ${count}\n`,
  );

test('figures are read by name and by label, and nothing else is', () => {
  const figures = new Figures(
    '# HELP a_total Things\n# TYPE a_total counter\na_total{kind="x",le="+Inf"} 3\na_total{kind="y \\"z\\"\\\\ } 1\\n"} 1.5\n' +
      'b -0.25\nc NaN\nd +Inf\n\nno sample here\ne{} 7\nf 1e3',
  );
  assert.equal(figures.get('a_total'), 4.5);
  assert.deepEqual([...figures.by('a_total', 'kind')], [['x', 3], ['y "z"\\ } 1\n', 1.5]]);
  assert.equal(figures.get('b'), -0.25);
  for (const none of ['c', 'd', 'no', 'a', 'toString']) assert.equal(figures.get(none), null, none);
  assert.equal(figures.get('e'), 7);
  assert.equal(figures.get('f'), 1000);
  assert.deepEqual([...figures.by('nothing', 'kind')], []);
  assert.equal(new Figures('').get('a'), null);
  assert.equal(new Figures('<html>502</html>').get('a'), null);
});

test('a counter that fell began again at zero', () => {
  assert.equal(growth(5, 12), 7);
  assert.equal(growth(5, 5), 0);
  assert.equal(growth(1000, 3), 3);
  assert.equal(growth(null, 3), null);
  assert.equal(growth(3, null), null);
});

test('one look has states and no rates; two have both', () => {
  const first = measure(new Interval(null, api({ ok: 100, published: 7, outbox: 3, oldest: 1.5 }), NaN), [new Interval(null, notifier({ clients: 2 }), NaN)]);
  assert.deepEqual([first.sockets, first.outbox, first.oldest], [2, 3, 1.5]);
  for (const name of ['published', 'delivered', 'confirmed', 'heard', 'answered', 'failed']) assert.equal(first[name], null, name);
  const second = measure(
    new Interval(api({ ok: 100, published: 7, sum: 1, count: 10 }), api({ ok: 110, failed: 4, published: 17, sum: 3, count: 20 }), 2),
    [new Interval(notifier({ delivered: 50 }), notifier({ clients: 2, users: 1, delivered: 60, sum: 6, count: 3 }), 2)],
  );
  assert.deepEqual(
    [second.published, second.delivered, second.confirmed, second.heard, second.answered, second.refused, second.failed],
    [5, 5, 0.2, 2, 5, 0, 2],
  );
});

test('notifiers add up, each with its own restarts; one that does not answer is left out', () => {
  const one = new Interval(notifier({ delivered: 1000, slow: 9 }), notifier({ clients: 3, delivered: 4, slow: 1 }), 2); // restarted
  const other = new Interval(notifier({ delivered: 10 }), notifier({ clients: 5, delivered: 20, slow: 2, dead: 1 }), 2);
  const both = measure(null, [one, other]);
  assert.equal(both.sockets, 8);
  assert.equal(both.delivered, 7);
  assert.equal(both['closed:slow'], 3);
  assert.equal(both['closed:dead'], 1);
  assert.equal(both.heard, null, 'nothing was observed');
  for (const name of ['published', 'outbox', 'oldest', 'confirmed', 'answered', 'refused']) assert.equal(both[name], null, name);
  assert.equal(measure(null, [null, other]).sockets, 5);
  assert.equal(measure(null, [null]).sockets, null, 'not 0: it is not known');
});

test('ten minutes are kept', () => {
  const history = new History();
  assert.equal(history.last('a'), null);
  assert.equal(history.most('a'), 0);
  for (const [at, a] of [[0, 9], [SPAN_MS / 2, null], [SPAN_MS, 2], [SPAN_MS + 1, 1]]) history.add(at, { a, 'closed:slow': 1 });
  assert.deepEqual(history.line('a'), [[SPAN_MS / 2, null], [SPAN_MS, 2], [SPAN_MS + 1, 1]]);
  assert.deepEqual([history.last('a'), history.most('a', 'b'), history.total('closed:slow'), history.total('closed:dead')], [1, 2, 3, 0]);
});

test('a chart reaches to the next round number', () => {
  for (const [value, least, top] of [[0, 5, 5], [2, 5, 5], [5, 5, 5], [5.1, 5, 10], [11, 5, 20], [0.3, 0.1, 0.5], [0, 0.1, 0.1], [1000, 1, 1000], [2001, 1, 5000]])
    assert.ok(Math.abs(ceiling(value, least) - top) < 1e-9, `${value}: ${ceiling(value, least)}`);
});

test('a line has gaps where nothing is known, and a dot where only one look is', () => {
  const now = SPAN_MS;
  assert.equal(pathOf([], now, 1), '');
  assert.equal(pathOf([[0, 0], [now / 2, 1], [now, 2]], now, 2), 'M0.0 100.0L300.0 50.0L600.0 0.0');
  assert.equal(pathOf([[0, 1], [now / 2, null], [now, 2]], now, 2), 'M0.0 50.0h0M600.0 0.0h0');
  assert.equal(pathOf([[0, null]], now, 2), '');
});

test('both languages say the same things, and all that the page asks for', () => {
  const shape = (value) => (typeof value === 'string' ? [...value.matchAll(/\{\w+\}/g)].map(String).sort().join() : Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shape(inner)])));
  assert.deepEqual(shape(adminCatalogues.fr), shape(adminCatalogues.en));
  const words = new Words('fr-CA', adminCatalogues);
  assert.equal(words.say('part.notifier', { number: 2 }), 'Notifier 2');
  assert.match(words.why({ slug: 'forbidden', status: 403 }), /tasks:admin/);
  const html = readFileSync(new URL('../../nginx/client/admin.html', import.meta.url), 'utf8');
  const keys = [...html.matchAll(/data-i18n="([^"]+)">([^<]*)</g)];
  assert.ok(keys.length >= 14);
  for (const [, key, text] of keys) assert.equal(new Words('en', adminCatalogues).say(key), text, key);
});

test('a token that is typed is kept as one from the address', () => {
  const kept = new Map();
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) };
  const token = new Token(storage);
  token.set('a.b.c');
  assert.equal(new Token(storage).value, 'a.b.c');
  token.set('');
  assert.equal(new Token(storage).value, null);
});
