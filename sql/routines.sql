-- Triggers and procedures: what the database does by itself. Not a migration but the newest state, every one replaced as
-- a whole; scripts/migrate applies this file after the migrations whenever it has changed, one is missing, or one belongs
-- to an account that may not be here (a dump keeps names of accounts, and what belongs to one that is missing fails).

DELIMITER //

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
