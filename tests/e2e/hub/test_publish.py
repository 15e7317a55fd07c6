"""`falconws publish` as a person types it, against real brokers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import falconws
from tests.e2e.hub.recorder import WAIT_S, following, make_hub
from tests.e2e.hub.servers import BrokerServer, Valkey
from tests.ports import free_port


def publish(*arguments: str, cwd: Path, stdin: bytes = b"", **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.endswith("_HUB_URL")}
    done = subprocess.run(
        [sys.executable, "-m", "falconws_cli", "publish", *arguments],
        cwd=cwd,
        env={**environ, **variables},
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


async def test_a_message_reaches_its_room_and_its_position_is_printed(broker: BrokerServer, tmp_path: Path) -> None:
    room = f"publish:{tmp_path.name}"
    async with make_hub(broker.url, timeout_s=WAIT_S) as hub, following(hub, room) as follower:

        async def run(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
            return await asyncio.to_thread(publish, room, *arguments, cwd=tmp_path, **more)

        done = [
            await run("hello", "--url", broker.url),
            await run('{"tea": 3}', "--json", "--key", "tea", FALCONWS_HUB_URL=broker.url),
            await run("-", "--binary", "--url", broker.url, stdin=b"\xff\x00"),
        ]
        await follower.until(lambda: len(follower.events) == 3, "three messages come")
        assert [(e.payload, e.key) for e in follower.events] == [
            ("hello", None),
            ('{"tea": 3}', "tea"),
            (b"\xff\x00", None),
        ]
        assert [d.stdout for d in done] == [f"{event.position}\n" for event in follower.events]
        assert [(d.returncode, d.stderr) for d in done] == [(0, "")] * 3


def test_in_a_project_its_own_variable_names_the_broker(valkey: Valkey, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.falconws]\napp = "my_demo.app:create_app"\n')
    done = publish("room", "x", cwd=tmp_path, MY_DEMO_HUB_URL=valkey.url)
    assert (done.returncode, done.stderr) == (0, "")
    falconws.Position.parse(done.stdout.strip())


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["room", "x"], 2, "No broker is configured: use --url, or set FALCONWS_HUB_URL."),
        (["room", "x", "--url", "memory://"], 2, "memory://, which only the server's own process can publish to"),
        (["room", "x", "--url", "amqp://me:s3cret@host"], 2, "no broker for amqp://host; use one of"),
        (["room", "x", "--url", "redis://:s3cret@host:port"], 2, "redis://host:port: not a URL of a Redis server"),
        (
            ["room", "x", "--url", "redis://h?decode_responses=true"],
            2,
            "decode_responses is set by the hub; leave it out",
        ),
        (["room", "x", "--url", "rediss://h?ssl_cert_reqs=maybe"], 2, "redis-py does not accept these parameters: "),
        (["room", "x", "--url", "redis://:s3cret@h/1?db=2"], 2, "redis://h/1: two databases"),
        (["room", "x", "--url", "MEMORY://"], 2, "memory://, which only the server's own process can publish to"),
        (["room", "{", "--json", "--url", "redis://localhost"], 2, "MESSAGE is not JSON: "),
        (["room", "[" * 100_000, "--json", "--url", "redis://localhost"], 2, "MESSAGE is not JSON: "),
        (["", "x", "--url", "redis://127.0.0.1:{port}"], 2, "The name of a room has 1 to 255 bytes"),
        (
            ["room", "x", "--url", "redis://u:s3cret@127.0.0.1:{port}"],
            1,
            "redis://127.0.0.1:{port}: ",
        ),
        (["room", "x", "--url", "nats://u:s3cret@127.0.0.1:{port}"], 1, "nats://127.0.0.1:{port}: "),
    ],
)
def test_what_cannot_be_published_is_told_in_one_line(
    arguments: list[str], code: int, problem: str, tmp_path: Path
) -> None:
    port = str(free_port())
    done = publish(*(argument.replace("{port}", port) for argument in arguments), cwd=tmp_path)
    assert done.returncode == code
    assert done.stdout == ""
    [*_, line] = done.stderr.splitlines()
    assert line.startswith("Error: ")
    assert problem.replace("{port}", port) in line
    assert not line.endswith("..")
    assert len(done.stderr.splitlines()) == 1
    assert "s3cret" not in done.stderr


def test_a_broker_that_does_not_answer_is_told_with_what_to_do(tmp_path: Path) -> None:
    done = publish("room", "x", "--url", f"redis://127.0.0.1:{free_port()}", cwd=tmp_path)
    assert done.stderr.endswith("; check that the broker runs, or name another with --url.\n")


@pytest.mark.parametrize("where", ["__init__", "publish"])
def test_what_nobody_has_thought_of_is_told_in_one_line_too(where: str, tmp_path: Path) -> None:
    script = (
        "import falconws.hub\n"
        "def fail(*_, **__): raise KeyError('first line\\nsecond')\n"
        f"falconws.hub.Hub.{where} = fail\n"
        "from falconws_cli.main import cli; cli()\n"
    )
    command = [sys.executable, "-c", script, "publish", "room", "x", "--url", f"redis://127.0.0.1:{free_port()}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: Publishing failed: KeyError: 'first line\\nsecond'\n"


@pytest.mark.parametrize(("package", "extra"), [("redis", "redis"), ("nats", "nats")])
def test_a_missing_package_is_named_with_its_extra(package: str, extra: str, tmp_path: Path) -> None:
    script = f"import sys; sys.modules[{package!r}] = None; from falconws_cli.main import cli; cli()"
    command = [sys.executable, "-c", script, "publish", "room", "x", "--url", f"{package}://127.0.0.1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f'pip install "falconws[{extra}]"' in done.stderr
