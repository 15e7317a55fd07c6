"""The ``falconws`` command: scaffolds, serves and tests WebSocket services on Falcon."""
