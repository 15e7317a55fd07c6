"""How followers are grouped, and which of them still need an event after a broadcast."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from falconws.hub.broadcast import EncodedEvent, group_followers
from falconws.hub.events import Gap
from falconws.hub.position import Position

from .scripted import ScriptedConnection


def loud(event: object) -> str:
    return "LOUD"


def quiet(event: object) -> str:
    return "quiet"


@dataclass(eq=False)
class Follower:
    encode: Any
    direct: ScriptedConnection | None


def encode(text: str) -> EncodedEvent:
    return EncodedEvent("room", Gap("room", Position("e", 0), ""), text, (text,))


followers = st.lists(
    st.builds(
        Follower,
        encode=st.sampled_from([None, loud, quiet]),
        direct=st.none() | st.builds(ScriptedConnection),
    )
)


@given(followers, st.data())
def test_every_follower_is_sent_the_event_once_or_returned_once(crowd: list[Follower], data: st.DataObject) -> None:
    connections = [follower.direct for follower in crowd if follower.direct is not None]
    for connection in connections:
        if data.draw(st.booleans()):
            connection.stall()
    left: list[Follower] = []
    for group in group_followers(crowd):
        left += group.send(encode(str(group.encode)))
    assert len(set(map(id, left))) == len(left)
    for follower in crowd:
        sent = [] if follower.direct is None else follower.direct.taken
        assert sent == ([] if follower in left else [str(follower.encode)])


def test_a_connection_with_two_subscriptions_is_sent_the_event_twice() -> None:
    connection = ScriptedConnection()
    first, second = Follower(None, connection), Follower(None, connection)
    (group,) = group_followers([first, second])
    assert group.send(encode("hello")) == []
    assert connection.taken == ["hello", "hello"]
    connection.stall()
    assert group.send(encode("again")) == [first, second]


def test_an_error_of_a_repeated_connection_does_not_reach_the_others() -> None:
    class Connection(ScriptedConnection):
        """Aborts itself when it cannot be written to, as the server's connections do."""

        def try_send_prepared(self, prepared: Any) -> bool:
            raise AssertionError("only broadcast() lets no error out")

        @staticmethod
        def broadcast(connections: Iterable[Any], prepared: Any) -> list[Any]:
            return []

    connection = Connection()
    (group,) = group_followers([Follower(None, connection), Follower(None, connection)])
    assert group.send(encode("hello")) == []
