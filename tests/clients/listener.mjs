// SPDX-License-Identifier: MIT
// The package carillon-client as it is installed in the working directory: node listener.mjs URL USER FILE WAY. Keeps its
// cursor in FILE; WAY is `ws` (the package of that name) or `stream`. Prints a line of JSON for each thing that happens.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [url, user, file, way] = process.argv.slice(2);
const { listen } = await import(pathToFileURL(`${process.cwd()}/node_modules/carillon-client/index.js`));
const say = (what, more = {}) => console.log(JSON.stringify({ what, ...more }));

listen({
  url,
  user: Number(user),
  storage: {
    get() {
      try {
        return readFileSync(file, 'utf8');
      } catch {
        return null;
      }
    },
    set(cursor) {
      writeFileSync(`${file}.new`, cursor);
      renameSync(`${file}.new`, file);
    },
  },
  WebSocket: way === 'ws' ? createRequire(`${process.env.NODE_MODULES}/`)('ws') : null,
  fetch: (address, how) => {
    say('fetch', { path: address.pathname });
    return fetch(address, how);
  },
  async start({ reason, read }) {
    say('start', { reason, tasks: (await read(`tasks?user_id=${user}`)).map(({ content }) => content) });
  },
  event(frame) {
    say('message', { frame });
  },
  state({ name, code }) {
    say('state', { name, code });
  },
});
process.stdin.on('end', () => process.exit(0)).resume();
