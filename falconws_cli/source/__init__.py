"""Edits of a project's own Python and TOML that keep everything else as it was. Pure; nothing here writes."""
