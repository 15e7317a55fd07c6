"""The options of `falconws new`: the layout and the optional parts, and which of them go together. Pure.

Must not know the templates; the files of a part are below templates/project/with/.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from falconws_cli.errors import RefusedError
from falconws_cli.suggestions import did_you_mean, listed


class Part(Enum):
    """An optional part of a project, in the order in which parts are listed and asked for."""

    DOCKER = "docker"
    COMPOSE = "compose"
    REDIS = "redis"
    NATS = "nats"
    GITHUB_CI = "github-ci"
    PRE_COMMIT = "pre-commit"
    AGENTS_MD = "agents-md"


WHAT = {
    Part.DOCKER: "a Dockerfile: multi-stage, non-root, with a health check",
    Part.COMPOSE: "a compose.yaml that runs the image; includes docker",
    Part.REDIS: "a hub for broadcast over Redis or Valkey",
    Part.NATS: "a hub for broadcast over NATS JetStream",
    Part.GITHUB_CI: "a GitHub workflow that runs checks and tests",
    Part.PRE_COMMIT: "git hooks that run checks before a commit",
    Part.AGENTS_MD: "an AGENTS.md for coding agents",
}
"""Each part in a few words, for the help and for questions."""

BROKERS = (Part.REDIS, Part.NATS)

_OTHER_NAMES = {"valkey": Part.REDIS}


@dataclass(frozen=True)
class ProjectOptions:
    """What a project is made of, beside its name."""

    minimal: bool = False
    """One module and one test, in place of the full layout."""
    parts: tuple[Part, ...] = ()
    """In their order, each once, with those that they bring."""
    package: str = ""
    """The import name of the package; empty for the project's name."""
    src: bool = False
    """Whether the package is in a folder src."""

    def __or__(self, other: "ProjectOptions") -> "ProjectOptions":
        """Return what has everything of both."""
        names = [part.value for part in (*self.parts, *other.parts)]
        return ProjectOptions(
            self.minimal or other.minimal, parse_parts(names), self.package or other.package, self.src or other.src
        )

    @property
    def words(self) -> list[str]:
        """The words of a command line that choose the same."""
        listed = ",".join(part.value for part in self.parts)
        return [
            *(["--minimal"] if self.minimal else []),
            *(["--with", listed] if listed else []),
            *(["--package", self.package] if self.package else []),
            *(["--src"] if self.src else []),
        ]

    def refuse_contradiction(self) -> None:
        """Refuse parts that exclude each other.

        Raises:
            RefusedError: Two brokers are asked for, or a broker for a minimal project.
        """
        brokers = [part.value for part in self.parts if part in BROKERS]
        if len(brokers) > 1:
            raise RefusedError(f"A project has one hub: choose {' or '.join(brokers)}.")
        if brokers and self.minimal:
            raise RefusedError(
                f"A minimal project has no settings for the address of {brokers[0]}: "
                f"leave out --minimal or --with {brokers[0]}."
            )


PLAIN = ProjectOptions()
"""The full layout, without optional parts."""


def parse_parts(names: Iterable[str]) -> tuple[Part, ...]:
    """Return the parts with these names and those that they need, in the order of `Part`.

    Args:
        names: Names of parts, as typed: "docker", or several as "docker,compose".

    Raises:
        RefusedError: There is no such part, or none is named.
    """
    chosen: set[Part] = set()
    for typed in names:
        named = [name.strip() for name in typed.split(",") if name.strip()]
        if not named:
            raise RefusedError(f'--with "{typed}" does not name a part.{_all_parts()}')
        chosen.update(map(_parse, named))
    if Part.COMPOSE in chosen:
        chosen.add(Part.DOCKER)
    return tuple(part for part in Part if part in chosen)


def _parse(name: str) -> Part:
    try:
        return Part(name.lower())
    except ValueError:
        if len(name.split()) > 1:
            hint = " Put commas between parts, or repeat --with."
        elif other := _OTHER_NAMES.get(name.lower()):
            hint = f' Use "{other.value}": {WHAT[other]}.'
        else:
            hint = did_you_mean(name, [part.value for part in Part]) or _all_parts()
        raise RefusedError(f'There is no part "{name}" for --with.{hint}') from None


def _all_parts() -> str:
    return f" The parts are {listed([part.value for part in Part], 'and')}."
