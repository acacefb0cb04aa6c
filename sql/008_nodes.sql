-- SPDX-License-Identifier: MIT
-- Several machines that share this journal (Galera) and nothing else: each is a node with a broker of its own, and what belongs to a
-- broker or to the publisher beside it gets a row for each node. One machine alone is the node with id 1, and so is a program of before
-- this migration, by the columns' defaults. Changing the keys copies the tables, which are small; writes wait meanwhile.

-- Rows come and go by the procedures node_register and node_forget (sql/routines.sql) alone, which keep the list in `epoch`: an
-- event has a row in the outbox for each node that was in that list when it was committed.
CREATE TABLE nodes (
    id            TINYINT UNSIGNED NOT NULL AUTO_INCREMENT COMMENT 'never given a second time',
    name          VARCHAR(64)      NOT NULL COMMENT 'NODE of its programs; without that setting theirs is the row with id 1',
    registered_at DATETIME(3)      NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (id),
    UNIQUE KEY nodes_by_name (name),
    CONSTRAINT nodes_name_is_a_word CHECK (name REGEXP '^[A-Za-z0-9._-]+$')
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

INSERT INTO nodes (id, name) VALUES (1, 'first');

-- Every change reads this row already, and a look into `nodes` cost it some 20 us more.
ALTER TABLE epoch
    ADD COLUMN nodes VARCHAR(60) NOT NULL DEFAULT '1' COMMENT 'the ids in nodes: 1,2,3';

-- Each publisher reads its own node's rows from the lowest number of a user up. The second key is the foreign key's.
ALTER TABLE outbox
    ADD COLUMN node TINYINT UNSIGNED NOT NULL DEFAULT 1 COMMENT 'whose broker has not confirmed it yet' FIRST,
    ADD KEY outbox_of_event (user_id, seq),
    DROP PRIMARY KEY,
    ADD PRIMARY KEY (node, user_id, seq),
    DROP KEY outbox_by_age,
    ADD KEY outbox_by_age (node, created_at);

-- Also events of other nodes' writes: no hint comes for them, either.
ALTER TABLE emitted
    ADD COLUMN node TINYINT UNSIGNED NOT NULL DEFAULT 1 FIRST,
    DROP PRIMARY KEY,
    ADD PRIMARY KEY (node, user_id, seq);

ALTER TABLE confirmed
    ADD COLUMN node TINYINT UNSIGNED NOT NULL DEFAULT 1 AFTER id,
    DROP KEY confirmed_by_life,
    ADD KEY confirmed_by_life (node, lived_ms);

ALTER TABLE broker
    DROP CONSTRAINT broker_is_one,
    MODIFY id TINYINT UNSIGNED NOT NULL DEFAULT 1 COMMENT 'the node that it is the broker of';

ALTER TABLE notes
    ADD COLUMN node TINYINT UNSIGNED NOT NULL DEFAULT 1 FIRST,
    DROP PRIMARY KEY,
    ADD PRIMARY KEY (node, name);

ALTER TABLE settled
    ADD COLUMN node TINYINT UNSIGNED NOT NULL DEFAULT 1 FIRST,
    DROP PRIMARY KEY,
    ADD PRIMARY KEY (node, id);
