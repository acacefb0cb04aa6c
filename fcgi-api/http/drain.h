/* Leaving in order: SIGTERM (and INT, HUP, USR1, USR2 as multiwatch sends them) asks the worker to finish the
 * request in hand and go; a clock sees to it that it does. */
#ifndef CARILLON_HTTP_DRAIN_H
#define CARILLON_HTTP_DRAIN_H

#include <stdbool.h>

#define DRAIN_DEADLINE_S 4 /* after this many seconds the worker is ended, whatever it is doing */

/* Installs the handlers, and holds the signals back for this thread and all it will make: other threads
 * never see them. `wake` is called in the handler, so it may only do what a handler may. */
void drain_install(void (*wake)(void));

/* Lets the signals in. Called once by the thread that accepts requests. */
void drain_open(void);

bool drain_asked(void);

#endif
