/* A backend for bodies: it reads requests to their end and discards them, and answers with long bodies in chunks or by
 * length, so cheaply that the proxies before it are what is measured.
 *
 *   http_backend PORT
 *
 *   GET /large      1 MiB by Content-Length
 *   GET /chunked    1 MiB in chunks of 16 KiB
 *   GET /received   "POSTS BYTES": how many requests with bodies came whole, and how long their bodies were together
 *   anything else   a few bytes, after the whole body has arrived
 *
 * Bodies of requests have a Content-Length; one in chunks is answered 501.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD 32768
#define LARGE (1 << 20)
#define CHUNK (16 << 10)
#define CONNECTIONS 65536

struct connection {
    int used;              /* bytes of head so far */
    long body, length;     /* of the request's body: what is still to come, and all of it */
    const char *out;       /* what is still to be sent */
    size_t left;
    char answer[128];      /* for the answer that counts */
    char head[HEAD];
};

static struct connection *all[CONNECTIONS];
static char large[LARGE + 256], chunked[LARGE + LARGE / CHUNK * 16 + 256];
static size_t large_length, chunked_length;
static const char small[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
static const char refused[] = "HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\n\r\n";
static long posts, bytes;

static void make_answers(void) {
    static char body[LARGE];
    for (int i = 0; i < LARGE; i++) body[i] = i;
    large_length = sprintf(large, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", LARGE);
    memcpy(large + large_length, body, LARGE);
    large_length += LARGE;
    chunked_length = sprintf(chunked, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int at = 0; at < LARGE; at += CHUNK) {
        chunked_length += sprintf(chunked + chunked_length, "%x\r\n", CHUNK);
        memcpy(chunked + chunked_length, body + at, CHUNK);
        chunked_length += CHUNK;
        chunked_length += sprintf(chunked + chunked_length, "\r\n");
    }
    chunked_length += sprintf(chunked + chunked_length, "0\r\n\r\n");
}

static void choose_answer(struct connection *c) {
    c->out = small, c->left = sizeof small - 1;
    if (strcasestr(c->head, "\r\ntransfer-encoding:")) {
        c->out = refused, c->left = sizeof refused - 1;
    } else if (!strncmp(c->head, "GET /large ", 11)) {
        c->out = large, c->left = large_length;
    } else if (!strncmp(c->head, "GET /chunked ", 13)) {
        c->out = chunked, c->left = chunked_length;
    } else if (!strncmp(c->head, "GET /received ", 14)) {
        char text[64];
        int length = sprintf(text, "%ld %ld\n", posts, bytes);
        c->left = sprintf(c->answer, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", length, text);
        c->out = c->answer;
    }
}

/* True when the head is whole; what follows it in the buffer is the start of its body. */
static int read_head(struct connection *c) {
    c->head[c->used] = 0;
    char *end = strstr(c->head, "\r\n\r\n"), *length;
    if (!end) return 0;
    end[2] = 0;
    choose_answer(c);
    length = strcasestr(c->head, "\r\ncontent-length:");
    c->length = length ? atol(length + 17) : 0;
    c->body = c->length - (c->used - (end + 4 - c->head));
    c->used = 0;
    return 1;
}

/* Read, answer, and so on until there is nothing to read or no room to write; false when the connection is over. */
static int serve(int fd, struct connection *c) {
    for (;;) {
        while (c->left && !c->body) {
            ssize_t sent = send(fd, c->out, c->left, MSG_NOSIGNAL);
            if (sent < 0) return errno == EAGAIN;
            c->out += sent, c->left -= sent;
        }
        ssize_t got;
        if (c->body) {
            /* MSG_TRUNC: the kernel throws the bytes away, see tcp(7) */
            got = recv(fd, NULL, c->body, MSG_TRUNC);
            if (got > 0 && !(c->body -= got)) posts++, bytes += c->length;
        } else {
            got = recv(fd, c->head + c->used, HEAD - 1 - c->used, 0);
            if (got > 0) {
                c->used += got;
                if (!read_head(c)) {
                    if (c->used == HEAD - 1) return 0;
                } else if (c->length && !c->body) {
                    posts++, bytes += c->length;
                } else if (c->body < 0) {
                    return 0; /* a pipelined request */
                }
            }
        }
        if (got == 0) return 0;
        if (got < 0) return errno == EAGAIN;
    }
}

static void accept_all(int listener, int ep) {
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        int one = 1;
        struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = fd};
        if (fd >= CONNECTIONS) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (!all[fd]) all[fd] = malloc(sizeof *all[fd]);
        memset(all[fd], 0, offsetof(struct connection, answer));
        epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
    }
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), ep = epoll_create1(0), one = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    struct epoll_event e = {.events = EPOLLIN, .data.fd = listener}, events[256];
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    make_answers();
    if (bind(listener, (void *)&a, sizeof a) || listen(listener, 4096)) return 1;
    epoll_ctl(ep, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        int n = epoll_wait(ep, events, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) accept_all(listener, ep);
            else if (!serve(fd, all[fd])) close(fd);
        }
    }
}
