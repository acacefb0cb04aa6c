-- SPDX-License-Identifier: MIT
-- The ids that other systems have for users (a UUID, "auth0|..."), for provisioning. NULL: none. Compared byte for byte, the
-- spaces at its end included. Adding the column changes no row; the index is made while writes go on.
ALTER TABLE users
    ADD COLUMN external_id VARCHAR(190) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NULL COMMENT 'what another system calls this user',
    ADD CONSTRAINT users_external_id_not_empty CHECK (external_id <> ''),
    ADD UNIQUE KEY users_by_external_id (external_id);
