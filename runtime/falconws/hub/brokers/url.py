"""Parsing that the URLs of all brokers share. Pure; each broker interprets its own URL."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

__all__ = ("describe", "read_host", "read_query", "redact", "split_url")


def describe(error: BaseException) -> str:
    """Return the text of *error* in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, TimeoutError) and not text:
        return "no answer in time"
    return text or type(error).__name__


def redact(url: str) -> str:
    """Return *url* without user, password and query, for log lines and error messages."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "a URL without a scheme"
    # A password may contain unescaped slashes and question marks: everything before the last @ goes.
    rest = rest.rpartition("@")[2].partition("?")[0]
    return f"{scheme}://{rest.rstrip('/')}"


def split_url(url: str) -> tuple[str, str]:
    """Return the scheme in lower case (RFC 3986 section 3.1), "" if there is none, and the text after "://".

    Raises:
        ValueError: The URL contains a line break or another invisible character; the message does not show the URL.
    """
    if url != url.strip() or not url.isprintable():
        # urllib strips some of these, and passes the rest on to the resolver.
        raise ValueError("The URL of the broker has a space or a line break at an end, or a control character.")
    scheme, separator, rest = url.partition("://")
    return (scheme.lower(), rest) if separator else ("", url)


def read_host(text: str) -> tuple[str, int | None]:
    """Return host and port of "host", "host:port" or "[address]:port"; the port is None if it is not given.

    Raises:
        ValueError: *text* has another form.
    """
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.netloc != text or parts.port == 0 or "@" in text or " " in text:
        raise ValueError("not a host and port")
    return parts.hostname, parts.port


def read_query(name: str, query: str) -> dict[str, str]:
    """Return the parameters of a URL; each must have exactly one value.

    Args:
        name: The URL without credentials, for error messages.
        query: The part after the question mark.

    Raises:
        ValueError: A parameter has no value, or several.
    """
    parameters = parse_qs(query, keep_blank_values=True)
    for parameter, values in parameters.items():
        if len(values) != 1 or not values[0]:
            raise ValueError(f"{name}: give {parameter} one value, or leave it out.")
    return {parameter: values[0] for parameter, values in parameters.items()}
