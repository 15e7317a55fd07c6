"""The processes that listen on a port, and their CPU time."""

import os
import socket

import pytest

from falconws_cli.processes import cpu_seconds, listening_pids, name_of


@pytest.mark.skipif(not os.path.exists("/proc/net/tcp"), reason="only Linux says who listens")
def test_who_listens_on_a_port_is_found_on_linux() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert listening_pids(port) == [os.getpid()]
        assert name_of(os.getpid())
        before = cpu_seconds([os.getpid()])
        assert before is not None
        assert before > 0
    assert listening_pids(port) == []
    assert cpu_seconds([]) is None
    assert cpu_seconds([2**22 + 1]) is None
