/* SPDX-License-Identifier: MIT */
/* The system calls that both programs need, and those that they never make; for sandbox.c only. Names: a call
 * that this processor or this libseccomp does not have is left out. What is in neither list does not exist
 * (ENOSYS).
 *
 * Conditions on arguments (openat, mmap, socket, fcntl, ioctl...) are in sandbox.c. */
#ifndef CARILLON_SANDBOX_CALLS_H
#define CARILLON_SANDBOX_CALLS_H

static const char *const allowed_calls[] = {
    /* sockets; a listening one is made before */
    "accept", "accept4", "connect", "getpeername", "getsockname", "getsockopt", "setsockopt", "recvfrom",
    "recvmsg", "recvmmsg", "sendto", "sendmsg", "sendmmsg", "shutdown",
    /* descriptors */
    "read", "readv", "pread64", "preadv", "write", "writev", "close", "close_range", "dup", "dup2", "dup3",
    "lseek", "pipe2", "pipe", "eventfd2", "eventfd", "poll", "ppoll", "select", "pselect6", "epoll_create1",
    "epoll_create", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "timerfd_create",
    "timerfd_settime", "timerfd_gettime", "flock",
    /* looking at files */
    "stat", "fstat", "lstat", "newfstatat", "statx", "statfs", "fstatfs", "access", "faccessat", "faccessat2",
    "readlink", "readlinkat", "getcwd", "getdents64",
    /* memory */
    "brk", "munmap", "mremap", "madvise", "mlock", "mlock2", "munlock", "membarrier", "mincore",
    /* threads; clone is in sandbox.c */
    "futex", "futex_wait", "futex_wake", "futex_requeue", "futex_waitv", "set_robust_list", "get_robust_list",
    "rseq", "gettid", "sched_yield", "sched_getaffinity", "sched_getparam", "sched_getscheduler",
    "sched_get_priority_max", "sched_get_priority_min", "getcpu", "exit", "exit_group", "restart_syscall",
    /* time */
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "times", "alarm",
    "setitimer", "getitimer",
    /* signals */
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigtimedwait", "rt_sigsuspend",
    "sigaltstack",
    /* who and where we are */
    "getpid", "getppid", "getpgrp", "getpgid", "getsid", "getuid", "geteuid", "getgid", "getegid",
    "getgroups", "getresuid", "getresgid", "getrlimit", "getrusage", "uname", "sysinfo", "getrandom",
    "capget"};

static const char *const refused_calls[] = {
    /* another program, another process */
    "execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_open",
    "pidfd_getfd", "process_madvise", "kcmp", "kill", "tkill", "pidfd_send_signal", "memfd_create",
    "memfd_secret", "personality", "unshare", "setns",
    /* files */
    "creat", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "symlink",
    "symlinkat", "mkdir", "mkdirat", "rmdir", "mknod", "mknodat", "chmod", "fchmod", "fchmodat", "fchmodat2",
    "chown", "fchown", "lchown", "fchownat", "truncate", "ftruncate", "fallocate", "utimensat", "utime",
    "utimes", "setxattr", "lsetxattr", "fsetxattr", "chdir", "fchdir", "chroot", "pivot_root", "mount",
    "umount2", "open_tree", "move_mount", "fsopen", "open_by_handle_at", "name_to_handle_at", "swapon",
    "swapoff",
    /* another server, another user, the machine */
    "listen", "bind", "socketpair", "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid",
    "setgroups", "setfsuid", "setfsgid", "capset", "setsid", "setpgid", "setrlimit", "reboot", "kexec_load",
    "kexec_file_load", "init_module", "finit_module", "delete_module", "bpf", "perf_event_open",
    "userfaultfd", "keyctl", "add_key", "request_key", "sethostname", "setdomainname", "settimeofday",
    "clock_settime", "clock_adjtime", "adjtimex", "syslog", "acct", "quotactl", "ioperm", "iopl",
    "modify_ldt", "vhangup"};

#endif
