"""The start-up benchmark works: one round of local programs, its page, its ratios. No test asserts a time."""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.benchmarks.start_up.programs import BARE
from tests.benchmarks.start_up.report import TARGETS, table, verdicts, write
from tests.benchmarks.start_up.runs import Program, RunError, Runs, measure, run_once

ENVIRON = {"PATH": "", "LANG": "C.UTF-8"}


def nothing(folder: Path) -> None:
    pass


def program(key: str, script: str, makes: str = "", *, ours: bool = False) -> Program:
    return Program(key, f"the program {key}", (sys.executable, "-c", script), nothing, makes, ours)


def test_a_round_runs_every_program_in_a_folder_of_its_own() -> None:
    script = "import os; assert not os.listdir('.'); open('made', 'w').close()"
    runs = measure([program("a", script, "made"), program("b", script, "made")], ENVIRON, rounds=2)
    for times in (runs.wall_ms, runs.cpu_ms):
        assert {key: len(values) for key, values in times.items()} == {"a": 2, "b": 2}
        assert all(value > 0 for values in times.values() for value in values)


def test_what_is_prepared_is_there() -> None:
    def prepare(folder: Path) -> None:
        (folder / "ready").write_text("yes")

    script = "assert open('ready').read() == 'yes'"
    run_once(Program("a", "a", (sys.executable, "-c", script), prepare), ENVIRON)


@pytest.mark.parametrize(
    ("script", "makes", "output"), [("raise SystemExit('no luck')", "", "no luck"), ("print('hm')", "nowhere", "hm")]
)
def test_a_program_that_does_not_do_its_work_is_not_measured(script: str, makes: str, output: str) -> None:
    with pytest.raises(RunError, match=output):
        run_once(program("a", script, makes), ENVIRON)


def all_runs() -> tuple[Runs, list[Program]]:
    keys = ["help", "new", "add-resource", BARE, "hatch", "django", "cookiecutter", "copier"]
    # A machine that halves its speed in the second round.
    base = {"help": 1.0, "new": 2.0, "add-resource": 3.0, BARE: 1.0, "hatch": 1.5}
    times = {key: [base.get(key, 8.0) * 10, base.get(key, 8.0) * 20] for key in keys}
    return Runs(times, times), [program(key, "", ours=key in ("help", "new", "add-resource")) for key in keys]


def test_ratios_are_taken_within_a_round() -> None:
    runs, programs = all_runs()
    assert verdicts(runs, programs) == [
        "the program help against the program click: 1.00 (1.00 to 1.00); at most 1.50: reached",
        "the program new against the program click: 2.00 (2.00 to 2.00); at most 3.50: reached",
        "the program add-resource against the program click: 3.00 (3.00 to 3.00); at most 3.20: reached",
        "the program new against the program hatch: 1.33 (1.33 to 1.33); at most 1.50: reached",
        *(
            f"the program new against the program {peer}: 0.25 (0.25 to 0.25); at most 1.00: reached"
            for peer in ("django", "cookiecutter", "copier")
        ),
    ]
    assert len(verdicts(runs, programs)) == len(TARGETS)


def test_the_page_has_all_programs_and_figures(tmp_path: Path) -> None:
    runs, programs = all_runs()
    page, plot = write(tmp_path / "out", runs, programs, {"falconws": "1.2"}, command="the command", rounds=2)
    text = page.read_text()
    assert "`the command`" in text
    assert "falconws 1.2" in text
    assert table(runs, programs) in text
    assert "| **the program new** | 30 | 2.00 | 30 | 2.00 |\n" in text
    for line in verdicts(runs, programs):
        assert f"- {line}\n" in text
    assert "commands.svg" in text
    assert ET.parse(plot).getroot().tag == "{http://www.w3.org/2000/svg}svg"
