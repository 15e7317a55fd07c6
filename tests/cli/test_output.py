"""Every command, with output that cannot be written, and with every wish for colors."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from falconws_cli.main import _COMMANDS
from tests.cli.forker import Ended, Forker, Streams
from tests.cli.recorder import tree
from tests.generated.workshop import START_S, environment, falconws, get, new_project, served
from tests.ports import free_port

FULL = "Error: Cannot write the output: no space left on device.\n"
TYPED = Path(__file__).parents[2] / "docs" / "snippets" / "typed_chat.py"


def nothing(root: Path) -> None:
    """Leave the project as it is."""


def moved(root: Path) -> None:
    (root / "demo" / "resources" / "echo.py").rename(root / "demo" / "resources" / "sound.py")


def without_falconws(root: Path) -> None:
    pyproject = root / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("[tool.falconws]", "[tool.other]"))


def typed(root: Path) -> None:
    shutil.copy(TYPED, root / "typed_chat.py")


def extended(root: Path) -> None:
    falconws(root, "add-resource", "chat")


@dataclass(frozen=True)
class Case:
    """A command line, and what a project needs for it."""

    words: tuple[str, ...]
    prepare: Callable[[Path], None] = nothing
    code: int = 0
    prints: bool = False
    """Whether its output is what it is for."""


CASES = {
    "new": Case(("new", "other")),
    "init": Case(("init",), without_falconws),
    "add-resource": Case(("add-resource", "chat")),
    "add-middleware": Case(("add-middleware", "auth")),
    "add-media-handler": Case(("add-media-handler", "orders", "--codec", "orjson", "--payload", "text")),
    "add-part": Case(("add-part", "docker")),
    "status": Case(("status",), prints=True),
    "undo": Case(("undo",), extended),
    "remove-resource": Case(("remove-resource", "chat"), extended),
    "remove-middleware": Case(("remove-middleware", "auth"), code=2),
    "remove-media-handler": Case(("remove-media-handler", "orders"), code=2),
    "remove-part": Case(("remove-part", "docker"), code=2),
    "moved": Case(("moved", "demo/resources/echo.py", "demo/resources/sound.py"), moved),
    "forget": Case(("forget", "echo")),
    "upgrade": Case(("upgrade",)),
    "eject": Case(("eject", "resource/echo")),
    "inspect": Case(("inspect", "--tree"), prints=True),
    "generate-client": Case(("generate-client", "ts", "typed_chat:app", "--output", "web"), typed),
    "asyncapi": Case(("asyncapi", "typed_chat:app"), typed, prints=True),
    "doctor": Case(("doctor", "--port", str(free_port())), prints=True),
    "publish": Case(("publish", "room", "hello"), code=2),
    "completion": Case(("completion", "bash"), prints=True),
    "--help": Case(("--help",), prints=True),
    "--version": Case(("--version",), prints=True),
    "no such command": Case(("servve",), code=2),
}
COLORED = ("new", "add-resource", "undo", "remove-resource", "doctor")
ELSEWHERE = {"serve", "connect", "bench", "test"}
"""Commands that run until they are stopped, or hand their output to another program: tested below."""


def test_no_command_is_left_out() -> None:
    assert set(_COMMANDS) - ELSEWHERE <= set(CASES)


@pytest.fixture(scope="module")
def forker() -> Iterator[Forker]:
    forker = Forker()
    yield forker
    forker.close()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_project(tmp_path_factory.mktemp("original"))


@pytest.fixture
def project(original: Path, tmp_path: Path) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        root = tmp_path / name / "demo"
        shutil.copytree(original, root)
        return root

    return make


def comparable(root: Path) -> set[str]:
    return {path for path in tree(root) if "operations" not in path}


NO_OUTPUT = {
    "stdout has no reader": Streams(stdout="left"),
    "stdout is full": Streams(stdout="full"),
    "stdout is closed": Streams(stdout="closed"),
    "stderr is closed": Streams(stderr="closed"),
    "both are closed": Streams(stdout="closed", stderr="closed"),
    "cp1252": Streams(encoding="cp1252"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_output_never_fails_after_the_work_is_done(forker: Forker, project: Callable[[str], Path], case: Case) -> None:
    results: dict[str, tuple[Ended, set[str]]] = {}
    for name, streams in {"usual": Streams(), **NO_OUTPUT}.items():
        root = project(name)
        case.prepare(root)
        results[name] = forker.run(case.words, root, streams), comparable(root)
    usual, files = results.pop("usual")
    assert usual.code == case.code, usual
    assert usual.stdout or case.code, usual
    for name, (ended, written) in results.items():
        lost = case.prints and "full" in name
        assert ended.code == (1 if lost else usual.code), (name, ended)
        assert written == files, name
        assert "Traceback" not in ended.stderr, (name, ended)
        if NO_OUTPUT[name].stderr == "file" and NO_OUTPUT[name].encoding == "utf-8":
            assert ended.stderr == usual.stderr + (FULL if lost else ""), name


WISHES = {
    "a file": (Streams(), False),
    "a terminal": (Streams(stdout="tty"), True),
    "NO_COLOR": (Streams(stdout="tty", environment={"NO_COLOR": "1"}), False),
    "empty NO_COLOR": (Streams(stdout="tty", environment={"NO_COLOR": ""}), True),
    "FORCE_COLOR": (Streams(environment={"FORCE_COLOR": "1"}), True),
    "NO_COLOR wins": (Streams(environment={"FORCE_COLOR": "1", "NO_COLOR": "1"}), False),
    "a dumb terminal": (Streams(stdout="tty", environment={"TERM": "dumb"}), False),
    "FORCE_COLOR on a dumb terminal": (Streams(stdout="tty", environment={"TERM": "dumb", "FORCE_COLOR": "1"}), True),
}


@pytest.mark.parametrize("name", CASES)
def test_colors_follow_the_environment(forker: Forker, project: Callable[[str], Path], name: str) -> None:
    case = CASES[name]
    for wish, (streams, colored) in WISHES.items() if name in COLORED else [("NO_COLOR", WISHES["NO_COLOR"])]:
        root = project(wish)
        case.prepare(root)
        wanted = {"NO_COLOR": "", "FORCE_COLOR": "", "TERM": "xterm", **streams.environment}
        ended = forker.run(case.words, root, Streams(streams.stdout, encoding="utf-8", environment=wanted))
        assert ended.code == case.code, ended
        assert ("\x1b[" in ended.stdout) is colored, wish


@pytest.fixture(scope="module")
def server(original: Path) -> Iterator[str]:
    with served(original) as address:
        yield address


UNENDING = [("connect", "{url}"), ("bench", "{url}", "--seconds", "600")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
@pytest.mark.parametrize("words", [*UNENDING, ("bench", "{url}", "--seconds", "600", "--json")], ids=" ".join)
def test_a_full_disk_is_told_in_one_line(server: str, words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "falconws_cli", *(word.format(url=f"ws://{server}/echo") for word in words)]
    if "--json" in words:
        # Its only output is at the end.
        command[command.index("600")] = "0.1"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, input="hello\n", stdout=full, stderr=subprocess.PIPE, text=True, env=environment(), timeout=START_S
        )
    assert (done.returncode, done.stderr) == (1, FULL)


@pytest.mark.parametrize("words", UNENDING, ids=lambda words: words[0])
def test_a_command_that_does_not_end_by_itself_ends_when_nobody_reads(server: str, words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "falconws_cli", *(word.format(url=f"ws://{server}/echo") for word in words)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.close()
    process.stdin.write(b"hello\n")
    process.stdin.flush()
    assert process.wait(START_S) == 1
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stdin.close()
    process.stderr.close()


def test_a_server_goes_on_when_nobody_reads_its_log(original: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "falconws_cli", "serve", "--port", str(port)]
    process = subprocess.Popen(
        command, cwd=original, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment()
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if "Application startup complete" in line:
                break
        process.stdout.close()
        for _ in range(3):
            assert get(f"127.0.0.1:{port}", "/healthz") == (200, {"status": "ok"})
        process.send_signal(signal.SIGINT)
        assert process.wait(START_S) == 0
    finally:
        process.kill()
        process.wait()


TESTS = "{python} -m falconws_cli test -- -p no:randomly --collect-only -q"


@pytest.mark.parametrize(
    ("shell", "code"),
    [
        (f"{TESTS} | head -1; exit ${{{{PIPESTATUS[0]}}}}", 0),
        (f"{TESTS} > /dev/full", 1),
        (f"{TESTS} >&-", 0),
        ("{python} -m falconws_cli inspect | head -1; exit ${{PIPESTATUS[0]}}", 0),
        ("{python} -u -m falconws_cli inspect | head -1; exit ${{PIPESTATUS[0]}}", 0),
        ("{python} -m falconws_cli inspect > /dev/full", 1),
        ("{python} -m falconws_cli add-resource news > /dev/full", 0),
        ("{python} -m falconws_cli status <&- >&- 2>&-", 0),
        ("{python} -m falconws_cli add-resource clock <&- >&- 2>&-", 0),
    ],
)
def test_in_a_shell(project: Callable[[str], Path], shell: str, code: int) -> None:
    root = project("shell")
    command = ["bash", "-c", shell.format(python=sys.executable)]
    done = subprocess.run(command, cwd=root, env={**os.environ, **environment()}, capture_output=True, text=True)
    assert done.returncode == code, done
    assert done.stderr == (FULL if code else "")
