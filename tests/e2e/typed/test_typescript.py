"""The TypeScript client: its types, its size, and how it behaves against servers and in React."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest

from tests.e2e.typed.generated_client import generate, run
from tests.e2e.typed.javascript import TEMPLATE, javascript_template
from tests.node import COMPILER_OPTIONS, node_packages

HERE = Path(__file__).parent / "typescript"
MAX_BYTES = 2048
"""Of a bundle with one conversation, minified and compressed."""

# The first test that needs packages of npm installs them.
pytestmark = pytest.mark.timeout(600)

# The strictest that a project may ask for.
STRICTEST = {
    **COMPILER_OPTIONS,
    "types": ["node"],
    "erasableSyntaxOnly": True,
    "esModuleInterop": True,
    "isolatedModules": True,
    "noImplicitOverride": True,
    "noImplicitReturns": True,
    "noPropertyAccessFromIndexSignature": True,
    "noUnusedLocals": True,
    "noUnusedParameters": True,
    "verbatimModuleSyntax": True,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the generated client, the files of the tests, and the packages of npm."""
    packages = node_packages("esbuild", "prettier", "react-dom", "typescript", "typescript5", "vitest", "ws")
    folder = tmp_path_factory.mktemp("typescript")
    for file in (*HERE.iterdir(), HERE.with_name("scenarios.json")):
        if file.is_file():
            shutil.copy(file, folder)
    (folder / "node_modules").symlink_to(packages / "node_modules")
    generate(folder, "ts", "served:app", "--output", "client", "--react")
    generate(folder, "ts", "awkward:app", "--output", "awkward", "--react")
    generate(folder, "js", "served:app", "--output", "static")
    generate(folder, "js", "awkward:app", "--output", "awkward_static")
    return folder


@pytest.mark.parametrize(
    ("compiler", "resolution"), [("typescript", "bundler"), ("typescript5", "bundler"), ("typescript", "nodenext")]
)
def test_the_compiler_accepts_what_is_right_and_refuses_what_is_wrong(
    folder: Path, compiler: str, resolution: str
) -> None:
    client = "client"
    options = {**STRICTEST, "moduleResolution": resolution}
    if resolution == "nodenext":
        # Node's own resolution wants file names in full.
        client = "client_js"
        options["module"] = "nodenext"
        generate(folder, "ts", "served:app", "--output", client, "--react", "--import-extension", "js")
        usage = (folder / "usage.ts").read_text().replace("./client/index", f"./{client}/index.js")
        (folder / "usage_js.mts").write_text(usage)
        (folder / client / "package.json").write_text('{"type": "module"}')
    config = folder / f"tsconfig.{compiler}.{resolution}.json"
    include = [
        client,
        *(["awkward"] if resolution == "bundler" else []),
        "usage_js.mts" if resolution == "nodenext" else "usage.ts",
    ]
    config.write_text(json.dumps({"compilerOptions": options, "include": include}))
    run(folder, f"{compiler}/bin/tsc", "-p", config.name)


def test_the_source_is_formatted(folder: Path) -> None:
    run(folder, ".bin/prettier", "--check", "client", "awkward", "static", "awkward_static")


def test_a_bundle_with_one_conversation_is_small(folder: Path) -> None:
    entry = folder / "entry.ts"
    entry.write_text('export { connectChat } from "./client";\n')
    words = ["--bundle", "--minify", "--format=esm", "--target=es2022", "--outfile=bundle.js"]
    run(folder, ".bin/esbuild", entry.name, *words)
    size = len(gzip.compress((folder / "bundle.js").read_bytes(), 9, mtime=0))
    assert size <= MAX_BYTES


@pytest.mark.parametrize("file", ["scripted.test.ts", "scenarios.test.ts", "served.test.ts", "react.test.tsx"])
def test_vitest(folder: Path, file: str) -> None:
    patience = ["--testTimeout=60000", "--hookTimeout=60000"]
    run(folder, ".bin/vitest", "run", "--root", ".", *patience, file)


def test_the_javascript_client_is_the_typescript_client_without_its_types() -> None:
    assert TEMPLATE.read_text() == javascript_template(), "run `python -m tests.e2e.typed.javascript`"
