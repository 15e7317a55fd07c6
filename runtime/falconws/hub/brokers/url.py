"""What the URLs of all brokers have in common. Pure; what a URL means is the brokers' business."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

__all__ = ("describe", "read_host", "read_query", "redact", "split_url")


def describe(error: BaseException) -> str:
    """Return *error* as one line."""
    text = " ".join(str(error).split())
    if isinstance(error, TimeoutError) and not text:
        return "no answer in time"
    return text or type(error).__name__


def redact(url: str) -> str:
    """Return *url* without user, password and query: what may be logged."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "a URL without a scheme"
    # A password may have unescaped slashes and question marks; everything before the last @ goes.
    rest = rest.rpartition("@")[2].partition("?")[0]
    return f"{scheme}://{rest.rstrip('/')}"


def split_url(url: str) -> tuple[str, str]:
    """Return the scheme, in lower case (RFC 3986 section 3.1), and what follows "://"; "" where there is no scheme.

    Raises:
        ValueError: There is a line break in it, or what else nobody sees; the message does not show it.
    """
    if url != url.strip() or not url.isprintable():
        # urllib takes some of it away, and leaves the rest to whoever looks for the host.
        raise ValueError("The URL of the broker has a space or a line break at an end, or a control character.")
    scheme, separator, rest = url.partition("://")
    return (scheme.lower(), rest) if separator else ("", url)


def read_host(text: str) -> tuple[str, int | None]:
    """Return the host and the port of "host", "host:port" or "[address]:port"; None where there is no port.

    Raises:
        ValueError: It is none.
    """
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.netloc != text or parts.port == 0 or "@" in text or " " in text:
        raise ValueError("not a host and port")
    return parts.hostname, parts.port


def read_query(name: str, query: str) -> dict[str, str]:
    """Return the parameters, each of which has one value.

    Args:
        name: The URL, for messages; without credentials.
        query: What follows the question mark.

    Raises:
        ValueError: One has none, or several.
    """
    parameters = parse_qs(query, keep_blank_values=True)
    for parameter, values in parameters.items():
        if len(values) != 1 or not values[0]:
            raise ValueError(f"{name}: give {parameter} one value, or leave it out.")
    return {parameter: values[0] for parameter, values in parameters.items()}
