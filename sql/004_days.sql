-- A time that is no day ('0000-00-00', '2024-01-00', '2023-02-31') cannot be shown as one. The server takes such values from
-- whoever asks for it, so the tables refuse them: adding an interval to one is NULL. Years are 1 to 9999. Adding a CHECK copies the table;
-- writes wait meanwhile.

-- Rows that are there do not stop it: they are mended below.
SET check_constraint_checks = 0, sql_mode = '';

ALTER TABLE tasks
    DROP CONSTRAINT tasks_completed_has_time,
    ADD CONSTRAINT tasks_completed_has_time CHECK (IF(status = 1, completed_at + INTERVAL 0 DAY IS NOT NULL, completed_at IS NULL)),
    ADD CONSTRAINT tasks_created_at_is_a_day CHECK (created_at + INTERVAL 0 DAY IS NOT NULL);

ALTER TABLE users
    ADD CONSTRAINT users_created_at_is_a_day CHECK (created_at + INTERVAL 0 DAY IS NOT NULL);

-- When it was nobody knows any more: the beginning of 1970 stands for that.
UPDATE tasks SET created_at = '1970-01-01', version = version + 1 WHERE created_at + INTERVAL 0 DAY IS NULL;

UPDATE tasks SET completed_at = '1970-01-01', version = version + 1 WHERE status = 1 AND completed_at + INTERVAL 0 DAY IS NULL;

UPDATE users SET created_at = '1970-01-01' WHERE created_at + INTERVAL 0 DAY IS NULL;

SET check_constraint_checks = 1, sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION';
