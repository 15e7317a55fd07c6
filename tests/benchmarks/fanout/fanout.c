/* Load for fan-out:
 *     PORT SUBSCRIBERS PUBLISHERS IN_FLIGHT BATCH BYTES COMPRESSED WARM_UP_S SECONDS PID[,PID...] [BROKER_PID]
 *
 * Opens SUBSCRIBERS connections to /sub and PUBLISHERS connections to /pub. The server broadcasts every message of /pub
 * to all connections on /sub, unchanged. IN_FLIGHT publications of all publishers together are in flight: the next
 * publisher sends the next one when the slowest subscriber has received one more. If BATCH is not 1, they connect to
 * /pub-many, and the server publishes each of their messages BATCH times, together. If COMPRESSED is 1, messages are
 * JSON, and subscribers ask for permessage-deflate without context takeover, so that every reply has the same size.
 *
 * Prints {"rate": deliveries a second, "cpu_us": CPU of the processes for each, "user_us": the part of it in user mode,
 * as the kernel samples it}; with a broker also "broker_us", its CPU for each publication. If the handshake of /sub returns X-Worker, also "workers", the number of different values,
 * and "fewest" and "most", the subscribers of one worker.
 */
#include "client.h"

#define PATIENCE_S 20.0

/* Adds the clock ticks that the processes have spent in user and in system mode. */
static void ticks_of(const char *pids, double *user, double *system) {
    char list[512], *rest = list, *pid;
    snprintf(list, sizeof list, "%s", pids);
    while ((pid = strsep(&rest, ","))) {
        char path[64], text[1024];
        unsigned long long user_ticks, system_ticks;
        snprintf(path, sizeof path, "/proc/%s/stat", pid);
        FILE *file = fopen(path, "r");
        if (!file || !fgets(text, sizeof text, file)) fail("the server has ended");
        fclose(file);
        char *fields = strrchr(text, ')');
        if (!fields || sscanf(fields, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user_ticks, &system_ticks) != 2)
            fail("/proc/PID/stat cannot be read");
        *user += user_ticks;
        *system += system_ticks;
    }
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

#define DEFLATE \
    "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"

/* Replaces the payload, of which the mask is zero, by JSON. */
static void make_json(unsigned char *payload, int bytes) {
    for (int at = 0, number = 0; at < bytes; number++) {
        char item[64];
        int size = snprintf(item, sizeof item, "{\"id\":%d,\"price\":%d.%02d},", number, number * 7919 % 1000, number * 31 % 100);
        if (size > bytes - at) size = bytes - at;
        memcpy(payload + at, item, size);
        at += size;
    }
}

/* Receives one compressed message on each of the sockets, and returns the size of its frame. */
static int compressed_size(const int *fds, int count) {
    int size = 0;
    for (int i = 0; i < count; i++) {
        static unsigned char frame[70000];
        if (recv(fds[i], frame, 4, MSG_WAITALL) != 4) fail("the server closed a subscriber");
        if (!(frame[0] & 0x40)) fail("the server does not compress");
        int found = frame[1] < 126 ? 2 + frame[1] : 4 + (frame[2] << 8 | frame[3]);
        if (size && found != size) fail("compressed messages differ in size");
        size = found;
        if (recv(fds[i], frame, size - 4, MSG_WAITALL) != size - 4) fail("the server closed a subscriber");
    }
    return size;
}

int main(int count, char **words) {
    if (count != 11 && count != 12)
        fail("usage: fanout PORT SUBSCRIBERS PUBLISHERS IN_FLIGHT BATCH BYTES COMPRESSED WARM_UP_S SECONDS PIDS [BROKER_PID]");
    int port = atoi(words[1]), subscribers = atoi(words[2]), publishers = atoi(words[3]), in_flight = atoi(words[4]);
    int batch = atoi(words[5]), bytes = atoi(words[6]);
    int compressed = atoi(words[7]);
    double warm_up = atof(words[8]), seconds = atof(words[9]);
    const char *server = words[10], *broker = words[11];
    char path[64] = "/pub", head[1024];
    if (batch > 1) snprintf(path, sizeof path, "/pub-many?count=%d", batch);
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
        fds[i] = open_websocket(port, "/sub", compressed ? DEFLATE : "", head, sizeof head);
        count_worker(head);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        epoll_ctl(poll, EPOLL_CTL_ADD, fds[i], &event);
    }
    for (int i = 0; i < publishers; i++) pub[i] = open_websocket(port, path, "", head, sizeof head);
    /* The last subscription may still be under way in the server. */
    usleep(500000);
    if (compressed) {
        make_json(frame + frame_size - bytes, bytes);
        if (send(pub[0], frame, frame_size, 0) != frame_size) fail("cannot publish");
        reply_size = compressed_size(fds, subscribers);
    }
    int64_t published = 0, complete = 0, deliveries = 0, mark = 0;
    double begin = now(), start = 0, cpu = 0, broker_cpu = 0, last = begin, user[2] = {0}, system[2] = {0};
    int measuring = 0;
    while (1) {
        for (; published + batch <= complete + in_flight; published += batch)
            if (send(pub[published / batch % publishers], frame, frame_size, 0) != frame_size) fail("cannot publish");
        double t = now();
        if (!measuring && t - begin >= warm_up) {
            measuring = 1; start = t; mark = deliveries; cpu = cpu_of(server);
            ticks_of(server, &user[0], &system[0]);
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
    ticks_of(server, &user[1], &system[1]);
    double user_ticks = user[1] - user[0], ticks = user_ticks + system[1] - system[0];
    if (broker) broker_cpu = cpu_of(broker) - broker_cpu;
    int64_t done = deliveries - mark;
    printf("{\"rate\": %.1f, \"cpu_us\": %.4f", done / elapsed, used * 1e6 / done);
    printf(", \"user_us\": %.4f", ticks ? used * 1e6 / done * user_ticks / ticks : 0);
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
