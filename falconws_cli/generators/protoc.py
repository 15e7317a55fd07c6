"""Compiles a .proto file with the compiler that grpcio-tools carries. The only user of that package."""

import importlib.util
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from falconws_cli.errors import CommandError, UnavailableError


@dataclass(frozen=True)
class Compiled:
    """What protoc made of one .proto file."""

    module: bytes
    stub: bytes
    protobuf_version: str
    """The oldest protobuf release that loads the module."""


def compile_proto(path: PurePosixPath, source: bytes) -> Compiled:
    """Return the Python module of a .proto file and its type stub.

    Args:
        path: Where the file lies, relative to the import root; it becomes part of the module.
        source: The file's content.

    Raises:
        UnavailableError: grpcio-tools is not installed.
        CommandError: protoc refused the file.
    """
    if importlib.util.find_spec("grpc_tools") is None:
        raise UnavailableError(
            "Protocol Buffers need their compiler, only to generate code: run "
            f"`{sys.executable} -m pip install grpcio-tools`, then this command again."
        )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / path
        file.parent.mkdir(parents=True)
        file.write_bytes(source)
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}"]
        command += [f"--python_out={folder}", f"--pyi_out={folder}", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise CommandError(f"protoc cannot compile {path}: {' '.join(done.stderr.split())}")
        module = file.with_name(f"{path.stem}_pb2.py").read_bytes()
        stub = file.with_name(f"{path.stem}_pb2.pyi").read_bytes()
    version = re.search(rb"# Protobuf Python Version: ([0-9.]+)", module)
    return Compiled(module, stub, version[1].decode() if version else "5")
