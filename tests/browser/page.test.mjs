// SPDX-License-Identifier: MIT
// The page's other modules that need no browser: rows, words, links. Run: node --test tests/browser/

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { nextPage } from '../../nginx/client/js/api.js';
import { Words, catalogues, pickLocale, readTime } from '../../nginx/client/js/i18n.js';
import { refusal } from '../../nginx/client/js/refusals.js';
import { TaskList } from '../../nginx/client/js/tasks.js';
import { Token } from '../../nginx/client/js/token.js';

const task = (id, more = {}) => ({ id, user_id: 1, status: 0, content: `task ${id}`, ...more });
const ids = (list) => list.all().map(({ id }) => id);

test('rows: newest first, changed by events, gone when deleted', () => {
  const list = new TaskList(1);
  list.replace([task(1), task(2)]);
  assert.equal(list.apply({ event: 'task.created', task: task(10) }), true);
  assert.deepEqual(ids(list), [10, 2, 1]);
  list.apply({ event: 'task.completed', task: task(2, { status: 1 }) });
  assert.equal(list.get(2).status, 1);
  list.apply({ event: 'task.deleted', task: task(1) });
  assert.deepEqual(ids(list), [10, 2]);
});

test('what is no task of this user does not get into the rows', () => {
  const list = new TaskList(1);
  const almost = [task('3'), task(3, { status: 2 }), task(3, { content: 4 }), task(3, { user_id: 2 })];
  for (const odd of [undefined, null, 'x', {}, { id: 3 }, ...almost])
    assert.equal(list.apply({ event: 'task.created', task: odd }), false);
  assert.deepEqual(ids(list), []);
});

test('an answer is taken when nothing newer was heard', () => {
  const list = new TaskList(1);
  list.replace([task(1)]);
  list.confirm(list.mark(), 1, task(1, { status: 1 }));
  assert.equal(list.get(1).status, 1);
  list.confirm(list.mark(), 2, task(2));
  assert.deepEqual(ids(list), [2, 1]);
});

test('an answer that an event overtook does not turn the row back', () => {
  const list = new TaskList(1);
  list.replace([task(1)]);
  const mark = list.mark();
  list.apply({ event: 'task.completed', task: task(1, { status: 1 }) }); // our change
  list.apply({ event: 'task.reopened', task: task(1) }); // another client's change, after it
  list.confirm(mark, 1, task(1, { status: 1 })); // the late answer to our change
  assert.equal(list.get(1).status, 0);
});

test('an answer does not bring back a task that was deleted meanwhile', () => {
  const list = new TaskList(1);
  const mark = list.mark();
  list.apply({ event: 'task.created', task: task(7) });
  list.apply({ event: 'task.deleted', task: task(7) });
  list.confirm(mark, 7, task(7));
  assert.deepEqual(ids(list), []);
});

test('an answer from before a new snapshot is left to the feed', () => {
  const list = new TaskList(1);
  const mark = list.mark();
  list.replace([task(1, { status: 1 })]);
  list.confirm(mark, 1, task(1));
  assert.equal(list.get(1).status, 1);
});

test('one row that is no task does not hide the others', () => {
  const list = new TaskList(1);
  list.replace([task(1), null, {}, task('2'), task(3, { content: null }), task(4, { status: 7, createdAt: 'x' })]);
  assert.deepEqual(ids(list), [4, 1]);
});

test('the next page stays on this origin, under the path it was asked at', () => {
  assert.equal(nextPage('</tasks?user_id=1&after=50>; rel="next"'), '?user_id=1&after=50');
  assert.equal(nextPage('<http://elsewhere.example/tasks?after=5>; rel="next"'), '?after=5');
  assert.equal(nextPage('</carillon/tasks?after=5>; rel="next"'), '?after=5');
  assert.equal(nextPage('</a>; rel="prev", </b?c=d>; rel="next"'), '?c=d');
  for (const none of [null, undefined, '', '</a>; rel="prev"']) assert.equal(nextPage(none), null);
});

test('the language is the first of the browser that we speak', () => {
  assert.equal(pickLocale(['fr-CA', 'en']), 'fr-CA');
  assert.equal(pickLocale(['de', 'FR', 'en']), 'fr');
  assert.equal(pickLocale(['en-GB', 'fr']), 'en-GB');
  assert.equal(pickLocale(['de']), 'en');
  assert.equal(pickLocale(undefined), 'en');
});

test('a language that is no language tag does not stop the page', () => {
  for (const [tag, locale] of [
    ['en-US@posix', 'en-US'],
    ['fr-FR@euro', 'fr-FR'],
    ['fr_FR.UTF-8', 'fr-FR'],
    ['en-', 'en'],
    ['fr-!', 'fr'],
    ['en-US-', 'en'],
    ['C', 'en'],
    ['constructor', 'en'],
    ['', 'en'],
    [null, 'en'],
  ]) {
    assert.equal(pickLocale([tag]), locale, String(tag));
    assert.ok(new Words(pickLocale([tag])).moment(new Date()));
  }
});

test('a time is what RFC 3339 says, whatever the year; anything else is none', () => {
  assert.equal(readTime('2024-01-02T17:00:00.000Z').getTime(), Date.UTC(2024, 0, 2, 17));
  for (const odd of ['1969-12-31T23:59:59.500Z', '1000-01-01T00:00:00.000Z', '9999-12-31T23:59:59.999Z'])
    assert.equal(readTime(odd).toISOString(), odd);
  for (const none of [null, undefined, '', '1970-01-01T00:00:00.+00Z', '000/-11-30T00:00:00.000Z', 'Meeting at room 12', 12, {}, []])
    assert.equal(readTime(none), null, String(none));
  const fr = new Words('fr');
  assert.equal(fr.date('0000-00-00T00:00:00Z'), null);
  assert.match(fr.date('1961-02-03T12:05:06.789Z'), /^3 févr. 1961/);
});

test('each reason to be kept out has a sentence of its own, in both languages', () => {
  const reasons = [
    [4401, 'token missing', false, 'token-missing'],
    [4401, 'token expired', true, 'token-expired'],
    [4401, 'The token has expired', true, 'token-expired'],
    [4401, 'token not valid', true, 'token-refused'],
    [4401, 'a valid token is needed', true, 'token-refused'],
    [4401, undefined, false, 'token-missing'],
    [4403, 'origin not allowed', true, 'origin'],
    [4403, 'Pages of this origin are not welcome', false, 'origin'],
    [4403, 'Pages of "http://x" may not use this service: see ALLOWED_ORIGINS.', true, 'origin'],
    [4403, '"x.example" is no name of this service, which is open: use localhost, or see SERVER_NAME.', true, 'origin'],
    [4403, 'something new', false, 'origin'],
    [4403, 'user not allowed', true, 'forbidden'],
    [4403, 'The token is for user 7 only.', true, 'forbidden'],
    [4403, '', true, 'forbidden'],
    [4429, 'too many clients; retry after 10 s', false, 'limit-clients'],
    [4429, 'too many connections of this user; retry after 30 s', true, 'limit-user'],
    [4429, 'too many subscriptions of this user; retry after 30 s', true, 'limit-user'],
    [4429, 'too many connections from this address; retry after 30 s', true, 'limit-address'],
    [4429, 'too many new connections from this address; retry after 10 s', true, 'limit-new'],
    [4429, 'too many new connections; retry after 2 s', true, 'limit-new'],
    [4429, 'too many messages; retry after 10 s', true, 'limit-messages'],
    [4429, 'too many bytes; retry after 10 s', true, 'limit-messages'],
    [4429, 'something new; retry after 10 s', true, 'too-many-requests'],
  ];
  for (const [code, reason, hasToken, name] of reasons) {
    assert.equal(refusal({ code, reason, hasToken }), name, `${code} ${reason}`);
    for (const catalogue of Object.values(catalogues)) assert.ok(catalogue.why[name], name);
  }
  for (const code of [undefined, 1000, 1006, 1012, 4408]) assert.equal(refusal({ code, hasToken: true }), null);
});

test('both languages say the same things, with the same names to fill in', () => {
  const shape = (part) =>
    typeof part === 'string'
      ? [...part.matchAll(/\{\w+\}/g)].map(String).sort()
      : Object.fromEntries(Object.entries(part).map(([key, value]) => [key, shape(value)]));
  assert.deepEqual(shape(catalogues.fr), shape(catalogues.en));
});

test('each event type of common/event.h has a word in both languages', () => {
  const types = [...readFileSync(new URL('../../common/event.h', import.meta.url), 'utf8').matchAll(/X\(EVENT_\w+, "([a-z.]+)"/g)];
  assert.ok(types.length >= 5);
  for (const [, type] of types) for (const { verbs } of Object.values(catalogues)) assert.ok(verbs[type], type);
});

test('words: names, plurals, errors', () => {
  const en = new Words('en-GB');
  const fr = new Words('fr');
  assert.equal(en.say('taskCount', { done: 1, count: 3 }), '1 of 3 done');
  assert.equal(fr.say('taskCount', { done: 0, count: 1 }), '0 sur 1 terminée');
  assert.equal(fr.say('taskCount', { done: 2, count: 3 }), '2 sur 3 terminées');
  assert.equal(en.say('taskCount', { done: 0, count: 0 }), '');
  assert.equal(en.verb('task.completed'), 'Completed:');
  assert.equal(fr.verb(undefined), 'Message :');
  assert.match(fr.why({ slug: 'network' }), /ne répond pas/);
  const errors = [
    { field: 'x', message: 'is a' },
    { field: 'y', message: 'is b' },
  ];
  assert.equal(en.why({ slug: 'validation', message: 'v', problem: { errors } }), 'x is a; y is b.');
  const unknown = { slug: 'new-kind', status: 418, problem: { detail: 'What the server said.' } };
  assert.equal(en.why(unknown), 'What the server said.');
  assert.equal(fr.why(unknown), 'Le service n’a pas accepté la demande (code 418).', 'no English in French');
  assert.equal(fr.why({ slug: 'validation', status: 422, problem: { errors } }), 'Le service n’a pas accepté la demande (code 422).');
  assert.equal(en.why({ slug: 'refused', status: 418 }), 'The service refused it (code 418).');
  assert.match(fr.why({ slug: 'changed-meanwhile' }, { content: '$& du lait' }), /« \$& du lait »/);
  assert.equal(en.verb('constructor'), 'Message:');
  assert.match(en.why({ slug: 'internal', problem: { request_id: 'r1' } }), /r1/);
});

/** As much of sessionStorage as is used; `broken` is one that a browser forbids. */
const storage = (broken = false) => {
  const kept = new Map();
  const check = () => {
    if (broken) throw new Error('SecurityError');
  };
  return {
    getItem: (key) => (check(), kept.get(key) ?? null),
    setItem: (key, value) => (check(), kept.set(key, value)),
    removeItem: (key) => (check(), kept.delete(key)),
  };
};

test('a token is taken out of the address and stays with the tab', () => {
  const tab = storage();
  const token = new Token(tab);
  assert.equal(token.value, null);
  assert.equal(token.take('http://x/index.html?user_id=1#token=a.b-c_d.e'), 'http://x/index.html?user_id=1');
  assert.equal(token.value, 'a.b-c_d.e');
  assert.equal(token.take('http://x/index.html?user_id=1'), null, 'none came');
  assert.equal(token.take('http://x/#tasks'), null);
  assert.equal(new Token(tab).value, 'a.b-c_d.e', 'the next page of this tab has it');
  assert.equal(token.take('http://x/#token='), 'http://x/', 'an empty one forgets it');
  assert.equal(token.value, null);
  assert.equal(new Token(tab).value, null);
});

test('without storage the token lives as long as the page', () => {
  for (const none of [null, storage(true)]) {
    const token = new Token(none);
    assert.equal(token.take('http://x/#token=t'), 'http://x/');
    assert.equal(token.value, 't');
  }
});
