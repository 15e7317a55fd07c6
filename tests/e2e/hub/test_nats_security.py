"""Over NATS: what is secret goes to nobody who listens in, and files of credentials open the door."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nkeys
import pytest
import trustme

from falconws import Hub
from falconws.hub import BrokerUnavailable
from tests.e2e.hub.proxy import Proxy
from tests.e2e.hub.recorder import TIMEOUT_S, WAIT_S, following, until_health
from tests.e2e.hub.servers import Nats

Start = Callable[..., Nats]


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A certificate for 127.0.0.1 that this process trusts, as the server's settings want it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    return {"cert_file": str(tmp_path / "certificate.pem"), "key_file": str(tmp_path / "key.pem")}


async def test_tls_is_spoken_with_a_server_that_does(start_broker: Start, certificate: dict[str, str]) -> None:
    server = start_broker("nats", settings={"tls": certificate})
    async with Hub(server.url.replace("nats://", "tls://"), timeout_s=WAIT_S) as hub:
        assert (await until_health(hub, True)).ok
        async with following(hub, "room") as follower:
            await hub.publish("room", "x")
            await follower.until(lambda: follower.payloads == ["x"], "the message comes")


async def test_a_server_without_tls_is_sent_nothing_when_the_url_asks_for_it(start_broker: Start) -> None:
    server = start_broker("nats")
    async with Proxy(server.port) as proxy:
        async with Hub(f"tls://ada:s3cret@127.0.0.1:{proxy.port}", timeout_s=TIMEOUT_S) as hub:
            health = await hub.health()
            assert not health.ok
            assert "does not ask for TLS" in health.detail
            with pytest.raises(BrokerUnavailable, match="does not ask for TLS"):
                await hub.publish("room", "nobody else's business")
        assert proxy.sent == b""


class Authority:
    """Signs what a NATS server in operator mode wants: operator, accounts and users, as JWTs."""

    def __init__(self) -> None:
        self._operator = _key(1, nkeys.PREFIX_BYTE_OPERATOR)
        self._account = _key(2, nkeys.PREFIX_BYTE_ACCOUNT)
        self._system = _key(3, nkeys.PREFIX_BYTE_ACCOUNT)
        self._user = _key(4, nkeys.PREFIX_BYTE_USER)

    def settings(self) -> dict[str, Any]:
        everything = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1)
        stored = dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), -1)
        limits = {"type": "account", "limits": {**everything, "wildcards": True}}
        return {
            "operator": _signed(self._operator, self._operator, {"type": "operator"}),
            "system_account": _name(self._system),
            "resolver": "MEMORY",
            "resolver_preload": {
                _name(self._system): _signed(self._operator, self._system, limits),
                _name(self._account): _signed(
                    self._operator,
                    self._account,
                    {**limits, "limits": {**limits["limits"], **stored}},
                ),
            },
        }

    def credentials(self) -> str:
        unlimited = dict.fromkeys(("subs", "data", "payload"), -1)
        token = _signed(self._account, self._user, {"type": "user", "pub": {}, "sub": {}, **unlimited})
        seed = self._user.seed.decode()
        return (
            f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )


def _key(number: int, kind: int) -> Any:
    return nkeys.from_seed(nkeys.encode_seed(bytes([number]) * 32, kind))


def _name(key: Any) -> str:
    name: str = key.public_key.decode()
    return name


def _signed(issuer: Any, subject: Any, what: dict[str, Any]) -> str:
    claims = {"iat": int(time.time()), "iss": _name(issuer), "sub": _name(subject), "name": what["type"]}
    claims["nats"] = {**what, "version": 2}
    claims["jti"] = base64.b32encode(hashlib.sha256(json.dumps(claims).encode()).digest()).decode().rstrip("=")
    text = ".".join(_encoded(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "ed25519-nkey"}, claims))
    return f"{text}.{_encoded(issuer.sign(text.encode()))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


async def test_a_file_of_credentials_is_used_and_needed(start_broker: Start, tmp_path: Path) -> None:
    authority = Authority()
    server = start_broker("nats", settings=authority.settings())
    path = tmp_path / "app.creds"
    path.write_text(authority.credentials())
    async with Hub(f"{server.url}?credentials={path}", timeout_s=WAIT_S) as hub:
        assert (await until_health(hub, True)).ok
        async with following(hub, "room") as follower:
            await hub.publish("room", "x")
            await follower.until(lambda: follower.payloads == ["x"], "the message comes")
    async with Hub(server.url, timeout_s=TIMEOUT_S) as hub:
        assert "uthorization" in (await until_health(hub, False)).detail


def test_a_file_of_credentials_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the credentials file .*/absent does not exist"):
        Hub(f"nats://127.0.0.1:4222?credentials={tmp_path / 'absent'}")
