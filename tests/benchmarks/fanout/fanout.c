/* Load for fan-out: PORT SUBSCRIBERS PUBLISHERS IN_FLIGHT BYTES WARM_UP_S SECONDS PID[,PID...] [BROKER_PID]
 *
 * Opens SUBSCRIBERS connections to /sub and PUBLISHERS connections to /pub. The server broadcasts every message of /pub
 * to all connections on /sub, unchanged. IN_FLIGHT publications of all publishers together are in flight: the next
 * publisher sends the next one when the slowest subscriber has received one more.
 *
 * Prints {"rate": deliveries a second, "cpu_us": CPU of the processes for each}; with a broker also "broker_us", its
 * CPU for each publication. If the handshake of /sub returns X-Worker, also "workers", the number of different values,
 * and "fewest" and "most", the subscribers of one worker.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 20.0

static void fail(const char *what) { fprintf(stderr, "%s\n", what); exit(1); }

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

/* Returns the CPU time of all threads of the processes, in nanoseconds: a tick of /proc/PID/stat is too coarse. */
static double cpu_of(const char *pids) {
    double total = 0;
    char list[512], *rest = list, *pid;
    snprintf(list, sizeof list, "%s", pids);
    while ((pid = strsep(&rest, ","))) {
        clockid_t clock;
        struct timespec t;
        if (clock_getcpuclockid(atoi(pid), &clock) || clock_gettime(clock, &t)) fail("the server has ended");
        total += t.tv_sec + t.tv_nsec / 1e9;
    }
    return total;
}

/* The number of subscribers by worker. */
static struct { int worker, count; } spread[64];
static int workers;

static void count_worker(const char *head) {
    const char *value = strcasestr(head, "\r\nx-worker:");
    if (!value) return;
    int worker = atoi(value + strlen("\r\nx-worker:")), i = 0;
    while (i < workers && spread[i].worker != worker) i++;
    if (i == 64) fail("more than 64 workers");
    if (i == workers) spread[workers++].worker = worker;
    spread[i].count++;
}

static int open_websocket(int port, const char *path, int is_subscriber) {
    char text[1024];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) fail("cannot connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int size = snprintf(text, sizeof text,
        "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n", path);
    if (send(fd, text, size, 0) != size) fail("cannot send");
    /* Byte by byte: what follows the head is a frame already. */
    size = 0;
    while (size < (int)sizeof text - 1) {
        if (recv(fd, text + size, 1, 0) != 1) fail("the server closed during the handshake");
        text[++size] = 0;
        if (size > 3 && !memcmp(text + size - 4, "\r\n\r\n", 4)) break;
    }
    if (strncmp(text, "HTTP/1.1 101", 12)) fail("handshake refused");
    if (is_subscriber) count_worker(text);
    return fd;
}

static int make_frame(unsigned char *frame, int bytes) {
    int size = 0;
    frame[size++] = 0x81;
    if (bytes < 126) frame[size++] = 0x80 | bytes;
    else { frame[size++] = 0x80 | 126; frame[size++] = bytes >> 8; frame[size++] = bytes & 255; }
    /* A mask of zeros leaves the payload as it is. */
    memset(frame + size, 0, 4);
    memset(frame + size + 4, 'x', bytes);
    return size + 4 + bytes;
}

int main(int count, char **words) {
    if (count != 9 && count != 10)
        fail("usage: fanout PORT SUBSCRIBERS PUBLISHERS IN_FLIGHT BYTES WARM_UP_S SECONDS PIDS [BROKER_PID]");
    int port = atoi(words[1]), subscribers = atoi(words[2]), publishers = atoi(words[3]), in_flight = atoi(words[4]);
    int bytes = atoi(words[5]);
    double warm_up = atof(words[6]), seconds = atof(words[7]);
    const char *server = words[8], *broker = words[9];
    static unsigned char frame[70000], drain[1 << 18];
    if (bytes > 60000) fail("at most 60000 bytes");
    struct rlimit files = {subscribers + publishers + 100, subscribers + publishers + 100};
    setrlimit(RLIMIT_NOFILE, &files);
    int frame_size = make_frame(frame, bytes), reply_size = bytes + (bytes < 126 ? 2 : 4);
    int poll = epoll_create1(0), *fds = calloc(subscribers, sizeof *fds), *pub = calloc(publishers, sizeof *pub);
    int64_t *received = calloc(subscribers, sizeof *received);
    /* have[n % RING] subscribers have got publication n. */
    enum { RING = 4096 };
    static int have[RING];
    if (in_flight >= RING) fail("at most 4095 in flight");
    for (int i = 0; i < subscribers; i++) {
        fds[i] = open_websocket(port, "/sub", 1);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        epoll_ctl(poll, EPOLL_CTL_ADD, fds[i], &event);
    }
    for (int i = 0; i < publishers; i++) pub[i] = open_websocket(port, "/pub", 0);
    /* The last subscription may still be under way in the server. */
    usleep(500000);
    int64_t published = 0, complete = 0, deliveries = 0, mark = 0;
    double begin = now(), start = 0, cpu = 0, broker_cpu = 0, last = begin;
    int measuring = 0;
    while (1) {
        for (; published < complete + in_flight; published++)
            if (send(pub[published % publishers], frame, frame_size, 0) != frame_size) fail("cannot publish");
        double t = now();
        if (!measuring && t - begin >= warm_up) {
            measuring = 1; start = t; mark = deliveries; cpu = cpu_of(server);
            if (broker) broker_cpu = cpu_of(broker);
        }
        /* However short: what went out after the start has to come back. */
        if (measuring && t - start >= seconds && deliveries - mark > (int64_t)in_flight * subscribers) break;
        if (t - last > PATIENCE_S) fail("no delivery for 20 s");
        struct epoll_event events[512];
        int ready = epoll_wait(poll, events, 512, 100);
        for (int e = 0; e < ready; e++) {
            int i = events[e].data.u32;
            ssize_t size = recv(fds[i], drain, sizeof drain, MSG_DONTWAIT);
            if (size <= 0) { if (size < 0 && errno == EAGAIN) continue; fail("the server closed a subscriber"); }
            int64_t before = received[i] / reply_size;
            received[i] += size;
            for (int64_t n = before; n < received[i] / reply_size; n++) { have[n % RING]++; deliveries++; }
            last = t;
        }
        while (have[complete % RING] == subscribers) have[complete++ % RING] = 0;
    }
    double elapsed = now() - start, used = cpu_of(server) - cpu;
    if (broker) broker_cpu = cpu_of(broker) - broker_cpu;
    int64_t done = deliveries - mark;
    printf("{\"rate\": %.1f, \"cpu_us\": %.4f", done / elapsed, used * 1e6 / done);
    if (broker) printf(", \"broker_us\": %.2f", broker_cpu * 1e6 * subscribers / done);
    if (workers) {
        int fewest = subscribers, most = 0;
        for (int i = 0; i < workers; i++) {
            if (spread[i].count < fewest) fewest = spread[i].count;
            if (spread[i].count > most) most = spread[i].count;
        }
        printf(", \"workers\": %d, \"fewest\": %d, \"most\": %d", workers, fewest, most);
    }
    printf("}\n");
    return 0;
}
