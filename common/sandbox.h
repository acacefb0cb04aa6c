/* SPDX-License-Identifier: MIT */
/* What a program gives up once it has started. An attacker who takes it over through a defect gets a process
 * that cannot run another program, cannot make another process or look into one, cannot write, make, rename
 * or delete a file, and cannot get these back: the kernel refuses the calls (seccomp). What stays is what the
 * program needs: its sockets and new connections, reading files (certificates, /etc/resolv.conf), memory,
 * threads.
 *
 * A refused call fails with EPERM, and is logged once per process. A call that is in neither list fails with
 * ENOSYS, as on a kernel that does not know it, so that a newer C library falls back to an older call. */
#ifndef CARILLON_SANDBOX_H
#define CARILLON_SANDBOX_H

#include <stddef.h>

#include "common/err.h"

/* In the order of SECCOMP's words in common/config.h. LOG: nothing but io_uring is refused, the kernel's log
 * (dmesg, or the audit log) tells what would be. */
enum sandbox_mode { SANDBOX_ON, SANDBOX_LOG, SANDBOX_OFF };

/* Holds for the whole process and for ever. Call it when everything is open that has to be, at best before
 * the first thread; threads that block SIGSYS are killed by a refused call. On ERR_SYSTEM `why` (size bytes)
 * tells. A kernel without seccomp is warned about and no error; a build with sanitizers, which need more,
 * does nothing. */
MUST_CHECK enum err sandbox_enter(enum sandbox_mode mode, char *why, size_t size);

/* Refuses io_uring and nothing else: to be called before an event loop is made. libuv 1.50 and later makes a
 * ring for each loop where it can, and aborts when sandbox_enter() refuses it later; a loop that could make
 * none uses epoll. Holds for the whole process and for ever, in the modes ON and LOG. Errors and what is no
 * error as in sandbox_enter(), which warns of a kernel without seccomp. */
MUST_CHECK enum err sandbox_refuse_io_uring(enum sandbox_mode mode, char *why, size_t size);

#endif
