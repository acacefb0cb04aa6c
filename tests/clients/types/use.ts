// SPDX-License-Identifier: MIT
// What an application writes, for `tsc --noEmit`: what is right is accepted, and each mistake below is one.
import { HttpError, listen, local, memory, type CarillonEvent, type Listening, type State } from 'carillon-client';

const tasks = new Map<number, string>();

const feed: Listening = listen({
  url: new URL('https://tasks.example.org/'),
  user: 1,
  token: () => localStorage.getItem('token'),
  storage: local('cursor'),
  async start({ reason, cursor, read, signal }) {
    const why: string | null = reason;
    const at: string = cursor;
    if (signal.aborted) throw new HttpError(`${why} ${at}`);
    for (const task of await read('tasks?user_id=1')) tasks.set(task.id, task.content);
  },
  event({ event, task, traceparent }) {
    const parent: string | undefined = traceparent;
    if (parent) performance.mark(parent);
    if (task && event === 'task.deleted') tasks.delete(task.id);
    else if (task) tasks.set(task.id, task.content);
  },
  state(state: State) {
    if (state.name === 'offline') console.log(state.retryIn, state.code);
    if (state.name === 'failed') console.error(state.error);
  },
});
feed.renew();
feed.retry();
const cursor: string | null = feed.cursor;
await feed.stop();

listen<{ title: string }>({ user: 1, start() {}, event: ({ task }: CarillonEvent<{ title: string }>) => task?.title });
listen({ user: 1, storage: memory(), WebSocket: null, share: false, start: async () => 7, event: async () => {} });
listen({ user: 1, WebSocket, storage: { get: async () => cursor, set: async () => {} }, start() {}, event() {} });

// @ts-expect-error start is needed
listen({ user: 1, event() {} });
// @ts-expect-error an id is a number
listen({ user: '1', start() {}, event() {} });
// @ts-expect-error a storage gives and takes
listen({ user: 1, storage: { get: () => null }, start() {}, event() {} });
// @ts-expect-error a cursor is read only
feed.cursor = null;
// @ts-expect-error there may be no task
listen({ user: 1, start() {}, event: ({ task }) => task.id });
// @ts-expect-error only a pause has an end
listen({ user: 1, start() {}, event() {}, state: (state) => state.name === 'live' && state.retryIn });
