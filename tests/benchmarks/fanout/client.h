/* What the loads share: clocks, CPU time, and a WebSocket client that sends masked frames. */
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

/* Opens a WebSocket on path, with more header lines; leaves the head of the response, of less than most bytes, in text. */
static int open_websocket(int port, const char *path, const char *headers, char *text, int most) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) {
        perror("cannot connect");
        exit(1);
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int size = snprintf(text, most,
        "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n%s\r\n", path, headers);
    if (send(fd, text, size, 0) != size) fail("cannot send");
    /* Byte by byte: what follows the head is a frame already. */
    size = 0;
    while (size < most - 1) {
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
