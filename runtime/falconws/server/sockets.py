"""The sockets that the server listens on, and their URLs. Knows nothing of uvicorn."""

import contextlib
import errno
import os
import shlex
import socket
import stat

from falconws.server.errors import StartError

_OF_THIS_MACHINE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""An address that a client on this machine can open, for each one that stands for all addresses."""
BACKLOG = 2048
"""Connections that wait to be accepted."""


def bind_tcp(host: str, port: int) -> socket.socket:
    """Return a listening TCP socket; port 0 takes a free one.

    Raises:
        StartError: The address is taken, is not allowed, or does not belong to this machine.
    """
    try:
        candidates = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, OverflowError) as error:
        raise StartError(f'Cannot listen on "{host}:{port}": {_text(error)}.') from error
    # A name such as localhost may have addresses of both families, and one socket serves one. Clients on the same
    # machine always try IPv4 in the end.
    family, _, _, _, address = min(candidates, key=lambda candidate: candidate[0] != socket.AF_INET)
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # Two sockets may be bound to one port until one of them listens: claim it here, where the error is one line.
        # Clients that connect before start-up has finished wait in the backlog, and are served then.
        listener.listen(BACKLOG)
    except PermissionError as error:
        listener.close()
        raise StartError(f"Not allowed to listen on port {port}; ports below 1024 need more privileges.") from error
    except OSError as error:
        listener.close()
        hint = ""
        if error.errno == errno.EADDRNOTAVAIL:
            hint = "; this machine does not have that address: choose one that it has, or 0.0.0.0 for all"
        elif port:
            hint = "; stop the program that listens there, or choose another port"
        raise StartError(f"Cannot listen on {host}:{port}: {_text(error)}{hint}.") from error
    listener.set_inheritable(True)
    return listener


def bind_unix(path: str, mode: int) -> socket.socket:
    """Return a listening Unix socket at *path* with permissions *mode*; replace a stale one that no process listens on.

    Raises:
        StartError: The path is not a socket, or another process listens on it.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise StartError("This platform has no Unix sockets; listen on a host and port instead.")
    try:
        if os.path.lexists(path):
            _remove_stale(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(path)
            os.chmod(path, mode)
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise StartError(f'Cannot listen on the Unix socket "{path}": {_text(error)}.') from error
    listener.set_inheritable(True)
    return listener


def adopt(fd: int) -> socket.socket:
    """Return the socket with the number *fd*, listening.

    Raises:
        StartError: It is not a stream socket.
    """
    try:
        listener = socket.socket(fileno=fd)
        if listener.type != socket.SOCK_STREAM:
            listener.detach()
            raise OSError(errno.EPROTOTYPE, os.strerror(errno.EPROTOTYPE))
        listener.listen(BACKLOG)
    except OSError as error:
        raise StartError(f"Cannot listen on the file descriptor {fd}: {_text(error)}.") from error
    listener.set_inheritable(True)
    return listener


def is_unix(listener: socket.socket) -> bool:
    """Return whether *listener* is a Unix socket."""
    return listener.family == getattr(socket, "AF_UNIX", None)


def identity_of(path: str) -> tuple[int, int]:
    """Return the identity of the socket at *path*; one that another server creates there later has a different one."""
    found = os.lstat(path)
    return found.st_dev, found.st_ino


def remove_unix(path: str, identity: tuple[int, int]) -> None:
    """Remove the Unix socket at *path*, unless another server has replaced it."""
    with contextlib.suppress(FileNotFoundError):
        if identity_of(path) == identity:
            os.unlink(path)


def _remove_stale(path: str) -> None:
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise StartError(f'"{path}" exists and is not a socket; choose another path for the Unix socket.')
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError:
            pass
    raise StartError(f'Another server listens on the Unix socket "{path}"; stop it or choose another path.')


def url_of(listener: socket.socket, *, host: str, tls: bool, root_path: str) -> str:
    """Return a URL of *listener* that opens on this machine; for a Unix socket, "unix:" and its path.

    Args:
        listener: A listening socket.
        host: The address as the user typed it; "" takes that of the socket.
        tls: Whether it serves https.
        root_path: The prefix of all paths, "" or "/api".
    """
    name = listener.getsockname()
    if isinstance(name, (str, bytes)):
        return f"unix:{os.fsdecode(name)}"
    shown = _OF_THIS_MACHINE.get(name[0], host or name[0])
    if ":" in shown:
        shown = f"[{shown}]"
    return f"{'https' if tls else 'http'}://{shown}:{name[1]}{root_path}"


def reach_of(listener: socket.socket, *, tls: bool, root_path: str) -> str:
    """Return how else *listener* is reached, to follow its URL: " and ..." or " (...)", or an empty string."""
    name = listener.getsockname()
    if isinstance(name, (str, bytes)):
        url = f"{'https' if tls else 'http'}://localhost{root_path}/"
        return f" (try `{shlex.join(['curl', '--unix-socket', os.fsdecode(name), url])}`)"
    return f" and all addresses of this machine ({name[0]})" if name[0] in _OF_THIS_MACHINE else ""


def _text(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error)).rstrip(".").lower()
