/* SPDX-License-Identifier: MIT */
/* The filter, by libseccomp. Which calls are which is in sandbox_calls.h.
 *
 * Refused calls raise SIGSYS, whose handler writes the log line and lets the call return EPERM: the signal
 * comes from the call itself, so the handler runs where an ordinary function would. Only clone is refused
 * without: libraries block all signals around it, and a blocked SIGSYS kills. */
#include "common/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

#include "common/log.h"
#include "common/sandbox_calls.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

#define KNOWN_CALLS      1024 /* numbers of calls are below */
#define INT_BITS         0xffffffffu
#define SOCKET_TYPE_BITS 0xfu /* the rest are flags */

/* What the kernel left in the register that a call's result comes in. */
#if defined(__x86_64__)
#define RESULT(context) ((context)->uc_mcontext.gregs[REG_RAX])
#elif defined(__aarch64__)
#define RESULT(context) ((context)->uc_mcontext.regs[0])
#endif

/* ---- telling ------------------------------------------------------------------------------------- */

#ifdef RESULT
#define REFUSE SCMP_ACT_TRAP

static atomic_bool told[KNOWN_CALLS];

static void tell(int call)
{
    if (call < 0 || call >= KNOWN_CALLS || atomic_exchange(&told[call], true))
        return;
    char *name = seccomp_syscall_resolve_num_arch(seccomp_arch_native(), call);
    log_error("refused a system call this program never makes: %s (%d); is an attacker inside?",
              name ? name : "unknown", call);
    free(name);
}

static void on_refused(int signal_number, siginfo_t *info, void *context)
{
    (void)signal_number;
    int saved = errno;
    tell(info->si_syscall);
    errno = saved;
    RESULT((ucontext_t *)context) = -EPERM;
}

static bool listen_to_refusals(void)
{
    struct sigaction action = {.sa_sigaction = on_refused, .sa_flags = SA_SIGINFO};
    sigset_t refusals;
    sigemptyset(&action.sa_mask);
    sigemptyset(&refusals);
    sigaddset(&refusals, SIGSYS);
    return sigaction(SIGSYS, &action, NULL) == 0 && pthread_sigmask(SIG_UNBLOCK, &refusals, NULL) == 0;
}
#else
#define REFUSE SCMP_ACT_ERRNO(EPERM)

static bool listen_to_refusals(void)
{
    return true;
}
#endif

/* ---- rules --------------------------------------------------------------------------------------- */

/* A filter in the making; the first failure stays. */
struct rules {
    scmp_filter_ctx filter;
    uint32_t unknown, refuse, refuse_silently; /* actions */
    int failed;                                /* -errno */
};

/* A name that this library or this processor does not know is no loss: no program can call it. */
static void add(struct rules *rules, uint32_t action, const char *name, unsigned count,
                const struct scmp_arg_cmp *conditions)
{
    int call = seccomp_syscall_resolve_name(name);
    if (call < 0 || rules->failed || action == rules->unknown)
        return;
    rules->failed = seccomp_rule_add_array(rules->filter, action, call, count, conditions);
}

static void add_all(struct rules *rules, uint32_t action, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add(rules, action, names[i], 0, NULL);
}

/* Where (argument & mask) is `value`. Arguments are ints: what is in the upper half of the register is
 * chance. */
static void add_where(struct rules *rules, uint32_t action, const char *name, unsigned argument,
                      uint64_t mask, uint64_t value)
{
    struct scmp_arg_cmp condition = {
        .arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
    add(rules, action, name, 1, &condition);
}

static void add_open(struct rules *rules, const char *name, unsigned flags)
{
    static const uint64_t writing[] = {O_WRONLY, O_RDWR, O_CREAT, O_TRUNC};
    uint64_t any = 0;
    for (size_t i = 0; i < sizeof writing / sizeof *writing; i++) {
        add_where(rules, rules->refuse, name, flags, writing[i], writing[i]);
        any |= writing[i];
    }
    add_where(rules, SCMP_ACT_ALLOW, name, flags, any, 0);
}

/* Memory is written or run, not both; a library is loaded all the same. */
static void add_protection(struct rules *rules, const char *name)
{
    add_where(rules, SCMP_ACT_ALLOW, name, 2, PROT_EXEC, 0);
    add_where(rules, SCMP_ACT_ALLOW, name, 2, PROT_EXEC | PROT_WRITE, PROT_EXEC);
    add_where(rules, rules->refuse, name, 2, PROT_EXEC | PROT_WRITE, PROT_EXEC | PROT_WRITE);
}

/* Where two ints are that, the second one under a mask. */
static void add_where_both(struct rules *rules, uint32_t action, const char *name, unsigned first,
                           uint64_t first_value, uint64_t mask, uint64_t value)
{
    const struct scmp_arg_cmp conditions[] = {
        {.arg = first, .op = SCMP_CMP_MASKED_EQ, .datum_a = INT_BITS, .datum_b = first_value},
        {.arg = first + 1, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value}};
    add(rules, action, name, 2, conditions);
}

/* Streams, and datagrams for the look-up of names. That look-up would also ask the kernel which addresses
 * there are (netlink, and bind); where it cannot, it takes it that there are addresses of both kinds. */
static void add_socket(struct rules *rules)
{
    static const struct {
        uint64_t family, type;
    } kinds[] = {{AF_UNIX, SOCK_STREAM},
                 {AF_INET, SOCK_STREAM},
                 {AF_INET, SOCK_DGRAM},
                 {AF_INET6, SOCK_STREAM},
                 {AF_INET6, SOCK_DGRAM}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        add_where_both(rules, SCMP_ACT_ALLOW, "socket", 0, kinds[i].family, SOCKET_TYPE_BITS, kinds[i].type);
    add_where(rules, rules->refuse_silently, "socket", 0, INT_BITS, AF_NETLINK);
}

/* A descriptor can be told to signal a process, any of the same user, when something happens to it. */
static void add_fcntl(struct rules *rules)
{
    static const uint64_t commands[] = {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD,     F_SETFD,
                                        F_GETFL, F_GETPIPE_SZ,    F_SETPIPE_SZ};
    static const uint64_t signalling[] = {F_SETOWN, F_SETOWN_EX, F_SETSIG, F_SETLEASE, F_NOTIFY};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        add_where(rules, SCMP_ACT_ALLOW, "fcntl", 1, INT_BITS, commands[i]);
    for (size_t i = 0; i < sizeof signalling / sizeof *signalling; i++)
        add_where(rules, rules->refuse, "fcntl", 1, INT_BITS, signalling[i]);
    add_where_both(rules, SCMP_ACT_ALLOW, "fcntl", 1, F_SETFL, O_ASYNC, 0);
    add_where_both(rules, rules->refuse, "fcntl", 1, F_SETFL, O_ASYNC, O_ASYNC);
}

static void add_ioctl(struct rules *rules)
{
    static const uint64_t requests[] = {FIONBIO, FIONREAD, FIOCLEX, TCGETS}; /* the last: isatty() */
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
        add_where(rules, SCMP_ACT_ALLOW, "ioctl", 1, INT_BITS, requests[i]);
}

static void add_prctl(struct rules *rules)
{
    static const uint64_t options[] = {PR_SET_NAME, PR_GET_NAME, PR_SET_VMA, PR_GET_SECCOMP};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        add_where(rules, SCMP_ACT_ALLOW, "prctl", 0, INT_BITS, options[i]);
}

/* Its own limits may be read. */
static void add_limits(struct rules *rules)
{
    const struct scmp_arg_cmp conditions[] = {{.arg = 0, .op = SCMP_CMP_EQ, .datum_a = 0},
                                              {.arg = 2, .op = SCMP_CMP_EQ, .datum_a = 0}};
    add(rules, SCMP_ACT_ALLOW, "prlimit64", 2, conditions);
}

static void add_rules(struct rules *rules)
{
    add_all(rules, SCMP_ACT_ALLOW, allowed_calls, sizeof allowed_calls / sizeof *allowed_calls);
    add_all(rules, rules->refuse, refused_calls, sizeof refused_calls / sizeof *refused_calls);
    add_open(rules, "open", 1);
    add_open(rules, "openat", 2);
    add_protection(rules, "mmap");
    add_protection(rules, "mprotect");
    add_socket(rules);
    add_fcntl(rules);
    add_ioctl(rules);
    add_prctl(rules);
    add_limits(rules);
    add_where(rules, SCMP_ACT_ALLOW, "clone", 0, CLONE_THREAD, CLONE_THREAD);
    add_where(rules, rules->refuse_silently, "clone", 0, CLONE_THREAD, 0);
    add_where(rules, SCMP_ACT_ALLOW, "tgkill", 0, INT_BITS, (uint64_t)getpid()); /* abort(), pthread_kill() */
}

/* ---- entering ------------------------------------------------------------------------------------ */

static int load(enum sandbox_mode mode)
{
    bool log = mode == SANDBOX_LOG;
    struct rules rules = {.unknown = log ? SCMP_ACT_LOG : SCMP_ACT_ERRNO(ENOSYS),
                          .refuse = log ? SCMP_ACT_LOG : REFUSE,
                          .refuse_silently = log ? SCMP_ACT_LOG : SCMP_ACT_ERRNO(EPERM)};

    rules.filter = seccomp_init(rules.unknown);
    if (!rules.filter)
        return -ENOMEM;
    /* For all threads there are; without the slow-down that guards against code which is not our own; and
     * searched as a tree. Where the library or the kernel knows less, it is only slower. */
    (void)seccomp_attr_set(rules.filter, SCMP_FLTATR_CTL_TSYNC, 1);
    (void)seccomp_attr_set(rules.filter, SCMP_FLTATR_CTL_SSB, 1);
    (void)seccomp_attr_set(rules.filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    add_rules(&rules);
    if (!rules.failed)
        rules.failed = seccomp_load(rules.filter);
    seccomp_release(rules.filter);
    return rules.failed;
}

static bool without_seccomp(void)
{
    return prctl(PR_GET_SECCOMP) < 0 && errno == EINVAL;
}

static enum err not_to_be_had(enum sandbox_mode mode, int failed, char *why, size_t size)
{
    snprintf(why, size, "SECCOMP=%s cannot be had: %s; SECCOMP=off does without",
             mode == SANDBOX_LOG ? "log" : "on", strerror(-failed));
    return ERR_SYSTEM;
}

enum err sandbox_refuse_io_uring(enum sandbox_mode mode, char *why, size_t size)
{
    struct rules rules = {.unknown = SCMP_ACT_ALLOW};

    if (mode == SANDBOX_OFF || SANITIZED || without_seccomp())
        return ERR_OK;
    rules.filter = seccomp_init(rules.unknown);
    if (!rules.filter)
        return not_to_be_had(mode, -ENOMEM, why, size);
    add(&rules, SCMP_ACT_ERRNO(ENOSYS), "io_uring_setup", 0, NULL);
    if (!rules.failed)
        rules.failed = seccomp_load(rules.filter);
    seccomp_release(rules.filter);
    return rules.failed ? not_to_be_had(mode, rules.failed, why, size) : ERR_OK;
}

enum err sandbox_enter(enum sandbox_mode mode, char *why, size_t size)
{
    const struct rlimit no_core = {0, 0}; /* a core dump would hold every secret of the process */

    if (mode == SANDBOX_OFF || SANITIZED)
        return ERR_OK;
    if (without_seccomp()) {
        log_warn("this kernel has no seccomp: a process that is taken over may call what it likes");
        return ERR_OK;
    }
    if (mode == SANDBOX_ON)
        (void)setrlimit(RLIMIT_CORE, &no_core);
    int failed = listen_to_refusals() ? load(mode) : -errno;
    return failed ? not_to_be_had(mode, failed, why, size) : ERR_OK;
}
