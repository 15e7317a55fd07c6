"""The settings for TLS, and the check that the certificate can be used. Knows nothing of sockets or uvicorn."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from typing import Any

from falconws.server.errors import StartError

_CERT_REQS = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
_CIPHER_SUITES = {
    "TLS_AES_128_GCM_SHA256": 0x1301,
    "TLS_AES_256_GCM_SHA384": 0x1302,
    "TLS_CHACHA20_POLY1305_SHA256": 0x1303,
}
_ATTRIBUTES = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}


@dataclass(frozen=True)
class TlsSettings:
    """Serve https and wss with this certificate.

    Attributes:
        certfile: PEM file of the certificate chain.
        keyfile: PEM file of the private key; None if the certificate file holds it.
        keyfile_password: Password of the private key.
        ca_certs: PEM file of the authorities that may sign the certificates of clients.
        cert_reqs: "required" refuses clients without such a certificate, "optional" accepts them; "none" asks for no
            certificate. None: "required" if there are *ca_certs*, else "none".
    """

    certfile: str
    keyfile: str | None = None
    keyfile_password: str | None = field(default=None, repr=False)
    ca_certs: str | None = None
    cert_reqs: str | None = None

    def __post_init__(self) -> None:
        if self.cert_reqs not in (None, *_CERT_REQS):
            raise ValueError(f'cert_reqs is "{self.cert_reqs}"; it must be one of {", ".join(_CERT_REQS)}')
        if self.cert_reqs in ("optional", "required") and self.ca_certs is None:
            raise ValueError(f'cert_reqs is "{self.cert_reqs}" without ca_certs; name the authorities of the clients')

    def uvicorn_options(self) -> dict[str, Any]:
        """Return the settings as options of uvicorn.Config."""
        cert_reqs = self.cert_reqs or ("none" if self.ca_certs is None else "required")
        return {
            "ssl_certfile": self.certfile,
            "ssl_keyfile": self.keyfile,
            "ssl_keyfile_password": self.keyfile_password,
            "ssl_ca_certs": self.ca_certs,
            "ssl_cert_reqs": _CERT_REQS[cert_reqs],
        }

    def check(self) -> None:
        """Raise StartError if a file cannot be loaded."""
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

        if self.ca_certs is not None:
            try:
                context.load_verify_locations(self.ca_certs)
            except OSError as error:
                raise StartError(f"Cannot use the CA certificates in {self.ca_certs}: {_reason_of(error)}.") from error


def tls_extension(transport: Any) -> dict[str, Any] | None:
    """Return the ASGI extension "tls" of a connection: the client's certificate above all; None without TLS.

    Source: ASGI "TLS Extension".
    """
    tls = transport.get_extra_info("ssl_object")
    if tls is None:
        return None
    certificate = tls.getpeercert(binary_form=True)
    subject = (tls.getpeercert() or {}).get("subject", ())
    version, cipher = tls.version(), tls.cipher()
    return {
        "server_cert": None,
        "client_cert_chain": [] if certificate is None else [ssl.DER_cert_to_PEM_cert(certificate)],
        "client_cert_name": _distinguished_name(subject) or None,
        "client_cert_error": None,
        "tls_version": _VERSIONS.get(version),
        "cipher_suite": _CIPHER_SUITES.get(cipher[0]) if cipher else None,
    }


def _distinguished_name(subject: Any) -> str:
    """Return *subject* as RFC 4514 writes it: the most specific name first."""
    names = [
        "+".join(f"{_ATTRIBUTES.get(key, key)}={_escaped(value)}" for key, value in pairs)
        for pairs in reversed(subject)
    ]
    return ",".join(names)


def _escaped(value: str) -> str:
    return re.sub(r'[",+;<>\\]|^[ #]| $', lambda match: "\\" + match[0], value)


def _reason_of(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or str(error)
