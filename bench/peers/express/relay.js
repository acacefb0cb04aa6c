// SPDX-License-Identifier: MIT
// The relay of an API with an outbox: publishes what is in it, waits for the confirms, deletes.
'use strict';

const amqp = require('amqplib');
const settings = require('./settings');

const BATCH = 500;
const PAUSE_MS = 5; // when there was nothing

async function relay() {
  const pool = require('mysql2/promise').createPool({ ...settings.database, connectionLimit: 1 });
  const connection = await amqp.connect(settings.amqp);
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue(settings.queue, { durable: true });
  for (;;) {
    const [rows] = await pool.execute('SELECT id, body FROM bench_outbox ORDER BY id LIMIT ?', [String(BATCH)]);
    if (rows.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      continue;
    }
    for (const row of rows) {
      channel.sendToQueue(settings.queue, Buffer.from(row.body), { persistent: true, contentType: 'application/json' });
    }
    await channel.waitForConfirms();
    await pool.query('DELETE FROM bench_outbox WHERE id IN (?)', [rows.map((row) => row.id)]);
  }
}

relay().catch((error) => {
  console.error(error);
  process.exit(1);
});
