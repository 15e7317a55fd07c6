"""Checks whether generated clients match the present conversations of the app.

Must not import the app: another process does.
"""

from __future__ import annotations

from collections.abc import Iterator

from falconws_cli.change.record import read_record
from falconws_cli.doctor.finding import Finding, Level
from falconws_cli.errors import CommandError
from falconws_cli.extras import GENERATORS, has_modules
from falconws_cli.generators.client.generator import KIND, plan_client
from falconws_cli.lifecycle.moves import locate
from falconws_cli.project import Project

_TOPIC = "client"


def check_clients(project: Project) -> Iterator[Finding]:
    """Yield a finding for each client that `falconws generate-client` has made."""
    if not has_modules(*GENERATORS):
        # The check of generated files says what is missing.
        return
    try:
        record = locate(read_record(project.root)).record
    except CommandError:
        # The check of generated files has found it.
        return
    # If there are several operations on one client, the last one has its present options.
    clients = {
        one.recipe.name: one for one in record.generated if one.recipe is not None and one.recipe.generator == KIND
    }
    for name, operation in clients.items():
        assert operation.recipe is not None
        try:
            out_of_date = plan_client(project, record, operation.recipe).out_of_date
        except CommandError as error:
            yield Finding(_TOPIC, Level.WARNING, f"{name} cannot be checked ({error.message.rstrip('.')})")
            continue
        if out_of_date:
            yield Finding(_TOPIC, Level.WARNING, f"{name} is out of date", f"run `{operation.command}`")
        else:
            yield Finding(_TOPIC, Level.OK, f"{name} is up to date")
