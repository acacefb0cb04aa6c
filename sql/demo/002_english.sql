-- The demo's tasks in English, as the project is, where they still have their first texts. Task 1 stays: the tutorial names it.

UPDATE tasks SET content = 'Water the plants'                     WHERE id =  2 AND content = 'Arroser les plantes';
UPDATE tasks SET content = 'Post the letter to grandma'           WHERE id =  3 AND content = 'Poster la lettre à mamie';
UPDATE tasks SET content = 'Book the train tickets'               WHERE id =  4 AND content = 'Réserver les billets de train';
UPDATE tasks SET content = 'Take out the bins'                    WHERE id =  5 AND content = 'Sortir les poubelles';
UPDATE tasks SET content = 'Call the plumber'                     WHERE id =  6 AND content = 'Appeler le plombier';
UPDATE tasks SET content = 'Return the books to the library'      WHERE id =  7 AND content = 'Rendre les livres à la bibliothèque';
UPDATE tasks SET content = 'Bake the birthday cake'               WHERE id =  8 AND content = 'Préparer le gâteau d''anniversaire';
UPDATE tasks SET content = 'Repair the bike'                      WHERE id =  9 AND content = 'Réparer le vélo';
UPDATE tasks SET content = 'Pay the electricity bill'             WHERE id = 10 AND content = 'Payer la facture d''électricité';
UPDATE tasks SET content = 'Make an appointment with the dentist' WHERE id = 11 AND content = 'Prendre rendez-vous chez le dentiste';
UPDATE tasks SET content = 'Tidy up the garage'                   WHERE id = 12 AND content = 'Ranger le garage';
