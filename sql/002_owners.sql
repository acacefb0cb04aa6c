-- What `meta` held, in tables with different owners: the API's account writes notes and commits `settled`, and only
-- reads the epoch. Programs of before this migration go on beside newer ones: they have `meta` still, and triggers
-- (sql/routines.sql) keep it in step. A later migration drops it.

-- One row. The epoch names this life of the data. After restoring a backup give it a new value, or browsers would trust
-- cursors that point past what the backup holds: UPDATE epoch SET value = LOWER(HEX(RANDOM_BYTES(4))).
CREATE TABLE epoch (
    id    TINYINT UNSIGNED NOT NULL DEFAULT 1,
    value VARCHAR(16)      NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT epoch_is_one CHECK (id = 1),
    CONSTRAINT epoch_is_letters_and_digits CHECK (value REGEXP '^[A-Za-z0-9]+$')
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- What is there, if it can be an epoch; else a new one, at which every browser reads anew.
INSERT INTO epoch (value)
SELECT IF(MAX(value) REGEXP '^[A-Za-z0-9]{1,16}$', MAX(value), LOWER(HEX(RANDOM_BYTES(4)))) FROM meta WHERE name = 'epoch';

-- What publishers leave each other.
CREATE TABLE notes (
    name  VARCHAR(64)  NOT NULL,
    value VARCHAR(255) NOT NULL,
    PRIMARY KEY (name)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

INSERT INTO notes (name, value) SELECT name, value FROM meta WHERE name NOT IN ('epoch', 'settled');

-- Rows that exist to be committed: once that has returned, all that was visible before is durable. More than one, so
-- that connections need not wait for each other's.
CREATE TABLE settled (
    id    TINYINT UNSIGNED NOT NULL,
    times BIGINT UNSIGNED  NOT NULL,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Made by scripts/migrate, once without a collation: it was the server's default of that day.
ALTER TABLE schema_migrations CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
