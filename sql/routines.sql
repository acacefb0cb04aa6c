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

-- The version is the task's ETag. The API raises it with every change; here it rises for changes by other programs, too, or a reader
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
-- NOW is what the session says it is): with this account an event cannot be taken away and replaced by another.
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
        SET removed = removed + GREATEST(ROW_COUNT(), 0); -- -1 after that error
    END LOOP;
    CLOSE old_events;
    SELECT removed;
END//

-- Another epoch in place of the one that is named, once, whoever calls it for that one: when the database has come back without
-- commits whose events were published (fcgi-api/publisher/compare.c). The API's account can do that, and not choose the name.
CREATE OR REPLACE PROCEDURE epoch_renew(IN of_epoch VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin)
    MODIFIES SQL DATA SQL SECURITY DEFINER
BEGIN
    DECLARE made INT;
    UPDATE epoch SET value = LOWER(HEX(RANDOM_BYTES(4))) WHERE id = 1 AND value = of_epoch;
    SET made = ROW_COUNT();
    SELECT made, value FROM epoch WHERE id = 1;
END//

-- The event itself, with arguments that have been checked. A function, because it is one statement then: all of it happens or
-- nothing does, with autocommit as well, and when the caller goes on after an error. The counter's row is held from here to
-- the caller's COMMIT; the time is taken while it is. What another transaction has committed since the caller's snapshot is
-- no conflict: the number goes on from the newest (innodb_snapshot_isolation, MariaDB 11.8).
CREATE OR REPLACE FUNCTION emit_event(for_user INT UNSIGNED, of_type VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    said LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, json LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin)
    RETURNS BIGINT UNSIGNED MODIFIES SQL DATA SQL SECURITY DEFINER
BEGIN
    DECLARE number BIGINT UNSIGNED;
    DECLARE life VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT (SELECT value FROM epoch WHERE id = 1);
    DECLARE now DATETIME(3);
    DECLARE why VARCHAR(128);
    DECLARE notes_of_emits INT;
    -- SELECT, not EXISTS: that would lock the notes until the caller's COMMIT. A SERIALIZABLE caller locks what it reads in any case:
    -- these rows, which are written once, and not those beside them, which publishers write all the time.
    SET STATEMENT innodb_snapshot_isolation = OFF FOR SELECT COUNT(*) INTO notes_of_emits
        FROM nodes STRAIGHT_JOIN notes ON notes.node = nodes.id AND notes.name = 'emits';
    IF notes_of_emits = 0 THEN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'carillon_emit: not yet; the workers of Carillon are older than its tables, or have not met the broker';
    END IF;
    SET STATEMENT innodb_snapshot_isolation = OFF FOR
        SELECT event_seq + 1 INTO number FROM users WHERE id = for_user FOR UPDATE;
    IF number IS NULL THEN
        SET why = CONCAT('carillon_emit: user_id ', for_user, ' is not the id of any user');
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = why;
    END IF;
    SET STATEMENT time_zone = '+00:00' FOR SELECT SYSDATE(3) INTO now;
    SET STATEMENT innodb_snapshot_isolation = OFF FOR UPDATE users SET event_seq = number WHERE id = for_user;
    INSERT INTO events (user_id, seq, type, payload, created_at) VALUES (for_user, number, of_type,
        CONCAT('{"type":"notification","event":"', of_type, '","cursor":"', life, ':', number,
            '","user_id":', for_user, ',"message":', IF(said IS NULL, 'null', JSON_QUOTE(said)), ',"data":', COALESCE(json, 'null'), '}'), now);
    -- For each node's publisher: those that are registered now, whatever the caller's snapshot says.
    SET STATEMENT innodb_snapshot_isolation = OFF FOR
        INSERT INTO outbox (node, user_id, seq, created_at) SELECT id, for_user, number, now FROM nodes;
    SET STATEMENT innodb_snapshot_isolation = OFF FOR INSERT INTO emitted (node, user_id, seq) SELECT id, for_user, number FROM nodes;
    RETURN number;
END//

-- What is wrong with an object in JSON; '': nothing. JSON_VALID takes some that a browser does not: an escape such as \q, an
-- end of a line in a key, the numbers 1. and 1e and -. (One match; REGEXP_REPLACE takes seconds for 64 KB.)
CREATE OR REPLACE FUNCTION emit_fault(json LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin)
    RETURNS VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NO SQL SQL SECURITY DEFINER
BEGIN
    DECLARE words VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CONCAT(
        '(?s)^(?:[]\\[{}:,\\s]++',
        '|"(?:[^"\\\\\\x00-\\x1f]++|\\\\(?:["\\\\/bfnrt]|u[0-9a-fA-F]{4}))*+"',
        '|-?(?:0|[1-9][0-9]*+)(?:[.][0-9]++)?+(?:[eE][+-]?[0-9]++)?+',
        '|true|false|null)*+(?!.)');
    IF LENGTH(json) > 65536 THEN RETURN 'must have at most 65536 bytes'; END IF;
    IF NOT COALESCE(JSON_VALID(json), 0) THEN RETURN 'must be JSON, of at most 31 levels'; END IF;
    IF JSON_TYPE(json) <> 'OBJECT' THEN RETURN 'must be a JSON object, or NULL'; END IF;
    IF json NOT REGEXP words THEN RETURN 'has an escape, a key or a number that JSON does not have'; END IF;
    RETURN '';
END//

-- For other programs, in a transaction of their own (docs/emit.md): an event that is committed with it or not at all. The
-- arguments are texts so that what is wrong with one can be said here, in one way.
CREATE OR REPLACE PROCEDURE carillon_emit(IN user_id LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    IN type LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, IN message LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    IN data LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin)
    MODIFIES SQL DATA SQL SECURITY DEFINER
BEGIN
    DECLARE number BIGINT UNSIGNED;
    DECLARE fault VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT IF(data IS NULL, '', emit_fault(data));
    DECLARE why VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT CASE
        WHEN NOT COALESCE(user_id REGEXP '(?s)^[1-9][0-9]{0,9}(?!.)' AND user_id + 0 <= 4294967295, 0)
            THEN 'user_id must be a whole number from 1 to 4294967295'
        WHEN NOT COALESCE(type REGEXP '(?s)^[a-z0-9_-]+(?:[.][a-z0-9_-]+)+(?!.)' AND CHAR_LENGTH(type) <= 64, 0)
            THEN 'type must be two names or more with dots between (a to z, 0 to 9, _ and -), of at most 64 characters'
        WHEN type LIKE 'task.%' OR type LIKE 'carillon.%' THEN 'type must not begin with task. or carillon., which are Carillon''s own'
        WHEN CHAR_LENGTH(message) > 1000 THEN 'message must have at most 1000 characters, or be NULL'
        WHEN fault <> '' THEN CONCAT('data ', fault) END;
    IF why IS NOT NULL THEN
        SET why = CONCAT('carillon_emit: ', why);
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = why;
    END IF;
    SET number = emit_event(user_id, type, message, data);
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

-- The list of nodes that changes read. Returns when no transaction is under way that has read it as it was before, and may yet
-- write rows for those nodes alone. Changing a table waits for each transaction that has read it, and those that come meanwhile wait, too: a second, then
-- they have some time. With Galera such a change is a moment in the order of all commits, the same on every node: transactions that
-- have read the list are ended there with 1213 (which means "not done") if they are still at work, and by the second table, to which they
-- write, if they were just being committed.
CREATE OR REPLACE PROCEDURE nodes_settle(IN said VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin)
    MODIFIES SQL DATA SQL SECURITY DEFINER
BEGIN
    DECLARE attempts INT DEFAULT 0;
    DECLARE waits BOOLEAN DEFAULT TRUE;
    SET STATEMENT innodb_lock_wait_timeout = 1 FOR
        UPDATE epoch SET nodes = (SELECT GROUP_CONCAT(id ORDER BY id) FROM nodes) WHERE id = 1;
    COMMIT;
    WHILE waits DO
        IF attempts = 30 THEN
            SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'nodes: a transaction has been under way for a minute; end it, and call this again';
        END IF;
        IF attempts > 0 THEN DO SLEEP(1); END IF;
        SET attempts = attempts + 1, waits = FALSE;
        BEGIN
            DECLARE EXIT HANDLER FOR 1205, 1213 SET waits = TRUE;
            EXECUTE IMMEDIATE CONCAT('ALTER TABLE epoch WAIT 1 COMMENT = ', QUOTE(said));
            EXECUTE IMMEDIATE CONCAT('ALTER TABLE outbox WAIT 1 COMMENT = ', QUOTE(said));
        END;
    END WHILE;
END//

-- For scripts/cluster, as the next one; after 1205 or 1213 call them again. From its return on each event has a row for this node too, so the node's programs may start: what was
-- committed before is in the journal, all of which goes into a new broker. A name that is there already is no error.
CREATE OR REPLACE PROCEDURE node_register(IN of_name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin)
    MODIFIES SQL DATA SQL SECURITY DEFINER
BEGIN
    IF (SELECT COUNT(*) FROM nodes WHERE name <> of_name) >= 15 THEN -- BATCH_NODES_MAX
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'nodes: there are 15 already, which is the most';
    END IF;
    START TRANSACTION; -- ends in nodes_settle
    -- Ids one after the other, also where Galera counts in larger steps.
    SET STATEMENT innodb_lock_wait_timeout = 1, auto_increment_increment = 1, auto_increment_offset = 1 FOR
        INSERT INTO nodes (name) SELECT of_name FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM nodes WHERE name = of_name);
    CALL nodes_settle(CONCAT('registered last: ', LEFT(of_name, 40)));
    SELECT id FROM nodes WHERE name = of_name;
END//

-- Removes the node, and what is left of any that has been. Its rows of the outbox keep events from being purged until then.
CREATE OR REPLACE PROCEDURE node_forget(IN of_name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin)
    MODIFIES SQL DATA SQL SECURITY DEFINER
BEGIN
    DECLARE gone TINYINT UNSIGNED;
    IF NOT EXISTS (SELECT 1 FROM nodes WHERE name <> of_name) THEN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'nodes: this is the last one, without which no event would be published';
    END IF;
    START TRANSACTION;
    SET STATEMENT innodb_lock_wait_timeout = 1 FOR DELETE FROM nodes WHERE name = of_name;
    CALL nodes_settle(CONCAT('forgotten last: ', LEFT(of_name, 40)));
    forgetting: LOOP
        -- SELECT, not SET: that would lock each row that it reads, wait for writers, and lose to each commit of another node (1213).
        SELECT MIN(node) INTO gone FROM (SELECT DISTINCT node FROM outbox UNION SELECT DISTINCT node FROM emitted
            UNION SELECT node FROM confirmed UNION SELECT node FROM notes UNION SELECT node FROM settled UNION SELECT id FROM broker) used
            WHERE node NOT IN (SELECT id FROM nodes);
        IF gone IS NULL THEN LEAVE forgetting; END IF;
        -- In pieces: a transaction of a million rows holds up the others, and Galera takes none.
        REPEAT DELETE FROM outbox WHERE node = gone LIMIT 1000; UNTIL ROW_COUNT() < 1000 END REPEAT;
        REPEAT DELETE FROM emitted WHERE node = gone LIMIT 1000; UNTIL ROW_COUNT() < 1000 END REPEAT;
        REPEAT DELETE FROM confirmed WHERE node = gone LIMIT 1000; UNTIL ROW_COUNT() < 1000 END REPEAT;
        DELETE FROM notes WHERE node = gone;
        DELETE FROM settled WHERE node = gone;
        DELETE FROM broker WHERE id = gone;
    END LOOP;
END//

DELIMITER ;
