import subprocess
import sys
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from falconws_cli.source.formatting import LINE_LENGTH, assignment, bracketed, from_import, stdlib_imports

_identifiers = st.integers(1, 70).map(lambda length: "n" * length)


@given(
    st.lists(
        st.tuples(_identifiers, _identifiers, st.lists(_identifiers, min_size=1, max_size=6)), min_size=1, max_size=30
    )
)
@settings(
    max_examples=8,
    deadline=None,
    # Each example is a process: shrinking would take minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_ruff_leaves_every_layout_as_it_is(tmp_path: Path, parts: list[tuple[str, str, list[str]]]) -> None:
    blocks = []
    for head, value, items in parts:
        distinct = [f"{item}{index}" for index, item in enumerate(items)]
        blocks.append(from_import(head, distinct))
        blocks.append(assignment(head, f"{value}()"))
        blocks.append(assignment(head, f'"{value}"'))
        blocks.append(bracketed(f"{head}.add_route(", [f'"/{value}"', f"{items[0]}()"], ")"))
        signature = bracketed(
            "async def on_get(", ["self", "req", *(f"{item}: str" for item in distinct)], ") -> None:", indent=4
        )
        blocks.append(f"\n\nclass C:\n    {signature}\n        pass\n\n")
    file = tmp_path / "module.py"
    file.write_text("\n".join(blocks).strip() + "\n")
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--diff", "--line-length", str(LINE_LENGTH)]
    done = subprocess.run([*command, str(file)], capture_output=True, text=True, check=False)
    # Only blank lines between statements are not the layout's business.
    changed = [
        line
        for line in done.stdout.splitlines()
        if line[:1] in "+-" and line[1:].strip() and line[:3] not in ("+++", "---")
    ]
    assert changed == []


def test_imports_are_sorted_by_kind_and_merged_by_module() -> None:
    names = ["datetime.datetime", "asyncio", "datetime.UTC", "collections.abc.AsyncIterator", "datetime.datetime"]
    assert stdlib_imports(names) == (
        "import asyncio\nfrom collections.abc import AsyncIterator\nfrom datetime import UTC, datetime\n\n"
    )
    assert stdlib_imports([]) == ""
