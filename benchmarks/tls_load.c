/* TLS 1.3 handshakes as fast as a server makes them: a client that leaves out its own public-key arithmetic, so that it
 * costs a fraction of what the server does and the server is what is measured.
 *
 *   tls_load PORT CONNECTIONS SECONDS new|resumed     prints: handshakes seconds
 *
 * A handshake counts once the server's session ticket has come, which it sends after the client's Finished. Nothing is
 * asked for; the client closes with close_notify. Any failure, another version or cipher than TLS 1.3 with
 * TLS_AES_128_GCM_SHA256, or a handshake that is not resumed where it should be (or is where it should not), ends the
 * program with status 1 and a line on stderr.
 *
 * What is left out: libssl's calls of EVP_PKEY_keygen, EVP_PKEY_derive, EVP_DigestVerify and d2i_X509 end in the functions below.
 * The client's private key for P-256 is 1, so that the shared secret is the x of the server's public key (RFC 8446
 * section 7.4.2); the certificate and its signature are not verified.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define COORDINATE 32 /* bytes of P-256 */

struct connection {
    int fd, ticket, offered; /* whether the ticket of this one came, and whether one of before was offered */
    SSL *ssl;
    SSL_SESSION *session; /* for the next one */
};

static EVP_PKEY *one, *peer;

static void fail(const char *what) {
    fprintf(stderr, "tls_load: %s: %s, %s\n", what, strerror(errno), ERR_reason_error_string(ERR_peek_last_error()));
    exit(1);
}

static double now(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec + ts.tv_nsec * 1e-9;
}

/* The key pair (1, G). */
static void make_key(void) {
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    unsigned char point[2 * COORDINATE + 1];
    EC_POINT_point2oct(group, EC_GROUP_get0_generator(group), POINT_CONVERSION_UNCOMPRESSED, point, sizeof point, NULL);
    OSSL_PARAM_BLD *parts = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_utf8_string(parts, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0);
    OSSL_PARAM_BLD_push_octet_string(parts, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point);
    OSSL_PARAM_BLD_push_BN(parts, OSSL_PKEY_PARAM_PRIV_KEY, BN_value_one());
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(parts);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (EVP_PKEY_fromdata_init(context) < 1 || EVP_PKEY_fromdata(context, &one, EVP_PKEY_KEYPAIR, params) < 1)
        fail("key");
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(parts);
    EC_GROUP_free(group);
}

int EVP_PKEY_keygen(EVP_PKEY_CTX *context, EVP_PKEY **key) {
    (void)context;
    EVP_PKEY_up_ref(one);
    *key = one;
    return 1;
}

int EVP_PKEY_derive_set_peer(EVP_PKEY_CTX *context, EVP_PKEY *key) {
    (void)context;
    peer = key;
    return 1;
}

int EVP_PKEY_derive(EVP_PKEY_CTX *context, unsigned char *secret, size_t *length) {
    (void)context;
    if (secret) {
        unsigned char *point;
        if (EVP_PKEY_get1_encoded_public_key(peer, &point) != 2 * COORDINATE + 1) return 0;
        memcpy(secret, point + 1, COORDINATE);
        OPENSSL_free(point);
    }
    *length = COORDINATE;
    return 1;
}

int EVP_DigestVerify(EVP_MD_CTX *context, const unsigned char *signature, size_t size, const unsigned char *data,
                     size_t length) {
    (void)context, (void)signature, (void)size, (void)data, (void)length;
    return 1;
}

/* The server has one certificate, which is read once. */
X509 *d2i_X509(X509 **wanted, const unsigned char **in, long length) {
    static X509 *known;
    X509 *(*real)(X509 **, const unsigned char **, long);
    if (!known) {
        *(void **)&real = dlsym(RTLD_NEXT, "d2i_X509");
        const unsigned char *at = *in;
        known = real(NULL, &at, length);
    }
    *in += length;
    X509_free(*wanted);
    X509_up_ref(known);
    return *wanted = known;
}

static int any_certificate(X509_STORE_CTX *context, void *argument) {
    (void)context, (void)argument;
    return 1;
}

static int keep_ticket(SSL *ssl, SSL_SESSION *session) {
    struct connection *c = SSL_get_app_data(ssl);
    SSL_SESSION_free(c->session);
    c->session = session;
    c->ticket = 1;
    return 1; /* the reference is ours */
}

static void open_connection(struct connection *c, SSL_CTX *context, int port, int ep, int resumed) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    int on = 1;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (void *)&a, sizeof a)) fail("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    c->ssl = SSL_new(context);
    c->ticket = 0;
    c->offered = resumed && c->session;
    SSL_set_app_data(c->ssl, c);
    SSL_set_tlsext_host_name(c->ssl, "localhost");
    if (c->offered) SSL_set_session(c->ssl, c->session);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_connect_state(c->ssl);
    epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e);
}

/* True once the ticket has come. */
static int step(struct connection *c) {
    char byte;
    int result = SSL_is_init_finished(c->ssl) ? 0 : SSL_do_handshake(c->ssl);
    if (SSL_is_init_finished(c->ssl)) result = SSL_read(c->ssl, &byte, 1);
    int error = SSL_get_error(c->ssl, result);
    if (c->ticket) return 1;
    if (error != SSL_ERROR_WANT_READ) fail("handshake");
    return 0;
}

static void check(struct connection *c) {
    if (strcmp(SSL_get_cipher_name(c->ssl), "TLS_AES_128_GCM_SHA256")) fail(SSL_get_cipher_name(c->ssl));
    if (SSL_session_reused(c->ssl) != c->offered) fail(c->offered ? "not resumed" : "resumed");
}

static SSL_CTX *make_context(void) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set1_groups_list(context, "P-256");
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, keep_ticket);
    SSL_CTX_set_cert_verify_callback(context, any_certificate, NULL);
    return context;
}

int main(int argc, char **argv) {
    if (argc != 5) fail("usage: tls_load PORT CONNECTIONS SECONDS new|resumed");
    int port = atoi(argv[1]), count = atoi(argv[2]), resumed = !strcmp(argv[4], "resumed"), ep = epoll_create1(0);
    long handshakes = 0, warm = resumed ? count : 0; /* connections whose first, full handshake is still to come */
    double seconds = atof(argv[3]), start = now(), t;
    struct connection *all = calloc(count, sizeof *all);
    struct epoll_event events[64];
    SSL_CTX *context = make_context();
    make_key();
    for (int i = 0; i < count; i++) {
        open_connection(&all[i], context, port, ep, 0);
        SSL_do_handshake(all[i].ssl);
    }
    while ((t = now()) < start + seconds) {
        int n = epoll_wait(ep, events, 64, 1000);
        if (!n) fail("the server is silent");
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (!step(c)) continue;
            check(c);
            handshakes++;
            if (resumed && !c->offered && !--warm) handshakes = 0, start = now();
            SSL_shutdown(c->ssl);
            close(c->fd);
            SSL_free(c->ssl);
            open_connection(c, context, port, ep, resumed);
            SSL_do_handshake(c->ssl);
        }
    }
    printf("%ld %.6f\n", handshakes, t - start);
    return 0;
}
