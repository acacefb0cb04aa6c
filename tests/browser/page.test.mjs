// The page's other modules that need no browser: rows, words, links. Run: node --test tests/browser/

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { nextPage } from '../../nginx/client/js/api.js';
import { Words, catalogues, pickLocale } from '../../nginx/client/js/i18n.js';
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
  list.apply({ event: 'task.completed', task: task(1, { status: 1 }) }); // ours
  list.apply({ event: 'task.reopened', task: task(1) }); // somebody else's, after it
  list.confirm(mark, 1, task(1, { status: 1 })); // the answer to ours, late
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

test('the next page stays on this origin', () => {
  assert.equal(nextPage('</tasks?user_id=1&after=50>; rel="next"'), '/tasks?user_id=1&after=50');
  assert.equal(nextPage('<http://elsewhere.example/tasks?after=5>; rel="next"'), '/tasks?after=5');
  assert.equal(nextPage('</a>; rel="prev", </b?c=d>; rel="next"'), '/b?c=d');
  for (const none of [null, undefined, '', '</a>; rel="prev"']) assert.equal(nextPage(none), null);
});

test('the language is the first of the browser that we speak', () => {
  assert.equal(pickLocale(['fr-CA', 'en']), 'fr-CA');
  assert.equal(pickLocale(['de', 'FR', 'en']), 'FR');
  assert.equal(pickLocale(['en-GB', 'fr']), 'en-GB');
  assert.equal(pickLocale(['de']), 'en');
  assert.equal(pickLocale(undefined), 'en');
});

test('both languages say the same things, with the same names to fill in', () => {
  const shape = (part) =>
    typeof part === 'string'
      ? [...part.matchAll(/\{\w+\}/g)].map(String).sort()
      : Object.fromEntries(Object.entries(part).map(([key, value]) => [key, shape(value)]));
  assert.deepEqual(shape(catalogues.fr), shape(catalogues.en));
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
  assert.equal(en.why({ slug: 'new-kind', message: 'What the server said.' }), 'What the server said.');
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
