-- Events of other programs (CALL carillon_emit, sql/routines.sql): longer types, larger bodies, and a list of those that no
-- publisher has found yet, because SQL gives no hint. Programs of before go on beside newer ones; carillon_emit refuses
-- until a publisher that knows such events has been at work. Changing the columns copies the table; writes wait meanwhile.

ALTER TABLE events
    MODIFY type VARCHAR(64) NOT NULL COMMENT 'routing key',
    MODIFY task_id INT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'no foreign key: the task may be deleted; 0: of another program',
    MODIFY payload MEDIUMTEXT NOT NULL COMMENT 'the exact JSON that travels';

-- Nothing depends on these rows but time: what is in the outbox is found without them, only later.
CREATE TABLE emitted (
    user_id INT UNSIGNED    NOT NULL,
    seq     BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (user_id, seq)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- A publisher leaves the note `emits`. Where none has ever been there is none that such an event could be too much for.
INSERT INTO notes (name, value)
SELECT 'emits', '0' FROM notes WHERE name = 'broker_life' AND value = '0' AND NOT EXISTS (SELECT 1 FROM events);
