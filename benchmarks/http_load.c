/* HTTP load at a fixed rate, whatever the answers take: latency counts from the moment a request was due, so that a
 * proxy that stalls cannot hide it by slowing its client down.
 *
 *   http_load PORT CONNECTIONS RATE SECONDS FILE     prints: answers late p50_us p99_us p999_us max_us
 *
 * FILE holds requests without bodies, one after the other, each ending in an empty line. Every answer must have status
 * 200 and a Content-Length; anything else, or a closed connection, ends the program with status 1 and a line on stderr.
 * "late" counts answers that came later than 1 s, or not at all. The first 0.3 s, in which proxies open their
 * connections, are sent but not counted.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUESTS 4096
#define BUFFER 65536
#define WARM_UP 0.3

struct connection {
    int fd, used;
    double due;       /* when the request under way should have been sent */
    char data[BUFFER];
};

static char *requests[REQUESTS];
static size_t lengths[REQUESTS];
static int request_count;

static double now(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec + ts.tv_nsec * 1e-9;
}

static void fail(const char *what, const char *shown) {
    fprintf(stderr, "http_load: %s: %.300s\n", what, shown);
    exit(1);
}

static void read_requests(const char *path) {
    FILE *file = fopen(path, "rb");
    static char text[4 << 20];
    if (!file) fail("cannot open", path);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    for (char *at = text, *end; request_count < REQUESTS && (end = strstr(at, "\r\n\r\n")); at = end + 4) {
        requests[request_count] = at;
        lengths[request_count++] = end + 4 - at;
    }
    if (!request_count) fail("no requests in", path);
}

static int open_connection(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (void *)&a, sizeof a)) fail("connect", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

/* True when the buffer holds one whole answer. */
static int complete(struct connection *c) {
    c->data[c->used] = 0;
    char *end = strstr(c->data, "\r\n\r\n");
    if (!end) {
        if (c->used >= BUFFER - 1) fail("answer head too long", c->data);
        return 0;
    }
    if (strncmp(c->data, "HTTP/1.1 200", 12)) fail("status", c->data);
    char *length = strcasestr(c->data, "\r\ncontent-length:");
    if (!length || length > end) fail("no Content-Length", c->data);
    long wanted = end + 4 - c->data + strtol(length + 17, NULL, 10);
    if (wanted >= BUFFER || c->used > wanted) fail("unexpected bytes", c->data);
    return c->used == wanted;
}

static int compare(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc != 6) fail("usage", "http_load PORT CONNECTIONS RATE SECONDS FILE");
    int port = atoi(argv[1]), count = atoi(argv[2]), ep = epoll_create1(0), idle_count = 0, head = 0;
    double rate = atof(argv[3]), seconds = atof(argv[4]);
    read_requests(argv[5]);
    struct connection *all = calloc(count, sizeof *all);
    int *idle = calloc(count, sizeof *idle);
    for (int i = 0; i < count; i++) {
        all[i].fd = open_connection(port);
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};
        epoll_ctl(ep, EPOLL_CTL_ADD, all[i].fd, &e);
        idle[idle_count++] = i;
    }
    size_t warm = (size_t)(rate * WARM_UP), total = warm + (size_t)(rate * seconds), sent = 0, answers = 0, late = 0;
    float *took = malloc((total + 1) * sizeof *took);
    struct epoll_event events[256];
    double start = now(), t = start;
    while (answers < total && t < start + WARM_UP + seconds + 5) {
        /* what is due goes out on the connection that is idle longest, so that all of them are used */
        while (sent < total && idle_count && start + sent / rate <= (t = now())) {
            struct connection *c = &all[idle[head]];
            head = (head + 1) % count;
            idle_count--;
            int which = sent % request_count;
            c->due = start + sent++ / rate;
            c->used = 0;
            if (send(c->fd, requests[which], lengths[which], MSG_NOSIGNAL) != (ssize_t)lengths[which])
                fail("send", strerror(errno));
        }
        double wait = sent < total && idle_count ? start + sent / rate - now() : 0.1;
        struct timespec ts = {0, wait > 0 ? (long)(wait * 1e9) : 0};
        int n = epoll_pwait2(ep, events, 256, &ts, NULL);
        if (n < 0 && errno != EINTR) fail("epoll_pwait2", strerror(errno));
        for (int i = 0; i < n; i++) {
            int number = events[i].data.u32;
            struct connection *c = &all[number];
            ssize_t got = recv(c->fd, c->data + c->used, BUFFER - 1 - c->used, MSG_DONTWAIT);
            if (got < 0 && errno == EAGAIN) continue;
            if (got <= 0) fail("connection closed by the proxy", got < 0 ? strerror(errno) : "FIN");
            c->used += got;
            if (!complete(c)) continue;
            t = now();
            took[answers] = c->due < start + WARM_UP ? 0 : (float)((t - c->due) * 1e6);
            if (took[answers++] > 1e6f) late++;
            idle[(head + idle_count++) % count] = number;
        }
        t = now();
    }
    late += total - answers;
    if (answers <= warm) fail("no answers", argv[1]);
    qsort(took, answers, sizeof *took, compare);
    /* those of the first moment are the zeros at the front */
    took += warm;
    answers -= warm;
    printf("%zu %zu %.1f %.1f %.1f %.1f\n", answers, late, took[answers / 2], took[(size_t)(answers * 0.99)],
           took[(size_t)(answers * 0.999)], took[answers - 1]);
    return 0;
}
