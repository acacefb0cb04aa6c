-- The broker, as publishers have met it. One row.
CREATE TABLE broker (
    id       TINYINT UNSIGNED NOT NULL DEFAULT 1,
    life     BIGINT UNSIGNED  NOT NULL COMMENT 'counts its lives: what was confirmed in one says nothing in the next',
    lived_ms BIGINT UNSIGNED  NOT NULL DEFAULT 0 COMMENT 'for how long publishers have seen it live, in all its lives; never too much',
    PRIMARY KEY (id),
    CONSTRAINT broker_is_one CHECK (id = 1)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

INSERT INTO broker (life) VALUES (0);
DELETE FROM notes WHERE name = 'broker_alive_at';

-- What the broker has confirmed within the last moments (HEAL_WINDOW_S): a confirm comes before the bytes are on its disk,
-- and a broker that comes back from a power cut can lack them. A row is a run of one user's events, put here by the
-- transaction that takes them out of the outbox. Whoever heals puts them back and removes the row; otherwise it goes when
-- the broker has lived on for so long.
CREATE TABLE confirmed (
    id           BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    user_id      INT UNSIGNED    NOT NULL,
    first_seq    BIGINT UNSIGNED NOT NULL,
    last_seq     BIGINT UNSIGNED NOT NULL,
    lived_ms     BIGINT UNSIGNED NOT NULL COMMENT 'broker.lived_ms of that moment',
    confirmed_at DATETIME(3)     NOT NULL DEFAULT CURRENT_TIMESTAMP(3) COMMENT 'for people; programs go by lived_ms',
    PRIMARY KEY (id),
    KEY confirmed_by_life (lived_ms),
    CONSTRAINT confirmed_is_a_run CHECK (last_seq BETWEEN first_seq AND first_seq + 9999)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
