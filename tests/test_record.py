"""`Recorder` and `Player`: what passed over a wire, from a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from msgspec.structs import replace

from modelwire import (
    AnthropicChatCompletionClient,
    AzureOpenAIChatCompletionClient,
    ConnectionFailedError,
    FallbackModelClient,
    GeminiChatCompletionClient,
    ModelTimeoutError,
    NotRecordedError,
    OllamaChatCompletionClient,
    OpenAIChatCompletionClient,
    Player,
    ProtocolError,
    RateLimitError,
    Recorder,
    StreamInterruptedError,
    TextDelta,
    TokenCountingClient,
    UserMessage,
)
from modelwire.record._cassette import parse
from tests.cassettes import (
    KEY,
    LIMITS,
    POST,
    events_of,
    is_there,
    lines,
    openai,
    recorded,
    text_of,
    timeless,
)
from tests.chat_answers import (
    EVENTS,
    HELLO,
    JSON,
    answer,
    completion,
    refused,
    stream_answer,
    stream_of,
    streamed,
    told,
)
from tests.fakes import FakeClock, Reply, collect, scripted
from tests.server import HOLD, RESET, Answer, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelwire import ChatCompletionClient

pytestmark = pytest.mark.anyio

FIXTURES = Path(__file__).parent / "providers" / "fixtures"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cassettes" / "one.jsonl"


# ---------------------------------------------------------------------- what comes back


async def test_a_call_and_a_stream_come_back_without_the_server(path: Path) -> None:
    with ScriptedServer() as server:
        facts = {"x-request-id": "req-1", "x-ratelimit-limit-requests": "9"}
        server.add(Answer(429, JSON | {"retry-after-ms": "1"}), answer(headers=facts), stream_answer("Grüße", " 🙂"))
        async with openai(Recorder(path), f"{server.url}/v1", max_retries=1) as client:
            whole = timeless(await client.create(HELLO, temperature=0.5))
            events = await events_of(client)
        url = server.url

    async with openai(Player(path), f"{url}/v1", max_retries=1) as client:
        assert timeless(await client.create(HELLO, temperature=0.5)) == whole
        assert await events_of(client) == events
    first, second, third = lines(path)
    assert (first["answer"]["status"], first["answer"]["headers"]["retry-after-ms"]) == (429, "1")
    assert second["answer"]["headers"] == JSON | facts
    assert second["request"]["body"]["json"]["temperature"] == 0.5
    assert [piece["text"].encode() for piece in third["answer"]["pieces"]] == stream_of("Grüße", " 🙂")
    assert whole.request_id == "req-1"


GEMINI_STREAM = (FIXTURES / "gemini" / "thought_text_and_parallel_calls.sse").read_bytes()
OLLAMA = {"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": True, "done_reason": "stop"}
PROVIDERS: dict[str, tuple[Any, bytes, str]] = {
    "openai": (
        lambda url: OpenAIChatCompletionClient(model="gpt-4.1", base_url=url, api_key=KEY),
        (FIXTURES / "openai_chat" / "openai-tools.sse").read_bytes(),
        "text/event-stream",
    ),
    "responses": (
        lambda url: OpenAIChatCompletionClient(model="m", base_url=url, api_key=KEY, api="responses"),
        (FIXTURES / "openai_responses" / "tool_call.sse").read_bytes(),
        "text/event-stream",
    ),
    "azure": (
        lambda url: AzureOpenAIChatCompletionClient(
            azure_endpoint=url, azure_deployment="d", api_version="2024-06-01", api_key=KEY
        ),
        (FIXTURES / "openai_chat" / "azure-filter.sse").read_bytes(),
        "text/event-stream",
    ),
    "anthropic": (
        lambda url: AnthropicChatCompletionClient(model="claude-opus-4-8", base_url=url, api_key=KEY, max_tokens=9),
        (FIXTURES / "anthropic" / "thinking_and_call.sse").read_bytes(),
        "text/event-stream",
    ),
    "gemini": (
        lambda url: GeminiChatCompletionClient(model="gemini-3.8-flash", base_url=url, api_key=KEY),
        GEMINI_STREAM,
        "text/event-stream",
    ),
    "ollama": (
        lambda url: OllamaChatCompletionClient(model="m", base_url=url, api_key=KEY),
        json.dumps(OLLAMA).encode() + b"\n",
        "application/x-ndjson",
    ),
}


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_every_provider_comes_back(path: Path, provider: str) -> None:
    make, stream, content_type = PROVIDERS[provider]
    pieces = [stream[start : start + 700] for start in range(0, len(stream), 700)]
    with ScriptedServer() as server:
        server.add(Answer(headers={"content-type": content_type}, body=pieces))
        client = make(server.url)
        client.transport = Recorder(path).bound(lambda _: client.transport)
        events = await events_of(client)
        await client.close()
        url = server.url

    replayed = make(url)
    replayed.transport = Player(path)
    (line,) = lines(path)

    assert await events_of(replayed) == events
    assert len(line["answer"]["pieces"]) == len(pieces)
    assert KEY not in text_of(path)


@pytest.mark.parametrize("verb", ["send", "stream"])
async def test_whole_answers_and_streams_answer_both_verbs(path: Path, verb: str) -> None:
    transport = scripted(Reply(body=[b"one", b"two"]))
    recorder = Recorder(path, transport=transport)
    if verb == "send":
        await recorder.send(POST, LIMITS)
    else:
        await (await recorder.stream(POST, LIMITS)).read()

    player = Player(path)
    response = await player.send(POST, LIMITS)
    player.rewind()
    stream = await player.stream(POST, LIMITS)

    assert (response.status, response.body, await stream.read()) == (200, b"onetwo", b"onetwo")
    assert [piece async for piece in stream] == []


async def test_pieces_that_are_no_text_come_back(path: Path) -> None:
    whole = "Grüße".encode()
    pieces = [whole[:3], whole[3:], b"\xff\x00", b""]
    await recorded(path, Reply(body=pieces), requests=[replace(POST, body=b"\xff")])

    stream = await Player(path).stream(replace(POST, body=b"\xff"), LIMITS)

    assert [piece async for piece in stream] == pieces
    (line,) = lines(path)
    assert [set(piece) - {"at"} for piece in line["answer"]["pieces"]] == [{"base64"}, {"base64"}, {"base64"}, {"text"}]
    assert line["request"]["body"] == {"base64": "/w=="}


@pytest.mark.parametrize("body", [b"", b"plain", b'{"a":\n1}', b"[1, 2.50]", b'{"\\ud800":1}'])
async def test_any_body_of_a_request_is_kept_to_the_byte(path: Path, body: bytes) -> None:
    request = replace(POST, body=body, method="GET")
    await recorded(path, Reply(body=b"ok"), requests=[request])

    assert (await Player(path).send(request, LIMITS)).body == b"ok"
    (exchange,) = parse(text_of(path).encode(), path)
    assert exchange.request.body.content() == body
    lines(path)


# ---------------------------------------------------------------------- errors


@pytest.mark.parametrize("verb", ["create", "stream"])
async def test_errors_of_the_connection_come_back_as_they_were(path: Path, verb: str) -> None:
    """No server, a silent one, one that breaks off in the body, and nonsense instead of HTTP."""
    scripts = [
        Answer(before=[HOLD]),
        Answer(headers=EVENTS, body=[*stream_of("Hi")[:2], RESET]),
        Answer(raw=b"nonsense\r\n\r\n"),
    ]
    with ScriptedServer() as server:
        server.add(*scripts)
        url = f"{server.url}/v1"
        async with openai(Recorder(path), url, timeout=0.3) as client:
            before = [await failure_of(client, verb, number) for number in range(3)]
        server.release()
    async with openai(Recorder(path, new_only=True), url) as client:  # nobody is there any more
        before.append(await failure_of(client, verb, 3))

    async with openai(Player(path), url) as client:
        after = [await failure_of(client, verb, number) for number in range(4)]

    assert after == before
    broken = StreamInterruptedError if verb == "stream" else ConnectionFailedError
    assert [kind for kind, *_ in before] == [ModelTimeoutError, broken, ProtocolError, ConnectionFailedError]
    assert [line["number"] for line in lines(path)] == [1, 2, 3, 4]


async def failure_of(client: ChatCompletionClient, verb: str, number: int) -> tuple[Any, ...]:
    """What tells one error from another."""
    messages = [UserMessage(content=str(number))]
    seen: list[Any] = []
    asked = client.create(messages) if verb == "create" else collect(client.stream(messages), seen)
    with pytest.raises(Exception) as caught:
        await asked
    error: Any = caught.value
    return type(error), str(error), error.retryable, error.status_code, seen


async def test_a_stream_that_was_closed_early_ends_there_for_those_who_read_on(path: Path) -> None:
    transport = scripted(streamed("one", "two", "three"))
    async with openai(Recorder(path, transport=transport)).stream(HELLO) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    client = openai(Player(path))

    async with client.stream(HELLO) as events:
        assert [type(await anext(events)).__name__ for _ in range(2)] == ["Start", "TextDelta"]
        with pytest.raises(NotRecordedError, match="exchange 1 was closed by its reader"):
            await anext(events)

    (line,) = lines(path)
    assert line["answer"]["closed_early"] is True
    assert transport.open == 0


async def test_a_dropped_stream_is_recorded_as_far_as_it_was_read(path: Path) -> None:
    stream = await Recorder(path, transport=scripted(Reply(body=[b"a", b"b"]))).stream(POST, LIMITS)
    await anext(stream)
    stream.abandon()

    (line,) = lines(path)
    assert [piece["text"] for piece in line["answer"]["pieces"]] == ["a"]


@pytest.mark.parametrize("verb", ["create", "stream"])
async def test_a_cancelled_call_gives_everything_back(path: Path, verb: str) -> None:
    replies = [Reply(hold=True), Reply(headers=EVENTS, body=stream_of("Hi")[:1], hold_body=True)]
    transport = scripted(*replies)
    client = openai(Recorder(path, transport=transport))

    for _ in replies:
        with anyio.move_on_after(0.02):
            await (client.create(HELLO) if verb == "create" else events_of(client))

    assert transport.open == 0
    if verb == "stream":  # its head had come
        assert [line["number"] for line in lines(path)] == [2]
    else:
        assert not is_there(path)


# ---------------------------------------------------------------------- pace


@pytest.mark.parametrize(("speed", "waits"), [(None, []), (0, []), (1, [2.0, 3.0, 0.5]), (10, [0.2, 0.3, 0.05])])
async def test_the_pace_is_the_recorded_one_times_speed(path: Path, speed: float | None, waits: list[float]) -> None:
    await recorded(path, Reply(seconds=2, body=[3.0, b"a", b"b", 0.5, b"c"]))
    clock = FakeClock()

    stream = await Player(path, speed=speed, clock=clock).stream(POST, LIMITS)
    pieces = [piece async for piece in stream]

    assert pieces == [b"a", b"b", b"c"]
    assert clock.sleeps == pytest.approx(waits)
    (line,) = lines(path)
    assert [piece["at"] for piece in line["answer"]["pieces"]] == [5.0, 5.0, 5.5]


async def test_an_error_comes_at_its_time(path: Path) -> None:
    await recorded(path, Reply(body=[1.0, b"a", 4.0, ConnectionFailedError("reset")]))
    clock = FakeClock()

    with pytest.raises(ConnectionFailedError, match="reset"):
        await Player(path, speed=2, clock=clock).send(POST, LIMITS)

    assert clock.sleeps == pytest.approx([0.5, 2.0])


# ---------------------------------------------------------------------- in a client


async def test_a_clients_settings_reach_the_transport_beneath(path: Path, tmp_path: Path) -> None:
    http_client = httpx.AsyncClient()
    recorder = Recorder(path)

    with pytest.raises(ValueError, match="max_connections=0"):
        openai(recorder, max_connections=0)
    with pytest.raises(ValueError, match="transport='warp' is not known"):
        openai(Recorder(path, transport="warp"))
    with pytest.raises(ValueError, match="verify would have no effect"):
        openai(Recorder(path, transport=scripted(told())), verify=str(tmp_path))
    with ScriptedServer() as server:
        server.add(answer(), answer())
        async with openai(recorder, f"{server.url}/v1", http_client=http_client) as client:
            await client.create(HELLO)
        async with openai(Recorder(path, transport="httpx"), f"{server.url}/v1") as client:
            await client.create(HELLO)

    assert not http_client.is_closed
    await http_client.aclose()
    player = Player(path)
    assert openai(player, verify=str(tmp_path), max_connections=3).transport is player


async def test_closing_a_client_closes_what_was_made_for_it_alone(path: Path) -> None:
    passed = scripted(told())
    recorder = Recorder(path, transport=passed)
    client = openai(recorder)
    await client.create(HELLO)
    await client.close()
    with ScriptedServer() as server:
        server.add(answer())
        made = openai(Recorder(path), f"{server.url}/v1")
        await made.create(HELLO)
        await made.close()
        with pytest.raises(RuntimeError, match="closed"):
            await made.create(HELLO)

    assert passed.closed == 0


async def test_recorders_stand_around_each_other(path: Path) -> None:
    outer = path.with_name("outer.jsonl")
    client = openai(Recorder(outer, transport=Recorder(path, transport=scripted(told()))))

    await client.create(HELLO)

    assert lines(outer)[0]["request"] == lines(path)[0]["request"]


async def test_replay_goes_under_everything_else(path: Path) -> None:
    """A counting chain whose first client was refused when it was recorded."""

    def clients(transports: Sequence[Any]) -> TokenCountingClient:
        first, second = (openai(one, f"https://{place}.example.com") for place, one in enumerate(transports))
        return TokenCountingClient(FallbackModelClient(first, second))

    recorder = [Recorder(path, transport=scripted(refused(429), refused(429)))]
    recorder.append(Recorder(path.with_name("b.jsonl"), transport=scripted(told(), streamed())))
    before = clients(recorder)
    after = clients([Player(path), Player(path.with_name("b.jsonl"))])

    told_before, streamed_before = timeless(await before.create(HELLO)), await events_of(before)
    told_after, streamed_after = timeless(await after.create(HELLO)), await events_of(after)

    assert (told_after, streamed_after) == (told_before, streamed_before)
    assert before.usage == after.usage
    assert after.total_tokens == 26


async def test_an_error_status_is_an_answer_like_any_other(path: Path) -> None:
    client = openai(Recorder(path, transport=scripted(refused(429, code="busy"))))
    with pytest.raises(RateLimitError):
        await events_of(client)

    with pytest.raises(RateLimitError) as caught:
        await events_of(openai(Player(path)))

    assert (caught.value.code, caught.value.status_code) == ("busy", 429)
    assert completion().decode() not in text_of(path)
