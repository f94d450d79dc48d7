"""The file of `Recorder` and `Player`: what is in it, and which request it answers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest
from msgspec.structs import replace

from modelwire import (
    ConnectionFailedError,
    FallbackModelClient,
    NotRecordedError,
    Player,
    ProtocolError,
    Recorder,
    ReplayChatCompletionClient,
    TextDelta,
    UserMessage,
)
from modelwire.protocols import HttpRequest
from tests.cassettes import (
    KEY,
    LIMITS,
    POST,
    body,
    events_of,
    is_there,
    lines,
    openai,
    put,
    recorded,
    text_of,
)
from tests.chat_answers import (
    EVENTS,
    HELLO,
    stream_of,
)
from tests.fakes import Reply, scripted
from tests.server import Answer, ScriptedServer

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cassettes" / "one.jsonl"


# ---------------------------------------------------------------------- secrets


async def test_no_credential_is_in_the_file_wherever_it_stood(path: Path) -> None:
    secret = b"sk-secret-value-1"
    request = HttpRequest(
        "https://user:sk-in-the-url@api.example.com/v1?alt=sse&key=AIza-secret-2&api-version=1&sig=%2Fx",
        [
            (b"authorization", b"Bearer " + secret),
            (b"cookie", b"session=sk-cookie-value"),
            (b"openai-organization", b"org-mine"),
            (b"x-anything", b"sk-elsewhere"),
            (b"anthropic-version", b"2023-06-01"),
            (b"content-type", b"application/json"),
        ],
        b'{"note":"sk-secret-value-1","key":"AIza-secret-2"}',
    )
    reply = Reply(
        401,
        {"set-cookie": "sk-set-cookie", "x-request-id": "for sk-secret-value-1", "x-other": "sk-other"},
        [b"wrong key: sk-sec", b"ret-value-1 and AIza-secret-2"],
    )
    await recorded(path, reply, requests=[request])

    (line,) = lines(path)
    assert "secret" not in text_of(path)
    assert not re.search(r"sk-|org-|AIza", text_of(path))
    assert line["request"]["url"] == "https://***@api.example.com/v1?alt=sse&key=***&api-version=1&sig=***"
    assert line["request"]["headers"] == {"anthropic-version": "2023-06-01", "content-type": "application/json"}
    assert line["request"]["body"]["json"] == {"note": "***", "key": "***"}
    assert line["answer"]["headers"] == {"x-request-id": "for ***"}
    assert [piece["text"] for piece in line["answer"]["pieces"]] == [
        "wrong key: ******",
        "*********** and *************",
    ]
    assert (await Player(path).send(request, LIMITS)).status == 401
    other = [(name, value.replace(secret, b"sk-other-key-of-ci")) for name, value in request.headers]
    again = replace(request, headers=other, body=request.body.replace(secret, b"sk-other-key-of-ci"))
    assert (await Player(path).send(again, LIMITS)).status == 401


async def test_a_key_in_an_error_of_the_transport_is_hidden(path: Path) -> None:
    request = replace(POST, headers=[(b"x-api-key", KEY.encode())])
    await recorded(path, ConnectionFailedError(f"proxy refused {KEY}"), requests=[request])

    assert KEY not in text_of(path)
    with pytest.raises(ConnectionFailedError, match=r"proxy refused \*\*\*"):
        await Player(path).send(request, LIMITS)


async def test_redact_hides_what_is_in_bodies_on_both_sides(path: Path) -> None:
    redact = ["Ms. Grün", re.compile(r"\d{4}-\d{4}")]
    transport = scripted(Reply(body=[b"card 1234-", "5678 of Ms. Grün".encode()]))
    await Recorder(path, transport=transport, redact=redact).send(body({"ask": "Ms. Grün 1111-2222"}), LIMITS)
    request = msgspec.json.encode({"ask": "Ms. Grün 3333-4444"})

    response = await Player(path, redact=redact).send(replace(POST, body=request), LIMITS)

    assert response.body == b"card ********* of *********"
    assert not re.search(r"Gr|1111|1234|5678", text_of(path).replace("*", ""))
    with pytest.raises(TypeError, match="redact is a list"):
        Player(path, redact="text")
    with pytest.raises(ValueError, match="empty text"):
        Player(path, redact=[""])


# ---------------------------------------------------------------------- matching


async def test_strict_matching_is_in_any_order_and_each_once(path: Path) -> None:
    asked = [body({"n": 1, "m": 2}), body({"n": 2}), body({"n": 1, "m": 2})]
    await recorded(path, Reply(body=b"1"), Reply(body=b"2"), Reply(body=b"3"), requests=asked)
    player = Player(path)
    otherwise = replace(POST, body=b'{ "m": 2,\n "n": 1 }')  # the same JSON

    assert player.unplayed == 3
    assert [(await player.send(one, LIMITS)).body for one in (asked[1], otherwise, asked[0])] == [b"2", b"1", b"3"]
    assert player.unplayed == 0
    with pytest.raises(NotRecordedError, match="it was recorded 2 times, and that was played already"):
        await player.send(asked[0], LIMITS)
    player.rewind()
    assert (await player.send(asked[0], LIMITS)).body == b"1"


@pytest.mark.parametrize(
    "other",
    [body({"n": 1.0}), body({"n": True}), body({"n": "1"}), body({"N": 1}), body([1]), replace(POST, body=b"n")],
    ids=lambda other: other.body.decode(),
)
async def test_strict_matching_knows_kinds_of_json(path: Path, other: HttpRequest) -> None:
    await recorded(path, Reply(), requests=[body({"n": 1})])

    with pytest.raises(NotRecordedError, match=r"the nearest on record, number 1, differs:\n  \$"):
        await Player(path).send(other, LIMITS)


async def test_a_request_that_is_not_on_record_is_told_from_the_nearest(path: Path) -> None:
    messages = [{"role": "user", "content": "Hello"}, {"role": "user", "content": "more"}]
    far = {"model": "other", "messages": [], "x": list(range(30))}
    near = {"model": "m", "messages": messages, "temperature": 0.5, "stop-words": 1}
    await recorded(path, Reply(), requests=[body(far), body(near)])
    player = Player(path)
    now = {"model": "m", "messages": [{"role": "user", "content": "Hullo " * 50}], "stop-words": [1], "top_p": None}

    with pytest.raises(NotRecordedError) as caught:
        await player.send(body(now), LIMITS)

    first, *rest = str(caught.value).splitlines()
    assert first == (
        f"{path}: no answer to POST https://api.example.com/v1/chat?a=1: the nearest on record, number 2, differs:"
    )
    assert rest == [
        '  $.messages[0].content: recorded "Hello", now "' + ("Hullo " * 50)[:119] + "...",
        '  $.messages[1]: recorded {"content":"more","role":"user"}, now absent',
        "  $['stop-words']: recorded 1, now [1]",
        "  $.temperature: recorded 0.5, now absent",
        "  $.top_p: recorded absent, now null",
    ]
    with pytest.raises(
        NotRecordedError, match=r'url: recorded "https://api.example.com/v1/chat\?a=1", now "https://b/"'
    ):
        await player.send(replace(body(near), url="https://b/"), LIMITS)
    with pytest.raises(NotRecordedError, match=r"\n  \.\.\.$"):
        await player.send(body({str(number): number for number in range(20)}), LIMITS)


async def test_sequential_matching_goes_in_order_whatever_the_body(path: Path) -> None:
    other = replace(POST, url="https://api.example.com/v1/other")
    await recorded(path, Reply(body=b"1"), Reply(body=b"2"), requests=[body({"at": 1}), other])
    player = Player(path, match="sequential")

    with pytest.raises(NotRecordedError, match=r"the next on record, number 1, differs:\n  url: recorded .*/chat"):
        await player.send(other, LIMITS)
    assert (await player.send(body({"at": 2}), LIMITS)).body == b"1"
    assert (await player.send(other, LIMITS)).body == b"2"
    with pytest.raises(NotRecordedError, match="all 2 exchanges were played"):
        await player.send(other, LIMITS)


async def test_what_is_not_recorded_is_neither_retried_nor_asked_of_others(path: Path) -> None:
    await recorded(path, Reply())
    second = ReplayChatCompletionClient(["b"])
    client = FallbackModelClient(openai(Player(path), max_retries=5), second)

    with pytest.raises(NotRecordedError):
        await client.create(HELLO)
    with pytest.raises(NotRecordedError):
        await events_of(client)
    assert second.calls == []


# ---------------------------------------------------------------------- the file


async def test_concurrent_exchanges_are_whole_lines_that_know_their_order(path: Path) -> None:
    recorder = Recorder(path)

    def echo(request: Any) -> Answer:
        said = json.loads(request.body)["messages"][0]["content"]
        return Answer(headers=EVENTS, body=stream_of(*said.split()))

    with ScriptedServer(echo) as server:
        clients = [openai(recorder, f"{server.url}/v1") for _ in range(2)]

        async def ask(number: int) -> None:
            await events_of(clients[number % 2], [UserMessage(content=f"number {number}")])

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(ask, number)
        for client in clients:
            await client.close()
        url = server.url

    found = lines(path)
    assert sorted(line["number"] for line in found) == list(range(1, 21))
    replayed = openai(Player(path), f"{url}/v1")
    for number in (7, 19, 0):
        events = await events_of(replayed, [UserMessage(content=f"number {number}")])
        assert "".join(event.text for event in events if isinstance(event, TextDelta)) == f"number{number}"


async def test_a_recording_begins_anew_with_its_first_exchange(path: Path) -> None:
    await recorded(path, Reply(body=b"old"), requests=[POST, POST])
    recorder = Recorder(path, transport=scripted(Reply(body=b"new")))
    assert len(lines(path)) == 2

    await recorder.send(POST, LIMITS)

    assert (await Player(path).send(POST, LIMITS)).body == b"new"
    assert len(lines(path)) == 1
    assert [file.name for file in path.parent.iterdir()] == ["one.jsonl"]


async def test_new_only_answers_from_the_file_and_adds_the_rest(path: Path) -> None:
    await recorded(path, Reply(body=b"old"))
    put(path, text_of(path).encode() + b'{"number":2,"reque')  # a process was killed here
    transport = scripted(Reply(body=b"new"))
    recorder = Recorder(path, transport=transport, new_only=True)

    bodies = [(await recorder.send(request, LIMITS)).body for request in (POST, body({"b": 1}), POST)]
    bodies.append(await (await recorder.stream(body({"c": 1}), LIMITS)).read())

    assert bodies == [b"old", b"new", b"new", b"new"]
    assert [line["number"] for line in lines(path)] == [1, 2, 3, 4]
    again = Recorder(path, transport=scripted(ConnectionFailedError("offline")), new_only=True)
    assert await (await again.stream(body({"c": 1}), LIMITS)).read() == b"new"
    assert Recorder(path.with_name("none.jsonl"), new_only=True)


async def test_two_recorders_of_one_file_are_told_to_be_one(path: Path) -> None:
    first, second = (Recorder(path, transport=scripted(Reply())) for _ in range(2))
    await first.send(POST, LIMITS)
    await second.send(POST, LIMITS)

    with pytest.raises(RuntimeError, match="give one Recorder to all clients"):
        await first.send(POST, LIMITS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file, not a cassette"),
        (b"\xff\n", "not a cassette: its first line is not"),
        (b'{"$schema":"urn:modelwire:cassette:2"}\n', "written in the format 'urn:modelwire:cassette:2'"),
        (b'{"$schema":"urn:modelwire:cassette:1"}\n{"number":"x"}\n', r"line 2: Expected `int`, got `str`"),
    ],
)
async def test_what_is_no_cassette_is_refused(path: Path, content: bytes, message: str) -> None:
    put(path, content)

    with pytest.raises(ValueError, match=message):
        await Player(path).send(POST, LIMITS)


async def test_a_cassette_that_is_not_there_and_wrong_settings_are_named(path: Path) -> None:
    with pytest.raises(NotRecordedError, match=r"one.jsonl: there is no such recording"):
        await Player(path).send(POST, LIMITS)
    with pytest.raises(ValueError, match="match='loose'"):
        Player(path, match="loose")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="speed=-1"):
        Player(path, speed=-1)
    with pytest.raises(RuntimeError, match="give it to a client"):
        await Recorder(path).send(POST, LIMITS)
    assert repr(Player("a.jsonl")) == "Player('a.jsonl')"
    assert repr(Recorder("a.jsonl")) == "Recorder('a.jsonl')"


async def test_what_is_too_large_is_not_recorded_and_said_so(path: Path) -> None:
    transport = scripted(Reply(body=[b"x" * 60, b"x" * 60]))
    recorder = Recorder(path, transport=transport, max_bytes=100)

    stream = await recorder.stream(POST, LIMITS)
    await anext(stream)
    with pytest.raises(ProtocolError, match="the answer is larger than the 100 bytes that are recorded"):
        await anext(stream)
    with pytest.raises(ProtocolError, match="answer is larger"):
        await recorder.send(POST, LIMITS)
    with pytest.raises(ProtocolError, match="request is larger"):
        await recorder.send(replace(POST, body=b"x" * 101), LIMITS)

    assert transport.open == 0
    assert not is_there(path)
