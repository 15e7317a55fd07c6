"""A room as a process follows it over NATS."""

from falconws.hub.brokers.nats.cursor import FollowedRoom, Place


def test_what_was_delivered_of_a_stream_that_is_gone_says_nothing_of_its_successor() -> None:
    room = FollowedRoom("room")
    room.stands_at("old", Place(5000, 5000, ""))
    room.begin("new")
    room.stands_at("new", Place(3, 3, ""))
    assert room.lacks(4)
    room.begin("new")
    assert room.lacks(4)
