"""A WebSocket client that sends exactly the bytes it is told to, right or wrong."""

import contextlib
import socket
import ssl
import struct
import uuid

WAIT_S = 40.0


def handshake_request(path: str = "/", **headers: str) -> bytes:
    """Return the request of an opening handshake. Underscores in the names of *headers* stand for hyphens."""
    lines = {
        "host": "localhost",
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-version": "13",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"GET {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1")


class RawClient:
    """A WebSocket client that does what it is told, byte by byte, right or wrong."""

    def __init__(self, address: int | str, *, receive_buffer: int | None = None) -> None:
        """Connect to a port on loopback, or to the path of a Unix socket."""
        unix = isinstance(address, str)
        self.socket = socket.socket(socket.AF_UNIX if unix else socket.AF_INET, socket.SOCK_STREAM)
        if not unix:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(WAIT_S)
        self.socket.connect(address if unix else ("127.0.0.1", address))
        self.key = uuid.uuid4().hex
        self._unread = b""

    def handshake(self, path: str = "/", **headers: str) -> bytes:
        """Perform the opening handshake and return the head of the response."""
        self.request(path, **headers)
        return self.read_head()

    def request(self, path: str = "/", **headers: str) -> None:
        self.send(handshake_request(path, **{"x_key": self.key, **headers}))

    def read_head(self) -> bytes:
        while b"\r\n\r\n" not in self._unread:
            if not (more := self.socket.recv(65536)):
                break
            self._unread += more
        head, _, self._unread = self._unread.partition(b"\r\n\r\n")
        return head

    def encrypt(self, context: ssl.SSLContext) -> None:
        """Perform the TLS handshake.

        All is read and written by one thread then. A client that does it by two, as that of websockets.sync does, hung
        in the TLS library once in a thousand connections.
        """
        self.socket = context.wrap_socket(self.socket, server_hostname="127.0.0.1")

    def read(self, size: int) -> bytes:
        """Return *size* bytes of a body."""
        data = self._read(size)
        assert data is not None
        return data

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_frame(self, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> None:
        self.send(self.frame(opcode, payload, fin=fin, rsv=rsv))

    @staticmethod
    def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, size: int | None = None) -> bytes:
        """Return a frame masked with zeros; *size* lies about the length of the payload."""
        size = len(payload) if size is None else size
        first = (0x80 if fin else 0) | rsv << 4 | opcode
        if size < 126:
            head = bytes((first, 0x80 | size))
        elif size < 65536:
            head = bytes((first, 0xFE)) + size.to_bytes(2, "big")
        else:
            head = bytes((first, 0xFF)) + size.to_bytes(8, "big")
        return head + bytes(4) + payload

    def read_frame(self) -> tuple[int, bytes] | None:
        """Return opcode (with FIN and RSV bits cut off) and payload of the next frame; None at the end."""
        head = self._read(2)
        if head is None:
            return None
        size = head[1] & 127
        if size >= 126:
            extended = self._read(2 if size == 126 else 8)
            assert extended is not None
            size = int.from_bytes(extended, "big")
        payload = self._read(size)
        assert payload is not None
        return head[0] & 15, payload

    def read_close(self) -> tuple[int, str]:
        """Return code and reason of the close frame that comes next, after any messages."""
        while (frame := self.read_frame()) is not None:
            if frame[0] == 8:
                return int.from_bytes(frame[1][:2], "big") or 1005, frame[1][2:].decode()
        return 1006, ""

    def at_end(self) -> bool:
        """Whether the server closes, once everything it still sends has been thrown away."""
        with contextlib.suppress(ConnectionError):
            while self.socket.recv(65536):
                pass
        return True

    def close_writing(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _read(self, size: int) -> bytes | None:
        while len(self._unread) < size:
            try:
                more = self.socket.recv(65536)
            except ConnectionError:
                more = b""
            if not more:
                return None
            self._unread += more
        data, self._unread = self._unread[:size], self._unread[size:]
        return data
