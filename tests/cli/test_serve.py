"""`falconws serve` hands its options to the server, as the fields of the server's settings."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import falconws.server
from falconws.server import AdmissionSettings, ConnectionSettings, DeflateSettings, HttpSettings, TlsSettings
from falconws_cli.commands.serve import command
from falconws_cli.main import cli


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Take the place of the server, and return what it was started with."""
    options: dict[str, Any] = {}
    monkeypatch.setattr(falconws.server, "run", lambda target, **given: options.update(target=target, **given))
    return options


def serve(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["serve", "demo:app", *arguments])


def test_without_options_the_server_has_its_defaults(served: dict[str, Any]) -> None:
    assert serve().exit_code == 0
    settings = {name: served[name] for name in ("connection", "http", "admission", "tls")}
    assert settings == {
        "connection": ConnectionSettings(),
        "http": HttpSettings(),
        "admission": AdmissionSettings(),
        "tls": None,
    }
    assert (served["target"], served["port"], served["drain_s"], served["uds_mode"]) == ("demo:app", 8000, 10.0, 0o660)


@pytest.mark.parametrize(
    ("arguments", "name", "changed"),
    [
        (["--ws-max-size", "7"], "connection", {"max_message_bytes": 7}),
        (["--ws-ping-interval", "0"], "connection", {"ping_interval_s": None}),
        (["--ws-send-timeout", "3"], "connection", {"send_timeout_s": 3.0}),
        (["--handshake-timeout", "3"], "connection", {"handshake_timeout_s": 3.0}),
        (["--deflate"], "connection", {"deflate": asdict(DeflateSettings())}),
        (["--limit-body", "7"], "http", {"max_body_bytes": 7}),
        (["--limit-headers", "7"], "http", {"max_header_lines": 7}),
        (["--limit-header", "7"], "http", {"max_header_bytes": 7}),
        (["--limit-head", "7"], "http", {"max_head_bytes": 7}),
        (["--timeout-body", "0"], "http", {"body_timeout_s": None}),
        (["--timeout-keep-alive", "7"], "http", {"keep_alive_timeout_s": 7.0}),
        (["--only", "ws"], "admission", {"only": "ws"}),
        (["--limit-connections", "7"], "admission", {"limit_connections": 7}),
        (["--limit-connections-per-ip", "7"], "admission", {"limit_connections_per_ip": 7}),
        (["--ipv6-prefix", "56"], "admission", {"ipv6_prefix": 56}),
        (["--allowed-host", "a.example", "--allowed-host", "b"], "admission", {"allowed_hosts": ("a.example", "b")}),
        (["--readiness-path", "/ready"], "admission", {"readiness_path": "/ready"}),
        (["--readiness-path", "off"], "admission", {"readiness_path": None}),
    ],
)
def test_an_option_is_a_field_of_a_settings_class(
    served: dict[str, Any], arguments: list[str], name: str, changed: dict[str, Any]
) -> None:
    done = serve(*arguments)
    assert done.exit_code == 0, done.output
    default = {"connection": ConnectionSettings(), "http": HttpSettings(), "admission": AdmissionSettings()}[name]
    assert asdict(served[name]) == asdict(default) | changed


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["--uds-mode", "600"], "uds_mode", 0o600),
        (["--fd", "3"], "fd", 3),
        (["--drain", "3"], "drain_s", 3.0),
        (["--drain-accept", "3"], "drain_accept_s", 3.0),
        (["--root-path", "/api"], "root_path", "/api"),
        (["--lifespan", "on"], "lifespan", "on"),
        (["--log-config", "log.json"], "log_config", "log.json"),
        (["--log-redact", "key, secret"], "log_redact", ["key", "secret"]),
        (["--no-server-header"], "server_header", False),
        (["--no-access-log"], "access_log", False),
    ],
)
def test_an_option_is_an_argument_of_run(served: dict[str, Any], arguments: list[str], name: str, value: Any) -> None:
    done = serve(*arguments)
    assert done.exit_code == 0, done.output
    assert served[name] == value


def test_the_options_for_tls_are_one_object(served: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\nanother line\n")
    done = serve(
        *("--ssl-certfile", "cert.pem", "--ssl-keyfile", "key.pem", "--ssl-ca-certs", "ca.pem"),
        *("--ssl-cert-reqs", "optional", "--ssl-keyfile-password-file", str(tmp_path / "password")),
    )
    assert done.exit_code == 0, done.output
    assert served["tls"] == TlsSettings("cert.pem", "key.pem", "secret", "ca.pem", "optional")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ssl-keyfile", "key.pem"], "--ssl-keyfile needs --ssl-certfile"),
        (["--ssl-ca-certs", "ca.pem"], "--ssl-ca-certs needs --ssl-certfile"),
        (["--ssl-certfile", "c", "--ssl-keyfile-password-file", "nowhere"], "Cannot read the password file nowhere"),
        (["--ssl-certfile", "c", "--ssl-cert-reqs", "required"], "without ca_certs"),
        (["--readiness-path", "ready"], 'readiness_path is "ready"; it must begin with "/"'),
        (["--uds-mode", "999"], "is not a mode such as 660"),
        (["--limit-headers", "0"], "0 is not in the range"),
    ],
)
def test_an_option_that_cannot_be_used_is_said_in_a_line(
    served: dict[str, Any], arguments: list[str], message: str
) -> None:
    done = serve(*arguments)
    assert done.exit_code != 0
    assert message in done.output
    assert not served


def test_every_option_says_what_it_does() -> None:
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    assert [option.name for option in options if not getattr(option, "help", None) and option.name != "log_level"] == []


@pytest.mark.parametrize(
    ("arguments", "added"),
    [
        ([], ["127.0.0.1"]),
        (["--host", "dev.example"], ["dev.example"]),
        (["--host", "::1"], ["[::1]"]),
        (["--host", "0.0.0.0"], []),
        (["--allowed-host", "phone.example"], ["127.0.0.1", "phone.example"]),
    ],
)
def test_a_reloading_server_answers_the_names_of_this_machine(
    served: dict[str, Any], arguments: list[str], added: list[str]
) -> None:
    done = serve("--reload", *arguments)
    assert done.exit_code == 0, done.output
    assert served["admission"].allowed_hosts == ["localhost", "*.localhost", "127.0.0.1", "[::1]", *added]


def test_a_name_that_is_none_is_one_line() -> None:
    done = serve("--allowed-host", "http://localhost")
    assert done.exit_code != 0
    assert "allowed_hosts contains 'http://localhost'" in done.output
    assert "Traceback" not in done.output
