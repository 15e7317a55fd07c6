/* The load generator: one epoll loop and prebuilt masked frames, so that the server limits the rate.

   load echo  PORT PATH CONNECTIONS IN_FLIGHT WARM_UP_S SECONDS PIDS PAYLOAD_FILE   closed loop
   load paced PORT PATH CONNECTIONS RATE      WARM_UP_S SECONDS PIDS PAYLOAD_FILE   open loop, RATE messages a second
   load churn PORT PATH PARALLEL    0         WARM_UP_S SECONDS PIDS PAYLOAD_FILE   connect, close, again

   PIDS: the processes of the server, separated by commas. Their CPU clocks are read at the start and the end; /proc
   tells, in hundredths of a second, which part of that was the kernel's.
   The payload is sent as TEXT. The server answers each message with one message, always of one length.
   Prints one JSON object. An error is one line on stderr and exit code 1. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_EVENTS 256
#define MAX_PIDS 64
#define STALL_S 10.0

/* A mask that is not zero, so that the server has to unmask; fixed, so that frames can be built once. */
static const unsigned char MASK[4] = {0x37, 0xfa, 0x21, 0x3d};

struct connection {
    int fd;
    int phase;             /* churn: 0 handshake, 1 closing */
    long owed;             /* bytes of frames that must still be written */
    long position;         /* offset of the next byte in the prebuilt batch */
    long received;         /* bytes of an incomplete reply */
    int watching_out;
    double *due;           /* paced: when each message in flight should have been sent, a ring */
    unsigned int head, tail, capacity;
};

static unsigned char input[1 << 20];
static unsigned char *batch;
static long frame_bytes, batch_bytes, reply_bytes;
static char request[1024];
static int request_bytes, port, epoll_fd;
static clockid_t clocks[MAX_PIDS];
static int pids[MAX_PIDS], clock_count;
static double ticks_at_start[2];

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static double seconds_of(clockid_t id) {
    struct timespec t;
    if (clock_gettime(id, &t)) return 0;
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static double now(void) { return seconds_of(CLOCK_MONOTONIC); }

static double server_cpu(void) {
    double sum = 0;
    for (int i = 0; i < clock_count; i++) sum += seconds_of(clocks[i]);
    return sum;
}

/* The ticks that the server's processes have spent in user mode and in the kernel. */
static void server_ticks(double *ticks) {
    ticks[0] = ticks[1] = 0;
    for (int i = 0; i < clock_count; i++) {
        char name[64], stat[2048];
        unsigned long user, system;
        snprintf(name, sizeof name, "/proc/%d/stat", pids[i]);
        FILE *f = fopen(name, "r");
        if (!f) continue;
        stat[fread(stat, 1, sizeof stat - 1, f)] = 0;
        fclose(f);
        char *after_name = strrchr(stat, ')');
        if (after_name && sscanf(after_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) == 2) {
            ticks[0] += user;
            ticks[1] += system;
        }
    }
}

static void read_pids(char *list) {
    for (char *item = strtok(list, ","); item; item = strtok(NULL, ",")) {
        if (clock_count == MAX_PIDS) die("more than %d server processes", MAX_PIDS);
        pids[clock_count] = atoi(item);
        if (clock_getcpuclockid(atoi(item), &clocks[clock_count++])) die("no process %s", item);
    }
}

static void build_batch(const char *file, int count) {
    FILE *f = fopen(file, "rb");
    if (!f) die("cannot read %s", file);
    unsigned char *payload = malloc(1 << 24);
    long size = fread(payload, 1, 1 << 24, f), n = 0;
    fclose(f);
    batch = malloc((size + 14) * (long)count);
    batch[n++] = 0x81;
    if (size < 126) batch[n++] = 0x80 | size;
    else if (size < 65536) { batch[n++] = 0x80 | 126; batch[n++] = size >> 8; batch[n++] = size & 255; }
    else { batch[n++] = 0x80 | 127; for (int i = 7; i >= 0; i--) batch[n++] = size >> (8 * i) & 255; }
    memcpy(batch + n, MASK, 4);
    n += 4;
    for (long i = 0; i < size; i++) batch[n + i] = payload[i] ^ MASK[i & 3];
    frame_bytes = n + size;
    for (int i = 1; i < count; i++) memcpy(batch + i * frame_bytes, batch, frame_bytes);
    batch_bytes = frame_bytes * count;
    free(payload);
}

static int dial(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (s < 0) die("socket: %s", strerror(errno));
    if (connect(s, (void *)&address, sizeof address)) die("connect: %s", strerror(errno));
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (send(s, request, request_bytes, MSG_NOSIGNAL) != request_bytes) die("handshake: %s", strerror(errno));
    return s;
}

static void expect_upgrade(int fd) {
    int got = 0;
    for (;;) {
        /* Byte by byte: a message right behind the response must stay in the socket. */
        int r = recv(fd, input + got, 1, 0);
        if (r <= 0) die("the server closed during the handshake");
        got += r;
        if (got >= 4 && !memcmp(input + got - 4, "\r\n\r\n", 4)) break;
        if (got > 8000) die("the response to the handshake has no end");
    }
    if (got < 12 || memcmp(input + 8, " 101", 4)) die("handshake refused: %.40s", input);
}

/* Length of the frame at the head of *bytes*, or 0 when too few bytes are there to know. */
static long frame_length(const unsigned char *bytes, long count) {
    if (count < 2) return 0;
    if ((bytes[0] & 0x8f) != 0x81 && (bytes[0] & 0x8f) != 0x82) die("expected a whole message, got byte 0x%02x", bytes[0]);
    long size = bytes[1] & 127;
    if (size < 126) return 2 + size;
    if (size == 126) return count < 4 ? 0 : 4 + (bytes[2] << 8) + bytes[3];
    if (count < 10) return 0;
    size = 0;
    for (int i = 2; i < 10; i++) size = size << 8 | bytes[i];
    return 10 + size;
}

/* Sends one message and waits for its answer. All other answers must have the same length. */
static void learn_reply(int fd) {
    for (long sent = 0, w; sent < frame_bytes; sent += w)
        if ((w = send(fd, batch + sent, frame_bytes - sent, MSG_NOSIGNAL)) <= 0) die("send: %s", strerror(errno));
    long got = 0;
    while (!reply_bytes || got < reply_bytes) {
        long r = recv(fd, input + (reply_bytes ? 0 : got), reply_bytes ? (long)sizeof input : 16 - got, 0);
        if (r <= 0) die("the server closed instead of answering");
        got += r;
        if (!reply_bytes) reply_bytes = frame_length(input, got);
    }
    if (got != reply_bytes) die("more than one answer to one message");
}

static void watch(struct connection *all, int i, int out) {
    struct epoll_event event = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.u32 = i};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, all[i].fd, &event);
    all[i].watching_out = out;
}

static void flush(struct connection *all, int i) {
    struct connection *c = &all[i];
    while (c->owed) {
        long chunk = batch_bytes - c->position;
        if (chunk > c->owed) chunk = c->owed;
        /* Never block here: a server that stops reading until its output drains would wait forever. */
        long w = send(c->fd, batch + c->position, chunk, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (w < 0) {
            if (errno != EAGAIN) die("send: %s", strerror(errno));
            if (!c->watching_out) watch(all, i, 1);
            return;
        }
        c->owed -= w;
        c->position = (c->position + w) % batch_bytes;
    }
    if (c->watching_out) watch(all, i, 0);
}

/* Reads the available bytes; returns the number of completed replies. */
static long take(struct connection *c) {
    long r = recv(c->fd, input, sizeof input, MSG_DONTWAIT);
    if (r < 0 && errno == EAGAIN) return 0;
    if (r <= 0) die("the server closed a connection");
    c->received += r;
    long replies = c->received / reply_bytes;
    c->received %= reply_bytes;
    return replies;
}

static struct connection *open_all(int count) {
    struct connection *all = calloc(count, sizeof *all);
    for (int i = 0; i < count; i++) {
        all[i].fd = dial();
        expect_upgrade(all[i].fd);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, all[i].fd, &event);
    }
    learn_reply(all[0].fd);
    return all;
}

static void report(const char *unit, long count, double elapsed, double cpu) {
    if (!count) die("no %s within %.2f s", unit, elapsed);
    double ticks[2];
    server_ticks(ticks);
    double user = ticks[0] - ticks_at_start[0], system = ticks[1] - ticks_at_start[1];
    double cpu_us = cpu / count * 1e6, system_us = user + system > 0 ? cpu_us * system / (user + system) : 0;
    printf("{\"%s\": %ld, \"seconds\": %.6f, \"rate\": %.2f, \"cpu_us\": %.4f, \"user_us\": %.4f, \"system_us\": %.4f, "
           "\"busy\": %.4f", unit, count, elapsed, count / elapsed, cpu_us, cpu_us - system_us, system_us, cpu / elapsed);
}

static void run_echo(int count, int in_flight, double warm_up, double seconds) {
    struct connection *all = open_all(count);
    struct epoll_event events[MAX_EVENTS];
    double begin = now(), start = 0, cpu = 0, progress = begin, t;
    long messages = 0;
    int warm = 0;
    for (int i = 0; i < count; i++) { all[i].owed = in_flight * frame_bytes; flush(all, i); }
    for (;;) {
        t = now();
        if (!warm && t - begin >= warm_up) { warm = 1; start = t; messages = 0; cpu = server_cpu(); server_ticks(ticks_at_start); }
        if (warm && t - start >= seconds) break;
        if (t - progress > STALL_S) die("no answer for %.0f s", STALL_S);
        int n = epoll_wait(epoll_fd, events, MAX_EVENTS, 200);
        for (int j = 0; j < n; j++) {
            int i = events[j].data.u32;
            if (events[j].events & ~EPOLLOUT) {
                long replies = take(&all[i]);
                messages += replies;
                all[i].owed += replies * frame_bytes;
                progress = t;
            }
            if (all[i].owed) flush(all, i);
        }
    }
    report("messages", messages, t - start, server_cpu() - cpu);
    puts("}");
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void run_paced(int count, double rate, double warm_up, double seconds) {
    struct connection *all = open_all(count);
    struct epoll_event events[MAX_EVENTS];
    long capacity = rate * seconds + 1000, taken = 0, messages = 0, sent = 0;
    double *latencies = malloc(capacity * sizeof *latencies);
    double begin = now(), start = begin + warm_up, end = start + seconds, cpu = 0, t;
    int warm = 0;
    for (int i = 0; i < count; i++) { all[i].capacity = 1 << 12; all[i].due = malloc(all[i].capacity * sizeof(double)); }
    for (;;) {
        t = now();
        if (!warm && t >= start) { warm = 1; start = t; end = t + seconds; messages = 0; cpu = server_cpu(); server_ticks(ticks_at_start); }
        if (warm && t >= end) break;
        for (; begin + sent / rate <= t; sent++) {
            struct connection *c = &all[sent % count];
            if (c->tail - c->head == c->capacity) die("the server does not keep up with %.0f messages a second", rate);
            /* Latency counts from the time when the message was due, so that a stall also delays the messages behind it. */
            c->due[c->tail++ % c->capacity] = begin + sent / rate;
            c->owed += frame_bytes;
            flush(all, sent % count);
        }
        int n = epoll_wait(epoll_fd, events, MAX_EVENTS, 0);
        for (int j = 0; j < n; j++) {
            int i = events[j].data.u32;
            struct connection *c = &all[i];
            if (events[j].events & ~EPOLLOUT) {
                double arrived = now();
                for (long replies = take(c); replies; replies--) {
                    if (c->head == c->tail) die("an answer to no message");
                    double due = c->due[c->head++ % c->capacity];
                    messages++;
                    if (warm && due >= start && taken < capacity) latencies[taken++] = arrived - due;
                }
            }
            if (c->owed) flush(all, i);
        }
    }
    double used = server_cpu() - cpu;
    if (!taken) die("no answer within %.1f s", seconds);
    qsort(latencies, taken, sizeof *latencies, compare);
    report("messages", messages, t - start, used);
    static const double PERCENTILES[] = {50, 90, 99, 99.9};
    for (int i = 0; i < 4; i++) printf(", \"p%g_us\": %.1f", PERCENTILES[i], latencies[(long)(PERCENTILES[i] / 100 * (taken - 1))] * 1e6);
    printf(", \"max_us\": %.1f}\n", latencies[taken - 1] * 1e6);
}

static void start_one(struct connection *all, int i) {
    all[i] = (struct connection){.fd = dial()};
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, all[i].fd, &event);
}

static void run_churn(int count, double warm_up, double seconds) {
    static const unsigned char CLOSE[8] = {0x88, 0x82, 0, 0, 0, 0, 3, 0xe8};
    struct connection *all = calloc(count, sizeof *all);
    struct epoll_event events[MAX_EVENTS];
    double begin = now(), start = 0, cpu = 0, progress = begin, t;
    long connections = 0;
    int warm = 0;
    for (int i = 0; i < count; i++) start_one(all, i);
    for (;;) {
        t = now();
        if (!warm && t - begin >= warm_up) { warm = 1; start = t; connections = 0; cpu = server_cpu(); server_ticks(ticks_at_start); }
        if (warm && t - start >= seconds) break;
        if (t - progress > STALL_S) die("no connection ended for %.0f s", STALL_S);
        int n = epoll_wait(epoll_fd, events, MAX_EVENTS, 200);
        for (int j = 0; j < n; j++) {
            int i = events[j].data.u32;
            struct connection *c = &all[i];
            long r = recv(c->fd, input, sizeof input - 1, MSG_DONTWAIT);
            if (r < 0 && errno == EAGAIN) continue;
            if (c->phase == 0) {
                input[r > 0 ? r : 0] = 0;
                if (r < 12 || memcmp(input + 8, " 101", 4)) die("handshake refused: %.40s", input);
                send(c->fd, CLOSE, sizeof CLOSE, MSG_NOSIGNAL);
                c->phase = 1;
            } else if (r <= 0) {
                close(c->fd);
                connections++;
                progress = t;
                start_one(all, i);
            }
        }
    }
    report("connections", connections, t - start, server_cpu() - cpu);
    puts("}");
}

int main(int count, char **words) {
    if (count != 10) die("see the head of load.c for the arguments");
    port = atoi(words[2]);
    int connections = atoi(words[4]), in_flight = atoi(words[5]);
    double warm_up = atof(words[6]), seconds = atof(words[7]);
    request_bytes = snprintf(request, sizeof request,
                             "GET %s HTTP/1.1\r\nHost: localhost:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                             words[3], port);
    if (connections < 1 || seconds <= 0 || request_bytes >= (int)sizeof request) die("an argument is out of range");
    read_pids(words[8]);
    epoll_fd = epoll_create1(0);
    if (!strcmp(words[1], "echo")) {
        if (in_flight < 1) die("at least one message must be in flight");
        build_batch(words[9], in_flight);
        run_echo(connections, in_flight, warm_up, seconds);
    } else if (!strcmp(words[1], "paced")) {
        build_batch(words[9], 1);
        run_paced(connections, atof(words[5]), warm_up, seconds);
    } else if (!strcmp(words[1], "churn")) {
        build_batch(words[9], 1);
        run_churn(connections, warm_up, seconds);
    } else die("no mode %s", words[1]);
    return 0;
}
