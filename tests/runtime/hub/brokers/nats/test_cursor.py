"""The cursor of a room over NATS."""

from falconws.hub.brokers.nats.cursor import RoomCursor, SubjectPosition


def test_deliveries_of_a_deleted_stream_say_nothing_of_its_successor() -> None:
    cursor = RoomCursor("room")
    cursor.advance_to("old", SubjectPosition(5000, 5000, ""))
    cursor.begin_session("new")
    cursor.advance_to("new", SubjectPosition(3, 3, ""))
    assert cursor.lacks(4)
    cursor.begin_session("new")
    assert cursor.lacks(4)
