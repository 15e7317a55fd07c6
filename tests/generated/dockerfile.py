"""Carries out a Dockerfile without Docker: the file system of each stage is a folder, and `RUN` runs in a shell there.

Absolute paths in `RUN`, `COPY`, `ENV` and `WORKDIR` are below that folder. All stages run one after the other at one
path, so that files with absolute paths inside work in the next stage, as in Docker. Unknown instructions fail.
"""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from string import Template

# Not the `/` inside of a path, nor that of `://`.
_ABSOLUTE = re.compile(r"(?<![\w./:-])/(?=\w)")


@dataclass
class Image:
    """What the last stage of a Dockerfile comes to."""

    root: Path
    environment: dict[str, str]
    """The variables of `ENV`, and the search path."""
    settings: dict[str, str] = field(default_factory=dict)
    """The other instructions' text by name: USER, EXPOSE, STOPSIGNAL."""
    commands: dict[str, list[str]] = field(default_factory=dict)
    """The words of CMD and HEALTHCHECK."""
    options: dict[str, dict[str, str]] = field(default_factory=dict)
    """The options of HEALTHCHECK and others: {"HEALTHCHECK": {"interval": "10s"}}."""
    workdir: PurePosixPath = field(default_factory=lambda: PurePosixPath("/"))


def read_instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile, each with its text, lines that go on put together."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name.upper(), value.strip()) for name, _, value in (line.partition(" ") for line in joined.splitlines())]


def build(context: Path, scratch: Path, *, base: Path, environment: Mapping[str, str]) -> Image:
    """Carry out the Dockerfile in *context*, and return the image of its last stage.

    Args:
        context: What `COPY` copies from, as far as .dockerignore lets it.
        scratch: An empty folder.
        base: A virtual environment that stands for the base image, which must be one of Python.
        environment: Further variables for `RUN`.
    """
    root = scratch / "root"
    stages: dict[str, Path] = {}
    image = Image(root, {})
    for name, value in read_instructions((context / "Dockerfile").read_text()):
        options = dict(option.split("=", 1) for option in re.findall(r"(?:^|(?<=\s))--(\S+)(?=\s)", _options(value)))
        rest = value[len(_options(value)) :]
        if name == "FROM":
            parent, _, alias = rest.partition(" AS ")
            assert re.fullmatch(r"python:3\.\d+-slim", parent), parent
            if root.is_symlink():
                root.unlink()
            stage = scratch / f"stage-{len(stages)}"
            stages[alias or str(len(stages))] = stage
            stage.mkdir()
            root.symlink_to(stage)
            image = Image(root, {"PATH": f"{base / 'bin'}:/usr/bin:/bin"})
        elif name == "WORKDIR":
            image.workdir /= rest
            _inside(root, image.workdir).mkdir(parents=True, exist_ok=True)
        elif name == "COPY":
            *sources, target = rest.split()
            for source in sources:
                _copy(stages, context, options.get("from"), source, _inside(root, image.workdir / target))
        elif name == "RUN":
            variables = {**environment, **image.environment, "HOME": str(root / "root")}
            script = _ABSOLUTE.sub(f"{root}/", rest)
            done = subprocess.run(
                ["sh", "-ec", script],
                cwd=_inside(root, image.workdir),
                env=variables,
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            assert done.returncode == 0, f"RUN {script}\n{done.stdout}{done.stderr}"
        elif name == "ENV":
            for assignment in shlex.split(rest):
                variable, _, text = assignment.partition("=")
                expanded = Template(_ABSOLUTE.sub(f"{root}/", text)).substitute(image.environment)
                image.environment[variable] = expanded
        elif name in ("CMD", "HEALTHCHECK"):
            image.commands[name] = json.loads(rest.removeprefix("CMD "))
            image.options[name] = options
        else:
            assert name in ("USER", "EXPOSE", "STOPSIGNAL"), name
            image.settings[name] = rest
    # What an image was made from is not there when it runs.
    kept = root.resolve()
    for stage in stages.values():
        if stage != kept:
            shutil.rmtree(stage)
    return image


def is_ignored(path: PurePosixPath, dockerignore: str) -> bool:
    """Return whether *path* does not go to the builder: the last pattern for it, or for a folder above, decides."""
    ignored = False
    for line in dockerignore.splitlines():
        pattern = line.strip().rstrip("/")
        if not pattern or pattern.startswith("#"):
            continue
        parts = re.split(r"(\*\*/|\*)", pattern.removeprefix("!"))
        expression = "".join({"**/": "(?:.*/)?", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts)
        if any(re.fullmatch(expression, above.as_posix()) for above in (path, *path.parents[:-1])):
            ignored = not pattern.startswith("!")
    return ignored


def _options(value: str) -> str:
    """Return the options that *value* begins with."""
    match = re.match(r"(?:--\S+\s+)*", value)
    assert match is not None
    return match[0]


def _inside(root: Path, path: PurePosixPath) -> Path:
    return root / path.relative_to("/")


def _copy(stages: Mapping[str, Path], context: Path, stage: str | None, source: str, target: Path) -> None:
    if stage is not None:
        shutil.copytree(_inside(stages[stage], PurePosixPath(source)), target, symlinks=True, dirs_exist_ok=True)
        return
    dockerignore = (context / ".dockerignore").read_text()

    def ignored(folder: str, names: list[str]) -> set[str]:
        inside = PurePosixPath(Path(folder).relative_to(context).as_posix())
        files = {name for name in names if not Path(folder, name).is_dir()}
        return {name for name in files if is_ignored(inside / name, dockerignore)}

    # A pattern may match nothing; of a folder, its contents are copied.
    for path in [context] if source == "." else sorted(context.glob(source)):
        if path.is_dir():
            shutil.copytree(path, target, ignore=ignored, symlinks=True, dirs_exist_ok=True)
        elif not is_ignored(PurePosixPath(path.relative_to(context).as_posix()), dockerignore):
            shutil.copy(path, target)
    # Docker makes no folder for files that stay behind.
    for folder in sorted((path for path in target.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
