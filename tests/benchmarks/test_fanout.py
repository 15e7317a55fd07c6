"""The benchmark of fan-out works: one tiny round, its page, its charts. What is measured is not judged here."""

import os
import shutil
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.benchmarks.fanout.__main__ import CONTENDERS, TITLES, Bench, compile_load, measure_brokers
from tests.benchmarks.fanout.report import Results, Title, write
from tests.benchmarks.peers import Peers

needs_two_cores = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or not {0, 1} <= os.sched_getaffinity(0) or shutil.which("cc") is None,
    reason="the benchmark needs Linux, the cores 0 and 1 and a C compiler",
)


@needs_two_cores
def test_a_tiny_round_of_two_contenders_and_two_brokers_writes_its_page(tmp_path: Path) -> None:
    # The interpreter that runs the tests has what these two need.
    peers = Peers(Path(sys.executable), "", tmp_path)
    bench = Bench(compile_load(tmp_path), peers, rounds=1, seconds=0.2)
    contenders = [contender for contender in CONTENDERS if contender.key in ("falconws", "falcon")]
    samples = bench.measure(contenders, 5, 4)
    results = Results({(5, 4): samples}, {5: samples["falconws"]})
    results.brokers = measure_brokers(bench, tmp_path, [2])
    results.rooms = {10: 700.0}
    for samples in (results.load[5, 4], results.brokers[2]):
        assert len(samples) == 2
        assert all(sample["rate"] > 0 for (sample,) in samples.values())
    out = tmp_path / "out"
    out.mkdir()
    said = write(out, results, TITLES, "falconws", ["The heading."])
    assert [line.partition(":")[0] for line in said] == [
        "5 subscribers, 4 in flight, against Falcon, a loop of send_text()",
        "memory",
        "redis",
        "10 rooms",
    ]
    page = (out / "fan-out.md").read_text()
    charts = {"fan-out-5-4.svg", "fan-out-subscribers.svg", "fan-out-rooms.svg"}
    assert {path.name for path in out.iterdir()} == {"fan-out.md", *charts}
    for chart in charts:
        assert f"]({chart})" in page
        assert ET.parse(out / chart).getroot().tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize(("own", "verdict"), [(5.0, "0.50 | 0.50 |"), (5.2, "0.52 | 0.50: missed |")])
def test_a_target_that_is_missed_is_said(tmp_path: Path, own: float, verdict: str) -> None:
    titles = {"falconws": Title("falconws.Hub", None), "falcon": Title("Falcon", 0.5)}
    results = Results({(500, 1): {"falconws": [{"cpu_us": own}], "falcon": [{"cpu_us": 10.0}]}})
    (said,) = write(tmp_path, results, titles, "falconws", [])
    assert said.endswith("missed") == ("missed" in verdict)
    assert verdict in (tmp_path / "fan-out.md").read_text()
