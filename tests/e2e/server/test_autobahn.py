"""The Autobahn TestSuite against the fast engine.

The suite is a Python 2 program: these tests need its `wstest` and are skipped without one. Put it on
the path or name it in WSTEST. It takes a Python 2.7 (pyenv has one) and these old packages:

    virtualenv -p python2.7 PY27                    # a virtualenv older than 20.22
    PY27/bin/pip install txaio==2.1.0 incremental==16.10.1 pyOpenSSL==19.1.0 cryptography==3.3.2 \\
        Twisted==19.10.0 zope.interface==4.6.0 jinja2==2.11.3 markupsafe==1.1.1 Werkzeug==1.0.1 \\
        klein==17.10.0 service_identity==18.1.0 unittest2==1.1.0 six==1.16.0 \\
        'autobahn[twisted,accelerate]==0.10.9' autobahntestsuite==25.10.1
    WSTEST=PY27/bin/wstest pytest tests/e2e/server/test_autobahn.py
"""

import json
import os
import shutil
import subprocess

import pytest

from falconws.server import ConnectionSettings, DeflateSettings

ECHO = """
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                event = await receive()
                await send({"type": event["type"] + ".complete"})
                if event["type"] == "lifespan.shutdown":
                    return
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            await send({**event, "type": "websocket.send"})
"""

# What is not strictly what the suite would like, and why.
_EARLY = (
    "a violation ends the connection (RFC 6455 section 7.1.7), whether or not the message before it is answered yet: "
    "with frames that come apart, that is a matter of timing"
)
_WHOLE = "UTF-8 is judged when a frame is complete, not while it trickles in"
NON_STRICT = {
    "3.2": _EARLY,
    "3.3": _EARLY,
    "3.4": _EARLY,
    "4.1.3": _EARLY,
    "4.1.4": _EARLY,
    "4.1.5": _EARLY,
    "4.2.3": _EARLY,
    "4.2.4": _EARLY,
    "4.2.5": _EARLY,
    "5.15": _EARLY,
    "6.4.3": _WHOLE,
    "6.4.4": _WHOLE,
}


def run_suite(server, tmp_path, cases: list[str], timeout: float) -> dict[str, dict[str, object]]:
    wstest = os.environ.get("WSTEST") or shutil.which("wstest")
    if wstest is None:
        pytest.skip("no wstest: the Autobahn TestSuite needs Python 2.7; set WSTEST to the path of one")
    specification = {
        "outdir": str(tmp_path / "out"),
        "servers": [{"agent": "falconws", "url": server.ws_url + "/"}],
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
        "options": {"failByDrop": False},
    }
    (tmp_path / "spec.json").write_text(json.dumps(specification))
    command = [wstest, "-m", "fuzzingclient", "-s", str(tmp_path / "spec.json")]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=timeout)
    results: dict[str, dict[str, object]] = json.loads((tmp_path / "out" / "index.json").read_text())["falconws"]
    return results


def check_results(results) -> None:
    assert results
    bad = {
        case: (result["behavior"], result["behaviorClose"], result["remoteCloseCode"])
        for case, result in results.items()
        if (
            result["behavior"] not in ("OK", "INFORMATIONAL")
            and not (result["behavior"] == "NON-STRICT" and case in NON_STRICT)
        )
        or result["behaviorClose"] not in ("OK", "INFORMATIONAL")
    }
    assert not bad
    stale = [
        case
        for case, reason in NON_STRICT.items()
        if reason is _WHOLE and case in results and results[case]["behavior"] == "OK"
    ]
    assert not stale, "these are strict now: take them off the list"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_protocol(serve, tmp_path):
    server = serve(ECHO, connection=ConnectionSettings(max_message_bytes=32 * 1024 * 1024), log_level="warning")
    cases = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"]
    results = run_suite(server, tmp_path, cases, 280)
    assert len(results) == 301
    check_results(results)


_COMPRESSION_GROUPS = [*(f"12.{number}.*" for number in range(1, 6)), *(f"13.{number}.*" for number in range(1, 8))]


@pytest.mark.skipif(
    "AUTOBAHN_DEFLATE" not in os.environ, reason="takes half an hour in all; set AUTOBAHN_DEFLATE=1 to run it"
)
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("group", _COMPRESSION_GROUPS)
def test_compression(serve, tmp_path, group):
    server = serve(
        ECHO,
        connection=ConnectionSettings(max_message_bytes=32 * 1024 * 1024, deflate=DeflateSettings()),
        log_level="warning",
    )
    results = run_suite(server, tmp_path, [group], 1700)
    assert len(results) == 18
    check_results(results)
    assert {result["behavior"] for result in results.values()} == {"OK"}
