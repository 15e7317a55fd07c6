/* The least that a broadcast costs: PORT. One send() for each subscriber and publication, and nothing else.
 *
 * It speaks just enough WebSocket for the load: it accepts every handshake without a key, echoes /echo, and takes each
 * read from /pub for whole frames of at most 125 bytes.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HANDSHAKE, SUBSCRIBER, PUBLISHER, ECHO, MOST = 65536 };

static int kind[MOST], subscribers[MOST], count;
static const char accepted[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

static void begin(int fd, const char *head) {
    kind[fd] = strstr(head, "GET /sub") ? SUBSCRIBER : strstr(head, "GET /pub") ? PUBLISHER : ECHO;
    if (kind[fd] == SUBSCRIBER) subscribers[count++] = fd;
    send(fd, accepted, sizeof accepted - 1, MSG_NOSIGNAL);
}

static void end(int fd) {
    for (int i = 0; i < count; i++)
        if (subscribers[i] == fd) { subscribers[i--] = subscribers[--count]; }
    close(fd);
}

/* Sends the frames in data, one after the other. */
static void publish(int fd, unsigned char *data, ssize_t size) {
    unsigned char frame[2 + 125];
    for (ssize_t at = 0; at + 6 <= size;) {
        int length = data[at + 1] & 127;
        unsigned char *mask = data + at + 2, *payload = data + at + 6;
        if (at + 6 + length > size) return;
        frame[0] = data[at];
        frame[1] = length;
        for (int i = 0; i < length; i++) frame[2 + i] = payload[i] ^ mask[i & 3];
        if (kind[fd] == PUBLISHER)
            for (int i = 0; i < count; i++) send(subscribers[i], frame, 2 + length, MSG_NOSIGNAL);
        else send(fd, frame, 2 + length, MSG_NOSIGNAL);
        at += 6 + length;
    }
}

int main(int words, char **word) {
    struct rlimit files = {MOST, MOST};
    setrlimit(RLIMIT_NOFILE, &files);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (words != 2) return 2;
    address.sin_port = htons(atoi(word[1]));
    int server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poll = epoll_create1(0), one = 1;
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(server, (struct sockaddr *)&address, sizeof address) || listen(server, 1024)) return 1;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = server};
    epoll_ctl(poll, EPOLL_CTL_ADD, server, &event);
    static unsigned char data[1 << 16];
    while (1) {
        struct epoll_event events[512];
        int ready = epoll_wait(poll, events, 512, -1);
        for (int e = 0; e < ready; e++) {
            int fd = events[e].data.fd;
            if (fd == server) {
                int client = accept4(server, NULL, NULL, SOCK_NONBLOCK);
                if (client < 0) continue;
                if (client >= MOST) { close(client); continue; }
                setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                kind[client] = HANDSHAKE;
                struct epoll_event added = {.events = EPOLLIN, .data.fd = client};
                epoll_ctl(poll, EPOLL_CTL_ADD, client, &added);
                continue;
            }
            ssize_t size = recv(fd, data, sizeof data - 1, 0);
            if (size <= 0) { end(fd); continue; }
            data[size] = 0;
            if (kind[fd] == HANDSHAKE) begin(fd, (char *)data);
            else publish(fd, data, size);
        }
    }
}
