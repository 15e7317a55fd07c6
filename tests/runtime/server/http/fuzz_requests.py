"""Coverage-guided fuzzing of the HTTP entrance: bytes, cuts and pipelining. Run it, do not collect it.

    pip install atheris
    python tests/runtime/server/http/fuzz_requests.py -max_total_time=60

The first byte chooses the cuts; the rest is what a client sends. It must be served the same whole and in pieces, with
httptools and with h11, and no request may be served that h11 does not read from the same bytes.
"""

import logging
import sys

try:
    import atheris
except ImportError:
    sys.exit("This needs atheris: pip install atheris")

with atheris.instrument_imports(include=["falconws.server"]):
    from tests.runtime.server.http.entrance import check

logging.disable(logging.CRITICAL)


def one_input(data: bytes) -> None:
    if data:
        check(data[1:], 1 + data[0] % 40)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
