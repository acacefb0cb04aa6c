-- SPDX-License-Identifier: MIT
-- The tables and rows of a stack of revision 7478710, for test_upgrade.py: made by its own scripts/run and, through its API, by its
-- programs (the last four changes while RabbitMQ was stopped), and written by mariadb-dump.
SET NAMES utf8mb4;
SET foreign_key_checks = 0;

CREATE TABLE `events` (
  `user_id` int(10) unsigned NOT NULL,
  `seq` bigint(20) unsigned NOT NULL,
  `type` varchar(32) NOT NULL COMMENT 'routing key',
  `task_id` int(10) unsigned NOT NULL COMMENT 'no foreign key: the task may be deleted',
  `request_id` varchar(64) NOT NULL DEFAULT '',
  `traceparent` varchar(64) NOT NULL DEFAULT '',
  `payload` text NOT NULL COMMENT 'the exact JSON that travels',
  `created_at` datetime(3) NOT NULL,
  PRIMARY KEY (`user_id`,`seq`),
  KEY `events_by_age` (`created_at`),
  CONSTRAINT `events_user` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `events` VALUES (1,1,'task.completed',1,'864703cc6152da6451178eab43687ab6','','{\"type\":\"notification\",\"event\":\"task.completed\",\"cursor\":\"d80a36fd:1\",\"message\":\"task 1 has been completed at Sun Nov 29 2026 20:49:31 GMT+0000 (Coordinated Universal Time)\",\"task\":{\"id\":1,\"user_id\":1,\"status\":1,\"content\":\"Acheter du pain\",\"createdAt\":\"2024-01-02T17:00:00.000Z\",\"completedAt\":\"2026-11-29T20:49:31.780Z\"}}','2026-11-29 20:49:31.780');
INSERT INTO `events` VALUES (1,2,'task.completed',2,'eeb65fcf10a909809a563bd1b991273d','','{\"type\":\"notification\",\"event\":\"task.completed\",\"cursor\":\"d80a36fd:2\",\"message\":\"task 2 has been completed at Sun Nov 29 2026 20:49:31 GMT+0000 (Coordinated Universal Time)\",\"task\":{\"id\":2,\"user_id\":1,\"status\":1,\"content\":\"Arroser les plantes\",\"createdAt\":\"2024-01-03T08:15:00.000Z\",\"completedAt\":\"2026-11-29T20:49:31.852Z\"}}','2026-11-29 20:49:31.852');
INSERT INTO `events` VALUES (1,3,'task.completed',3,'4b6db31c8c683ca725d1734ba466a1b2','','{\"type\":\"notification\",\"event\":\"task.completed\",\"cursor\":\"d80a36fd:3\",\"message\":\"task 3 has been completed at Sun Nov 29 2026 20:49:31 GMT+0000 (Coordinated Universal Time)\",\"task\":{\"id\":3,\"user_id\":1,\"status\":1,\"content\":\"Poster la lettre à mamie\",\"createdAt\":\"2024-01-03T09:30:00.000Z\",\"completedAt\":\"2026-11-29T20:49:31.919Z\"}}','2026-11-29 20:49:31.919');
INSERT INTO `events` VALUES (1,4,'task.reopened',1,'older-1','00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01','{\"type\":\"notification\",\"event\":\"task.reopened\",\"cursor\":\"d80a36fd:4\",\"message\":\"task 1 has been reopened at Sun Nov 29 2026 20:49:31 GMT+0000 (Coordinated Universal Time)\",\"task\":{\"id\":1,\"user_id\":1,\"status\":0,\"content\":\"Acheter du pain complet\",\"createdAt\":\"2024-01-02T17:00:00.000Z\",\"completedAt\":null}}','2026-11-29 20:49:31.994');
INSERT INTO `events` VALUES (1,5,'task.updated',4,'3dba381d712958d7038c37bf5f8f501a','','{\"type\":\"notification\",\"event\":\"task.updated\",\"cursor\":\"d80a36fd:5\",\"message\":\"task 4 has been updated at Sun Nov 29 2026 20:49:32 GMT+0000 (Coordinated Universal Time)\",\"task\":{\"id\":4,\"user_id\":1,\"status\":0,\"content\":\"Réserver les billets de train, essai 1\",\"createdAt\":\"2024-01-05T18:45:00.000Z\",\"completedAt\":null}}','2026-11-29 20:49:32.365');
INSERT INTO `events` VALUES (1,6,'task.updated',4,'c1e8dd0d1d9afbf34dda84d84375ae3c','','{\"type\":\"notification\",\"event\":\"task.updated\",\"cursor\":\"d80a36fd:6\",\"message\":\"task 4 has been updated at Sun Nov 29 2026 20:49:32 GMT+0000 (Coordinated Universal Time)\",\"task\":{\"id\":4,\"user_id\":1,\"status\":0,\"content\":\"Réserver les billets de train, essai 2\",\"createdAt\":\"2024-01-05T18:45:00.000Z\",\"completedAt\":null}}','2026-11-29 20:49:32.432');
INSERT INTO `events` VALUES (1,7,'task.updated',4,'7488de4a13451bba2759bc7de0ad904e','','{\"type\":\"notification\",\"event\":\"task.updated\",\"cursor\":\"d80a36fd:7\",\"message\":\"task 4 has been updated at Sun Nov 29 2026 20:49:32 GMT+0000 (Coordinated Universal Time)\",\"task\":{\"id\":4,\"user_id\":1,\"status\":0,\"content\":\"Réserver les billets de train, essai 3\",\"createdAt\":\"2024-01-05T18:45:00.000Z\",\"completedAt\":null}}','2026-11-29 20:49:32.506');
INSERT INTO `events` VALUES (1,8,'task.updated',4,'bfeb2f4e562207b4d75d424ff15f6818','','{\"type\":\"notification\",\"event\":\"task.updated\",\"cursor\":\"d80a36fd:8\",\"message\":\"task 4 has been updated at Sun Nov 29 2026 20:49:32 GMT+0000 (Coordinated Universal Time)\",\"task\":{\"id\":4,\"user_id\":1,\"status\":0,\"content\":\"Réserver les billets de train, essai 4\",\"createdAt\":\"2024-01-05T18:45:00.000Z\",\"completedAt\":null}}','2026-11-29 20:49:32.586');
INSERT INTO `events` VALUES (1,9,'task.updated',4,'bb1caa2766a087ca0e9062c3fe421c55','','{\"type\":\"notification\",\"event\":\"task.updated\",\"cursor\":\"d80a36fd:9\",\"message\":\"task 4 has been updated at Sun Nov 29 2026 20:49:32 GMT+0000 (Coordinated Universal Time)\",\"task\":{\"id\":4,\"user_id\":1,\"status\":0,\"content\":\"Réserver les billets de train, essai 5\",\"createdAt\":\"2024-01-05T18:45:00.000Z\",\"completedAt\":null}}','2026-11-29 20:49:32.679');
INSERT INTO `events` VALUES (1,10,'task.updated',4,'fd18e91172c9bbf8f29ab954e4106bd2','','{\"type\":\"notification\",\"event\":\"task.updated\",\"cursor\":\"d80a36fd:10\",\"message\":\"task 4 has been updated at Sun Nov 29 2026 20:49:32 GMT+0000 (Coordinated Universal Time)\",\"task\":{\"id\":4,\"user_id\":1,\"status\":0,\"content\":\"Réserver les billets de train, essai 6\",\"createdAt\":\"2024-01-05T18:45:00.000Z\",\"completedAt\":null}}','2026-11-29 20:49:32.765');
INSERT INTO `events` VALUES (1,11,'task.completed',2,'18ac1228a7844afee172f7633a71895f','','{\"type\":\"notification\",\"event\":\"task.completed\",\"cursor\":\"d80a36fd:11\",\"message\":\"task 2 has been completed at Sun Nov 29 2026 20:49:35 GMT+0000 (Coordinated Universal Time)\",\"task\":{\"id\":2,\"user_id\":1,\"status\":1,\"content\":\"Arroser les plantes\",\"createdAt\":\"2024-01-03T08:15:00.000Z\",\"completedAt\":\"2026-11-29T20:49:35.387Z\"}}','2026-11-29 20:49:35.387');
INSERT INTO `events` VALUES (1,12,'task.completed',1,'c6fea9a3002fc6c6f807cfb44cf6fa42','00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01','{\"type\":\"notification\",\"event\":\"task.completed\",\"cursor\":\"d80a36fd:12\",\"message\":\"task 1 has been completed at Sun Nov 29 2026 20:49:35 GMT+0000 (Coordinated Universal Time)\",\"task\":{\"id\":1,\"user_id\":1,\"status\":1,\"content\":\"Acheter du pain complet\",\"createdAt\":\"2024-01-02T17:00:00.000Z\",\"completedAt\":\"2026-11-29T20:49:35.533Z\"}}','2026-11-29 20:49:35.533');
INSERT INTO `events` VALUES (2,1,'task.deleted',6,'94bad8fecdae9ae973bc9f227b43eefb','','{\"type\":\"notification\",\"event\":\"task.deleted\",\"cursor\":\"d80a36fd:1\",\"message\":\"task 6 has been deleted at Sun Nov 29 2026 20:49:32 GMT+0000 (Coordinated Universal Time)\",\"task\":{\"id\":6,\"user_id\":2,\"status\":0,\"content\":\"Appeler le plombier\",\"createdAt\":\"2024-01-04T10:20:00.000Z\",\"completedAt\":null}}','2026-11-29 20:49:32.109');
INSERT INTO `events` VALUES (2,2,'task.created',13,'aa95eb07b251dfc2d6c8a1775fca7779','','{\"type\":\"notification\",\"event\":\"task.created\",\"cursor\":\"d80a36fd:2\",\"message\":\"task 13 has been created at Sun Nov 29 2026 20:49:32 GMT+0000 (Coordinated Universal Time)\",\"task\":{\"id\":13,\"user_id\":2,\"status\":0,\"content\":\"Acheter des œufs 🥚\",\"createdAt\":\"2026-11-29T20:49:32.156Z\",\"completedAt\":null}}','2026-11-29 20:49:32.156');
INSERT INTO `events` VALUES (2,3,'task.completed',5,'5ed5c37a243a2696f1b543f1467c76ed','','{\"type\":\"notification\",\"event\":\"task.completed\",\"cursor\":\"d80a36fd:3\",\"message\":\"task 5 has been completed at Sun Nov 29 2026 20:49:35 GMT+0000 (Coordinated Universal Time)\",\"task\":{\"id\":5,\"user_id\":2,\"status\":1,\"content\":\"Sortir les poubelles\",\"createdAt\":\"2024-01-02T19:00:00.000Z\",\"completedAt\":\"2026-11-29T20:49:35.626Z\"}}','2026-11-29 20:49:35.626');
INSERT INTO `events` VALUES (3,1,'task.created',14,'c7415b7aaf19343a667eb724d94612ed','','{\"type\":\"notification\",\"event\":\"task.created\",\"cursor\":\"d80a36fd:1\",\"message\":\"task 14 has been created at Sun Nov 29 2026 20:49:32 GMT+0000 (Coordinated Universal Time)\",\"task\":{\"id\":14,\"user_id\":3,\"status\":0,\"content\":\"Relire « L’Étranger »\\n\\t\\\"à voix haute\\\" \\\\ deux fois\",\"createdAt\":\"2026-11-29T20:49:32.227Z\",\"completedAt\":null}}','2026-11-29 20:49:32.227');
INSERT INTO `events` VALUES (3,2,'task.completed',9,'719678e8ae2af1ea2ac8a5d978195ef5','','{\"type\":\"notification\",\"event\":\"task.completed\",\"cursor\":\"d80a36fd:2\",\"message\":\"task 9 has been completed at Sun Nov 29 2026 20:49:32 GMT+0000 (Coordinated Universal Time)\",\"task\":{\"id\":9,\"user_id\":3,\"status\":1,\"content\":\"Réparer le vélo\",\"createdAt\":\"2024-01-06T12:10:00.000Z\",\"completedAt\":\"2026-11-29T20:49:32.294Z\"}}','2026-11-29 20:49:32.294');
INSERT INTO `events` VALUES (3,3,'task.updated',8,'526c6444f554b8c46ad00d3db948a2f0','','{\"type\":\"notification\",\"event\":\"task.updated\",\"cursor\":\"d80a36fd:3\",\"message\":\"task 8 has been updated at Sun Nov 29 2026 20:49:35 GMT+0000 (Coordinated Universal Time)\",\"task\":{\"id\":8,\"user_id\":3,\"status\":0,\"content\":\"Préparer deux gâteaux\",\"createdAt\":\"2024-01-06T07:50:00.000Z\",\"completedAt\":null}}','2026-11-29 20:49:35.712');
CREATE TABLE `idempotency_keys` (
  `owner_id` int(10) unsigned NOT NULL COMMENT 'who asked; 0 while the service is open',
  `idem_key` varchar(255) NOT NULL,
  `request_hash` binary(32) NOT NULL,
  `status` smallint(5) unsigned NOT NULL,
  `task_id` int(10) unsigned NOT NULL,
  `etag_version` int(10) unsigned NOT NULL,
  `body` text NOT NULL,
  `created_at` datetime(3) NOT NULL,
  PRIMARY KEY (`owner_id`,`idem_key`),
  KEY `idempotency_keys_by_age` (`created_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `idempotency_keys` VALUES (0,'older-key',0x16C74D21321548FC17413877CEC17DAAF423DB78764302994CB3095CCD496143,201,13,1,'{\"id\":13,\"user_id\":2,\"status\":0,\"content\":\"Acheter des œufs 🥚\",\"createdAt\":\"2026-11-29T20:49:32.156Z\",\"completedAt\":null}','2026-11-29 20:49:32.155');
CREATE TABLE `meta` (
  `name` varchar(64) NOT NULL,
  `value` varchar(255) NOT NULL,
  PRIMARY KEY (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `meta` VALUES ('broker_alive_at','1795985367248');
INSERT INTO `meta` VALUES ('epoch','d80a36fd');
CREATE TABLE `outbox` (
  `user_id` int(10) unsigned NOT NULL,
  `seq` bigint(20) unsigned NOT NULL,
  `created_at` datetime(3) NOT NULL,
  PRIMARY KEY (`user_id`,`seq`),
  KEY `outbox_by_age` (`created_at`),
  CONSTRAINT `outbox_event` FOREIGN KEY (`user_id`, `seq`) REFERENCES `events` (`user_id`, `seq`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `outbox` VALUES (1,11,'2026-11-29 20:49:35.387');
INSERT INTO `outbox` VALUES (1,12,'2026-11-29 20:49:35.533');
INSERT INTO `outbox` VALUES (2,3,'2026-11-29 20:49:35.626');
INSERT INTO `outbox` VALUES (3,3,'2026-11-29 20:49:35.712');
CREATE TABLE `schema_migrations` (
  `name` varchar(190) NOT NULL,
  `checksum` char(64) NOT NULL,
  `applied_at` datetime(3) NOT NULL DEFAULT current_timestamp(3),
  PRIMARY KEY (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `schema_migrations` VALUES ('001_schema.sql','586c648351b20539ad5d40217df9da5cc38633e9bb4d9abefa5539619661b987','2026-11-29 20:49:07.198');
INSERT INTO `schema_migrations` VALUES ('demo/001_demo.sql','b73aa2f7f9a4460cd483bcb52ab42ac64a59b583dd876d0a88aaf046a9da63e2','2026-11-29 20:49:07.370');
CREATE TABLE `tasks` (
  `id` int(10) unsigned NOT NULL AUTO_INCREMENT,
  `user_id` int(10) unsigned NOT NULL,
  `status` tinyint(3) unsigned NOT NULL DEFAULT 0 COMMENT '0 open, 1 completed',
  `content` varchar(1000) NOT NULL,
  `created_at` datetime(3) NOT NULL DEFAULT current_timestamp(3),
  `completed_at` datetime(3) DEFAULT NULL,
  `version` int(10) unsigned NOT NULL DEFAULT 1 COMMENT 'grows with every accepted change: the ETag',
  PRIMARY KEY (`id`),
  KEY `tasks_of_user` (`user_id`,`id`),
  KEY `tasks_of_user_by_status` (`user_id`,`status`,`id`),
  KEY `tasks_by_status` (`status`,`id`),
  CONSTRAINT `tasks_user` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`),
  CONSTRAINT `tasks_status_known` CHECK (`status` in (0,1)),
  CONSTRAINT `tasks_completed_has_time` CHECK (`status` = 1 = (`completed_at` is not null)),
  CONSTRAINT `tasks_content_not_empty` CHECK (`content` <> '')
) ENGINE=InnoDB AUTO_INCREMENT=15 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `tasks` VALUES (1,1,1,'Acheter du pain complet','2024-01-02 17:00:00.000','2026-11-29 20:49:35.533',4);
INSERT INTO `tasks` VALUES (2,1,1,'Arroser les plantes','2024-01-03 08:15:00.000','2026-11-29 20:49:35.387',3);
INSERT INTO `tasks` VALUES (3,1,1,'Poster la lettre à mamie','2024-01-03 09:30:00.000','2026-11-29 20:49:31.919',2);
INSERT INTO `tasks` VALUES (4,1,0,'Réserver les billets de train, essai 6','2024-01-05 18:45:00.000',NULL,7);
INSERT INTO `tasks` VALUES (5,2,1,'Sortir les poubelles','2024-01-02 19:00:00.000','2026-11-29 20:49:35.626',2);
INSERT INTO `tasks` VALUES (7,2,1,'Rendre les livres à la bibliothèque','2024-01-05 14:00:00.000','2024-01-06 16:40:03.250',1);
INSERT INTO `tasks` VALUES (8,3,0,'Préparer deux gâteaux','2024-01-06 07:50:00.000',NULL,2);
INSERT INTO `tasks` VALUES (9,3,1,'Réparer le vélo','2024-01-06 12:10:00.000','2026-11-29 20:49:32.294',2);
INSERT INTO `tasks` VALUES (10,3,0,'Payer la facture d\'électricité','2024-01-07 20:05:00.000',NULL,1);
INSERT INTO `tasks` VALUES (11,4,0,'Prendre rendez-vous chez le dentiste','2024-01-08 09:00:00.000',NULL,1);
INSERT INTO `tasks` VALUES (12,4,0,'Ranger le garage','2024-01-08 15:30:00.000',NULL,1);
INSERT INTO `tasks` VALUES (13,2,0,'Acheter des œufs 🥚','2026-11-29 20:49:32.156',NULL,1);
INSERT INTO `tasks` VALUES (14,3,0,'Relire « L’Étranger »\n	\"à voix haute\" \\ deux fois','2026-11-29 20:49:32.227',NULL,1);
CREATE TABLE `users` (
  `id` int(10) unsigned NOT NULL AUTO_INCREMENT,
  `name` varchar(100) NOT NULL,
  `event_seq` bigint(20) unsigned NOT NULL DEFAULT 0 COMMENT 'last number given to an event of this user',
  `created_at` datetime(3) NOT NULL DEFAULT current_timestamp(3),
  PRIMARY KEY (`id`),
  CONSTRAINT `users_name_not_empty` CHECK (`name` <> '')
) ENGINE=InnoDB AUTO_INCREMENT=5 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
INSERT INTO `users` VALUES (1,'Alice Martin',12,'2026-11-29 20:49:07.288');
INSERT INTO `users` VALUES (2,'Bruno Lefèvre',3,'2026-11-29 20:49:07.288');
INSERT INTO `users` VALUES (3,'Chloé Dubois',3,'2026-11-29 20:49:07.288');
INSERT INTO `users` VALUES (4,'David Moreau',0,'2026-11-29 20:49:07.288');
