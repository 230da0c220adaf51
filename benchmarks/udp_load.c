/* Datagram load: an echo server and a client with many sockets, each with one datagram under way.
 *
 *   udp_load echo PORT
 *   udp_load client PORT SESSIONS SIZE SECONDS SUFFIX     prints: round_trips lost p50_us p99_us
 *
 * Written in C because an interpreter would be the bottleneck that is measured.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
static char buffers[BATCH][2048];

static double now(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec + ts.tv_nsec * 1e-9;
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static int echo(int port) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 4 << 20;
    struct sockaddr_in a = loopback(port), from[BATCH];
    struct mmsghdr m[BATCH];
    struct iovec iov[BATCH];
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (bind(fd, (void *)&a, sizeof a)) return 1;
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            iov[i] = (struct iovec){buffers[i], sizeof buffers[i]};
            memset(&m[i], 0, sizeof m[i]);
            m[i].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &iov[i], .msg_iovlen = 1};
        }
        int n = recvmmsg(fd, m, BATCH, MSG_WAITFORONE, NULL);
        if (n <= 0) continue;
        for (int i = 0; i < n; i++) iov[i].iov_len = m[i].msg_len;
        sendmmsg(fd, m, n, 0);
    }
}

static int compare(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static int client(int port, int sessions, int size, double seconds, const char *suffix) {
    int *fds = calloc(sessions, sizeof *fds), ep = epoll_create1(0);
    double *sent = calloc(sessions, sizeof *sent);
    float *latency = malloc(sizeof(float) * 20000000);
    long done = 0, kept = 0, lost = 0;
    struct sockaddr_in a = loopback(port);
    char payload[2048];
    struct epoll_event events[256];
    memset(payload, 'x', sizeof payload);
    memcpy(payload + size - strlen(suffix), suffix, strlen(suffix));
    for (int i = 0; i < sessions; i++) {
        fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        if (fds[i] < 0 || connect(fds[i], (void *)&a, sizeof a)) return 1;
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};
        epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &e);
    }
    double start = now(), end = start + seconds, swept = start;
    for (int i = 0; i < sessions; i++) {
        sent[i] = now(), send(fds[i], payload, size, 0);
        if (i % 64 == 63) usleep(2000); /* opening a session costs more than a datagram */
    }
    for (double t = start; t < end; t = now()) {
        int n = epoll_wait(ep, events, 256, 50);
        for (int k = 0; k < n; k++) {
            int i = events[k].data.u32;
            if (recv(fds[i], buffers[0], sizeof buffers[0], 0) < 0) continue;
            double u = now();
            if (kept < 20000000) latency[kept++] = (u - sent[i]) * 1e6;
            done++;
            sent[i] = u;
            send(fds[i], payload, size, 0);
        }
        if (t - swept > 0.2) { /* a lost datagram must not end its session's traffic */
            swept = t;
            for (int i = 0; i < sessions; i++)
                if (t - sent[i] > 0.5) lost++, sent[i] = t, send(fds[i], payload, size, 0);
        }
    }
    qsort(latency, kept, sizeof *latency, compare);
    printf("%ld %ld %.1f %.1f\n", done, lost, kept ? latency[kept / 2] : 0, kept ? latency[kept * 99 / 100] : 0);
    return 0;
}

int main(int argc, char **argv) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (argc == 3 && !strcmp(argv[1], "echo")) return echo(atoi(argv[2]));
    if (argc == 7 && !strcmp(argv[1], "client")) return client(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), atof(argv[5]), argv[6]);
    return 2;
}
