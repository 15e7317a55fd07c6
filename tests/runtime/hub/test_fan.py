"""How followers are grouped, and who is left to be offered a message."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from falconws.hub.broadcast import Outgoing, arrange
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


def outgoing(text: str) -> Outgoing:
    return Outgoing("room", Gap("room", Position("e", 0), ""), text, (text,))


followers = st.lists(
    st.builds(
        Follower,
        encode=st.sampled_from([None, loud, quiet]),
        direct=st.none() | st.builds(ScriptedConnection),
    )
)


@given(followers, st.data())
def test_every_follower_is_sent_to_once_or_returned_once(crowd: list[Follower], data: st.DataObject) -> None:
    connections = [follower.direct for follower in crowd if follower.direct is not None]
    for connection in connections:
        if data.draw(st.booleans()):
            connection.stall()
    left: list[Follower] = []
    for fan in arrange(crowd):
        left += fan.send(outgoing(str(fan.encode)))
    assert len(set(map(id, left))) == len(left)
    for follower in crowd:
        sent = [] if follower.direct is None else follower.direct.taken
        assert sent == ([] if follower in left else [str(follower.encode)])


def test_a_connection_with_two_subscriptions_is_sent_to_for_each_of_them() -> None:
    connection = ScriptedConnection()
    first, second = Follower(None, connection), Follower(None, connection)
    (fan,) = arrange([first, second])
    assert fan.send(outgoing("hello")) == []
    assert connection.taken == ["hello", "hello"]
    connection.stall()
    assert fan.send(outgoing("again")) == [first, second]


def test_of_two_subscriptions_of_a_connection_neither_can_fail_the_others() -> None:
    class Connection(ScriptedConnection):
        """Cuts itself off when it cannot be written to, as the engine's do."""

        def try_send_prepared(self, prepared: Any) -> bool:
            raise AssertionError("only broadcast() lets no error out")

        @staticmethod
        def broadcast(connections: Iterable[Any], prepared: Any) -> list[Any]:
            return []

    connection = Connection()
    (fan,) = arrange([Follower(None, connection), Follower(None, connection)])
    assert fan.send(outgoing("hello")) == []
