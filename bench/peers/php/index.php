<?php
// SPDX-License-Identifier: MIT
// One task, or a page of a user's tasks.
$database = new PDO(
    'mysql:unix_socket=' . $_SERVER['DB_SOCKET'] . ';dbname=' . $_SERVER['DB_NAME'] . ';charset=utf8mb4',
    $_SERVER['DB_USER'],
    $_SERVER['DB_PASSWORD'],
    [PDO::ATTR_PERSISTENT => true, PDO::ATTR_EMULATE_PREPARES => true, PDO::ATTR_STRINGIFY_FETCHES => false,
     PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC],
);

function iso(?string $time): ?string
{
    return $time === null ? null : substr($time, 0, 10) . 'T' . substr($time, 11, 12) . 'Z';
}

function task(array $row): array
{
    return ['id' => (int) $row['id'], 'user_id' => (int) $row['user_id'], 'status' => (int) $row['status'],
        'content' => $row['content'], 'createdAt' => iso($row['created_at']), 'completedAt' => iso($row['completed_at'])];
}

const COLUMNS = 'id, user_id, status, content, created_at, completed_at';
const FLAGS = JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES;

header('Content-Type: application/json');
if (preg_match('~^/tasks/(\d+)$~', $_SERVER['DOCUMENT_URI'], $match)) {
    $query = $database->prepare('SELECT ' . COLUMNS . ' FROM tasks WHERE id = ?');
    $query->execute([(int) $match[1]]);
    $row = $query->fetch();
    if ($row === false) {
        http_response_code(404);
        echo '{"message":"no such task"}';
        return;
    }
    echo json_encode(task($row), FLAGS);
} else {
    $query = $database->prepare('SELECT ' . COLUMNS . ' FROM tasks WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?');
    $query->bindValue(1, (int) $_GET['user_id'], PDO::PARAM_INT);
    $query->bindValue(2, (int) ($_GET['after'] ?? 0), PDO::PARAM_INT);
    $query->bindValue(3, (int) ($_GET['limit'] ?? 50), PDO::PARAM_INT);
    $query->execute();
    echo json_encode(array_map('task', $query->fetchAll()), FLAGS);
}
