"""`python -m falconws_cli`: the `falconws` command where its script is not on the path."""

from falconws_cli.main import cli

cli(prog_name="falconws")
