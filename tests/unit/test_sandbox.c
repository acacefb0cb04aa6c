/* SPDX-License-Identifier: MIT */
/* The sandbox: each attempt is made in a child of its own, because the sandbox cannot be left again. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/sandbox.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WITHOUT_SANDBOX true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WITHOUT_SANDBOX true
#endif
#endif
#ifndef WITHOUT_SANDBOX
#define WITHOUT_SANDBOX false
#endif

/* What an attempt returns: 0, or errno. */
typedef int attempt(void);

static char logged[4096]; /* by the last child */

static int errno_of(long result)
{
    return result < 0 ? errno : 0;
}

static bool confined(void)
{
    return prctl(PR_GET_SECCOMP) == 2;
}

static void run_child(enum sandbox_mode mode, attempt *try, int log_fd)
{
    char why[256];
    dup2(log_fd, STDERR_FILENO);
    log_init("test", LOG_TEXT, LOG_INFO);
    if (sandbox_enter(mode, why, sizeof why) != ERR_OK)
        _exit(98);
    _exit(mode == SANDBOX_ON && !confined() ? 97 : try());
}

/* errno of the attempt inside the sandbox; 0: it was allowed. A child that is killed fails the test. */
static int try_in(enum sandbox_mode mode, attempt *try)
{
    int log[2], status;
    size_t length = 0;
    ssize_t got;

    if (mode == SANDBOX_ON && WITHOUT_SANDBOX)
        skip();
    assert_int_equal(pipe(log), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        run_child(mode, try, log[1]);
    close(log[1]);
    while ((got = read(log[0], logged + length, sizeof logged - 1 - length)) > 0)
        length += (size_t)got;
    logged[length] = '\0';
    close(log[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* ---- what is refused ----------------------------------------------------------------------------- */

static int exec_shell(void)
{
    char *arguments[] = {(char[]){"sh"}, NULL};
    return errno_of(execve("/bin/sh", arguments, arguments + 1));
}

static int exec_descriptor(void)
{
    int fd = open("/bin/sh", O_RDONLY | O_CLOEXEC);
    char *arguments[] = {(char[]){"sh"}, NULL};
    return fd < 0 ? 97 : errno_of(syscall(SYS_execveat, fd, "", arguments, arguments + 1, AT_EMPTY_PATH));
}

static int make_process(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    return errno_of(child);
}

static int make_process_by_clone(void)
{
    long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0)
        _exit(0);
    return errno_of(child);
}

static int trace_parent(void)
{
    return errno_of(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static int open_to_write(void)
{
    return errno_of(open("/dev/null", O_WRONLY));
}

static int open_to_read_and_write(void)
{
    return errno_of(open("/dev/null", O_RDWR | O_CLOEXEC));
}

static int make_file(void)
{
    return errno_of(open("/tmp/carillon-sandbox", O_RDONLY | O_CREAT, 0600));
}

static int make_unnamed_file(void)
{
    return errno_of(open("/tmp", O_TMPFILE | O_RDWR, 0600));
}

static int empty_file(void)
{
    return errno_of(openat(AT_FDCWD, "/dev/null", O_RDONLY | O_TRUNC));
}

static int remove_file(void)
{
    return errno_of(unlink("/tmp/carillon-sandbox-missing"));
}

static int change_mode(void)
{
    return errno_of(chmod("/dev/null", 0666));
}

static int signal_parent(void)
{
    return errno_of(kill(getppid(), 0));
}

static int write_and_run_memory(void)
{
    void *memory = mmap(NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? errno : 0;
}

static int make_memory_runnable(void)
{
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return errno_of(mprotect(memory, 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
}

static int become_a_server(void)
{
    return errno_of(listen(socket(AF_INET, SOCK_STREAM, 0), 1));
}

static int fcntl_of_pipe(int command, long argument)
{
    int ends[2];
    return pipe(ends) ? 97 : errno_of(fcntl(ends[0], command, argument));
}

static int own_descriptor(void)
{
    return fcntl_of_pipe(F_SETOWN, getppid());
}

static int own_descriptor_by_struct(void)
{
    struct f_owner_ex owner = {F_OWNER_PID, getppid()};
    return fcntl_of_pipe(F_SETOWN_EX, (long)(intptr_t)&owner);
}

static int choose_signal(void)
{
    return fcntl_of_pipe(F_SETSIG, SIGKILL);
}

static int signal_when_ready(void)
{
    return fcntl_of_pipe(F_SETFL, O_ASYNC | O_NONBLOCK);
}

static int signal_when_ready_by_ioctl(void)
{
    int ends[2], on = 1;
    return pipe(ends) ? 97 : errno_of(ioctl(ends[0], FIOASYNC, &on));
}

static int bind_datagrams(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return errno_of(bind(socket(AF_INET, SOCK_DGRAM, 0), (struct sockaddr *)&address, sizeof address));
}

/* A name in the file system, made without opening a file. */
static int bind_file(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "/tmp/carillon-sandbox-%d", (int)getpid());
    int result = errno_of(bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address, sizeof address));
    if (!result)
        (void)unlink(address.sun_path);
    return result;
}

static int open_unix_datagrams(void)
{
    return errno_of(socket(AF_UNIX, SOCK_DGRAM, 0));
}

static int make_socket_pair(void)
{
    int ends[2];
    return errno_of(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
}

static int open_raw_internet_socket(void)
{
    return errno_of(socket(AF_INET, SOCK_RAW, IPPROTO_UDP));
}

static int become_root(void)
{
    return errno_of(setuid(0));
}

static int raise_limit(void)
{
    struct rlimit limit = {1, 1};
    return errno_of(setrlimit(RLIMIT_NOFILE, &limit));
}

static int type_into_terminal(void)
{
    char letter = 'x';
    return errno_of(ioctl(STDIN_FILENO, TIOCSTI, &letter));
}

static int open_raw_socket(void)
{
    return errno_of(socket(AF_PACKET, SOCK_RAW, 0));
}

static int call_what_nobody_knows(void)
{
    return errno_of(syscall(1023));
}

static const struct {
    const char *what;
    attempt *try;
    int expected;
    const char *told; /* in the log; NULL: nothing */
} refused[] = {
    {"exec", exec_shell, EPERM, "execve ("},
    {"exec by descriptor", exec_descriptor, EPERM, "execveat ("},
    {"fork", make_process, EPERM, NULL},
    {"clone", make_process_by_clone, EPERM, NULL},
    {"ptrace", trace_parent, EPERM, "ptrace ("},
    {"write only", open_to_write, EPERM, "openat ("},
    {"read and write", open_to_read_and_write, EPERM, "openat ("},
    {"create", make_file, EPERM, "openat ("},
    {"O_TMPFILE", make_unnamed_file, EPERM, "openat ("},
    {"truncate", empty_file, EPERM, "openat ("},
    {"unlink", remove_file, EPERM, "unlink"},
    {"chmod", change_mode, EPERM, "chmod"},
    {"kill", signal_parent, EPERM, "kill ("},
    {"memory to write and run", write_and_run_memory, EPERM, "mmap ("},
    {"mprotect", make_memory_runnable, EPERM, "mprotect ("},
    {"listen", become_a_server, EPERM, "listen ("},
    {"F_SETOWN", own_descriptor, EPERM, "fcntl ("},
    {"F_SETOWN_EX", own_descriptor_by_struct, EPERM, "fcntl ("},
    {"F_SETSIG", choose_signal, EPERM, "fcntl ("},
    {"O_ASYNC", signal_when_ready, EPERM, "fcntl ("},
    {"FIOASYNC", signal_when_ready_by_ioctl, ENOSYS, NULL},
    {"bind", bind_datagrams, EPERM, "bind ("},
    {"bind to a file", bind_file, EPERM, "bind ("},
    {"unix datagrams", open_unix_datagrams, ENOSYS, NULL},
    {"socketpair", make_socket_pair, EPERM, "socketpair ("},
    {"raw socket", open_raw_internet_socket, ENOSYS, NULL},
    {"setuid", become_root, EPERM, "setuid ("},
    {"setrlimit", raise_limit, ENOSYS, NULL},
    {"TIOCSTI", type_into_terminal, ENOSYS, NULL},
    {"packet socket", open_raw_socket, ENOSYS, NULL},
    {"unknown", call_what_nobody_knows, ENOSYS, NULL},
};

static void test_what_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        int result = try_in(SANDBOX_ON, refused[i].try);
        if (result != refused[i].expected)
            fail_msg("%s: %d, not %d", refused[i].what, result, refused[i].expected);
        if (refused[i].told && !strstr(logged, refused[i].told))
            fail_msg("%s is not told: %s", refused[i].what, logged);
        if (!refused[i].told)
            assert_string_equal(logged, "");
    }
}

/* Without the sandbox the attempts succeed; otherwise the test above would prove nothing. */
static void test_what_would_be_possible(void **state)
{
    static attempt *const possible[] = {make_process,
                                        open_to_write,
                                        open_to_read_and_write,
                                        make_unnamed_file,
                                        write_and_run_memory,
                                        make_memory_runnable,
                                        signal_parent,
                                        become_a_server,
                                        raise_limit,
                                        own_descriptor,
                                        own_descriptor_by_struct,
                                        choose_signal,
                                        signal_when_ready,
                                        signal_when_ready_by_ioctl,
                                        bind_datagrams,
                                        bind_file,
                                        open_unix_datagrams,
                                        make_socket_pair};
    (void)state;
    for (size_t i = 0; i < sizeof possible / sizeof *possible; i++)
        assert_int_equal(try_in(SANDBOX_OFF, possible[i]), 0);
}

static int refused_twice(void)
{
    (void)exec_shell();
    return exec_shell();
}

static void test_a_refusal_is_told_once(void **state)
{
    (void)state;
    assert_int_equal(try_in(SANDBOX_ON, refused_twice), EPERM);
    const char *first = strstr(logged, "refused a system call");
    assert_non_null(first);
    assert_null(strstr(first + 1, "refused a system call"));
}

/* ---- what is needed ------------------------------------------------------------------------------ */

static void *thread_that_execs(void *result)
{
    *(int *)result = exec_shell();
    return NULL;
}

/* A thread can be made, and has the same sandbox. */
static int exec_in_thread(void)
{
    pthread_t thread;
    int result = 0;
    if (pthread_create(&thread, NULL, thread_that_execs, &result) || pthread_join(thread, NULL))
        return 96;
    return result;
}

static void test_threads(void **state)
{
    (void)state;
    assert_int_equal(try_in(SANDBOX_ON, exec_in_thread), EPERM);
}

static int look_up_and_connect(void)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    if (getaddrinfo("localhost", "1", &hints, &found) != 0)
        return 96;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = errno_of(connect(fd, found->ai_addr, found->ai_addrlen));
    freeaddrinfo(found);
    return result;
}

static int read_file(void)
{
    char buffer[16];
    FILE *file = fopen("/etc/passwd", "re");
    if (!file || fread(buffer, 1, sizeof buffer, file) != sizeof buffer)
        return errno;
    return fclose(file);
}

static int read_own_limits(void)
{
    struct rlimit limit;
    return errno_of(getrlimit(RLIMIT_NOFILE, &limit));
}

static int no_core(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0 ? 0 : 96;
}

static int usual_fcntl(void)
{
    int ends[2];
    if (pipe(ends) || fcntl(ends[0], F_SETFL, fcntl(ends[0], F_GETFL) | O_NONBLOCK) ||
        fcntl(ends[0], F_SETFD, FD_CLOEXEC) || fcntl(ends[0], F_DUPFD_CLOEXEC, 0) < 0)
        return errno;
    return errno_of(fcntl(ends[1], F_SETPIPE_SZ, 65536));
}

static void test_what_is_needed(void **state)
{
    (void)state;
    assert_int_equal(try_in(SANDBOX_ON, look_up_and_connect), ECONNREFUSED);
    assert_int_equal(try_in(SANDBOX_ON, read_file), 0);
    assert_int_equal(try_in(SANDBOX_ON, usual_fcntl), 0);
    assert_int_equal(try_in(SANDBOX_ON, read_own_limits), 0);
    assert_int_equal(try_in(SANDBOX_ON, no_core), 0);
    assert_string_equal(logged, "");
}

/* abort() must still end the program by SIGABRT: an assertion that fails is no refusal. */
static void test_abort(void **state)
{
    char why[256];
    int status;
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (sandbox_enter(SANDBOX_ON, why, sizeof why) == ERR_OK)
            abort();
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void test_log_refuses_nothing(void **state)
{
    (void)state;
    assert_int_equal(try_in(SANDBOX_LOG, open_to_write), 0);
    assert_int_equal(try_in(SANDBOX_LOG, make_process), 0);
}

/* ---- before the loop is made ----------------------------------------------------------------------- */

static int make_ring(void)
{
    char parameters[512] = {0}; /* more than the kernel's struct */
    return errno_of(syscall(SYS_io_uring_setup, 4, parameters));
}

/* A program's steps in their right order: 0, or the step that failed. */
static int refuse_ring_then_confine(void)
{
    char why[256];
    if (sandbox_refuse_io_uring(SANDBOX_ON, why, sizeof why) != ERR_OK)
        return 1;
    if (make_ring() != ENOSYS)
        return 2;
    if (open_to_write() != 0 || make_process() != 0)
        return 3; /* everything else is still allowed */
    if (sandbox_enter(SANDBOX_ON, why, sizeof why) != ERR_OK)
        return 4;
    return open_to_write() == EPERM ? 0 : 5;
}

/* SECCOMP=log is to show what SECCOMP=on would do, and there the loop has no ring. */
static int refuse_ring_in_log(void)
{
    char why[256];
    return sandbox_refuse_io_uring(SANDBOX_LOG, why, sizeof why) != ERR_OK ? 1 : make_ring();
}

static int refuse_no_ring(void)
{
    char why[256];
    return sandbox_refuse_io_uring(SANDBOX_OFF, why, sizeof why) != ERR_OK ? 1 : confined();
}

static void test_io_uring_first(void **state)
{
    (void)state;
    if (WITHOUT_SANDBOX)
        skip();
    assert_int_equal(try_in(SANDBOX_OFF, refuse_ring_then_confine), 0);
    assert_int_equal(try_in(SANDBOX_OFF, refuse_ring_in_log), ENOSYS);
    assert_int_equal(try_in(SANDBOX_OFF, refuse_no_ring), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_refused),        cmocka_unit_test(test_what_would_be_possible),
        cmocka_unit_test(test_a_refusal_is_told_once), cmocka_unit_test(test_threads),
        cmocka_unit_test(test_what_is_needed),         cmocka_unit_test(test_abort),
        cmocka_unit_test(test_log_refuses_nothing),    cmocka_unit_test(test_io_uring_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
