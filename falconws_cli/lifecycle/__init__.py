"""What happens to generated code later: status, undo, destroy, upgrade, and what was moved.

Plans from the record and the project; only `falconws_cli.change` writes. Knows no command line.
"""
