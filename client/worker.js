// SPDX-License-Identifier: MIT
// The SharedWorker in which the tabs' one socket lives; switchboard.js has the rules.

import { Switchboard } from './switchboard.js';

const switchboard = new Switchboard((url) => new WebSocket(url));

self.onconnect = ({ ports: [port] }) => {
  const tab = switchboard.join((word) => port.postMessage(word));
  port.onmessage = ({ data }) => {
    tab.hear(data);
    // Nothing tells a worker that a tab has crashed, but the lock it held is free then.
    if (data.lock) navigator.locks?.request(data.lock, () => tab.hear({ leave: true }));
  };
};
