/* Load for fan-out: PORT SUBSCRIBERS IN_FLIGHT BYTES WARM_UP_S SECONDS PID[,PID...]
 *
 * Opens SUBSCRIBERS connections to /sub and one to /pub. Every message that goes to /pub comes back on each of /sub,
 * unmasked and unchanged. IN_FLIGHT publications are on their way at any time: the next one goes out when the slowest
 * subscriber has one more. Prints {"rate": deliveries a second, "cpu_us": CPU of the processes for each}.
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

static double cpu_of(const char *pids) {
    double total = 0;
    char list[512], *rest = list, *pid;
    snprintf(list, sizeof list, "%s", pids);
    while ((pid = strsep(&rest, ","))) {
        char path[64], line[1024];
        unsigned long user, system;
        snprintf(path, sizeof path, "/proc/%s/stat", pid);
        FILE *file = fopen(path, "r");
        if (!file || !fgets(line, sizeof line, file)) fail("the server has ended");
        fclose(file);
        /* Fields 14 and 15; the second one, the name, may hold spaces. */
        if (sscanf(strrchr(line, ')') + 2, "%*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu %lu", &user, &system) != 2)
            fail("cannot read /proc");
        total += (double)(user + system) / sysconf(_SC_CLK_TCK);
    }
    return total;
}

static int open_websocket(int port, const char *path) {
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
    if (count != 8) fail("usage: fanout PORT SUBSCRIBERS IN_FLIGHT BYTES WARM_UP_S SECONDS PIDS");
    int port = atoi(words[1]), subscribers = atoi(words[2]), in_flight = atoi(words[3]), bytes = atoi(words[4]);
    double warm_up = atof(words[5]), seconds = atof(words[6]);
    static unsigned char frame[70000], drain[1 << 18];
    if (bytes > 60000) fail("at most 60000 bytes");
    struct rlimit files = {subscribers + 100, subscribers + 100};
    setrlimit(RLIMIT_NOFILE, &files);
    int frame_size = make_frame(frame, bytes), reply_size = bytes + (bytes < 126 ? 2 : 4);
    int poll = epoll_create1(0), *fds = calloc(subscribers, sizeof *fds);
    int64_t *received = calloc(subscribers, sizeof *received);
    /* have[n % RING] subscribers have got publication n. */
    enum { RING = 4096 };
    static int have[RING];
    for (int i = 0; i < subscribers; i++) {
        fds[i] = open_websocket(port, "/sub");
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        epoll_ctl(poll, EPOLL_CTL_ADD, fds[i], &event);
    }
    int publisher = open_websocket(port, "/pub");
    /* The last subscription may still be under way in the server. */
    usleep(500000);
    for (int i = 0; i < in_flight; i++)
        if (send(publisher, frame, frame_size, 0) != frame_size) fail("cannot publish");
    int64_t complete = 0, deliveries = 0, mark = 0;
    double begin = now(), start = 0, cpu = 0, last = begin;
    int measuring = 0;
    while (1) {
        double t = now();
        if (!measuring && t - begin >= warm_up) { measuring = 1; start = t; mark = deliveries; cpu = cpu_of(words[7]); }
        if (measuring && t - start >= seconds) break;
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
        while (have[complete % RING] == subscribers) {
            have[complete++ % RING] = 0;
            if (send(publisher, frame, frame_size, 0) != frame_size) fail("cannot publish");
        }
    }
    double elapsed = now() - start, used = cpu_of(words[7]) - cpu;
    int64_t done = deliveries - mark;
    if (!done) fail("nothing was delivered");
    printf("{\"rate\": %.1f, \"cpu_us\": %.4f}\n", done / elapsed, used * 1e6 / done);
    return 0;
}
