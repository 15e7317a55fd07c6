"""mypy and pyright, in strict mode, accept right code and refuse wrong code, line by line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.generated.workshop import mypy_cache
from tests.node import node_packages

ROOT = Path(__file__).parents[3]
CHECKED = Path(__file__).with_name("checked")
WAIT_S = 300.0

pytestmark = pytest.mark.timeout(400)


def wrong_lines(file: Path) -> dict[int, str]:
    """Return the lines that are marked as wrong."""
    lines = enumerate(file.read_text().splitlines(), start=1)
    return {number: line.strip() for number, line in lines if "# wrong: " in line}


def mypy(file: Path, tmp_path: Path) -> set[int]:
    """Return the lines with errors, as mypy reports them."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-pretty", "--cache-dir", mypy_cache(), str(file)],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": f"{ROOT / 'runtime'}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
    )
    assert done.returncode in (0, 1), done.stderr
    return {int(number) for number in re.findall(rf"{re.escape(file.name)}:(\d+): error", done.stdout)}


def pyright(file: Path, tmp_path: Path) -> set[int]:
    """Return the lines with errors, as pyright reports them."""
    packages = node_packages("pyright")
    # It checks files below its settings only.
    (tmp_path / file.name).write_text(file.read_text())
    settings = tmp_path / "pyrightconfig.json"
    settings.write_text(
        json.dumps(
            {
                "include": [file.name],
                "typeCheckingMode": "strict",
                "extraPaths": [str(ROOT / "runtime"), str(ROOT)],
            }
        )
    )
    command = ["node", str(packages / "node_modules" / "pyright" / "index.js")]
    done = subprocess.run(
        [*command, "--project", str(settings), "--pythonpath", sys.executable, "--outputjson"],
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
    )
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 1, done.stdout
    found = report["generalDiagnostics"]
    return {each["range"]["start"]["line"] + 1 for each in found if each["severity"] == "error"}


@pytest.mark.parametrize("checker", [mypy, pyright], ids=["mypy", "pyright"])
@pytest.mark.parametrize("name", ["right.py", "wrong.py"])
def test_the_checker_reports_exactly_the_wrong_lines(
    name: str, checker: Callable[[Path, Path], set[int]], tmp_path: Path
) -> None:
    file = CHECKED / name
    lines = file.read_text().splitlines()
    assert {number: lines[number - 1].strip() for number in checker(file, tmp_path)} == wrong_lines(file)
