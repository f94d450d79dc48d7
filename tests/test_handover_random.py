"""Whatever a conversation holds, what is handed over is a valid request, and says everything that can be said."""

from __future__ import annotations

import base64
import json
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwire.types import (
    AssistantMessage,
    Audio,
    Citation,
    Document,
    FunctionCall,
    Image,
    Message,
    ProviderPart,
    Reasoning,
    Refusal,
    SystemMessage,
    Text,
    ToolMessage,
    ToolResult,
    UserMessage,
    Video,
)
from tests.conversations import OLDER, PDF, PNG, TARGETS, Target

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERY = TARGETS | OLDER
WAV = base64.b64encode(b"RIFF\x00\x00\x00\x00WAVEfmt ").decode()
ORIGINS = [*{target.codec.origin for target in TARGETS.values()}, "another"]
IDS = ["call_1", "call_2", "x" * 50, "a/b c", "Xy12Zab34", "toolu_01"]
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

words = st.sampled_from(["", " ", "plain words", "line\n", "ünïcode 🙂"])
origins = st.sampled_from(ORIGINS)
raw = st.sampled_from([msgspec.Raw(b'{"type":"unheard_of"}'), msgspec.Raw(b'{"type":"text","text":"x"}')])
texts = st.one_of(words, st.builds(Text, text=words))
media = st.sampled_from(
    [
        Image(data=PNG),
        Image(data=PNG, media_type="image/heic"),
        Image(url="https://example.org/a.png"),
        Image(file_id="file-1"),
        Image(file_id="file_1"),
        Audio(data=WAV, media_type="audio/wav"),
        Audio(data=WAV, media_type="audio/flac", transcript="spoken words"),
        Audio(url="https://example.org/a.mp3"),
        Audio(id="audio_1", data=WAV, transcript="answered aloud"),
        Audio(id="audio_1"),
        Document(data=PDF, media_type="application/pdf", filename="a.pdf"),
        Document(data="aGk=", media_type="text/markdown"),
        Document(data="/w==", media_type="text/plain"),
        Document(data="UEs=", media_type=DOCX),
        Document(url="https://example.org/a.pdf"),
        Document(text="a whole letter", title="Letter"),
        Document(file_id="https://generativelanguage.googleapis.com/v1beta/files/a"),
        Video(data="AAAA", media_type="video/mp4"),
        Video(url="https://example.org/a.mp4"),
    ]
)
foreign_parts = st.builds(ProviderPart, provider=st.just("another"), kind=st.sampled_from([None, "step"]), data=raw)
shown = st.lists(st.one_of(texts, media, foreign_parts), min_size=1, max_size=3)
contents = st.one_of(words.filter(bool), shown)
calls = st.builds(
    FunctionCall,
    id=st.sampled_from(IDS),
    name=st.sampled_from(["look", "ns.look", "9lives", "a" * 80]),
    arguments=st.sampled_from(["", "{}", '{"a": 1.0}', '{"a":', "free text"]),
    custom=st.booleans(),
)
reasoning = st.builds(
    Reasoning,
    text=st.sampled_from(["", "secret thought"]),
    signature=st.sampled_from([None, "c2ln"]),
    provider=st.sampled_from([None, "another"]),
    model=st.sampled_from([None, "some-model"]),
)
said = st.one_of(
    texts,
    st.builds(Text, text=words, citations=st.just([Citation(url="https://example.org"), Citation(title="t")])),
    calls,
    reasoning,
    st.builds(Refusal, text=words),
    foreign_parts,
    media,
    st.builds(ToolResult, call_id=st.just("call_1"), content=words),
)


def _once(parts: list[Any]) -> list[Any]:
    """No two calls of one message with the same id, which nobody makes."""
    ids: set[str] = set()
    return [part for part in parts if not (isinstance(part, FunctionCall) and (part.id in ids or ids.add(part.id)))]


messages = st.one_of(
    st.builds(UserMessage, content=contents),
    st.builds(
        AssistantMessage,
        content=st.one_of(words, st.lists(said, max_size=4).map(_once)),
        thought=st.sampled_from([None, "secret thought"]),
    ),
    st.builds(SystemMessage, content=words.filter(bool)),
    st.builds(
        ToolMessage,
        content=st.lists(
            st.builds(
                ToolResult,
                call_id=st.sampled_from(IDS),
                content=contents,
                name=st.sampled_from([None, "look", "ns.look"]),
                is_error=st.booleans(),
                custom=st.booleans(),
            ),
            min_size=1,
            max_size=3,
        ),
    ),
)
conversations = st.lists(messages, max_size=7).map(lambda said: [*said, UserMessage(content="The last word.")])


def marked(conversation: list[Message]) -> tuple[list[Message], list[str]]:
    """The conversation with a word of its own in each text that is not blank, and these words."""
    numbers = count()
    marks: list[str] = []

    def mark(text: str) -> str:
        if not text.strip():
            return text
        marks.append(f"m{next(numbers)}m")
        return f"{text} {marks[-1]} ."

    def walk(value: Any) -> Any:
        match value:
            case str():
                return mark(value)
            case list() | tuple():
                return [walk(each) for each in value]
            case Text() | Refusal():
                return msgspec.structs.replace(value, text=mark(value.text))
            case ToolResult() | UserMessage() | AssistantMessage() | SystemMessage() | ToolMessage():
                return msgspec.structs.replace(value, content=walk(value.content))
        return value

    made = []
    for message in conversation:
        if isinstance(message, AssistantMessage) and not isinstance(message.content, str):
            # A result in an answer has no place anywhere; it is reported.
            content = [part if isinstance(part, ToolResult) else walk(part) for part in message.content]
            made.append(msgspec.structs.replace(message, content=content))
        else:
            made.append(walk(message))
    return made, marks


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)


def check(target: Target, conversation: list[Message]) -> None:
    given, marks = marked(conversation)

    converted = target.take(given)

    body = target.wire(converted.messages)
    again = target.take(converted.messages)
    assert again.losses == []
    assert again.messages == converted.messages
    found = "\n".join(strings(body))
    assert [mark for mark in marks if mark not in found] == []
    assert "secret thought" not in json.dumps(body)
    assert all(loss.message < len(given) for loss in converted.losses)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=st.sampled_from([*EVERY]), conversation=conversations)
def test_any_conversation_can_be_handed_over(name: str, conversation: list[Message]) -> None:
    check(EVERY[name], conversation)


@pytest.mark.soak
@pytest.mark.parametrize("target", EVERY.values(), ids=list(EVERY))
@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(conversation=conversations)
def test_any_conversation_can_be_handed_over_for_long(target: Target, conversation: list[Message]) -> None:
    check(target, conversation)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(conversation=conversations)
def test_reasoning_can_be_told_in_words(conversation: list[Message]) -> None:
    target = TARGETS["openai-chat"]
    thoughts = sum(
        (message.thought is not None) + sum(isinstance(part, Reasoning) and bool(part.text) for part in message.content)
        for message in conversation
        if isinstance(message, AssistantMessage)
    )

    converted = target.take(conversation, reasoning="text")

    assert json.dumps(target.wire(converted.messages)).count("secret thought") == thoughts
    assert sum(loss.what == "reasoning" and loss.action == "as_text" for loss in converted.losses) == thoughts
    assert target.take(converted.messages, reasoning="text").losses == []
