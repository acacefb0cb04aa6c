-- What the broker has confirmed within the last moments (HEAL_WINDOW_S): a confirm comes before the bytes are on its disk,
-- and a broker that comes back from a power cut can lack them. A row is a run of one user's events, put here by the
-- transaction that takes them out of the outbox. Whoever heals puts them back and removes the row.
CREATE TABLE confirmed (
    id           BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    user_id      INT UNSIGNED    NOT NULL,
    first_seq    BIGINT UNSIGNED NOT NULL,
    last_seq     BIGINT UNSIGNED NOT NULL,
    confirmed_at DATETIME(3)     NOT NULL DEFAULT CURRENT_TIMESTAMP(3) COMMENT 'for people; programs go by the id',
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Counts the lives of the broker that publishers have met: what was confirmed in one says nothing in the next.
INSERT INTO notes (name, value) VALUES ('broker_life', '0') ON DUPLICATE KEY UPDATE value = value;
DELETE FROM notes WHERE name = 'broker_alive_at';
