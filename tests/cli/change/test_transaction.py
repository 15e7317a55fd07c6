"""A whole command is one transaction: interrupted or failing, it has never happened."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from falconws_cli.errors import ExitCode
from tests.cli.conftest import Run
from tests.cli.recorder import one_line_error, snapshot

WAIT_S = 60.0
ARGUMENTS = ["add-middleware", "auth", "--kind", "token-auth"]
# Stops in front of the n-th event of a kind that the writer causes, says so, and waits for a line.
PAUSING = """
import sys
from falconws_cli.change import writer
from falconws_cli.main import cli

event, count, *arguments = sys.argv[1:]
left = int(count)

def hook(name, _):
    global left
    if name == event and sys._getframe(1).f_globals.get("__name__") != "__main__":
        frame = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename != writer.__file__:
            frame = frame.f_back
        if frame is not None and frame.f_code.co_name != "read_current":
            left -= 1
            if left == 0:
                print("paused", flush=True)
                sys.stdin.readline()

sys.addaudithook(hook)
cli(arguments, prog_name="falconws")
"""


@pytest.mark.parametrize(
    ("event", "count", "happens"),
    [("open", 1, False), ("open", 4, False), ("os.link", 2, False), ("os.chmod", 1, False), ("os.rename", 2, True)],
)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 1), (signal.SIGTERM, 143)])
@pytest.mark.skipif(sys.platform == "win32", reason="there, a signal cannot be sent to one process")
def test_a_signal_to_the_process_is_all_or_nothing(
    demo: Path, event: str, count: int, happens: bool, number: signal.Signals, code: int
) -> None:
    before = snapshot(demo)
    process = subprocess.Popen(
        [sys.executable, "-c", PAUSING, event, str(count), *ARGUMENTS],
        cwd=demo,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "paused\n"
        process.send_signal(number)
        output, _ = process.communicate("\n", timeout=WAIT_S)
    finally:
        process.kill()
        process.wait(WAIT_S)
    if happens:
        assert process.returncode == 0, output
        assert (demo / "demo" / "middleware" / "auth.py").is_file()
        assert [path for path in demo.rglob("*") if path.name.count(".") > 2 and ".py." in path.name] == []
    else:
        assert process.returncode == code, output
        assert snapshot(demo) == before


def test_a_template_that_does_not_render_writes_nothing(run: Run, demo: Path) -> None:
    folder = demo / ".falconws" / "templates" / "resource" / "echo" / "tests" / "resources"
    folder.mkdir(parents=True)
    (folder / "test_%module%.py.jinja").write_text("{{ nobody_gives_this }}\n")
    before = snapshot(demo)
    result = run("add-resource", "chat", cwd="demo")
    assert result.exit_code == ExitCode.FAILURE
    assert "nobody_gives_this" in result.stderr.splitlines()[-1]
    assert snapshot(demo) == before


def test_a_record_that_cannot_be_written_stops_everything(run: Run, demo: Path) -> None:
    shutil.rmtree(demo / ".falconws" / "operations")
    (demo / ".falconws" / "operations").write_text("a file, where a folder has to be")
    before = snapshot(demo)
    result = run("add-resource", "chat", cwd="demo")
    assert result.exit_code == ExitCode.FAILURE
    assert "Nothing was changed." in one_line_error(result)
    assert snapshot(demo) == before


def test_what_changes_while_a_command_asks_is_not_overwritten(
    run: Run, demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from falconws_cli.change import transaction

    routes = demo / "demo" / "routes.py"
    commit = transaction.commit

    def editing_first(*arguments: object) -> None:
        routes.write_text("# Mine.\n")
        commit(*arguments)

    monkeypatch.setattr(transaction, "commit", editing_first)
    result = run("add-resource", "chat", cwd="demo")
    assert result.exit_code == ExitCode.CONFLICT
    assert "demo/routes.py: changed while the command ran; run it again." in one_line_error(result)
    assert routes.read_text() == "# Mine.\n"
    assert not (demo / "demo" / "resources" / "chat.py").exists()
