-- The tables of Carillon. Times are UTC; every connection sets time_zone = '+00:00'.

CREATE TABLE users (
    id         INT UNSIGNED    NOT NULL AUTO_INCREMENT,
    name       VARCHAR(100)    NOT NULL,
    event_seq  BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'last number given to an event of this user',
    created_at DATETIME(3)     NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (id),
    CONSTRAINT users_name_not_empty CHECK (name <> '')
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

CREATE TABLE tasks (
    id           INT UNSIGNED     NOT NULL AUTO_INCREMENT,
    user_id      INT UNSIGNED     NOT NULL,
    status       TINYINT UNSIGNED NOT NULL DEFAULT 0 COMMENT '0 open, 1 completed',
    content      VARCHAR(1000)    NOT NULL,
    created_at   DATETIME(3)      NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    completed_at DATETIME(3)      NULL,
    version      INT UNSIGNED     NOT NULL DEFAULT 1 COMMENT 'grows with every accepted change: the ETag',
    PRIMARY KEY (id),
    KEY tasks_of_user (user_id, id),
    KEY tasks_of_user_by_status (user_id, status, id),
    KEY tasks_by_status (status, id),
    CONSTRAINT tasks_user FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT tasks_status_known CHECK (status IN (0, 1)),
    CONSTRAINT tasks_completed_has_time CHECK ((status = 1) = (completed_at IS NOT NULL)),
    CONSTRAINT tasks_content_not_empty CHECK (content <> '')
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- The journal: what happened, per user, in commit order, without gaps.
CREATE TABLE events (
    user_id     INT UNSIGNED    NOT NULL,
    seq         BIGINT UNSIGNED NOT NULL,
    type        VARCHAR(32)     NOT NULL COMMENT 'routing key',
    task_id     INT UNSIGNED    NOT NULL COMMENT 'no foreign key: the task may be deleted',
    request_id  VARCHAR(64)     NOT NULL DEFAULT '',
    traceparent VARCHAR(64)     NOT NULL DEFAULT '',
    payload     TEXT            NOT NULL COMMENT 'the exact JSON that travels',
    created_at  DATETIME(3)     NOT NULL,
    PRIMARY KEY (user_id, seq),
    KEY events_by_age (created_at),
    CONSTRAINT events_user FOREIGN KEY (user_id) REFERENCES users (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- What the broker has not confirmed yet. A row leaves only after its confirm.
CREATE TABLE outbox (
    user_id    INT UNSIGNED    NOT NULL,
    seq        BIGINT UNSIGNED NOT NULL,
    created_at DATETIME(3)     NOT NULL,
    PRIMARY KEY (user_id, seq),
    KEY outbox_by_age (created_at),
    CONSTRAINT outbox_event FOREIGN KEY (user_id, seq) REFERENCES events (user_id, seq)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- First answers to POSTs that carried an Idempotency-Key.
CREATE TABLE idempotency_keys (
    owner_id     INT UNSIGNED      NOT NULL COMMENT 'who asked; 0 while the service is open',
    idem_key     VARCHAR(255)      NOT NULL,
    request_hash BINARY(32)        NOT NULL,
    status       SMALLINT UNSIGNED NOT NULL,
    task_id      INT UNSIGNED      NOT NULL,
    etag_version INT UNSIGNED      NOT NULL,
    body         TEXT              NOT NULL,
    created_at   DATETIME(3)       NOT NULL,
    PRIMARY KEY (owner_id, idem_key),
    KEY idempotency_keys_by_age (created_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE meta (
    name  VARCHAR(64)  NOT NULL,
    value VARCHAR(255) NOT NULL,
    PRIMARY KEY (name)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- The epoch names this life of the data. After restoring a backup give it a new value, or browsers
-- would trust cursors that point past what the backup holds.
INSERT INTO meta (name, value) VALUES ('epoch', LOWER(HEX(RANDOM_BYTES(4))));
