"""Which answers of a Redis server are refusals."""

from __future__ import annotations

import pytest
from redis._parsers.base import BaseParser

from falconws.hub.brokers.redis.redis_client import RedisClient
from falconws.hub.brokers.redis.url import RedisUrl


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        ("NOAUTH Authentication required.", True),
        ("WRONGPASS invalid username-password pair or user is disabled.", True),
        ("NOPERM this user has no permissions to run the 'evalsha' command", True),
        ("OOM command not allowed when used memory > 'maxmemory'.", True),
        ("MISCONF Errors writing to the AOF file: No space left on device", True),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", True),
        ("ERR unknown command 'SPUBLISH'", True),
        ("ERR max number of clients reached", False),
        ("BUSY Valkey is busy running a script.", False),
        ("NOREPLICAS Not enough good replicas to write.", False),
        ("READONLY You can't write against a read only replica.", False),
        ("LOADING Valkey is loading the dataset in memory", False),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", False),
        ("CLUSTERDOWN The cluster is down", False),
        ("TRYAGAIN Multiple keys request during rehashing of slot", False),
        ("MOVED 1 127.0.0.1:7000", False),
        ("ASK 1 127.0.0.1:7000", False),
    ],
)
def test_an_answer_is_a_refusal_if_a_retry_does_not_change_it(answer: str, refused: bool) -> None:
    client = RedisClient(RedisUrl("redis://localhost"), timeout_s=1.0)
    assert client.refuses(BaseParser.parse_error(answer)) is refused
