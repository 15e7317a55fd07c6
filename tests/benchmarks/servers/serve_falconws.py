"""Serves the app MODULE:ATTR on PORT as `falconws serve` does, without its access log."""

import sys

from falconws.server import run

if __name__ == "__main__":
    run(sys.argv[1], port=int(sys.argv[2]), log_level="warning", access_log=False)
