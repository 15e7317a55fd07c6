/* Load of a ticker: PORT CLIENTS SYMBOLS EACH RATE WARM_UP_S SECONDS PID[,PID...]
 *
 * Opens CLIENTS connections to /ticker?first=N&count=EACH, which get the updates of EACH symbols from number N on, and
 * one to /feed, to which it sends RATE updates a second on SYMBOLS symbols, evenly spread. An update is the number of
 * its symbol in four digits, and the time in nanoseconds; the server sends it on unchanged.
 *
 * Prints {"rate": updates delivered a second, "expected": that many if none is missing, "cpu": cores used by the
 * processes, "p50_ms", "p99_ms", "max_ms": from when an update was due until a client has it}.
 */
#include "client.h"

#define PATIENCE_S 20.0

static int compare(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

int main(int count, char **words) {
    if (count != 9) fail("usage: ticker PORT CLIENTS SYMBOLS EACH RATE WARM_UP_S SECONDS PIDS");
    int port = atoi(words[1]), clients = atoi(words[2]), symbols = atoi(words[3]), each = atoi(words[4]);
    double rate = atof(words[5]), warm_up = atof(words[6]), seconds = atof(words[7]);
    const char *server = words[8];
    static unsigned char frame[256], data[1 << 18];
    char head[1024], path[64], text[32];
    struct { unsigned char rest[512]; int size; } *partial = calloc(clients, sizeof *partial);
    int *fds = calloc(clients, sizeof *fds), poll = epoll_create1(0);
    struct rlimit files = {clients + 100, clients + 100};
    setrlimit(RLIMIT_NOFILE, &files);
    for (int i = 0; i < clients; i++) {
        snprintf(path, sizeof path, "/ticker?first=%d&count=%d", i * 7 % symbols, each);
        fds[i] = open_websocket(port, path, "", head, sizeof head);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        epoll_ctl(poll, EPOLL_CTL_ADD, fds[i], &event);
    }
    int feed = open_websocket(port, "/feed", "", head, sizeof head);
    usleep(500000);
    size_t most = (size_t)(rate * seconds * clients * each / symbols * 1.5) + 1000, measured = 0;
    float *ages = malloc(most * sizeof *ages);
    double begin = now(), start = begin + warm_up, end = start + seconds, cpu = 0, last = begin;
    int64_t sent = 0, expected = 0;
    int measuring = 0;
    while (1) {
        double t = now();
        if (!measuring && t >= start) { measuring = 1; cpu = cpu_of(server); }
        if (t >= end) break;
        for (; begin + sent / rate <= t; sent++) {
            double due = begin + sent / rate;
            snprintf(text, sizeof text, "%04d %020.0f", (int)(sent % symbols), due * 1e9);
            int size = make_frame(frame, strlen(text));
            memcpy(frame + size - strlen(text), text, strlen(text));
            if (send(feed, frame, size, 0) != size) fail("cannot send an update");
            if (due >= start) expected += (int64_t)clients * each;
        }
        if (t - last > PATIENCE_S) fail("no update for 20 s");
        struct epoll_event events[512];
        int ready = epoll_wait(poll, events, 512, 1);
        for (int e = 0; e < ready; e++) {
            int i = events[e].data.u32, at = 0;
            memcpy(data, partial[i].rest, partial[i].size);
            ssize_t size = recv(fds[i], data + partial[i].size, sizeof data - 512, MSG_DONTWAIT);
            if (size <= 0) { if (size < 0 && errno == EAGAIN) continue; fail("the server closed a client"); }
            double arrived = last = now();
            size += partial[i].size;
            while (at + 2 <= size && at + 2 + data[at + 1] <= size) {
                if (data[at] == 0x89) {
                    /* A ping: answer it, with a mask of zeros. */
                    unsigned char pong[6 + 125] = {0x8a, 0x80 | data[at + 1]};
                    memcpy(pong + 6, data + at + 2, data[at + 1]);
                    if (send(fds[i], pong, 6 + data[at + 1], 0) < 0) fail("cannot answer a ping");
                    at += 2 + data[at + 1];
                    continue;
                }
                double due = strtod((char *)data + at + 2 + 5, NULL) / 1e9;
                if (due >= start && measured < most) ages[measured++] = (arrived - due) * 1e3;
                at += 2 + data[at + 1];
            }
            partial[i].size = size - at;
            memcpy(partial[i].rest, data + at, partial[i].size);
        }
    }
    double elapsed = now() - start, used = cpu_of(server) - cpu;
    if (!measured) fail("no update has arrived");
    qsort(ages, measured, sizeof *ages, compare);
    printf("{\"rate\": %.0f, \"expected\": %.0f, \"cpu\": %.4f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f}\n",
        measured / elapsed, (double)expected / symbols / elapsed, used / elapsed, ages[measured / 2],
        ages[measured * 99 / 100], ages[measured - 1]);
    return 0;
}
