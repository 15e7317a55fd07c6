"""uvicorn's Server with the ending that falconws promises."""

from types import FrameType

import uvicorn


class Server(uvicorn.Server):
    """Ends with exit code 0 on the first SIGINT or SIGTERM, and at once on the second."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note the signal; unlike uvicorn's own, never raise it again after a shutdown that went well."""
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True
