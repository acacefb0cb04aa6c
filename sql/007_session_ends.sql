-- SPDX-License-Identifier: MIT
-- Sessions that were ended by an administrator: tokens of that user from before are refused. Rows are added, and leave when no
-- token from then can be alive (JWT_MAX_LIFE_S). Programs read what has come since the last id they have.
CREATE TABLE session_ends (
    id       BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    user_id  INT UNSIGNED    NOT NULL,
    before_s BIGINT UNSIGNED NOT NULL COMMENT 'tokens whose iat is lower are refused: seconds since 1970',
    PRIMARY KEY (id),
    KEY session_ends_by_age (before_s),
    CONSTRAINT session_ends_user FOREIGN KEY (user_id) REFERENCES users (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
