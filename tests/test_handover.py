"""`handover`: what becomes of each thing that another model does not take, the report of it, and fetching."""

from __future__ import annotations

import base64
import gzip
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest

from modelwire import (
    AnthropicChatCompletionClient,
    AssistantMessage,
    Audio,
    BadRequestError,
    ChatCompletionClient,
    Document,
    Fetched,
    FunctionCall,
    GeminiChatCompletionClient,
    Handover,
    Image,
    OllamaChatCompletionClient,
    OpenAIChatCompletionClient,
    ProviderPart,
    Reasoning,
    Refusal,
    SystemMessage,
    Text,
    ToolMessage,
    ToolResult,
    UserMessage,
    Video,
    _download,
    connect,
    handover,
)
from modelwire._transport import HttpxTransport, public
from modelwire.errors import ModelTimeoutError
from modelwire.middleware._wrapper import Wrapper
from tests.conversations import OLDER, PDF, PNG, TARGETS
from tests.server import HOLD, Answer, ScriptedServer

if TYPE_CHECKING:
    from modelwire._conversion import Conversion
    from modelwire.types import Message

pytestmark = pytest.mark.anyio

HELLO = UserMessage(content="Hello")
CALL = FunctionCall(id="c1", name="look", arguments="{}")
RESULT = ToolResult(call_id="c1", content="seen")
PNG_BYTES = base64.b64decode(PNG)


def ollama() -> OllamaChatCompletionClient:
    return OllamaChatCompletionClient(model="qwen3")


def said(*parts: Any) -> AssistantMessage:
    return AssistantMessage(content=list(parts))


def take(target: str, *messages: Message, **how: Any) -> Conversion:
    """What a handover makes of the messages, which are a valid request of the target."""
    found = (TARGETS | OLDER)[target]
    conversion = found.take(messages, **how)
    found.wire(conversion.messages)
    return conversion


def one(conversion: Conversion) -> tuple[str, str, str, str]:
    (loss,) = conversion.losses
    return loss.place, loss.what, loss.action, loss.reason


# ---------------------------------------------------------------------- the function


async def test_nothing_is_copied_or_reported_where_nothing_has_to_change() -> None:
    messages = [HELLO, said(CALL), ToolMessage(content=[RESULT]), said("Done."), HELLO]

    async with ollama() as client:
        converted = await handover(messages, to=client)

    assert converted.losses == []
    assert all(left is right for left, right in zip(converted.messages, messages, strict=True))


async def test_a_loss_says_where_what_and_why_and_can_be_logged_and_stored() -> None:
    messages = [
        HELLO,
        said(CALL),
        ToolMessage(content=[msgspec.structs.replace(RESULT, content=["a", Video(url="https://x")])]),
    ]

    async with ollama() as client:
        converted = await handover(messages, to=client)

    (loss,) = converted.losses
    assert (loss.message, loss.part, loss.inner) == (2, 0, 1)
    assert str(loss) == "messages[2].content[0].content[1]: video left out: ollama takes no video from tools"
    assert msgspec.json.decode(msgspec.json.encode(converted), type=Handover) == converted


async def test_strict_raises_with_the_whole_report() -> None:
    messages = [HELLO, said(Reasoning(text="hm", provider="anthropic"), Refusal(text="No.")), HELLO]

    async with ollama() as client:
        with pytest.raises(BadRequestError) as caught:
            await handover(messages, to=client, strict=True)
        assert (await handover([HELLO], to=client, strict=True)).messages == [HELLO]

    assert str(caught.value) == (
        "ollama cannot take over this conversation without loss:\n"
        "- messages[1].content[0]: reasoning left out: only anthropic recognises it\n"
        "- messages[1].content[1]: refusal put into words: ollama has no mark for a refusal"
    )


async def test_dicts_are_messages_too() -> None:
    async with ollama() as client:
        converted = await handover([{"role": "user", "content": "Hello"}], to=client)  # type: ignore[list-item]

    assert converted.messages == [HELLO]


async def test_a_wrapper_leads_to_its_provider() -> None:
    async with ollama() as client:
        converted = await handover([HELLO, said(Reasoning(text="hm")), HELLO], to=Wrapper(Wrapper(client)))

    assert converted.messages == [HELLO, HELLO]


@pytest.mark.parametrize("client", [ChatCompletionClient(), None, "ollama:qwen3"])
async def test_a_client_without_a_provider_is_refused(client: Any) -> None:
    with pytest.raises(TypeError, match="a client of one provider is needed, or a wrapper around one"):
        await handover([HELLO], to=client)


@pytest.mark.parametrize("messages", ["Hello", [], [5]])
async def test_what_is_no_conversation_is_refused(messages: Any) -> None:
    async with ollama() as client:
        with pytest.raises(BadRequestError, match="messages"):
            await handover(messages, to=client)


async def test_errors_of_a_call_name_the_way_out() -> None:
    part = ProviderPart(provider="another", data=msgspec.Raw(b"{}"))
    clients: list[ChatCompletionClient] = [
        OpenAIChatCompletionClient(model="gpt-4.1", api_key="k"),
        OpenAIChatCompletionClient(model="gpt-4.1", api_key="k", api="responses"),
        AnthropicChatCompletionClient(model="claude-opus-5-5", api_key="k"),
        GeminiChatCompletionClient(model="gemini-3.8-flash", api_key="k"),
        ollama(),
        connect("mistral:mistral-large-4", api_key="k"),
    ]
    for client in clients:
        async with client:
            with pytest.raises(BadRequestError, match=r"modelwire\.handover\(messages, to=client\)"):
                await client.create([UserMessage(content=["a", part])])
            converted = await handover([UserMessage(content=["a", part])], to=client)
        assert converted.messages == [UserMessage(content=["a", Text(text="[part left out]")])]


# ---------------------------------------------------------------------- reasoning


def test_reasoning_of_others_is_left_out_or_put_into_words() -> None:
    messages = [
        HELLO,
        said(Reasoning(text="hm", signature="s", provider="openai-responses", model="gpt-6-sol"), "Yes."),
        HELLO,
    ]

    dropped, told = take("anthropic", *messages), take("anthropic", *messages, reasoning="text")

    assert dropped.messages[1] == said("Yes.")
    assert one(dropped) == ("messages[1].content[0]", "reasoning", "dropped", "only gpt-6-sol recognises it")
    assert told.messages[1] == said(Text(text="<thinking>\nhm\n</thinking>\n\n"), "Yes.")
    assert one(told)[2] == "as_text"


@pytest.mark.parametrize("how", ["drop", "text"])
def test_reasoning_without_words_is_left_out(how: str) -> None:
    converted = take(
        "gemini", HELLO, said(Reasoning(signature="s", provider="anthropic"), "Yes."), HELLO, reasoning=how
    )

    assert converted.messages[1] == said("Yes.")
    assert one(converted)[1:3] == ("reasoning", "dropped")


@pytest.mark.parametrize(
    ("target", "provider", "model", "stays"),
    [
        ("anthropic", "anthropic", "claude-opus-5-5-20260922", True),
        ("anthropic", "anthropic", "claude-sonnet-5-5", False),
        ("openai-responses", "openai-responses", "gpt-6-sol-2026-08-01", True),
        ("openai-responses", "openai-responses", "gpt-5.5", False),
        ("azure-responses", "openai-responses", "gpt-6-sol", False),
        ("gemini", "gemini", "gemini-3.6-flash", True),
        ("openai-chat", "openai", "gpt-4.1", False),
    ],
)
def test_reasoning_goes_to_the_model_that_made_it(target: str, provider: str, model: str, stays: bool) -> None:
    thought = Reasoning(text="hm", signature="s", id="rs_1", provider=provider, model=model)

    converted = take(target, HELLO, said(thought, "Yes."), HELLO)

    assert (thought in converted.messages[1].content) == stays
    assert bool(converted.losses) != stays


def test_a_thought_without_proof_is_reasoning_that_nobody_recognises() -> None:
    message = AssistantMessage(content="Yes.", thought="hm")

    converted = take("ollama", HELLO, message, HELLO)
    told = take("ollama", HELLO, message, HELLO, reasoning="text")

    assert one(converted) == ("messages[1]", "reasoning", "dropped", "only its model recognises it")
    assert converted.messages[1] == AssistantMessage(content="Yes.")
    assert told.messages[1] == said(Text(text="<thinking>\nhm\n</thinking>\n\n"), "Yes.")


def test_a_message_of_nothing_but_reasoning_goes_with_it() -> None:
    converted = take("mistral", HELLO, said(Reasoning(text="hm", provider="ollama")), HELLO)

    assert converted.messages == [HELLO, HELLO]


# ---------------------------------------------------------------------- media


@pytest.mark.parametrize(
    ("target", "part", "instead", "reason"),
    [
        ("anthropic", Audio(data="AAAA", media_type="audio/wav", transcript="Hi"), "Hi", "anthropic takes no audio"),
        ("openai-chat", Audio(data="AAAA", media_type="audio/flac"), "[audio left out]", "openai takes no audio/flac"),
        ("openai-responses", Video(url="https://x"), "[video left out]", "openai takes no video"),
        ("anthropic", Image(data="AAAA", media_type="image/heic"), "[image left out]", "anthropic takes no image/heic"),
        ("openai-chat", Image(file_id="file-1"), "[image left out]", "openai takes no image by reference"),
        ("openai-responses", Image(file_id="file_1"), "[image left out]", "file_1 is no file id of openai"),
        ("anthropic", Document(file_id="file-1"), "[document left out]", "file-1 is no file id of anthropic"),
        ("ollama", Document(data=PDF, media_type="application/pdf", filename="a.pdf"), "[document left out: a.pdf]", "ollama takes no document"),
        ("ollama", Document(data="/w==", media_type="text/plain"), "[document left out]", "ollama takes no document"),
        ("openai-chat", Document(url="https://x"), "[document left out]", "openai does not fetch it from its address; pass fetch=True"),
    ],
)  # fmt: skip
def test_media_that_cannot_be_sent_leave_a_note_in_their_place(
    target: str, part: Any, instead: str, reason: str
) -> None:
    converted = take(target, UserMessage(content=["See:", part]))

    assert converted.messages == [UserMessage(content=["See:", Text(text=instead)])]
    assert one(converted)[3] == reason


@pytest.mark.parametrize("target", ["ollama", "azure-chat", "groq", "anthropic"])
def test_a_document_of_text_is_text_for_all(target: str) -> None:
    part = Document(data=base64.b64encode("Grüße".encode()).decode(), media_type="text/markdown", filename="a.md")

    converted = take(target, UserMessage(content=["See:", part]))

    assert converted.losses == []
    assert converted.messages == [UserMessage(content=["See:", Document(text="Grüße", filename="a.md")])]


def test_a_model_that_sees_nothing_gets_no_images() -> None:
    target = TARGETS["openai-chat"]
    blind = {**target.info, "vision": False}

    conversion = _run(target.codec, blind, [UserMessage(content=["See:", Image(data=PNG)])])

    assert conversion.messages == [UserMessage(content=["See:", Text(text="[image left out]")])]
    assert conversion.losses[0].reason == "the model sees no images"


def _run(codec: Any, info: Any, messages: list[Message]) -> Conversion:
    from modelwire._conversion import Conversion

    conversion = Conversion(codec, "m", info)
    conversion.run(messages)
    return conversion


def test_what_the_assistant_drew_is_shown_by_the_user() -> None:
    drawn = said("Here.", Image(data=PNG), CALL)

    converted = take("anthropic", HELLO, drawn, ToolMessage(content=[RESULT]), UserMessage(content="Bluer."))
    at_the_end = take("openai-chat", HELLO, said(Image(data=PNG)))

    note = Text(text="[image that the assistant made]")
    assert converted.messages[1:] == [
        said("Here.", CALL),
        ToolMessage(content=[RESULT]),
        UserMessage(content=[note, Image(data=PNG), "Bluer."]),
    ]
    assert one(converted)[:3] == ("messages[1].content[1]", "image", "as_user")
    assert at_the_end.messages == [HELLO, UserMessage(content=[note, Image(data=PNG)])]


def test_what_the_assistant_said_aloud_is_put_into_words() -> None:
    spoken = Audio(id="audio_1", data="AAAA", transcript="Hi")

    assert take("openai-chat", HELLO, said(spoken), HELLO).losses == []
    for target in ("openai-responses", "anthropic", "ollama", "mistral"):
        converted = take(target, HELLO, said(spoken), HELLO)
        assert converted.messages[1] == said(Text(text="Hi"))
        assert TARGETS[target].turns([HELLO, said(spoken), HELLO]) == TARGETS[target].turns(converted.messages)


def test_a_document_in_an_answer_is_put_into_words() -> None:
    converted = take("openai-chat", HELLO, said(Document(text="Dear all", title="Letter")), HELLO)

    assert one(converted)[:3] == ("messages[1].content[0]", "document", "as_text")
    assert converted.messages[1] == said(Text(text="Letter\n\nDear all"))


# ---------------------------------------------------------------------- calls and results


def test_a_call_without_a_result_gets_an_error() -> None:
    other = FunctionCall(id="c2", name="draw", arguments="{}")

    converted = take("openai-chat", HELLO, said(CALL, other), ToolMessage(content=[RESULT]), HELLO)

    assert one(converted)[:3] == ("messages[1].content[1]", "tool_result", "added")
    error = ToolResult(
        call_id="c2", name="draw", content="There is no result: the call was not carried out.", is_error=True
    )
    assert converted.messages[2:] == [ToolMessage(content=[RESULT]), ToolMessage(content=[error]), HELLO]


def test_a_result_without_a_call_is_said_by_the_user() -> None:
    stray = ToolResult(call_id="x", name="look", content=["a", Image(data=PNG)], is_error=True)

    converted = take("anthropic", HELLO, said(CALL), ToolMessage(content=[stray, RESULT]), HELLO)

    assert one(converted)[:3] == ("messages[2].content[0]", "tool_result", "as_user")
    assert converted.messages[2:] == [
        ToolMessage(content=[RESULT]),
        UserMessage(content=["Error of look:", "a", Image(data=PNG)]),
        HELLO,
    ]


def test_a_second_result_of_a_call_is_said_by_the_user() -> None:
    converted = take("openai-chat", HELLO, said(CALL), ToolMessage(content=[RESULT, RESULT]))

    assert one(converted)[:3] == ("messages[2].content[1]", "tool_result", "as_user")
    assert converted.messages[2:] == [
        ToolMessage(content=[RESULT]),
        UserMessage(content=["Result of a function:", "seen"]),
    ]


def test_the_report_has_the_order_of_the_conversation() -> None:
    film = Video(url="https://x")
    late = msgspec.structs.replace(RESULT, content=["a", film])

    converted = take("ollama", HELLO, said(CALL), UserMessage(content=[film, film]), ToolMessage(content=[late]))

    assert [loss.place for loss in converted.losses] == [
        "messages[2].content[0]",
        "messages[2].content[1]",
        "messages[3].content[0].content[1]",
    ]


@pytest.mark.parametrize("target", ["openai-chat", "openai-responses", "anthropic", "gemini", "ollama"])
def test_a_result_that_comes_late_is_put_after_its_call(target: str) -> None:
    converted = take(target, HELLO, said(CALL), UserMessage(content="Hurry!"), ToolMessage(content=[RESULT]))

    assert converted.losses == []
    assert converted.messages == [HELLO, said(CALL), ToolMessage(content=[RESULT]), UserMessage(content="Hurry!")]


def test_ids_that_come_again_are_told_apart_where_they_must_be() -> None:
    """As servers give that count the calls of each answer from 0."""
    turn = [said(CALL), ToolMessage(content=[RESULT])]

    same, apart = take("openai-chat", HELLO, *turn, *turn), take("anthropic", HELLO, *turn, *turn)

    assert same.messages == [HELLO, *turn, *turn]
    assert apart.losses == []
    assert apart.messages[3].content[0].id == "c1_2"  # type: ignore[union-attr]
    assert apart.messages[4].content[0].call_id == "c1_2"  # type: ignore[union-attr]


def test_the_name_of_a_function_is_written_as_the_provider_takes_it() -> None:
    call = FunctionCall(id="c1", name="files.read", arguments="{}")
    messages = [HELLO, said(call), ToolMessage(content=[ToolResult(call_id="c1", name="files.read", content="1")])]

    converted = take("openai-chat", *messages)

    assert take("gemini", *messages).losses == []
    assert one(converted) == (
        "messages[1].content[0]",
        "function_call",
        "renamed",
        "openai takes no name such as files.read",
    )
    assert converted.messages[2].content[0].name == "files_read"  # type: ignore[union-attr]


def test_a_call_of_a_free_text_tool_is_one_of_a_function_where_there_are_none() -> None:
    call = FunctionCall(id="c1", name="sql", arguments="SELECT 1", custom=True)
    messages = [HELLO, said(call), ToolMessage(content=[ToolResult(call_id="c1", content="1", custom=True)])]

    converted = take("deepseek", *messages)

    assert take("openai-chat", *messages).messages == messages
    assert converted.losses == []
    assert converted.messages[1] == said(FunctionCall(id="c1", name="sql", arguments='{"input":"SELECT 1"}'))


def test_results_have_the_names_of_their_calls_where_they_are_matched_by_them() -> None:
    wire = TARGETS["ollama"].wire([HELLO, said(CALL), ToolMessage(content=[RESULT])])
    other = msgspec.structs.replace(RESULT, name="Look")

    assert wire["messages"][2]["tool_name"] == "look"
    assert take("ollama", HELLO, said(CALL), ToolMessage(content=[other])).messages[2].content[0].name == "look"  # type: ignore[union-attr]


# ---------------------------------------------------------------------- roles


@pytest.mark.parametrize(
    ("target", "stays"),
    [("openai-chat", True), ("ollama", True), ("anthropic", True), ("anthropic-4.5", False), ("gemini", False)],
)
def test_a_system_message_amid_the_conversation(target: str, stays: bool) -> None:
    late = SystemMessage(content="Be brief.")

    converted = take(target, late, HELLO, late, said("Hi."), HELLO)

    assert converted.messages[0] == late
    assert (converted.messages[2] == late) == stays
    assert stays or one(converted)[:3] == ("messages[2]", "system", "as_user")
    assert stays or converted.messages[2] == UserMessage(content="Be brief.")


def test_a_system_message_between_answers_is_said_by_the_user_where_it_may_not_stand() -> None:
    converted = take("anthropic", HELLO, said("Hi."), SystemMessage(content="Be brief."), HELLO)

    assert one(converted)[:3] == ("messages[2]", "system", "as_user")


def test_nothing_but_system_text_is_said_by_the_user_where_somebody_has_to_ask() -> None:
    converted = take("anthropic", SystemMessage(content="Be brief."), SystemMessage(content="Greet me."))

    assert converted.messages == [SystemMessage(content="Be brief."), UserMessage(content="Greet me.")]
    assert one(converted)[0] == "messages[1]"


def test_a_user_begins_where_one_has_to() -> None:
    greeting = said("Hello, what can I do?")

    converted = take("anthropic", greeting, HELLO)

    assert take("openai-chat", greeting, HELLO).losses == []
    assert one(converted)[:3] == ("messages[0]", "user", "added")
    assert [message.role for message in converted.messages] == ["user", "assistant", "user"]


# ---------------------------------------------------------------------- fetching


async def test_addresses_are_fetched_once_by_a_function() -> None:
    asked: list[str] = []

    async def fetch(url: str) -> bytes | Fetched:
        asked.append(url)
        await anyio.lowlevel.checkpoint()
        return Fetched(b"a letter", "text/plain") if url.endswith("txt") else PNG_BYTES

    part = Image(url="https://example.org/a", detail="low")
    letter = Document(url="https://example.org/a.txt")
    async with ollama() as client:
        converted = await handover(
            [UserMessage(content=[part, letter]), UserMessage(content=[part])], to=client, fetch=fetch
        )

    assert converted.losses == []
    assert converted.messages == [
        UserMessage(content=[Image(data=PNG, media_type="image/png", detail="low"), Document(text="a letter")]),
        UserMessage(content=[Image(data=PNG, media_type="image/png", detail="low")]),
    ]
    assert sorted(asked) == ["https://example.org/a", "https://example.org/a.txt"]


async def test_what_the_provider_fetches_is_not_fetched_here() -> None:
    async def fetch(url: str) -> bytes:
        raise AssertionError(url)

    message = UserMessage(content=["See:", Image(url="https://example.org/a")])
    async with OpenAIChatCompletionClient(model="gpt-4.1", api_key="k") as client:
        assert (await handover([message], to=client, fetch=fetch)).messages == [message]


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (OSError("gone"), "it could not be fetched: OSError: gone"),
        (BadRequestError("no"), "it could not be fetched: no"),
        (b"", "what was fetched is no image: these 0 bytes: empty"),
        (Fetched(b"<html>", "text/html"), "what was fetched is no image: these 6 bytes: not image data"),
        (Fetched(PDF.encode(), "image/heic"), ""),
    ],
)
async def test_what_cannot_be_fetched_is_a_loss(outcome: Any, reason: str) -> None:
    async def fetch(_: str) -> Any:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async with ollama() as client:
        converted = await handover([UserMessage(content=[Image(url="https://example.org/a")])], to=client, fetch=fetch)

    assert [loss.reason[: len(reason)] for loss in converted.losses] == ([reason] if reason else [])


async def download(server: ScriptedServer, path: str = "/a") -> Fetched:
    transport = HttpxTransport()
    try:
        return await _download.Downloads(transport).fetch(server.url + path)
    finally:
        await transport.aclose()


async def test_a_download_follows_redirects_and_sends_no_credentials(server: ScriptedServer) -> None:
    server.add(
        Answer(302, headers={"location": "/b", "set-cookie": "a=b"}),
        Answer(headers={"content-type": "image/PNG; q=1"}, body=[PNG_BYTES[:5], PNG_BYTES[5:]]),
    )

    found = await download(server)

    assert found == (PNG_BYTES, "image/png")
    assert [request.path for request in server.requests] == ["/a", "/b"]
    allowed = {"host", "accept", "accept-encoding", "connection", "user-agent"}
    assert all(request.headers.keys() <= allowed for request in server.requests)
    assert {request.method for request in server.requests} == {"GET"}


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([Answer(404)], "the server answers with status 404"),
        ([Answer(302)], "the server answers with status 302"),
        ([Answer(302, headers={"location": "file:///etc/passwd"})], "only http:// and https:// are fetched"),
        ([Answer(302, headers={"location": "/a"})] * 6, "more than 5 redirects"),
        ([Answer(headers={"content-encoding": "gzip"}, body=gzip.compress(b"a"))], "the server compresses it"),
        ([Answer(body=[bytes(2**20)] * 3)], "it is larger than 2097152 bytes"),
    ],
)
async def test_a_download_is_bounded(
    server: ScriptedServer, answers: list[Answer], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_download, "MAX_BYTES", 2 * 2**20)
    server.add(*answers)

    with pytest.raises(BadRequestError, match=reason):
        await download(server)


async def test_a_download_takes_no_longer_than_it_may(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_download, "MAX_SECONDS", 0.05)
    server.add(Answer(body=[b"a", HOLD]))

    with pytest.raises(ModelTimeoutError, match=r"it took more than 0\.05 seconds"):
        await download(server)


async def test_all_downloads_together_are_bounded(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_download, "MAX_TOTAL", 5)
    server.add(Answer(body=b"abc"), Answer(body=b"abc"))
    transport = HttpxTransport()
    downloads = _download.Downloads(transport)

    assert (await downloads.fetch(f"{server.url}/a")).content == b"abc"
    with pytest.raises(BadRequestError, match="all together are larger than 5 bytes"):
        await downloads.fetch(f"{server.url}/b")
    await transport.aclose()


async def test_a_cancelled_handover_leaves_no_connection(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public, "is_public", {"127.0.0.1"}.__contains__)
    server.add(Answer(body=[b"a", HOLD]))

    async with ollama() as client:
        with anyio.move_on_after(0.1) as scope:
            await handover([UserMessage(content=[Image(url=f"{server.url}/a")])], to=client, fetch=True)

    assert scope.cancelled_caught
    await anyio.to_thread.run_sync(server.wait_closed)


async def test_fetching_reaches_public_addresses_alone(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    message = UserMessage(
        content=["See:", Image(url=f"{server.url}/a"), Image(url=f"http://localhost:{server.port}/a")]
    )

    async with ollama() as client:
        converted = await handover([message], to=client, fetch=True)

    assert [loss.reason for loss in converted.losses] == ["it could not be fetched: 127.0.0.1 is no public address"] * 2
    assert server.requests == []
    await anyio.to_thread.run_sync(server.wait_closed)


async def test_fetching_brings_what_a_public_address_holds(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public, "is_public", {"127.0.0.1"}.__contains__)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    server.add(Answer(body=PNG_BYTES))

    async with ollama() as client:
        converted = await handover([UserMessage(content=["See:", Image(url=f"{server.url}/a")])], to=client, fetch=True)

    assert converted.messages == [UserMessage(content=["See:", Image(data=PNG, media_type="image/png")])]


@pytest.mark.parametrize(
    ("address", "reachable"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00:ec2::254", False),
        ("::ffff:10.0.0.1", False),
        ("2002:0a00:0001::", False),
        ("64:ff9b::a00:1", False),
    ],
)
def test_public_addresses(address: str, reachable: bool) -> None:
    assert public.is_public(address) == reachable
