// SPDX-License-Identifier: MIT
// An EventSource of another project, left to itself: node event_source.mjs WHICH URL, with NODE_MODULES in the environment.
// Prints a line of JSON for each thing that happens to it, and ends with its standard input.
import { createRequire } from 'node:module';

const [which, url] = process.argv.slice(2);
const load = createRequire(`${process.env.NODE_MODULES}/`);
const { EventSource } = load('eventsource');

const makers = {
  eventsource: () => new EventSource(url),
  'event-source-polyfill': () => new (load('event-source-polyfill').EventSourcePolyfill)(url),
  'reconnecting-eventsource': () => new (load('reconnecting-eventsource').default)(url, { eventSourceClass: EventSource }),
};

const say = (what, more = {}) => console.log(JSON.stringify({ what, ...more }));
const source = makers[which]();
source.onopen = () => say('open');
source.onmessage = ({ data, lastEventId }) => say('message', { id: lastEventId, frame: JSON.parse(data) });
source.addEventListener('subscribe', ({ data, lastEventId }) => say('subscribe', { id: lastEventId, frame: JSON.parse(data) }));
// Two things have this name: the connection's end, and our event of it, which has data.
source.addEventListener('error', (event) =>
  event.data ? say('told', { frame: JSON.parse(event.data) }) : say('error', { closed: source.readyState === 2, status: event.code ?? event.status }),
);
process.stdin.on('end', () => process.exit(0)).resume();
