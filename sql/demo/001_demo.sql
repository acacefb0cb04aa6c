-- Demo data: a few people and their everyday tasks. Task 1 belongs to user 1.

INSERT INTO users (id, name) VALUES
    (1, 'Alice Martin'), (2, 'Bruno Lefèvre'), (3, 'Chloé Dubois'), (4, 'David Moreau');

INSERT INTO tasks (id, user_id, status, content, created_at, completed_at) VALUES
    ( 1, 1, 0, 'Acheter du pain',                     '2024-01-02 17:00:00.000', NULL),
    ( 2, 1, 0, 'Arroser les plantes',                 '2024-01-03 08:15:00.000', NULL),
    ( 3, 1, 1, 'Poster la lettre à mamie',            '2024-01-03 09:30:00.000', '2024-01-04 11:02:17.512'),
    ( 4, 1, 0, 'Réserver les billets de train',       '2024-01-05 18:45:00.000', NULL),
    ( 5, 2, 0, 'Sortir les poubelles',                '2024-01-02 19:00:00.000', NULL),
    ( 6, 2, 0, 'Appeler le plombier',                 '2024-01-04 10:20:00.000', NULL),
    ( 7, 2, 1, 'Rendre les livres à la bibliothèque', '2024-01-05 14:00:00.000', '2024-01-06 16:40:03.250'),
    ( 8, 3, 0, 'Préparer le gâteau d''anniversaire',  '2024-01-06 07:50:00.000', NULL),
    ( 9, 3, 0, 'Réparer le vélo',                     '2024-01-06 12:10:00.000', NULL),
    (10, 3, 0, 'Payer la facture d''électricité',     '2024-01-07 20:05:00.000', NULL),
    (11, 4, 0, 'Prendre rendez-vous chez le dentiste','2024-01-08 09:00:00.000', NULL),
    (12, 4, 0, 'Ranger le garage',                    '2024-01-08 15:30:00.000', NULL);
