-- SPDX-License-Identifier: MIT
-- Triggers and procedures: what the database does by itself. Not a migration but the newest state, every one replaced as
-- a whole; scripts/migrate applies this file after the migrations whenever it has changed, one is missing, or one belongs
-- to an account that may not be here (a dump keeps names of accounts, and what belongs to one that is missing fails).

DELIMITER //

-- The column counts on behind the highest id it has ever seen: one row with the last id there is, and no task could be made
-- any more. An id given by hand leaves room for some hundred million. (The API names the ids of rows that are there.)
CREATE OR REPLACE TRIGGER tasks_ids BEFORE INSERT ON tasks FOR EACH ROW
BEGIN
    IF NEW.id > 4000000000 AND NOT EXISTS (SELECT 1 FROM tasks WHERE id = NEW.id) THEN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'tasks.id: leave it out, or give one up to 4000000000';
    END IF;
END//

-- The version is the task's ETag. The API raises it with every change; here it rises for everybody else's, too, or a reader
-- would be told that nothing has changed, and a writer would overwrite what it has not seen. It goes on at 1 after the last.
-- An id never changes: events and browsers know the task by it, and the column would give it out a second time.
-- Measured with the second IF alone: 5 µs of an UPDATE's 40, 3 µs a row where one statement changes twelve. (IF costs less than to set it always.)
CREATE OR REPLACE TRIGGER tasks_version BEFORE UPDATE ON tasks FOR EACH ROW
BEGIN
    IF NEW.id <> OLD.id THEN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'tasks.id never changes: insert a task instead';
    END IF;
    IF NEW.version <= OLD.version THEN
        SET NEW.version = IF(OLD.version < 4294967295, OLD.version + 1, 1);
    END IF;
END//

-- Removes at most so many events from before a time, the oldest first, and says how many; for the API's account, which can
-- remove none by itself. Not what waits in the outbox, and not what is younger than an hour by the server's clock (SYSDATE:
-- NOW is what the session says it is): whoever has the account cannot take an event away and put another in its place.
CREATE OR REPLACE PROCEDURE purge_events(IN before_time DATETIME(3), IN most INT UNSIGNED)
    MODIFIES SQL DATA SQL SECURITY DEFINER
BEGIN
    DECLARE of_user INT UNSIGNED;
    DECLARE number, removed BIGINT UNSIGNED DEFAULT 0;
    DECLARE the_end BOOLEAN DEFAULT FALSE;
    -- A plain read, then each by its key: no row is locked that a writer could want.
    DECLARE old_events CURSOR FOR
        SELECT e.user_id, e.seq FROM events e LEFT JOIN outbox o ON o.user_id = e.user_id AND o.seq = e.seq
        WHERE e.created_at < LEAST(before_time, CONVERT_TZ(SYSDATE(3), @@SESSION.time_zone, '+00:00') - INTERVAL 1 HOUR)
            AND o.user_id IS NULL
        ORDER BY e.created_at LIMIT most;
    DECLARE CONTINUE HANDLER FOR NOT FOUND SET the_end = TRUE;
    DECLARE CONTINUE HANDLER FOR 1451 BEGIN END; -- it has come back into the outbox meanwhile
    OPEN old_events;
    removing: LOOP
        FETCH old_events INTO of_user, number;
        IF the_end THEN LEAVE removing; END IF;
        DELETE FROM events WHERE user_id = of_user AND seq = number;
        SET removed = removed + ROW_COUNT();
    END LOOP;
    CLOSE old_events;
    SELECT removed;
END//

-- meta is what programs of before sql/002_owners.sql know. The epoch goes there from its own table, and in no other way.
CREATE OR REPLACE TRIGGER epoch_for_older_programs AFTER UPDATE ON epoch FOR EACH ROW
    UPDATE meta SET value = NEW.value WHERE name = 'epoch'//

CREATE OR REPLACE TRIGGER meta_of_older_programs BEFORE UPDATE ON meta FOR EACH ROW
BEGIN
    IF OLD.name = 'epoch' AND (NEW.name <> OLD.name OR NEW.value <> (SELECT value FROM epoch)) THEN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'The epoch is in a table of its own: UPDATE epoch SET value = ...';
    ELSEIF NEW.name NOT IN ('epoch', 'settled') THEN
        INSERT INTO notes (name, value) VALUES (NEW.name, NEW.value) ON DUPLICATE KEY UPDATE value = NEW.value;
    END IF;
END//

DELIMITER ;
