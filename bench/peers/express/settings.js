// SPDX-License-Identifier: MIT
// Where the database and the broker are, and what both processes do to answer at their best.
'use strict';

process.env.NODE_ENV = 'production';

module.exports = {
  database: {
    socketPath: process.env.DB_SOCKET,
    user: process.env.DB_USER,
    password: process.env.DB_PASSWORD,
    database: process.env.DB_NAME,
    timezone: 'Z',
    connectionLimit: 10,
  },
  amqp: process.env.AMQP_URL,
  queue: 'bench_express_tasks_completed',
  port: Number(process.env.PORT),
  processes: Number(process.env.PROCESSES || 1),
  // channel: one connection and channel for the life of the process; connection: one for each message;
  // outbox: the message goes into a table, in the change's transaction, and relay.js publishes it
  publish: process.env.PUBLISH || 'channel',
};
