import pytest

from falconws.hosts import LOCAL_HOSTS, HostPolicy, host_headers


@pytest.mark.parametrize(
    ("setting", "host"),
    [
        (["example.com"], "example.com"),
        (["example.com"], "EXAMPLE.com:8443"),
        (["Example.com"], "example.com."),
        (["example.com"], "example.com.:80"),
        (["*.example.com"], "a.b.example.com"),
        (["10.0.0.1"], "10.0.0.1:8000"),
        (["[::1]"], "[::1]:8000"),
        (["[2001:DB8::1]"], "[2001:db8::1]"),
        (["my_service"], "my_service"),
        (LOCAL_HOSTS, "localhost:8000"),
        (LOCAL_HOSTS, "app.localhost"),
        (LOCAL_HOSTS, "127.0.0.1:8000"),
        (LOCAL_HOSTS, "[::1]"),
    ],
)
def test_a_name_of_the_list_is_allowed(setting: list[str], host: str) -> None:
    assert HostPolicy(setting).allows([host])


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "evillocalhost",
        ".localhost",
        "*.localhost",
        "127.0.0.1.evil.example",
        "127.0.0.2",
        "localhost@evil.example",
        "localhost/evil",
        "localhost:80:80",
        "localhost:",
        "localhost evil",
        "::1",
        "[::2]",
        "localhost,evil.example",
        "localhost\\evil",
    ],
)
def test_every_other_name_is_refused(host: str) -> None:
    assert not HostPolicy(LOCAL_HOSTS).allows([host])


def test_a_subdomain_pattern_leaves_the_domain_itself_out() -> None:
    policy = HostPolicy(["*.example.com"])
    assert not policy.allows(["example.com"])
    assert not policy.allows([".example.com"])
    assert not policy.allows(["evilexample.com"])


def test_a_request_has_one_host_header() -> None:
    policy = HostPolicy(LOCAL_HOSTS)
    assert not policy.allows([])
    assert not policy.allows(["localhost", "localhost"])
    assert host_headers([(b"host", b"a"), (b"x-host", b"c"), (b"host", b"b")]) == ["a", "b"]


@pytest.mark.parametrize(
    "setting", ["example.com", ["https://example.com"], ["example.com:80"], ["*"], ["a.*.b"], [""]]
)
def test_what_is_no_name_is_refused_with_the_value(setting: str | list[str]) -> None:
    with pytest.raises(ValueError, match="allowed_hosts"):
        HostPolicy(setting)
