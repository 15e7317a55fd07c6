"""The benchmark itself works: one tiny round, its files, its figures. No test asserts a time."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.benchmarks.contenders import CONTENDERS
from tests.benchmarks.figures import FIGURES, outcomes
from tests.benchmarks.load import Load
from tests.benchmarks.peers import Peers
from tests.benchmarks.plots import Bar, bar_chart
from tests.benchmarks.report import write
from tests.benchmarks.scenarios import SCENARIOS, Bench, Results

needs_two_cores = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or not {0, 1} <= os.sched_getaffinity(0) or shutil.which("cc") is None,
    reason="the benchmark needs Linux, the cores 0 and 1 and a C compiler",
)


@needs_two_cores
def test_a_tiny_round_of_two_contenders_writes_its_files(tmp_path: Path) -> None:
    # The interpreter of the tests has the packages of these two.
    peers = Peers(Path(sys.executable), "", tmp_path, {"falconws": "0", "falcon": "0", "uvicorn": "0", "picows": "0"})
    contenders = [contender for contender in CONTENDERS if contender.key in ("falconws", "falcon", "node")]
    lines: list[str] = []
    bench = Bench(peers, Load(tmp_path, 1), rounds=1, seconds=0.5, say=lines.append)
    scenarios = [scenario for scenario in SCENARIOS if scenario.key in ("echo-32-16", "media", "connections", "memory")]
    results = bench.run(contenders, scenarios)
    assert results.left_out == ["Node ws: ws is not installed"]
    for scenario in scenarios:
        for key in ("falconws", "falcon"):
            (sample,) = results.samples[scenario.key][key]
            assert sample[scenario.metric] > 0
    out = tmp_path / "out"
    files = write(
        out,
        results,
        contenders,
        scenarios,
        peers=peers,
        generator="load.c",
        command="the command",
        rounds=1,
        seconds=0.5,
    )
    assert {path.name for path in files} == {"results.md", "results.json", *(f"{s.key}.svg" for s in scenarios)}
    assert sorted(out.iterdir()) == sorted(files)
    table = (out / "results.md").read_text()
    assert "the command" in table
    assert "Left out: Node ws: ws is not installed." in table
    for scenario in scenarios:
        assert f"![{scenario.title}]({scenario.key}.svg)" in table
        root = ET.parse(out / f"{scenario.key}.svg").getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert json.loads((out / "results.json").read_text())["samples"].keys() == results.samples.keys()


def test_ratios_are_taken_within_a_round() -> None:
    results = Results()
    # A machine that halves its speed in the second round.
    for own, other in ((2.0, 8.0), (4.0, 16.0), (2.0, 10.0)):
        results.add("echo-32-16", "falconws", {"cpu_us": own})
        results.add("echo-32-16", "falcon", {"cpu_us": other})
    (outcome,) = outcomes(results)
    assert (outcome.value, outcome.low, outcome.high) == (0.25, 0.2, 0.25)
    assert outcome.reached
    assert str(outcome) == ("echo 32 B, 16 in flight, against Falcon: 0.25 (0.20 to 0.25); at most 0.33: reached")


def test_a_missed_figure_says_so() -> None:
    results = Results()
    results.add("connections", "falconws", {"cpu_us": 500.0})
    results.add("connections", "falcon", {"cpu_us": 700.0})
    (outcome,) = outcomes(results)
    assert outcome.value == pytest.approx(1.4)
    assert not outcome.reached
    assert str(outcome).endswith("at least 1.60: MISSED")


def test_every_figure_is_of_a_scenario_and_contenders_that_exist() -> None:
    keys = {contender.key for contender in CONTENDERS}
    metrics = {scenario.key: scenario.metric for scenario in SCENARIOS}
    for figure in FIGURES:
        assert metrics[figure.scenario] == figure.metric
        assert {figure.contender, figure.against} <= keys | {None}


def test_a_plot_draws_medians_in_order() -> None:
    bars = [Bar("slow & <safe>", [30.0, 10.0, 20.0], False), Bar("fast", [5.0], True)]
    root = ET.fromstring(bar_chart("Title", "Subtitle", bars))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["Title", "Subtitle", "fast", "5.00", "slow & <safe>", "20.0"]
    widths = [float(element.attrib["width"]) for element in root.iter("{http://www.w3.org/2000/svg}rect")][1:]
    assert widths[1] / widths[0] == pytest.approx(statistics.median([30, 10, 20]) / 5, rel=0.01)


def test_an_unknown_name_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--only", "nobody"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "there is no contender or scenario nobody" in done.stderr
