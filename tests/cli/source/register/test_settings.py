"""Settings: added where the others are, and removed again byte for byte."""

import pytest

from falconws_cli.source.python import Import
from falconws_cli.source.register.result import RegisterOutcome, UnregisterOutcome
from falconws_cli.source.register.settings import RowKind, SettingKind, VariableKind

SETTINGS = '''import os
from dataclasses import dataclass

import falconws


@dataclass
class Settings:
    """All settings."""

    log_level: str = "INFO"
    """The level."""

    def method(self) -> None:
        pass


READERS = {
    "log_level": str.upper,
}
'''
CONFTEST = '''@pytest.fixture
def environ() -> dict[str, str]:
    """Variables."""
    return {}
'''
README = """# Demo

| Variable | Default |
|---|---|
| `DEMO_LOG_LEVEL` | `INFO` |

More.
"""


def setting(name: str = "tokens") -> dict[str, object]:
    return {
        "name": name,
        "field": f'{name}: tuple[auth.Token, ...] = ()\n"""The tokens."""\n',
        "reader": "auth.read_tokens",
        "imports": (Import("demo.middleware", "auth"),),
    }


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("docstring", ['    """The level."""\n', ""], ids=["docstring", "none"])
def test_a_setting_goes_after_the_others_and_away_again(newline: str, docstring: str) -> None:
    text = SETTINGS.replace('    """The level."""\n', docstring).replace("\n", newline)
    made = SettingKind(**setting()).register(text, "demo")
    assert made.outcome is RegisterOutcome.REGISTERED
    plain = made.text.replace("\r\n", "\n")
    assert f'"INFO"\n{docstring}\n    tokens: tuple[auth.Token, ...] = ()\n    """The tokens."""\n\n    def' in plain
    assert '    "log_level": str.upper,\n    "tokens": auth.read_tokens,\n}' in plain
    assert "import falconws\n\nfrom demo.middleware import auth\n" in plain
    assert made.text.count("\n") == made.text.count(newline)
    again = SettingKind(**setting()).register(made.text, "demo")
    assert (again.outcome, again.text) == (RegisterOutcome.ALREADY, made.text)
    gone = SettingKind(**setting()).unregister(made.text, "demo", made.imports)
    assert (gone.outcome, gone.text) == (UnregisterOutcome.REMOVED, text)
    absent = SettingKind(**setting()).unregister(text, "demo")
    assert (absent.outcome, absent.text) == (UnregisterOutcome.ABSENT, text)


def test_an_edited_setting_is_removed_too_and_others_stay() -> None:
    both = SettingKind(**setting()).register(SETTINGS, "demo").text
    both = SettingKind(**setting("keys")).register(both, "demo").text
    edited = both.replace('tokens: tuple[auth.Token, ...] = ()\n    """The tokens."""', "tokens: object = None  # mine")
    gone = SettingKind(**setting()).unregister(edited, "demo")
    assert "tokens:" not in gone.text
    assert '"tokens"' not in gone.text
    assert "keys: tuple[auth.Token, ...] = ()" in gone.text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = 1\n", "no class Settings"),
        (SETTINGS.replace("READERS", "OTHERS"), "no dict READERS"),
        (SETTINGS.replace('log_level: str = "INFO"', "pass"), "has no field"),
        (SETTINGS + "auth = 1\n", "auth"),
        ("def (", "not valid Python"),
    ],
)
def test_a_module_without_a_place_for_it_stays_and_the_lines_are_told(text: str, reason: str) -> None:
    made = SettingKind(**setting()).register(text, "demo")
    assert (made.outcome, made.text) == (RegisterOutcome.CANNOT, text)
    assert reason in made.reason
    assert "from demo.middleware import auth" in made.lines


LONG = "DEMO_" + "X" * 70


@pytest.mark.parametrize(
    ("before", "name"),
    [
        ("{}", "DEMO_TOKENS"),
        ("{}", LONG),
        ('{"DEMO_HUB_URL": "memory://"}', "DEMO_TOKENS"),
        ('{"DEMO_HUB_URL": "memory://"}', LONG),
        ('{\n        "A": "b",\n    }', "DEMO_TOKENS"),
    ],
)
def test_a_variable_of_the_tests_comes_and_goes(before: str, name: str) -> None:
    text = CONFTEST.replace("{}", before)
    made = VariableKind(name=name, value="a:b").register(text, "tests")
    assert made.outcome is RegisterOutcome.REGISTERED
    assert f'"{name}": "a:b"' in made.text
    assert VariableKind(name=name, value="a:b").register(made.text, "tests").outcome is RegisterOutcome.ALREADY
    gone = VariableKind(name=name, value="a:b").unregister(made.text.replace("a:b", "c:d"), "tests")
    assert gone.outcome is UnregisterOutcome.REMOVED
    gone = VariableKind(name=name, value="a:b").unregister(made.text, "tests")
    assert gone.text == text
    assert VariableKind(name=name, value="a:b").unregister(text, "tests").outcome is UnregisterOutcome.ABSENT


def test_without_the_fixture_the_variable_cannot_be_added() -> None:
    made = VariableKind(name="A", value="b").register("import pytest\n", "tests")
    assert (made.outcome, made.lines) == (RegisterOutcome.CANNOT, ('"A": "b"',))


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_row_goes_after_the_others_and_away_again(newline: str) -> None:
    text = README.replace("\n", newline)
    row = "| `DEMO_TOKENS` | none |"
    made = RowKind(name="DEMO_TOKENS", row=row).register(text, "demo")
    assert made.text.replace("\r\n", "\n") == README.replace("`INFO` |\n", f"`INFO` |\n{row}\n")
    assert RowKind(name="DEMO_TOKENS", row=row).register(made.text, "demo").outcome is RegisterOutcome.ALREADY
    edited = made.text.replace("| none |", "| nobody |")
    assert RowKind(name="DEMO_TOKENS", row=row).unregister(edited, "demo").text == text
    assert RowKind(name="DEMO_TOKENS", row=row).unregister(text, "demo").outcome is UnregisterOutcome.ABSENT
    assert RowKind(name="DEMO_TOKENS", row=row).register("# No table\n", "demo").outcome is RegisterOutcome.CANNOT
