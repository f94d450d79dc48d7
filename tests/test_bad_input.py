"""Bad input of users and of servers: the right class of error, the place, the remedy, and the connection back."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from modelwire import (
    AssistantMessage,
    Audio,
    AuthenticationError,
    BadRequestError,
    ContextLengthError,
    CustomTool,
    Document,
    FunctionCall,
    Image,
    ModelClientError,
    NotFoundError,
    OpenAIChatCompletionClient,
    ProtocolError,
    ProviderPart,
    QuotaExceededError,
    RateLimitError,
    Reasoning,
    ServerError,
    StreamInterruptedError,
    SystemMessage,
    Text,
    Tool,
    ToolMessage,
    ToolResult,
    UserMessage,
)
from tests.chat_answers import EVENTS, HELLO, JSON, answer, completion, error_body, stream_of, told
from tests.fakes import Reply, client_of, scripted
from tests.ids import shown
from tests.server import Answer, ScriptedServer
from tests.transports import in_use

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)


@pytest.fixture(params=["create", "create_stream", "stream", "request_key"])
def verb(request: pytest.FixtureRequest) -> str:
    return request.param


async def refusal(messages: Any = HELLO, verb: str = "create", **options: Any) -> BadRequestError:
    """The error of a call that is refused before anything is sent."""
    transport = scripted(told())
    with pytest.raises(BadRequestError) as caught:
        await ask(client_of(transport), messages, verb, **options)
    assert transport.requests == []
    assert (caught.value.status_code, caught.value.retryable) == (0, False)
    return caught.value


async def ask(client: Any, messages: Any = HELLO, verb: str = "create", **options: Any) -> Any:
    if verb in ("create", "request_key"):
        return await getattr(client, verb)(messages, **options)
    return [item async for item in getattr(client, verb)(messages, **options)]


# ---------------------------------------------------------------------- messages


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ("Hello", "messages is a list, such as .*, not str"),
        (b"Hello", "messages is a list, .*, not bytes"),
        ({"role": "user", "content": "Hello"}, "messages is a list, .*, not dict"),
        (None, "messages is a list, .*, not NoneType"),
        (UserMessage(content="Hello"), "messages is a list, .*, not UserMessage"),
        (iter(HELLO), "messages is a list, .*, not list_iterator"),
        ([], "messages is empty: there is nothing to answer"),
        ((), "messages is empty"),
        (["Hello"], r"messages\[0\]: a message or a dict is needed, not str"),
        ([*HELLO, 7], r"messages\[1\]: a message or a dict is needed, not int"),
        ([*HELLO, None], r"messages\[1\]: a message or a dict is needed, not NoneType"),
        ([{"role": "robot", "content": "x"}], r"messages\[0\]: role 'robot' is not known; it is one of .*user"),
        ([*HELLO, {"content": "x"}], r"messages\[1\].role"),
        ([{"role": "user"}], r"messages\[0\].*content"),
        ([{"role": "user", "content": 7}], r"messages\[0\].content"),
        ([{"role": "user", "content": [{"type": "text"}]}], r"messages\[0\].content\[0\]"),
        ([{"role": "user", "content": object()}], r"messages\[0\]: not JSON"),
        ([{"role": "tool", "content": "x"}], r"messages\[0\].*tool_call_id"),
    ],
    ids=lambda value: shown(value)[:50],
)
async def test_messages_that_are_none(messages: Any, text: str, verb: str) -> None:
    error = await refusal(messages, verb)

    with pytest.raises(BadRequestError, match=text):
        raise error


CALL = FunctionCall(id="call_1", name="look_up", arguments="{}")
RESULT = ToolResult(call_id="call_1", content="42")


@pytest.mark.parametrize(
    ("message", "place", "kind"),
    [
        (UserMessage(content=[7]), "messages[1].content[0]", "int does not belong into a UserMessage"),
        (UserMessage(content=["a", CALL]), "messages[1].content[1]", "FunctionCall does not belong into a UserMessage"),
        (UserMessage(content=[Reasoning(text="Hm")]), "messages[1].content[0]", "Reasoning does not belong"),
        (UserMessage(content=[RESULT]), "messages[1].content[0]", "ToolResult does not belong into a UserMessage"),
        (UserMessage(content=[{"type": "text", "text": "a"}]), "messages[1].content[0]", "dict does not belong"),
        (UserMessage(content=[b"bytes"]), "messages[1].content[0]", "bytes does not belong"),
        (UserMessage(content=7), "messages[1].content", "is needed, not int"),
        (UserMessage(content=None), "messages[1].content", "is needed, not NoneType"),
        (UserMessage(content=[]), "messages[1].content", "empty"),
        (SystemMessage(content=[Image(url="https://x")]), "messages[1].content[0]", "Image does not belong"),
        (AssistantMessage(content=[7]), "messages[1].content[0]", "int does not belong into a AssistantMessage"),
        (AssistantMessage(content=CALL), "messages[1].content", "is needed, not FunctionCall"),
        (ToolMessage(content="42"), "messages[1].content", "a list of ToolResult is needed, not str"),
        (ToolMessage(content=["42"]), "messages[1].content[0]", "str does not belong into a ToolMessage"),
        (ToolMessage(content=RESULT), "messages[1].content", "a list of ToolResult is needed, not ToolResult"),
        (
            ToolMessage(content=[RESULT, ToolResult(call_id="1", content=[7])]),
            "messages[1].content[1].content[0]",
            "int does not belong into a ToolResult",
        ),
        (ToolMessage(content=[ToolResult(call_id="1", content=7)]), "messages[1].content[0].content", "not int"),
        (
            ToolMessage(content=[ToolResult(call_id="1", content=[CALL])]),
            "messages[1].content[0].content[0]",
            "FunctionCall does not belong into a ToolResult",
        ),
        (
            UserMessage(content=[ProviderPart(provider="anthropic", data=b"{}", kind="search_result")]),
            "",
            "a search_result of anthropic, which openai does not understand",
        ),
    ],
    ids=lambda value: repr(value)[:60],
)
async def test_parts_in_the_wrong_place(message: Any, place: str, kind: str) -> None:
    error = await refusal([*HELLO, message])

    assert str(error).startswith(place)
    assert kind in str(error)


async def test_a_message_says_what_its_content_may_be() -> None:
    error = await refusal([SystemMessage(content=[Image(url="https://x")])])

    assert str(error).endswith("it takes str, Text")


@pytest.mark.parametrize("content", ["", " ", "\n"])
async def test_empty_text_is_the_servers_business(content: str) -> None:
    assert await ask(client_of(scripted(told())), [UserMessage(content=content)])


async def test_an_assistant_message_may_be_empty() -> None:
    assert await ask(client_of(scripted(told())), [*HELLO, AssistantMessage(content=[]), *HELLO])


async def test_text_that_no_json_can_hold_is_named() -> None:
    error = await refusal([UserMessage(content="\ud800")])

    assert "cannot be written as JSON" in str(error)


@pytest.mark.parametrize("model", ["no-such-model", "gpt-99", "org/model:tag", "Modell für Texte"])
async def test_an_unknown_model_is_sent_and_the_server_judges(model: str) -> None:
    transport = scripted(told())

    await ask(client_of(transport, model=model))

    assert model.encode() in transport.requests[0].body


# ---------------------------------------------------------------------- files


async def test_an_image_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(BadRequestError, match=r"missing\.png"):
        Image.from_file(tmp_path / "missing.png")
    with pytest.raises(BadRequestError, match=str(tmp_path)):
        Image.from_file(tmp_path)


@pytest.mark.parametrize("content", [b"", b"plain text", b"%PDF-1.7", b"<html></html>"], ids=repr)
async def test_a_file_that_is_no_image(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(content)

    for make in (lambda: Image.from_file(path), lambda: Image.from_bytes(content)):
        with pytest.raises(BadRequestError):
            make()


async def test_base64_that_is_none() -> None:
    for data in ("not base64!", "####", base64.b64encode(b"plain text").decode()):
        with pytest.raises(BadRequestError):
            Image.from_base64(data)
    with pytest.raises(BadRequestError):
        Image.from_url("data:image/png;base64,####")


async def test_an_image_with_no_source_or_two() -> None:
    with pytest.raises(ValueError, match="exactly one of"):
        Image()
    with pytest.raises(ValueError, match="exactly one of"):
        Image(url="https://example.com/a.png", data="AAAA")


async def test_data_that_would_break_the_body_is_refused() -> None:
    error = await refusal([UserMessage(content=[Image(data='", "x": "', media_type="image/png")])])

    assert "is not base64" in str(error)


@pytest.mark.parametrize(
    "part",
    [Image(file_id="file-1"), Audio(url="https://x/a.mp3"), Document(url="https://x/a.pdf")],
    ids=lambda part: type(part).__name__,
)
async def test_what_the_api_does_not_take_says_what_it_takes(part: Any) -> None:
    error = await refusal([UserMessage(content=[part])])

    assert "Chat Completions takes" in str(error)


# ---------------------------------------------------------------------- tools and formats


@pytest.mark.parametrize(
    ("tools", "text"),
    [
        ([{"parameters": {}}], "tools[0]: a tool needs a name"),
        ([{"type": "function", "function": {"parameters": {}}}], "tools[0]: a tool needs a name"),
        ([Tool(name="ok"), Tool(name=" ")], "tools[1]: a tool needs a name"),
        ([CustomTool(name="")], "tools[0]: a tool needs a name"),
        ([{"name": 7}], "tools[0]: a tool needs a name"),
        ([{"type": "function", "function": "look_up"}], "tools[0].function: an object is needed, not str"),
        ([Tool(name="a", parameters="{}")], "tools[0] (a): parameters are a JSON Schema object, not str"),
        ([{"name": "a", "parameters": {"x": object()}}], "tools[0] (a).parameters: not JSON"),
        ([Tool(name="a"), {"name": "a"}], "tools: two of them are named 'a'"),
        (["look_up"], "tools[0]: a tool is a Tool, a dict, a function, or an object with a `schema` dict, not str"),
        ([7], "tools[0]: a tool is"),
    ],
    ids=lambda value: repr(value)[:50],
)
async def test_tools_that_are_none(tools: Any, text: str, verb: str) -> None:
    assert text in str(await refusal(verb=verb, tools=tools))


@pytest.mark.parametrize(
    ("tools", "choice", "text"),
    [
        ([Tool(name="a")], "b", "tool_choice: there is no tool 'b'; the tools are a"),
        ([], "required", "tool_choice='required' needs tools"),
        ([], "a", "tool_choice: there is no tool 'a'; the tools are none"),
        ([Tool(name="a")], {"type": "function"}, "names no tool"),
        ([Tool(name="a")], 7, "tool_choice: a word, a name, a tool or a dict is needed, not int"),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_tool_choices_that_are_none(tools: Any, choice: Any, text: str) -> None:
    assert text in str(await refusal(tools=tools, tool_choice=choice))


@pytest.mark.parametrize(
    "response_format", [7, "json", {"type": "telex"}, {"type": "object", "properties": {"a": object()}}, lambda: None]
)
async def test_formats_that_are_none(response_format: Any) -> None:
    error = await refusal(response_format=response_format)

    assert str(error)


@pytest.mark.parametrize("options", [{"extra_body": {"x": object()}}, {"metadata": {"a": object()}}], ids=shown)
async def test_options_that_no_json_can_hold(options: dict[str, Any]) -> None:
    error = await refusal(**options)

    assert "cannot be written as JSON" in str(error)
    assert "extra_body" in str(error)


# ---------------------------------------------------------------------- answers, on a real socket


BAD_ANSWERS: dict[str, tuple[Answer, type[ModelClientError], str]] = {
    "an error inside a 200": (
        Answer(headers=JSON, body=error_body("No credit left", "insufficient_quota")),
        QuotaExceededError,
        "No credit left",
    ),
    "an error with a status as its code": (
        Answer(headers=JSON, body=b'{"error": {"message": "slow down", "code": 429}}'),
        RateLimitError,
        "slow down",
    ),
    "a router's error": (
        Answer(headers=JSON, body=b'{"choices": null, "error": {"message": "upstream failed", "code": 502}}'),
        ServerError,
        "upstream failed",
    ),
    "a web page": (
        Answer(headers={"content-type": "text/html"}, body=b"<!DOCTYPE html><html><body>Please log in</body></html>"),
        ProtocolError,
        "base_url",
    ),
    "a web page with a status": (
        Answer(404, headers={"content-type": "text/html"}, body=b"<html>Not found</html>"),
        NotFoundError,
        "base_url",
    ),
    "nothing": (Answer(headers=JSON, body=b""), ProtocolError, "empty"),
    "nothing with a status": (Answer(500, body=b""), ServerError, "500"),
    "no content": (Answer(204, headers=JSON, framing="length"), ProtocolError, "empty"),
    "half": (Answer(headers=JSON, body=completion()[:50]), ProtocolError, "openai-compatible"),
    "garbage": (Answer(headers=JSON, body=bytes(range(256))), ProtocolError, ""),
    "another kind of JSON": (Answer(headers=JSON, body=b"[1, 2, 3]"), ProtocolError, ""),
    "a number": (Answer(headers=JSON, body=b"7"), ProtocolError, ""),
    "null": (Answer(headers=JSON, body=b"null"), ProtocolError, ""),
    "no choices": (Answer(headers=JSON, body=b'{"id": "x", "choices": []}'), ProtocolError, "choice"),
    "another API": (Answer(headers=JSON, body=b'{"object": "list", "data": []}'), ProtocolError, ""),
    "plain text": (
        Answer(headers={"content-type": "text/plain"}, body=b"upstream is away"),
        ModelClientError,
        "upstream is away",
    ),
    "a redirect": (Answer(302, headers={"location": "https://login.example.com"}), ModelClientError, "302"),
    "a wrong key": (Answer(401, headers=JSON, body=error_body("Incorrect API key")), AuthenticationError, "api_key="),
    "too long a prompt": (
        Answer(400, headers=JSON, body=error_body("too long", "context_length_exceeded")),
        ContextLengthError,
        "too long",
    ),
    "FastAPI's error": (
        Answer(422, headers=JSON, body=b'{"detail": [{"loc": ["body", "model"], "msg": "field required"}]}'),
        BadRequestError,
        "body.model: field required",
    ),
    "not HTTP": (Answer(raw=b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), ProtocolError, "did not answer in HTTP"),
}


@pytest.mark.parametrize("way", ["create", "create_stream", "stream"])
@pytest.mark.parametrize("name", BAD_ANSWERS)
async def test_bad_answers(server: ScriptedServer, name: str, way: str) -> None:
    bad, kind, text = BAD_ANSWERS[name]
    server.add(bad, answer())
    async with OpenAIChatCompletionClient(
        model="m", base_url=f"{server.url}/v1", max_retries=0, max_connections=1
    ) as client:
        with pytest.raises(ModelClientError) as caught:
            await ask(client, verb=way)

        error = caught.value
        assert isinstance(error, kind), f"{type(error).__name__}: {error}"
        assert text in str(error)
        assert isinstance(error.status_code, int)
        assert len(error.attempts) == 1
        assert error.__cause__ is None
        assert in_use(client.transport) == 0
        assert (await client.create(HELLO)).content == "Hi there"


@pytest.mark.parametrize(
    ("media_type", "way"),
    [
        ("application/json; charset=utf-8", "create_stream"),
        *((name, "create") for name in ("application/json; charset=utf-8", "Application/JSON", "text/plain", "")),
    ],
)
async def test_a_good_whole_answer_of_another_media_type(server: ScriptedServer, media_type: str, way: str) -> None:
    server.add(Answer(headers={"content-type": media_type} if media_type else {}, body=completion()))
    async with OpenAIChatCompletionClient(model="m", base_url=server.url, max_retries=0) as client:
        result = await ask(client, verb=way)

    assert (result if way == "create" else result[-1]).content == "Hi there"


@pytest.mark.parametrize(
    "media_type", ["text/event-stream; charset=utf-8", "text/plain", "application/octet-stream", ""]
)
async def test_a_good_stream_of_another_media_type(server: ScriptedServer, media_type: str) -> None:
    server.add(Answer(headers={"content-type": media_type} if media_type else {}, body=stream_of("Hi", " there")))
    async with OpenAIChatCompletionClient(model="m", base_url=server.url, max_retries=0) as client:
        assert (await ask(client, verb="create_stream"))[-1].content == "Hi there"


@pytest.mark.parametrize("way", ["create_stream", "stream"])
@pytest.mark.parametrize(
    "body", [b"", b": ping\n\n", b"data: [DONE]\n\n", b"data: {}\n\n", b"data: 7\n\n", b"hello"], ids=repr
)
async def test_a_stream_of_nothing(server: ScriptedServer, body: bytes, way: str) -> None:
    server.add(Answer(headers=EVENTS, body=body), answer())
    async with OpenAIChatCompletionClient(model="m", base_url=server.url, max_retries=0) as client:
        with pytest.raises((StreamInterruptedError, ProtocolError)):
            await ask(client, verb=way)

        assert in_use(client.transport) == 0
        assert (await client.create(HELLO)).content == "Hi there"


async def test_an_error_quotes_the_beginning_of_a_long_answer_and_keeps_more() -> None:
    long = b"x" * 200_000
    with pytest.raises(ProtocolError) as caught:
        await ask(client_of(scripted(Reply(headers=JSON, body=long))))

    assert len(str(caught.value)) < 1000
    assert caught.value.body is not None
    assert 10_000 < len(caught.value.body) < 100_000


async def test_a_message_may_be_text_that_looks_dangerous() -> None:
    transport = scripted(told())
    text = '"}], "model": "evil\u2028\x00\x1b[31m'

    await ask(client_of(transport), [UserMessage(content=[Text(text=text)])])

    assert json.loads(transport.requests[0].body)["messages"][0]["content"][0]["text"] == text
