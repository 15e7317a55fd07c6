"""Build hook: compiles the templates into the wheel, so that an installed falconws need not load Jinja2.

A checkout, and an editable install of one, render with Jinja2: nothing that is compiled can be out of date there.
"""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "falconws_cli/compiled_templates"


class CompiledTemplates(BuildHookInterface[Any]):
    """Writes the modules into a folder of its own, never into the source tree."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the package to the wheel."""
        if self.target_name != "wheel" or version == "editable":
            return
        sys.path.insert(0, self.root)
        try:
            from falconws_cli.templating.compiler import compile_folder
            from falconws_cli.templating.jinja import environment
        finally:
            sys.path.remove(self.root)
        self._folder = Path(tempfile.mkdtemp(prefix="falconws-templates-"))
        for name, text in compile_folder(Path(self.root, "templates"), environment()).items():
            path = self._folder / name
            path.write_text(text, encoding="utf-8")
            build_data["force_include"][str(path)] = f"{PACKAGE}/{name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was made."""
        if hasattr(self, "_folder"):
            shutil.rmtree(self._folder)
