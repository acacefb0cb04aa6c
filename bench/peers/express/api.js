// SPDX-License-Identifier: MIT
// The API: a task is read, listed or changed, and a change is told to the queue.
'use strict';

const cluster = require('node:cluster');
const settings = require('./settings');

if (cluster.isPrimary && settings.processes > 1) {
  for (let i = 0; i < settings.processes; i++) cluster.fork();
} else {
  serve().catch((error) => {
    console.error(error);
    process.exit(1);
  });
}

async function serve() {
  const express = require('express');
  const pool = require('mysql2/promise').createPool(settings.database);
  const publish = settings.publish === 'outbox' ? null : await publisher();
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');

  const columns = 'id, user_id, status, content, created_at AS createdAt, completed_at AS completedAt';

  async function task(id) {
    const [rows] = await pool.execute(`SELECT ${columns} FROM tasks WHERE id = ?`, [id]);
    return rows[0];
  }

  app.get('/tasks', async (request, response) => {
    const { user_id: userId, after = 0, limit = 50 } = request.query;
    const [rows] = await pool.execute(
      `SELECT ${columns} FROM tasks WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?`,
      [Number(userId), Number(after), String(Number(limit))],
    );
    response.json(rows);
  });

  app.get('/tasks/:id', async (request, response) => {
    const found = await task(Number(request.params.id));
    if (found) response.json(found);
    else response.status(404).json({ message: 'no such task' });
  });

  app.patch('/tasks/:id', express.json(), settings.publish === 'outbox' ? patchWithOutbox : patch);

  async function patch(request, response) {
    const { status, content } = request.body;
    const id = Number(request.params.id);
    const completedAt = status === 1 ? new Date() : null;
    const [result] = await pool.execute(
      'UPDATE tasks SET status = ?, content = COALESCE(?, content), completed_at = ?, version = version + 1 WHERE id = ?',
      [status, content ?? null, completedAt, id],
    );
    if (result.affectedRows === 0) return response.status(404).json({ message: 'no such task' });
    const changed = await task(id);
    await publish({ message: `task ${id} has been completed at ${new Date()}`, task: changed });
    response.json(changed);
  }

  // The row and its message commit together, or not at all.
  async function patchWithOutbox(request, response) {
    const { status, content } = request.body;
    const id = Number(request.params.id);
    const completedAt = status === 1 ? new Date() : null;
    const connection = await pool.getConnection();
    try {
      await connection.beginTransaction();
      const [result] = await connection.execute(
        'UPDATE tasks SET status = ?, content = COALESCE(?, content), completed_at = ?, version = version + 1 WHERE id = ?',
        [status, content ?? null, completedAt, id],
      );
      if (result.affectedRows === 0) {
        await connection.rollback();
        return response.status(404).json({ message: 'no such task' });
      }
      const [[changed]] = await connection.execute(`SELECT ${columns} FROM tasks WHERE id = ?`, [id]);
      const body = JSON.stringify({ message: `task ${id} has been completed at ${new Date()}`, task: changed });
      await connection.execute('INSERT INTO bench_outbox (body) VALUES (?)', [body]);
      await connection.commit();
      return response.json(changed);
    } catch (error) {
      await connection.rollback();
      throw error;
    } finally {
      connection.release();
    }
  }

  app.listen(settings.port, '127.0.0.1');
}

async function publisher() {
  const amqp = require('amqplib');
  const options = { persistent: true, contentType: 'application/json' };
  const bytes = (object) => Buffer.from(JSON.stringify(object));

  if (settings.publish === 'channel') {
    const connection = await amqp.connect(settings.amqp);
    const channel = await connection.createChannel();
    await channel.assertQueue(settings.queue, { durable: true });
    return async (object) => channel.sendToQueue(settings.queue, bytes(object), options);
  }
  return async (object) => {
    const connection = await amqp.connect(settings.amqp);
    const channel = await connection.createChannel();
    await channel.assertQueue(settings.queue, { durable: true });
    channel.sendToQueue(settings.queue, bytes(object), options);
    await channel.close();
    await connection.close();
  };
}
