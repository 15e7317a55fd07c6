"""A hub that runs from its first use. It is not the application's: some servers run no lifespan."""

from __future__ import annotations

import falconws

_hub: falconws.Hub | None = None


async def running_hub() -> falconws.Hub:
    """Return the hub of this process."""
    global _hub
    if _hub is None:
        _hub = falconws.Hub()
        await _hub.__aenter__()
    return _hub
