// SPDX-License-Identifier: MIT
// The administrators' page's entry: looks at the figures of the API and of each notifier every few seconds, while the page
// is seen. A part that does not answer says so, and the others go on.

import { AdminView } from './admin-view.js';
import { adminCatalogues } from './admin-words.js';
import * as api from './api.js';
import { Figures } from './figures.js';
import { Words, pickLocale } from './i18n.js';
import { History, Interval, measure } from './rates.js';
import { Token, tabStorage, takeFromAddress } from './token.js';

const EVERY_MS = 2_000;
const PATIENCE_MS = 5_000;
const NOTIFIERS_MAX = 16;
const CLOSED = 'carillon_notifier_closed_total';

const token = new Token(tabStorage());
api.useToken(() => token.value);
takeFromAddress(token);

const words = new Words(pickLocale(navigator.languages), adminCatalogues);
const past = new History();
const seen = new Map(); // by address: what was read there last
const view = new AdminView(words, {
  token(text) {
    token.set(text);
    look();
  },
});

let notifiers = 1; // so many are known
let allFound = false; // the next one was asked for, and does not exist
let turn = 0; // a look that another one overtook is dropped
let timer = null;

async function look() {
  clearTimeout(timer);
  if (document.hidden) return;
  const mine = ++turn;
  const addresses = Array.from({ length: notifiers }, (_, index) => `admin/notifiers/${index + 1}/metrics`);
  const [ready, pool, ...each] = await Promise.all([readiness(), figures('admin/metrics'), ...addresses.map(figures)]);
  if (mine !== turn) return;
  if ([401, 403].includes(pool.error?.status)) return view.refused(words.why(pool.error, { origin: location.origin }));
  view.refused(null);
  show(ready, pool, each);
  if (pool.error === undefined && !allFound) await findNext();
  if (mine === turn) timer = setTimeout(look, EVERY_MS);
}

/** Notifiers are counted from 1, and one that is stopped answers with another error than one that does not exist. */
async function findNext() {
  const { error } = await figures(`admin/notifiers/${notifiers + 1}/metrics`);
  if (error?.status === 404 || notifiers === NOTIFIERS_MAX) allFound = true;
  else if (error === undefined || error.status >= 500) notifiers++;
}

/** { interval } since the last look at this program, or { error }. */
async function figures(address) {
  try {
    const now = new Figures(await api.readText(address, AbortSignal.timeout(PATIENCE_MS)));
    const before = seen.get(address);
    const look = { figures: now, at: performance.now(), wall: Date.now() }; // the first may stand still in a sleep, the second be set
    seen.set(address, look);
    const ms = before && Math.max(look.at - before.at, look.wall - before.wall);
    return { interval: new Interval(before?.figures ?? null, now, ms / 1000) };
  } catch (error) {
    return { error };
  }
}

/** The words of /readyz for database, broker and events; 503 has them, too. */
async function readiness() {
  try {
    return await api.readReadiness(AbortSignal.timeout(PATIENCE_MS));
  } catch (error) {
    return error.problem ?? {};
  }
}

function show(ready, pool, each) {
  const at = performance.now();
  const intervals = each.map(({ interval }) => interval ?? null);
  past.add(at, measure(pool.interval ?? null, intervals));
  view.parts([
    part('api', pool.error ? failed(pool.error) : ['good', words.say('state.answers')]),
    ...['database', 'broker', 'events'].map((name) => part(name, dependency(name, ready[name]))),
    ...each.map((one, index) => part('notifier', notifier(one, pool), { number: index + 1 })),
  ]);
  view.draw(past, at);
  view.closings(closings(intervals.filter((one) => one !== null)));
  view.looked(new Date(), EVERY_MS / 1000);
}

/** `how` is 'good', 'bad' or 'unknown', and the words for it. */
function part(name, [how, state], values) {
  return { name: words.say(`part.${name}`, values), how, state };
}

function failed(error) {
  return error.status === 429 ? ['unknown', words.say('state.limited')] : ['bad', words.say('state.away')];
}

function dependency(name, word) {
  if (word === undefined) return ['unknown', words.say('state.unknown')];
  return [['up', 'leave'].includes(word) ? 'good' : 'bad', words.say(`state.${name}.${word}`)];
}

/** The API judges the token for it: while that is away nothing is known of a notifier. */
function notifier({ interval, error }, pool) {
  if (error) return pool.error ? ['unknown', words.say('state.unknown')] : failed(error);
  if (interval.now.get('carillon_notifier_caught_up') === 1) return ['good', words.say('state.notifier.up')];
  const word = interval.now.get('carillon_notifier_broker_up') === 1 ? 'behind' : 'cut';
  return ['bad', words.say(`state.notifier.${word}`)];
}

/** Reasons for which sockets were closed, the most frequent first. */
function closings(intervals) {
  const ever = new Map();
  for (const { now } of intervals)
    for (const [reason, count] of now.by(CLOSED, 'reason')) ever.set(reason, (ever.get(reason) ?? 0) + count);
  return [...ever]
    .map(([reason, count]) => ({ reason, ever: count, lately: past.total(`closed:${reason}`) }))
    .filter((row) => row.ever > 0 || row.lately > 0)
    .sort((a, b) => b.lately - a.lately || b.ever - a.ever);
}

addEventListener('hashchange', () => takeFromAddress(token) && look());
document.addEventListener('visibilitychange', look);
look();
