"""The fan-out benchmark works: one tiny round of each part, its page, its data. No test asserts a time."""

import os
import shutil
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmarks import staleness
from tests.benchmarks.fanout.__main__ import main
from tests.benchmarks.fanout.bench import Bench, Case, compile_loads
from tests.benchmarks.fanout.contenders import CONTENDERS, falconws_over
from tests.benchmarks.fanout.parts import (
    measure_brokers,
    measure_compression,
    measure_load,
    measure_members,
    measure_ticker,
    measure_workers,
)
from tests.benchmarks.fanout.report import section, write
from tests.benchmarks.fanout.results import Part, Row, Sample, read, save
from tests.benchmarks.peers import Peers

needs_two_cores = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or not {0, 1} <= os.sched_getaffinity(0) or shutil.which("cc") is None,
    reason="the benchmark needs Linux, the cores 0 and 1 and a C compiler",
)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    # The interpreter of the tests has the packages of falconws and Falcon.
    return Bench(compile_loads(tmp_path), Peers(Path(sys.executable), "", tmp_path), rounds=1, seconds=0.2)


def part(*rows: Row) -> Part:
    return Part("the command", "2026-01-31", "the machine", 1, 0.2, list(rows), "A note.")


def worker(cpu_us: float, **what: int) -> Row:
    sample: Sample = {"rate": 50_000, "cpu_us": cpu_us, "broker_us": 90.0, "fewest": 3, "most": 7}
    return Row({"workers": 2, "subscribers": 10, **what}, [sample])


@needs_two_cores
def test_a_tiny_round_of_two_contenders_and_two_brokers(bench: Bench, tmp_path: Path) -> None:
    contenders = [contender for contender in CONTENDERS if contender.key in ("falconws", "falcon")]
    load = measure_load(bench, [5], [4], contenders)
    assert [row.what for row in load] == [
        {"subscribers": 5, "in_flight": 4, "server": "falconws"},
        {"subscribers": 5, "in_flight": 4, "server": "falcon"},
    ]
    brokers = measure_brokers(bench, tmp_path, 5, [(4, 2, 1), (4, 1, 4)])
    assert [row.what for row in brokers] == [
        {"subscribers": 5, "in_flight": 4, "publishers": publishers, "together": together, "broker": broker}
        for publishers, together in ((2, 1), (1, 4))
        for broker in ("memory", "redis")
    ]
    compression = measure_compression(bench, 5, [4], contenders)
    assert [row.what for row in compression] == [
        {"subscribers": 5, "in_flight": 4, "server": "falconws", "compressed": compressed} for compressed in (0, 1)
    ]
    for row in (*load, *brokers, *compression):
        (sample,) = row.samples
        assert sample["rate"] > 0
        assert sample["cpu_us"] > 0


@needs_two_cores
def test_a_tiny_round_of_two_workers_counts_the_subscribers_of_each_and_the_brokers_time(
    bench: Bench, tmp_path: Path
) -> None:
    (row,) = measure_workers(bench, tmp_path, [2], 5)
    assert row.what == {"workers": 2, "subscribers": 10}
    (sample,) = row.samples
    assert sample["fewest"] + sample["most"] == 10
    assert sample["rate"] > 0
    assert sample["cpu_us"] > 0
    assert sample["broker_us"] > 0


@needs_two_cores
def test_a_tiny_round_of_a_ticker_delivers_each_update(bench: Bench) -> None:
    # An update has to arrive within the round, also on a busy machine.
    (row,) = measure_ticker(replace(bench, seconds=3.0), clients=20)
    (sample,) = row.samples
    assert 0 < sample["rate"] <= sample["expected"] * 1.01
    assert 0 < sample["p50_ms"] <= sample["p99_ms"] <= sample["max_ms"]
    assert sample["cpu"] > 0


def test_the_commands_that_keep_members_do_not_grow_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.benchmarks.fanout.parts._IDLE_S", 2.0)
    rows = measure_members(tmp_path, [300])
    assert [row.what for row in rows] == [{"broker": broker, "members": 300} for broker in ("redis", "nats")]
    for row in rows:
        # Each second. One for each member would be 300.
        assert row.samples[0]["commands"] < 100
        assert row.samples[0]["bytes"] > 0


@needs_two_cores
def test_a_server_that_does_not_start_is_left_out_with_a_message(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.measure([Case({"subscribers": 5}, falconws_over("nowhere://"), 5)]) == []
    assert "left out: subscribers: 5: " in capsys.readouterr().err


def test_the_page_shows_each_part_with_its_command_and_its_charts(tmp_path: Path) -> None:
    sample: Sample = {"rate": 50_000, "cpu_us": 9.5, "user_us": 1.5}
    ticker: Sample = {"rate": 59, "expected": 60, "cpu": 0.2, "p50_ms": 1.0, "p99_ms": 16.0, "max_ms": 20.0}
    kept: Sample = {"bytes": 900.0, "join_us": 99.0, "commands": 2.0, "idle_cpu": 0.01}
    write(
        tmp_path,
        {
            "load": part(Row({"subscribers": 5, "in_flight": 4, "server": "falconws"}, [sample])),
            "brokers": part(
                Row({"subscribers": 5, "in_flight": 4, "publishers": 2, "together": 1, "broker": "redis"}, [sample])
            ),
            "compression": part(
                *(
                    Row({"subscribers": 5, "in_flight": 4, "server": "falconws", "compressed": number}, [sample])
                    for number in (0, 1)
                )
            ),
            "growth": part(Row({"subscribers": 5}, [sample])),
            "workers": part(worker(9.5), worker(9.6, workers=4)),
            "ticker": part(Row({"clients": 300}, [ticker])),
            "rooms": part(Row({"rooms": 10}, [{"bytes": 700.0}])),
            "members": part(Row({"broker": "redis", "members": 1000}, [kept])),
        },
    )
    page = (tmp_path / "fan-out.md").read_text()
    assert page.count("Measured on 2026-01-31 with `the command`") == 8
    assert page.count("the machine. A note.") == 8
    assert "| 5 | 4 | falconws.Hub | 9.50 (9.50 to 9.50) | 1.50 | 8.00 |" in page
    assert "| 5 | 4 | falconws.Hub | yes | 9.50 (9.50 to 9.50) | 1.50 | 8.00 | 1.00 |" in page
    assert "| 300 | 59 | 60 | 0.20 | 0.25 | 1.0 | 16.00 | 15.00: missed | 20.0 |" in page
    assert "| redis:// | 1,000 | 900 | 99 | 2.0 | 0.010 |" in page
    assert "| 2 | 10 | 9.50 (9.50 to 9.50) | 90 (90 to 90) | 50,000 | 3 to 7 |" in page
    charts = {f"fan-out-{name}.svg" for name in ("5-4", "subscribers", "workers", "rooms", "members")}
    assert {path.name for path in tmp_path.iterdir()} == {"fan-out.md", *charts}
    for chart in charts:
        assert f"]({chart})" in page
        assert ET.parse(tmp_path / chart).getroot().tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize(("own", "verdict"), [(5.0, "0.50 | 0.50 |"), (5.2, "0.52 | 0.50: missed |")])
def test_a_missed_target_is_marked(own: float, verdict: str) -> None:
    what: dict[str, str | int] = {"subscribers": 500, "in_flight": 1}
    rows = [
        Row({**what, "server": key}, [{"cpu_us": value, "user_us": 0.0}])
        for key, value in (("falconws", own), ("falcon", 10.0))
    ]
    assert verdict in section("load", part(*rows))


@pytest.mark.parametrize(("rate", "verdict"), [(700, "700 | 0.70 | 0.70 |"), (690, "690 | 0.69 | 0.70: missed |")])
def test_a_broker_that_is_too_slow_is_marked(rate: int, verdict: str) -> None:
    what: dict[str, str | int] = {"subscribers": 500, "in_flight": 16, "publishers": 16, "together": 1}
    rows = [
        Row({**what, "broker": key}, [{"cpu_us": 1.0, "rate": value}])
        for key, value in (("memory", 1000), ("redis", rate))
    ]
    assert verdict in section("brokers", part(*rows))


def test_a_part_that_is_measured_again_leaves_the_others_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, workers = tmp_path / "fan-out.json", part(worker(9.5))
    save(data, {"workers": workers, "rooms": part(Row({"rooms": 7}, [{"bytes": 1.0}]))})
    assert main(["--only", "rooms", "--rooms", "10", "--output", str(tmp_path)]) == 0
    found = read(data)
    assert found["workers"] == workers
    assert [row.what for row in found["rooms"].rows] == [{"rooms": 10}]
    assert found["rooms"].command == "python -m tests.benchmarks.fanout --only rooms --rooms 10"
    page = (tmp_path / "fan-out.md").read_text()
    assert "## More workers" in page
    assert section("rooms", found["rooms"]) in page
    printed = capsys.readouterr().out
    assert section("rooms", found["rooms"]) in printed
    assert "## More workers" not in printed


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--only", "worker"], "invalid choice: 'worker'"),
        (["--rounds", "0"], "--rounds must be 1 or more"),
        (["--workers", "0"], "all numbers must be 1 or more"),
    ],
)
def test_bad_options_are_one_clear_line(words: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err


def test_the_age_of_prices_is_measured_and_plotted(tmp_path: Path) -> None:
    ages = staleness.measure(*staleness.SERVERS["falconws serve"], 2.0)
    assert ages
    assert all(age >= 0 for _, age in ages)
    ET.fromstring(staleness.plot([("falconws serve", ages)], 2.0))
