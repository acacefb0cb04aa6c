// SPDX-License-Identifier: MIT
// The SharedWorker in which the tabs' one socket lives; switchboard.js has the rules.

import { Switchboard } from './switchboard.js';

const switchboard = new Switchboard((url) => new WebSocket(url));

self.onconnect = ({ ports: [port] }) => {
  const tab = switchboard.join((word) => port.postMessage(word));
  const left = new AbortController();
  port.onmessage = ({ data }) => {
    tab.hear(data);
    if (data.leave) left.abort();
    if (!data.lock) return;
    // Nothing tells a worker that a tab has crashed, but the lock it held is free then.
    const gone = navigator.locks?.request(data.lock, { signal: left.signal }, () => tab.hear({ leave: true }));
    gone?.catch(() => {}); // it has left in the ordinary way
  };
};
