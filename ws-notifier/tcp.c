/* SPDX-License-Identifier: MIT */
/* A file of its own, since the kernel's header, which knows more than the C library's, does not go with it.
 */
#include "ws-notifier/tcp.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

struct tcp_facts tcp_look(int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        return (struct tcp_facts){0};
    return (struct tcp_facts){.received = (uint32_t)info.tcpi_bytes_received,
                              .acked = (uint32_t)info.tcpi_bytes_acked,
                              .waiting = info.tcpi_unacked > 0 || info.tcpi_notsent_bytes > 0};
}
