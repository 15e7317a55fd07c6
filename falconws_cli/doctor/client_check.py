"""Checks whether generated clients match the present conversations of the app.

Must not import the app: another process does.
"""

from __future__ import annotations

from collections.abc import Iterator

from falconws_cli.change.plan import Recipe
from falconws_cli.change.record import read_record
from falconws_cli.doctor.finding import Finding, Level
from falconws_cli.errors import CommandError
from falconws_cli.extras import GENERATORS, has_modules
from falconws_cli.generators.client.generator import KIND, plan_client
from falconws_cli.generators.resource import client_of_page
from falconws_cli.lifecycle.moves import locate
from falconws_cli.project import Project
from falconws_cli.source.registration import JsonValue

_TOPIC = "client"


def check_clients(project: Project) -> Iterator[Finding]:
    """Yield a finding for each client: of `falconws generate-client`, and of the page of a typed room."""
    if not has_modules(*GENERATORS):
        # The check of generated files says what is missing.
        return
    try:
        record = locate(read_record(project.root)).record
    except CommandError:
        # The check of generated files has found it.
        return
    # If there are several operations on one client, the last one has its present options.
    clients: dict[str, tuple[Recipe, str]] = {}
    for operation in record.generated:
        recipe = operation.recipe
        assert recipe is not None
        if recipe.generator == KIND:
            clients[recipe.name] = recipe, operation.command
        elif (page := client_of_page(project, recipe)) and project.exists(page.file):
            folder = str(page.file.parent)
            options: dict[str, JsonValue] = {"language": "js", "only": [page.conversation]}
            command = f"falconws generate-client js --output {folder} --only {page.conversation}"
            clients[folder] = Recipe(KIND, folder, options), command
    for name, (recipe, command) in clients.items():
        try:
            out_of_date = plan_client(project, record, recipe).out_of_date
        except CommandError as error:
            yield Finding(_TOPIC, Level.WARNING, f"{name} cannot be checked ({error.message.rstrip('.')})")
            continue
        if out_of_date:
            yield Finding(_TOPIC, Level.WARNING, f"{name} is out of date", f"run `{command}`")
        else:
            yield Finding(_TOPIC, Level.OK, f"{name} is up to date")
