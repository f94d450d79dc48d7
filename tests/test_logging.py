"""One line in the log for each call, with the facts and without secrets or contents."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import anyio
import pytest

from modelwire import ModelClientError, UserMessage
from modelwire.client import ProviderClient
from modelwire.providers._openai_chat import ChatCodec
from tests.chat_answers import EVENTS, JSON, error_body, refused, streamed, text_chunks, told
from tests.fakes import Reply, client_of, scripted

pytestmark = pytest.mark.anyio

KEY = "sk-do-not-show-this"
QUESTION = "What is the meaning of porridge?"
ASK = [UserMessage(content=QUESTION)]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    """The facts of each line, once nothing in the records shows a secret or a content."""
    caplog.set_level(logging.INFO, logger="modelwire")

    def facts() -> list[dict[str, Any]]:
        for record in caplog.records:
            shown = f"{record.getMessage()} {record.__dict__}"
            assert not [word for word in (KEY, QUESTION, "Hi there", "porridge") if word in shown]
        return [record.__dict__["modelwire"] for record in caplog.records if record.name == "modelwire"]

    return facts


async def test_a_whole_answer(lines: Any, caplog: pytest.LogCaptureFixture) -> None:
    transport = scripted(refused(503), told(**{"x-request-id": "req_1"}), chances=[1.0])

    await client_of(transport).create(ASK)

    assert lines() == [
        {
            "provider": "openai",
            "model": "gpt-4.1",
            "stream": False,
            "status": 200,
            "attempts": 2,
            "seconds": 0.5,
            "finish_reason": "stop",
            "prompt_tokens": 9,
            "completion_tokens": 4,
            "request_id": "req_1",
            "error": None,
        }
    ]
    assert caplog.records[0].levelno == logging.INFO
    assert "model=gpt-4.1" in caplog.records[0].getMessage()


async def test_a_stream_to_its_end(lines: Any) -> None:
    _ = [item async for item in client_of(scripted(streamed("Hi", " there"))).create_stream(ASK)]

    (line,) = lines()
    assert (line["stream"], line["status"], line["attempts"]) == (True, 200, 1)
    assert (line["finish_reason"], line["error"], line["completion_tokens"]) == ("stop", None, 4)


@pytest.mark.parametrize("verb", ["create", "create_stream"])
async def test_a_failure(lines: Any, verb: str) -> None:
    client = client_of(scripted(refused(400, "bad", x_request_id="req_1"), refused(401)))

    with pytest.raises(ModelClientError):
        _ = await client.create(ASK) if verb == "create" else [item async for item in client.create_stream(ASK)]

    (line,) = lines()
    assert (line["status"], line["attempts"], line["error"]) == (400, 1, "BadRequestError")
    assert (line["finish_reason"], line["prompt_tokens"], line["request_id"]) == (None, None, "req_1")


async def test_a_stream_that_fails_in_the_middle(lines: Any) -> None:
    reply = Reply(headers=EVENTS, body=text_chunks("Hi there"))

    with pytest.raises(ModelClientError):
        _ = [item async for item in client_of(scripted(reply)).create_stream(ASK)]

    (line,) = lines()
    assert (line["status"], line["attempts"], line["error"]) == (200, 1, "StreamInterruptedError")


@pytest.mark.parametrize("way", ["block", "aclose", "exception"])
async def test_a_stream_that_is_closed_early_has_neither_a_reason_nor_an_error(lines: Any, way: str) -> None:
    transport = scripted(refused(500), Reply(headers=EVENTS, body=text_chunks("Hi there"), hold_body=True))
    stream = client_of(transport).create_stream(ASK)

    with contextlib.suppress(KeyError):
        async with stream:
            async for _ in stream:
                if way == "exception":
                    raise KeyError
                if way == "aclose":
                    await stream.aclose()
                break

    (line,) = lines()
    assert (line["status"], line["attempts"]) == (200, 2)
    assert (line["finish_reason"], line["error"]) == (None, None)


@pytest.mark.parametrize("verb", ["create", "create_stream"])
async def test_a_cancelled_call(lines: Any, verb: str) -> None:
    client = client_of(scripted(Reply(hold=True)))

    with anyio.move_on_after(0.02):
        _ = await client.create(ASK) if verb == "create" else [item async for item in client.create_stream(ASK)]

    (line,) = lines()
    assert line["error"] in ("CancelledError", "Cancelled")
    assert (line["status"], line["attempts"]) == (0, 1)


@pytest.mark.parametrize("verb", ["create", "create_stream"])
async def test_a_call_that_the_gate_stopped(lines: Any, verb: str) -> None:
    async def gate(attempt: int) -> None:
        raise KeyError(attempt)

    client = client_of(scripted(told()), gate=gate)

    with pytest.raises(KeyError):
        _ = await client.create(ASK) if verb == "create" else [item async for item in client.create_stream(ASK)]

    (line,) = lines()
    assert (line["attempts"], line["error"]) == (0, "KeyError")


async def test_a_deadline(lines: Any) -> None:
    with pytest.raises(ModelClientError):
        await client_of(scripted(Reply(hold=True)), deadline=0.02).create(ASK)

    (line,) = lines()
    assert (line["attempts"], line["error"]) == (1, "ModelTimeoutError")


async def test_a_stream_that_never_began_and_a_request_that_was_never_sent_have_no_line(lines: Any) -> None:
    client = client_of(scripted(told()))

    async with client.stream(ASK):
        pass
    with pytest.raises(ModelClientError):
        await client.create([])

    assert lines() == []


async def test_a_stream_closed_by_another_task_has_one_line(lines: Any) -> None:
    stream = client_of(scripted(Reply(headers=EVENTS, body=text_chunks("Hi there"), hold_body=True))).stream(ASK)
    for _ in range(2):
        await anext(stream)

    async def read() -> None:
        with pytest.raises(ModelClientError):
            await anext(stream)

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        await stream.aclose()

    assert len(lines()) == 1


async def test_the_line_is_not_written_where_nobody_asked_for_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="modelwire")

    await client_of(scripted(told())).create(ASK)

    assert caplog.records == []


# ---------------------------------------------------------------------- no secret anywhere


class Echo:
    """Ways in which a server may show a request's credentials."""

    @staticmethod
    def replies(secret: str) -> list[Reply]:
        long_before = "x" * 480 + secret
        return [
            Reply(401, JSON, error_body(f"Incorrect API key provided: {secret}.")),
            Reply(400, JSON, error_body(f"header was 'Bearer {secret}'")),
            Reply(400, {"content-type": "text/plain"}, f"request had {secret} in it".encode()),
            Reply(400, {"content-type": "text/html"}, f"<html>{secret}</html>".encode()),
            Reply(400, {"content-type": "text/plain"}, long_before.encode()),
            Reply(200, JSON, error_body(f"bad key {secret}", "invalid_api_key")),
            Reply(200, JSON, f'{{"what": "{secret}"}}'.encode()),
            Reply(200, JSON, f"not json {secret}".encode()),
            Reply(200, EVENTS, b"data: %b\n\n" % error_body(f"bad key {secret}", "invalid_api_key")),
            Reply(200, EVENTS, f"data: not json {secret}\n\n".encode()),
        ]


async def shown_by(client: Any, verb: str) -> str:
    """Everything that a user can see of the error."""
    with pytest.raises(ModelClientError) as caught:
        _ = await client.create(ASK) if verb == "create" else [item async for item in client.create_stream(ASK)]
    shown: list[str] = []
    error: BaseException | None = caught.value
    while error is not None:
        shown.append(f"{error} {error!r} {error.args} {error.__dict__}")
        error = error.__cause__ or error.__context__
    return " ".join(shown)


@pytest.mark.parametrize("verb", ["create", "create_stream"])
@pytest.mark.parametrize("number", range(len(Echo.replies(""))))
async def test_an_error_does_not_show_a_key_that_the_server_echoed(lines: Any, number: int, verb: str) -> None:
    key = "opaque/key+of=no.known-form"  # no pattern of keys would find it
    client = client_of(scripted(Echo.replies(key)[number]), api_key=key, max_retries=0)

    shown = await shown_by(client, verb)

    assert key not in shown
    assert "opaque/key" not in shown
    assert key not in str(lines())


@pytest.mark.parametrize("verb", ["create", "create_stream"])
@pytest.mark.parametrize("number", range(len(Echo.replies(""))))
async def test_an_error_does_not_show_a_token_or_a_secret_header_either(number: int, verb: str) -> None:
    async def token(refresh: bool) -> str:
        return "opaque.token.0123456789"

    for secret, settings in (
        ("opaque.token.0123456789", {}),
        ("opaque-header-0123", {"default_headers": {"X-Api-Key": "opaque-header-0123"}}),
        ("opaque-header-4567", {"extra_headers": {"Authorization": "Basic opaque-header-4567"}}),
    ):
        transport = scripted(Echo.replies(secret)[number])
        client = ProviderClient(
            model="m",
            codec=ChatCodec("https://api.example.com/"),
            family="OpenAIOptions",
            token=token,
            given={"transport": transport, "clock": transport.clock, "max_retries": 0} | settings,
        )

        assert secret not in await shown_by(client, verb)


async def test_a_short_word_that_stands_for_a_key_is_not_cut_out_of_errors() -> None:
    """Local servers are often given `EMPTY` or `none`."""
    client = client_of(scripted(Reply(400, JSON, error_body("none of the models is loaded"))), api_key="none")

    assert "none of the models" in await shown_by(client, "create")


async def test_a_client_does_not_show_its_key() -> None:
    client = client_of(scripted(told()), default_headers={"x-api-key": "opaque-header-0123"})

    assert "opaque-header" not in f"{client!r} {client}"
    assert KEY not in f"{client!r} {client}"
    assert repr(client) == "OpenAIChatCompletionClient(model='gpt-4.1', provider='openai')"
    assert KEY not in repr(client.stream(ASK))
