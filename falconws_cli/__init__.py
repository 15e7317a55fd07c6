"""The ``falconws`` command: scaffolds, serves and tests WebSocket services on Falcon."""

VERSION = "0.3.0"
