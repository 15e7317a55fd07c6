"""The settings for TLS, and the check that the certificate can be used. Knows nothing of sockets or uvicorn."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

from falconws.server.errors import StartError


@dataclass(frozen=True)
class TlsSettings:
    """Serve https and wss with this certificate.

    Attributes:
        certfile: PEM file of the certificate chain.
        keyfile: PEM file of the private key; None if the certificate file holds it.
        keyfile_password: Password of the private key.
    """

    certfile: str
    keyfile: str | None = None
    keyfile_password: str | None = field(default=None, repr=False)

    def check(self) -> None:
        """Raise StartError if the certificate or its key cannot be loaded."""
        try:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(self.certfile, self.keyfile, self.keyfile_password or "")
        except OSError as error:
            # ssl.SSLError is an OSError too; its text is OpenSSL's, and the file's name is what helps.
            files = self.certfile if self.keyfile is None else f"{self.certfile} and {self.keyfile}"
            advice = ""
            if isinstance(error, ssl.SSLError) and self.keyfile is None:
                advice = "it must also hold the private key, or keyfile (--ssl-keyfile) must name it; "
            raise StartError(f"Cannot use the TLS certificate in {files}: {advice}{_reason_of(error)}.") from error


def _reason_of(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or str(error)
