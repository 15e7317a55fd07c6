import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconws.origins import OriginPolicy, parse_origin

HOST = "chat.example.com"


def allows(setting: str | list[str], *origins: str, scheme: str = "wss", host: str | None = HOST) -> bool:
    return OriginPolicy(setting).allows(origins, scheme, host)


# Each differs from https://chat.example.com in one thing; most have been somebody's hole.
STRANGERS = [
    "http://chat.example.com",  # scheme
    "wss://chat.example.com",
    "https://chat.example.com:8443",  # port
    "https://chat.example.com:80",
    "https://chat.example.com.evil.test",  # suffix
    "https://chat.example.comevil.test",
    "https://evilchat.example.com",  # prefix
    "https://evil-chat.example.com",
    "https://www.chat.example.com",
    "https://example.com",
    "https://chat.example.com@evil.test",  # user info
    "https://evil.test#chat.example.com",
    "https://evil.test/chat.example.com",
    "https://chat.example.com/",  # an origin has no path
    "https://chat.example.com?x",
    "https://chat.example.com.",  # another name for DNS, the same origin for no browser
    "https://chat_example.com",
    "https://chаt.example.com",  # Cyrillic а
    "null",
    "",
    "https://",
    "chat.example.com",
    "//chat.example.com",
    "https://chat.example.com, https://chat.example.com",
    "https://chat.example.com:99999999",
    "file://",
    " https://chat.example.com",
]


@pytest.mark.parametrize("origin", STRANGERS)
@pytest.mark.parametrize("setting", ["same-origin", ["https://chat.example.com"]])
def test_strangers_are_refused(setting: str | list[str], origin: str) -> None:
    assert not allows(setting, origin)


@pytest.mark.parametrize(
    "origin", ["https://chat.example.com", "HTTPS://Chat.Example.COM", "https://chat.example.com:443"]
)
@pytest.mark.parametrize(
    "setting", ["same-origin", ["https://chat.example.com"], ["https://CHAT.example.com:443"], "*"]
)
def test_case_and_the_default_port_make_no_difference(setting: str | list[str], origin: str) -> None:
    assert allows(setting, origin)


@pytest.mark.parametrize(
    ("scheme", "host", "origin", "same"),
    [
        ("ws", "localhost:8000", "http://localhost:8000", True),
        ("ws", "localhost:8000", "http://localhost:8001", False),
        ("ws", "localhost:8000", "http://127.0.0.1:8000", False),
        ("ws", "localhost:8000", "https://localhost:8000", False),
        ("ws", "localhost", "http://localhost:80", True),
        ("wss", "localhost:80", "https://localhost", False),
        ("ws", "[::1]:8000", "http://[::1]:8000", True),
        ("ws", "LOCALHOST:8000", "http://localhost:8000", True),
        ("ws", "localhost:8000", "null", False),
        ("ws", "", "http://", False),
        ("ws", None, "http://localhost", False),
        ("ws", None, "http://none", False),
        ("ws", "bad host", "http://bad host", False),
    ],
)
def test_same_origin_compares_scheme_host_and_port(scheme: str, host: str | None, origin: str, same: bool) -> None:
    assert allows("same-origin", origin, scheme=scheme, host=host) is same


@pytest.mark.parametrize(
    ("origin", "covered"),
    [
        ("https://app.example.com", True),
        ("https://a.b.example.com", True),
        ("https://APP.example.com:443", True),
        ("https://example.com", False),
        ("https://.example.com", False),
        ("https://evilexample.com", False),
        ("https://example.com.evil.test", False),
        ("http://app.example.com", False),
        ("https://app.example.com:8443", False),
        ("null", False),
    ],
)
def test_a_subdomain_pattern_covers_subdomains_only(origin: str, covered: bool) -> None:
    assert allows(["https://*.example.com"], origin) is covered


def test_a_client_without_the_header_is_no_browser() -> None:
    assert allows("same-origin")
    assert allows(["https://chat.example.com"])


def test_two_origin_headers_are_refused_even_when_each_is_allowed() -> None:
    assert not allows("same-origin", "https://chat.example.com", "https://chat.example.com")


def test_a_list_can_hold_same_origin() -> None:
    setting = ["same-origin", "https://partner.test"]
    assert allows(setting, "https://chat.example.com")
    assert allows(setting, "https://partner.test")
    assert not allows(setting, "https://evil.test")


@pytest.mark.parametrize(
    "setting",
    [
        "https://example.com",
        "same origin",
        ["example.com"],
        ["https://example.com/path"],
        ["https://*"],
        ["*"],
        ["https://*.*.example.com"],
        ["null"],
        ["ws://example.com"],
        ["wss://example.com"],
        ["file://example.com"],
        ["capacitor://"],
        ["chrome-extension:abc"],
        ["https://exam*ple.com"],
    ],
)
def test_a_setting_that_is_no_origin_is_refused_by_name(setting: str | list[str]) -> None:
    named = setting if isinstance(setting, str) else setting[0]
    with pytest.raises(ValueError, match="allowed_origins") as caught:
        OriginPolicy(setting)
    assert repr(named) in str(caught.value)


@given(st.text())
def test_no_text_is_parsed_into_a_host_with_delimiters(text: str) -> None:
    origin = parse_origin(text)
    if origin is not None:
        assert not set(origin.host) & set("/?#@ ,*")


@given(st.text(alphabet="htps:/.@#?*[]exampl com:0123456789\u0430", max_size=40))
def test_only_the_exact_origin_passes_an_exact_setting(origin: str) -> None:
    normalized = origin.lower().removesuffix(":443")
    assert allows(["https://example.com"], origin) is (normalized == "https://example.com")


APPS = [
    "capacitor://localhost",
    "ionic://localhost",
    "tauri://localhost",
    "chrome-extension://nkbihfbeogaeaoehlefnkodbefgpgknn",
    "moz-extension://0b3ba6d4-2d0c-4a4a-9d32-2f6f2d2b1f7e",
    "app://obsidian.md",
    "vscode-webview://1o2i3u",
]


@pytest.mark.parametrize("origin", APPS)
def test_apps_and_extensions_have_origins_too(origin: str) -> None:
    assert allows([origin], origin)
    assert allows([origin.upper()], origin)
    assert not allows("same-origin", origin)
    assert not allows(["https://localhost", "http://localhost"], origin)
    for other in (f"{origin}.evil.example", origin.replace("://", "://evil."), f"https://{origin.partition('://')[2]}"):
        assert not allows([origin], other)
