// SPDX-License-Identifier: MIT
// The page's words in English and French, chosen by the browser's languages, and its dates through Intl.

const en = {
  skip: 'Skip to the content',
  tagline: 'Tasks that ring when they change',
  figures: 'Figures for administrators',
  user: 'User',
  chooseUser: 'Choose a user…',
  unknownUser: 'User {id}',
  welcomeTitle: 'Whose tasks?',
  welcome: 'Choose a user. Whatever changes in their tasks, in this window or anywhere else, shows here at once.',
  welcomeMore: { one: 'One more is in the list above.', other: '{count} more are in the list above.' },
  tryIt: 'To see it happen, complete a task from a terminal while the page is open:',
  connecting: 'Connecting…',
  live: 'Live',
  delayed: 'Delayed.',
  offline: 'Offline.',
  nextAttempt: 'Next attempt in {seconds} s.',
  nextLook: 'Next look in {seconds} s.',
  retryNow: 'Try now',
  tasks: 'Tasks',
  taskCount: { zero: '', one: '{done} of {count} done', other: '{done} of {count} done' },
  loadingTasks: 'Reading the tasks…',
  noTasks: 'Nothing to do. Write the first task above.',
  noneOpen: 'Nothing left to do.',
  noneDone: 'Nothing done yet.',
  filter: 'Show',
  filterAll: 'All',
  filterOpen: 'To do',
  filterDone: 'Done',
  newTask: 'New task',
  newTaskExample: 'Buy bread…',
  add: 'Add',
  added: 'Added {date}',
  done: 'Done {date}',
  doneUndated: 'Done',
  edit: 'Change',
  editTask: 'Change: {content}',
  editField: 'What is to be done',
  save: 'Save',
  discard: 'Cancel',
  delete: 'Delete',
  deleteTask: 'Delete: {content}',
  confirmTitle: 'Delete this task?',
  cancel: 'Keep it',
  notifications: 'Notifications',
  nothingYet: 'Nothing yet. Tick a task, in this window or another one: each change appears here at once.',
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
  goneWhileEditing: 'The task you were changing has been deleted. Your text is here: add it, if you like.',
  failed: {
    create: 'The task was not added. {why}',
    status: 'The task was not changed. {why}',
    content: 'The task was not changed. {why}',
    delete: 'The task was not deleted. {why}',
    load: 'The tasks could not be read. {why}',
    users: 'The list of users could not be read. {why}',
  },
  why: {
    network: 'The service does not answer. Is the network up?',
    unavailable: 'The service is not available just now. Try again in a moment.',
    timeout: 'The service took too long. Try again in a moment.',
    uncertain: 'The connection broke before the answer came. Try again.',
    'bad-gateway': 'The connection broke before the answer came. Try again.',
    internal: 'Something broke inside the service. Try again; if it stays, tell us the number {request}.',
    'not-found': 'It does not exist any more.',
    'unknown-user': 'There is no user {user}. Choose another one.',
    stale: 'It has changed meanwhile. Look at it, and try again.',
    'changed-meanwhile': 'It says “{content}” now. Save again to replace that.',
    'payload-too-large': 'That is too long.',
    'too-many-requests': 'Too many requests at once. Try again in a moment.',
    'token-missing': 'This service wants to know who you are: open it with the link you were given.',
    'token-expired': 'Your link has expired. Open the page with a fresh one; nothing is lost.',
    'token-refused': 'Your link is not valid here. Ask for another one.',
    forbidden: 'Your link is for another user: choose yourself, or open the page with their link.',
    origin:
      'The service does not know this page’s address, {origin}. Its operator has to allow it (ALLOWED_ORIGINS, SERVER_NAME), or to let the proxy in front pass the Host on.',
    'limit-clients': 'The service has as many listeners as it can take. This page tries again by itself.',
    'limit-user': 'This user has too many pages open. Close some; this one tries again by itself.',
    'limit-address': 'Too many pages are open at your network’s address. Close some; this one tries again by itself.',
    'limit-new': 'Too many pages connect at the same time. This one tries again by itself.',
    'limit-messages': 'This page has said too much in a short time. It tries again by itself.',
    // Where nothing else fits and the service has no words for it:
    refused: 'The service refused it (code {status}).',
  },
};

const fr = {
  skip: 'Aller au contenu',
  tagline: 'Des tâches qui sonnent quand elles changent',
  figures: 'Mesures pour les administrateurs',
  user: 'Utilisateur',
  chooseUser: 'Choisir un utilisateur…',
  unknownUser: 'Utilisateur {id}',
  welcomeTitle: 'Les tâches de qui ?',
  welcome: 'Choisissez un utilisateur. Tout ce qui change dans ses tâches, dans cette fenêtre ou ailleurs, se voit ici aussitôt.',
  welcomeMore: { one: 'Un autre est dans la liste ci-dessus.', other: '{count} autres sont dans la liste ci-dessus.' },
  tryIt: 'Pour le voir, terminez une tâche depuis un terminal pendant que la page est ouverte :',
  connecting: 'Connexion…',
  live: 'En direct',
  delayed: 'En différé.',
  offline: 'Hors ligne.',
  nextAttempt: 'Nouvel essai dans {seconds} s.',
  nextLook: 'Prochaine lecture dans {seconds} s.',
  retryNow: 'Essayer maintenant',
  tasks: 'Tâches',
  taskCount: {
    zero: '',
    one: '{done} sur {count} terminée',
    other: '{done} sur {count} terminées',
  },
  loadingTasks: 'Lecture des tâches…',
  noTasks: 'Rien à faire. Écrivez la première tâche ci-dessus.',
  noneOpen: 'Plus rien à faire.',
  noneDone: 'Rien de terminé pour l’instant.',
  filter: 'Afficher',
  filterAll: 'Toutes',
  filterOpen: 'À faire',
  filterDone: 'Terminées',
  newTask: 'Nouvelle tâche',
  newTaskExample: 'Acheter du pain…',
  add: 'Ajouter',
  added: 'Ajoutée le {date}',
  done: 'Terminée le {date}',
  doneUndated: 'Terminée',
  edit: 'Modifier',
  editTask: 'Modifier : {content}',
  editField: 'Ce qu’il y a à faire',
  save: 'Enregistrer',
  discard: 'Annuler',
  delete: 'Supprimer',
  deleteTask: 'Supprimer : {content}',
  confirmTitle: 'Supprimer cette tâche ?',
  cancel: 'La garder',
  notifications: 'Notifications',
  nothingYet: 'Rien encore. Cochez une tâche, dans cette fenêtre ou une autre : chaque changement apparaît ici aussitôt.',
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
  goneWhileEditing: 'La tâche que vous modifiiez a été supprimée. Votre texte est ici : ajoutez-le si vous voulez.',
  failed: {
    create: 'La tâche n’a pas été ajoutée. {why}',
    status: 'La tâche n’a pas été modifiée. {why}',
    content: 'La tâche n’a pas été modifiée. {why}',
    delete: 'La tâche n’a pas été supprimée. {why}',
    load: 'Les tâches n’ont pas pu être lues. {why}',
    users: 'La liste des utilisateurs n’a pas pu être lue. {why}',
  },
  why: {
    network: 'Le service ne répond pas. Le réseau fonctionne-t-il ?',
    unavailable: 'Le service n’est pas disponible pour l’instant. Réessayez dans un moment.',
    timeout: 'Le service a mis trop de temps. Réessayez dans un moment.',
    uncertain: 'La connexion s’est rompue avant la réponse. Réessayez.',
    'bad-gateway': 'La connexion s’est rompue avant la réponse. Réessayez.',
    internal: 'Une erreur interne s’est produite. Réessayez ; si elle persiste, donnez-nous le numéro {request}.',
    'not-found': 'Elle n’existe plus.',
    'unknown-user': 'Il n’y a pas d’utilisateur {user}. Choisissez-en un autre.',
    stale: 'Elle a changé entre-temps. Regardez-la, puis réessayez.',
    'changed-meanwhile': 'Elle dit maintenant « {content} ». Enregistrez de nouveau pour remplacer ce texte.',
    'payload-too-large': 'C’est trop long.',
    'too-many-requests': 'Trop de demandes à la fois. Réessayez dans un moment.',
    'token-missing': 'Ce service veut savoir qui vous êtes : ouvrez-le avec le lien qui vous a été donné.',
    'token-expired': 'Votre lien a expiré. Ouvrez la page avec un lien récent ; rien n’est perdu.',
    'token-refused': 'Votre lien n’est pas valable ici. Demandez-en un autre.',
    forbidden: 'Votre lien est celui d’un autre utilisateur : choisissez votre nom, ou ouvrez la page avec le sien.',
    origin:
      'Le service ne connaît pas l’adresse de cette page, {origin}. Son exploitant doit l’autoriser (ALLOWED_ORIGINS, SERVER_NAME), ou faire transmettre l’en-tête Host par le proxy.',
    'limit-clients': 'Le service ne peut accueillir plus de lecteurs. Cette page réessaie toute seule.',
    'limit-user': 'Trop de pages de cet utilisateur sont ouvertes. Fermez-en ; celle-ci réessaie toute seule.',
    'limit-address': 'Trop de pages sont ouvertes à l’adresse de votre réseau. Fermez-en ; celle-ci réessaie toute seule.',
    'limit-new': 'Trop de pages se connectent en même temps. Celle-ci réessaie toute seule.',
    'limit-messages': 'Cette page a trop parlé en peu de temps. Elle réessaie toute seule.',
    refused: 'Le service n’a pas accepté la demande (code {status}).',
  },
};

export const catalogues = { en, fr };

/** The first of the browser's languages that we speak ("fr-CA"), as Intl takes it; else English. */
export function pickLocale(languages) {
  for (const tag of languages ?? []) {
    const language = String(tag).split(/[-_.@]/)[0].toLowerCase();
    if (Object.hasOwn(catalogues, language)) return canonical(tag) ?? language;
  }
  return 'en';
}

/** Some systems say "en-US@posix", "fr_FR.UTF-8" or "en-": without what is no language tag; null if it is none then. */
function canonical(tag) {
  try {
    return Intl.getCanonicalLocales(String(tag).replace(/[.@].*$/, '').replaceAll('_', '-'))[0];
  } catch {
    return null;
  }
}

export class Words {
  /** `from`: another page's catalogues, in the same languages. */
  constructor(locale, from = catalogues) {
    this.locale = locale;
    this.language = locale.split('-')[0].toLowerCase();
    this.catalogue = from[this.language];
    this.plural = new Intl.PluralRules(locale);
    this.dateTime = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short' });
    this.timeOnly = new Intl.DateTimeFormat(locale, { timeStyle: 'medium' });
    this.dayAndTime = new Intl.DateTimeFormat(locale, { dateStyle: 'short', timeStyle: 'short' });
  }

  /** say('failed.create', { why }): the words behind the key, with {names} filled in; `count` chooses plurals. */
  say(key, values = {}) {
    let text = key.split('.').reduce((part, name) => part?.[name], this.catalogue);
    if (typeof text === 'object')
      text = (values.count === 0 ? text.zero : text[this.plural.select(values.count)]) ?? text.other;
    return (text ?? key).replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
  }

  /** The headline of a notification, by its event type. */
  verb(event) {
    const { verbs } = this.catalogue;
    return Object.hasOwn(verbs, event) ? verbs[event] : verbs.other;
  }

  /** Why a call failed, for people: our words where we have some, else what the server said, which is English. */
  why(error, values = {}) {
    const { why } = this.catalogue;
    const fill = { request: error.problem?.request_id ?? '?', status: error.status ?? '?', ...values };
    if (error.slug !== 'refused' && Object.hasOwn(why, error.slug ?? '')) return this.say(`why.${error.slug}`, fill);
    const fields = error.problem?.errors?.map?.(({ field, message }) => `${field} ${message}`).join('; ');
    const said = fields ? `${fields}.` : (error.problem?.detail ?? error.problem?.title);
    return this.language === 'en' && said ? said : this.say('why.refused', fill);
  }

  /** A time the server wrote, for people; null when it is none. */
  date(iso) {
    const date = readTime(iso);
    return date && this.dateTime.format(date);
  }

  /** The time alone today, with the day before. */
  moment(date, now = new Date()) {
    const today = date.toDateString() === now.toDateString();
    return (today ? this.timeOnly : this.dayAndTime).format(date);
  }
}

/** RFC 3339 and nothing else: Date itself takes "Meeting 12" for a day in 2001. */
export function readTime(text) {
  const date = new Date(/^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(text) ? text : NaN);
  return Number.isNaN(date.getTime()) ? null : date;
}
