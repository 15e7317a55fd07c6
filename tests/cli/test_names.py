import keyword

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconws_cli.errors import RefusedError
from falconws_cli.names import MAX_LENGTH, parse_name, refuse_as_package


@pytest.mark.parametrize("text", ["chat room", "chat-room", "chat_room", "ChatRoom", "chatRoom", " Chat  ROOM "])
def test_one_name_is_understood_in_every_spelling(text: str) -> None:
    name = parse_name(text)
    assert (name.module, name.class_prefix, name.kebab) == ("chat_room", "ChatRoom", "chat-room")
    assert (name.constant, name.phrase) == ("CHAT_ROOM", "chat room")


@pytest.mark.parametrize(
    ("text", "module"),
    [("HTTPServer", "http_server"), ("v2Events", "v2_events"), ("JSON", "json"), ("room 2", "room_2"), ("x", "x")],
)
def test_words_are_split_where_a_reader_would(text: str, module: str) -> None:
    assert parse_name(text).module == module


def test_the_suffix_of_the_class_is_not_repeated() -> None:
    assert parse_name("ChatRoomResource", suffix="resource").module == "chat_room"
    assert parse_name("resource", suffix="resource").module == "resource"


@pytest.mark.parametrize(
    ("text", "problem", "suggestion"),
    [
        ("class", "Python keyword", "my-class"),
        ("2fast", "begins with a digit", "fast2"),
        ("../x", "is a path", "x"),
        ("a\\b", "is a path", "b"),
        ("..", "is a path", None),
        ("", "is empty", "chat-room"),
        ("  ", "is empty", "chat-room"),
        ("a.b", "contains characters that are not allowed", "a-b"),
        ("a\nb!", "contains characters that are not allowed", "a-b"),
        ("café", "contains characters that are not allowed", "cafe"),
        ("___", "contains characters that are not allowed", None),
        ("con", "device name on Windows", "my-con"),
        ("a" * (MAX_LENGTH + 1), "longer than", None),
    ],
)
def test_a_name_that_cannot_work_is_refused_with_one_that_can(text: str, problem: str, suggestion: str | None) -> None:
    with pytest.raises(RefusedError) as refused:
        parse_name(text)
    assert problem in refused.value.message
    if suggestion:
        assert f'"{suggestion}"' in refused.value.message
        parse_name(suggestion)


@pytest.mark.parametrize("text", ["json", "asyncio", "tests"])
def test_a_package_may_not_hide_another_module(text: str) -> None:
    with pytest.raises(RefusedError, match=f'try "my-{text}"'):
        refuse_as_package(parse_name(text))


@given(st.text(max_size=60))
def test_any_text_gives_a_usable_name_or_a_refusal_whose_suggestion_works(text: str) -> None:
    try:
        name = parse_name(text)
    except RefusedError as error:
        _, found, suggestion = error.message.partition('; try "')
        if found:
            parse_name(suggestion.split('"')[0])
    else:
        assert name.module.isidentifier()
        assert name.module.isascii()
        assert not keyword.iskeyword(name.module)
        assert f"{name.class_prefix}Resource".isidentifier()
        for spelling in (name.module, name.kebab, name.phrase):
            assert parse_name(spelling) == name
