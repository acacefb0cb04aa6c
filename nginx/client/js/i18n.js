// The page's words in English and French, chosen by the browser's languages, and its dates through Intl.

const en = {
  skip: 'Skip to the content',
  tagline: 'Tasks that ring when they change',
  user: 'User',
  chooseUser: 'Choose a user…',
  unknownUser: 'User {id}',
  welcome: 'Choose a user to see their tasks and to hear of every change as it happens.',
  connecting: 'Connecting…',
  live: 'Live',
  offline: 'Offline.',
  nextAttempt: 'Next attempt in {seconds} s.',
  retryNow: 'Try now',
  tasks: 'Tasks',
  taskCount: { zero: '', one: '{done} of {count} done', other: '{done} of {count} done' },
  loadingTasks: 'Reading the tasks…',
  noTasks: 'Nothing to do. Write the first task above.',
  newTask: 'New task',
  newTaskExample: 'Buy bread…',
  add: 'Add',
  added: 'Added {date}',
  done: 'Done {date}',
  delete: 'Delete',
  deleteTask: 'Delete: {content}',
  confirmTitle: 'Delete this task?',
  cancel: 'Keep it',
  notifications: 'Notifications',
  nothingYet: 'What changes will appear here by itself.',
  clear: 'Clear',
  verbs: {
    'task.created': 'Created:',
    'task.completed': 'Completed:',
    'task.reopened': 'Reopened:',
    'task.updated': 'Changed:',
    'task.deleted': 'Deleted:',
    other: 'Message:',
  },
  reloaded: 'Tasks reloaded.',
  reloadedWhy: 'The feed could not tell everything that happened meanwhile, so the list was read again.',
  contentMissing: 'Write what is to be done first.',
  contentTooLong: 'At most {limit} characters; these are {count}.',
  failed: {
    create: 'The task was not added. {why}',
    status: 'The task was not changed. {why}',
    delete: 'The task was not deleted. {why}',
    load: 'The tasks could not be read. {why}',
    users: 'The list of users could not be read. {why}',
  },
  why: {
    network: 'The service does not answer. Is the network up?',
    unavailable: 'The service is not available just now. Try again in a moment.',
    timeout: 'The service took too long. Try again in a moment.',
    'bad-gateway': 'The connection broke before the answer came. Try again.',
    internal: 'Something broke inside the service. Try again; if it stays, tell us the number {request}.',
    'not-found': 'It does not exist any more.',
    'too-many-requests': 'Too many requests at once. Try again in a moment.',
    'payload-too-large': 'That is too long.',
    'token-missing': 'This service wants to know who you are: open it with the link you were given.',
    'token-refused': 'Your link has expired. Open the page with a fresh one; nothing is lost.',
    forbidden: 'Your link is for another user: choose yourself, or open the page with their link.',
  },
};

const fr = {
  skip: 'Aller au contenu',
  tagline: 'Des tâches qui sonnent quand elles changent',
  user: 'Utilisateur',
  chooseUser: 'Choisir un utilisateur…',
  unknownUser: 'Utilisateur {id}',
  welcome: 'Choisissez un utilisateur pour voir ses tâches et être averti de chaque changement.',
  connecting: 'Connexion…',
  live: 'En direct',
  offline: 'Hors ligne.',
  nextAttempt: 'Nouvel essai dans {seconds} s.',
  retryNow: 'Essayer maintenant',
  tasks: 'Tâches',
  taskCount: {
    zero: '',
    one: '{done} sur {count} terminée',
    other: '{done} sur {count} terminées',
  },
  loadingTasks: 'Lecture des tâches…',
  noTasks: 'Rien à faire. Écrivez la première tâche ci-dessus.',
  newTask: 'Nouvelle tâche',
  newTaskExample: 'Acheter du pain…',
  add: 'Ajouter',
  added: 'Ajoutée le {date}',
  done: 'Terminée le {date}',
  delete: 'Supprimer',
  deleteTask: 'Supprimer : {content}',
  confirmTitle: 'Supprimer cette tâche ?',
  cancel: 'La garder',
  notifications: 'Notifications',
  nothingYet: 'Ce qui change apparaîtra ici tout seul.',
  clear: 'Effacer',
  verbs: {
    'task.created': 'Créée :',
    'task.completed': 'Terminée :',
    'task.reopened': 'Rouverte :',
    'task.updated': 'Modifiée :',
    'task.deleted': 'Supprimée :',
    other: 'Message :',
  },
  reloaded: 'Tâches rechargées.',
  reloadedWhy: 'Tout ce qui s’est passé entre-temps n’a pas pu être retracé ; la liste a été relue.',
  contentMissing: 'Écrivez d’abord ce qu’il y a à faire.',
  contentTooLong: 'Au plus {limit} caractères ; il y en a {count}.',
  failed: {
    create: 'La tâche n’a pas été ajoutée. {why}',
    status: 'La tâche n’a pas été modifiée. {why}',
    delete: 'La tâche n’a pas été supprimée. {why}',
    load: 'Les tâches n’ont pas pu être lues. {why}',
    users: 'La liste des utilisateurs n’a pas pu être lue. {why}',
  },
  why: {
    network: 'Le service ne répond pas. Le réseau fonctionne-t-il ?',
    unavailable: 'Le service n’est pas disponible pour l’instant. Réessayez dans un moment.',
    timeout: 'Le service a mis trop de temps. Réessayez dans un moment.',
    'bad-gateway': 'La connexion s’est rompue avant la réponse. Réessayez.',
    internal: 'Une erreur interne s’est produite. Réessayez ; si elle persiste, donnez-nous le numéro {request}.',
    'not-found': 'Elle n’existe plus.',
    'too-many-requests': 'Trop de demandes à la fois. Réessayez dans un moment.',
    'payload-too-large': 'C’est trop long.',
    'token-missing': 'Ce service veut savoir qui vous êtes : ouvrez-le avec le lien qui vous a été donné.',
    'token-refused': 'Votre lien a expiré. Ouvrez la page avec un lien récent ; rien n’est perdu.',
    forbidden: 'Votre lien est celui d’un autre utilisateur : choisissez votre nom, ou ouvrez la page avec le sien.',
  },
};

export const catalogues = { en, fr };

/** The first of the browser's languages that we speak, as the browser spells it ("fr-CA"); else English. */
export function pickLocale(languages) {
  return (languages ?? []).find((tag) => tag.split('-')[0].toLowerCase() in catalogues) ?? 'en';
}

export class Words {
  constructor(locale) {
    this.locale = locale;
    this.language = locale.split('-')[0].toLowerCase();
    this.catalogue = catalogues[this.language];
    this.plural = new Intl.PluralRules(locale);
    this.dateTime = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short' });
    this.timeOnly = new Intl.DateTimeFormat(locale, { timeStyle: 'medium' });
    this.dayAndTime = new Intl.DateTimeFormat(locale, { dateStyle: 'short', timeStyle: 'short' });
  }

  /** say('failed.create', { why }): the words behind the key, with {names} filled in; `count` chooses plurals. */
  say(key, values = {}) {
    let text = key.split('.').reduce((part, name) => part?.[name], this.catalogue);
    if (typeof text === 'object') text = values.count === 0 ? text.zero : text[this.plural.select(values.count)];
    return (text ?? key).replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
  }

  /** The headline of a notification, by its event type. */
  verb(event) {
    return this.catalogue.verbs[event] ?? this.catalogue.verbs.other;
  }

  /** Why a call failed, for people: our words where we have some, else what the server said. */
  why(error) {
    const known = this.catalogue.why[error.slug];
    if (known) return known.replace('{request}', error.problem?.request_id ?? '?');
    const fields = error.problem?.errors?.map(({ field, message }) => `${field} ${message}`).join('; ');
    return fields ? `${fields}.` : error.message;
  }

  date(iso) {
    return this.dateTime.format(new Date(iso));
  }

  /** The time alone today, with the day before. */
  moment(date, now = new Date()) {
    const today = date.toDateString() === now.toDateString();
    return (today ? this.timeOnly : this.dayAndTime).format(date);
  }
}
