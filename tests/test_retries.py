"""Retries have one owner, the provider client: what is sent again, when, and what is recorded of it."""

from __future__ import annotations

from typing import Any

import pytest

from modelwire import (
    AuthenticationError,
    BadRequestError,
    ConnectionFailedError,
    Finish,
    ModelClientError,
    ModelTimeoutError,
    OverloadedError,
    QuotaExceededError,
    RateLimitError,
    RateLimitWindow,
    RetryPolicy,
    ServerError,
    Start,
    StreamInterruptedError,
    TextDelta,
)
from modelwire.client import ProviderClient
from modelwire.providers._openai_chat import ChatCodec
from tests.chat_answers import (
    EVENTS,
    HELLO,
    JSON,
    ROLE,
    chunk,
    error_body,
    refused,
    stream_of,
    streamed,
    text_chunks,
    told,
)
from tests.fakes import FakeTransport, Reply, client_of, scripted

pytestmark = pytest.mark.anyio

BROKEN = ConnectionFailedError("the connection broke")
SLOW = ModelTimeoutError("no first byte")


async def failure(client: Any, verb: str = "create", **options: Any) -> ModelClientError:
    with pytest.raises(ModelClientError) as caught:
        await ask(client, verb, **options)
    return caught.value


async def ask(client: Any, verb: str = "create", **options: Any) -> Any:
    if verb == "create":
        return await client.create(HELLO, **options)
    return [item async for item in getattr(client, verb)(HELLO, **options)][-1]


@pytest.fixture(params=["create", "create_stream", "stream"])
def verb(request: pytest.FixtureRequest) -> str:
    return request.param


# ---------------------------------------------------------------------- what is sent again


@pytest.mark.parametrize(
    "failed",
    [
        refused(408),
        refused(409),
        refused(429),
        refused(500),
        refused(502),
        refused(503),
        refused(529),
        BROKEN,
        SLOW,
    ],
    ids=lambda failed: str(getattr(failed, "status", type(failed).__name__)),
)
async def test_what_may_pass_is_sent_again(failed: Any, verb: str) -> None:
    transport = scripted(failed, failed, told())

    result = await ask(client_of(transport), verb)

    assert result.finish_reason == "stop"
    assert len(transport.requests) == 3
    assert transport.open == 0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 501])
async def test_what_cannot_pass_is_not_sent_again(status: int, verb: str) -> None:
    transport = scripted(refused(status))

    error = await failure(client_of(transport), verb)

    assert (error.status_code, len(transport.requests), transport.open) == (status, 1, 0)


async def test_a_used_up_quota_is_not_sent_again_although_it_is_a_429(verb: str) -> None:
    transport = scripted(refused(429, "insufficient_quota", retry_after="1"))

    error = await failure(client_of(transport), verb)

    assert isinstance(error, QuotaExceededError)
    assert len(transport.requests) == 1


async def test_the_same_request_is_sent_each_time() -> None:
    transport = scripted(refused(500), refused(500), told())

    await ask(client_of(transport))

    assert transport.requests[0] == transport.requests[1] == transport.requests[2]


async def test_the_last_error_is_raised_when_all_attempts_are_used(verb: str) -> None:
    transport = scripted(refused(500), refused(429), refused(503))

    error = await failure(client_of(transport), verb)

    assert isinstance(error, OverloadedError)
    assert [attempt.status_code for attempt in error.attempts] == [500, 429, 503]
    assert len(transport.clock.sleeps) == 2


@pytest.mark.parametrize(
    ("settings", "requests"),
    [
        ({}, 3),
        ({"max_retries": None}, 3),
        ({"max_retries": 0}, 1),
        ({"max_retries": 4}, 5),
        ({"retry": None}, 1),
        ({"retry": RetryPolicy(max_retries=1)}, 2),
        ({"retry": RetryPolicy(max_retries=1), "max_retries": None}, 2),
    ],
    ids=str,
)
async def test_how_often_is_a_setting(settings: dict[str, Any], requests: int, verb: str) -> None:
    transport = scripted(refused(500))

    await failure(client_of(transport, **settings), verb)

    assert len(transport.requests) == requests


async def test_max_retries_and_a_policy_together_are_an_error() -> None:
    with pytest.raises(TypeError, match="max_retries is short for retry="):
        client_of(scripted(told()), max_retries=2, retry=RetryPolicy())


@pytest.mark.parametrize("numbers", [{"max_retries": -1}, {"initial_delay": -1.0}, {"max_retry_after": -0.1}], ids=str)
async def test_a_policy_has_no_negative_numbers(numbers: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no negative numbers"):
        RetryPolicy(**numbers)


# ---------------------------------------------------------------------- what the server says


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Mon, 23 Nov 2026 10:00:07 GMT", "date": "Mon, 23 Nov 2026 10:00:00 GMT"}, 7.0),
        ({"retry-after": "Mon, 23 Nov 2026 09:00:00 GMT", "date": "Mon, 23 Nov 2026 10:00:00 GMT"}, 0.0),
        ({"retry-after": "120"}, 120.0),
    ],
    ids=str,
)
async def test_retry_after_is_obeyed_in_all_its_forms(headers: dict[str, str], seconds: float, verb: str) -> None:
    transport = scripted(Reply(429, JSON | headers, error_body()), told())

    result = await ask(client_of(transport), verb)

    assert transport.clock.sleeps == [seconds]
    assert result.attempts[0].retry_after == seconds


@pytest.mark.parametrize("value", ["soon", "-1", "inf", "Mon, 23 Nov 2026 10:00:07 GMT"])
async def test_a_retry_after_that_says_nothing_leaves_the_wait_to_chance(value: str) -> None:
    """The date too: it has no `date` header beside it, so that it cannot be compared with a clock."""
    transport = scripted(Reply(429, JSON | {"retry-after": value}, error_body()), told(), chances=[0.25])

    await ask(client_of(transport))

    assert transport.clock.sleeps == [0.125]


async def test_a_server_that_asks_for_too_long_a_wait_gets_no_second_request(verb: str) -> None:
    transport = scripted(refused(429, retry_after="121"), told())

    error = await failure(client_of(transport), verb)

    assert isinstance(error, RateLimitError)
    assert (error.retry_after, transport.clock.sleeps, len(transport.requests)) == (121.0, [], 1)


async def test_how_long_a_wait_is_too_long_is_a_setting() -> None:
    transport = scripted(refused(429, retry_after="500"), told())

    await ask(client_of(transport, retry=RetryPolicy(max_retry_after=600)))

    assert transport.clock.sleeps == [500.0]


async def test_the_server_may_ask_for_a_retry_of_what_is_normally_final(verb: str) -> None:
    transport = scripted(refused(400, x_should_retry="true"), told())

    await ask(client_of(transport), verb)

    assert len(transport.requests) == 2


async def test_the_server_may_advise_against_a_retry(verb: str) -> None:
    transport = scripted(refused(500, x_should_retry="false"), told())

    error = await failure(client_of(transport), verb)

    assert isinstance(error, ServerError)
    assert not error.retryable
    assert len(transport.requests) == 1


# ---------------------------------------------------------------------- how long the wait is


async def test_without_advice_the_wait_is_any_time_below_a_bound_that_doubles() -> None:
    transport = scripted(refused(500), chances=[0.0, 0.999, 0.5, 0.999, 0.999, 0.999, 0.999])

    await failure(client_of(transport, max_retries=7))

    assert transport.clock.sleeps == pytest.approx([0.0, 0.999, 1.0, 3.996, 7.992, 7.992, 7.992])


async def test_the_bounds_are_settings() -> None:
    transport = scripted(refused(500), chances=[1.0, 1.0, 1.0])
    policy = RetryPolicy(max_retries=3, initial_delay=10.0, max_delay=25.0)

    await failure(client_of(transport, retry=policy))

    assert transport.clock.sleeps == [10.0, 20.0, 25.0]


def test_the_wait_of_a_very_patient_policy_has_a_bound_too() -> None:
    policy = RetryPolicy(max_retries=10**6)

    assert policy.delay(5000, ServerError("failed"), lambda: 1.0) == 8.0


def test_the_real_chance_is_spread_over_the_whole_time() -> None:
    from modelwire._clock import RealClock

    waits = [RetryPolicy().delay(0, ServerError("failed"), RealClock().random) or 0.0 for _ in range(500)]

    assert (min(waits) < 0.05, max(waits) > 0.45, max(waits) < 0.5) == (True, True, True)


# ---------------------------------------------------------------------- what is recorded


async def test_every_attempt_is_recorded_on_the_result(verb: str) -> None:
    limits = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "0"}
    first = Reply(429, JSON | limits | {"x-request-id": "req_1", "retry-after": "2"}, error_body("slow down", "limit"))
    last = told("Hi", **{"x-request-id": "req_3"})
    first.seconds, last.seconds = 0.5, 3.0
    transport = scripted(first, BROKEN, last, chances=[0.5])

    result = await ask(client_of(transport), verb)

    one, two, three = result.attempts
    assert (one.status_code, one.started, one.duration) == (429, 0.0, 0.5)
    assert (one.error, one.code, one.request_id, one.retry_after) == ("RateLimitError", "limit", "req_1", 2.0)
    assert one.rate_limit.requests == RateLimitWindow(limit=60, remaining=0)
    assert (two.status_code, two.started, two.duration) == (0, 2.5, 0.0)
    assert (two.error, two.request_id, two.rate_limit) == ("ConnectionFailedError", None, None)
    assert (three.status_code, three.started, three.duration) == (200, 3.0, 3.0)
    assert (three.error, three.request_id) == (None, "req_3")
    assert (result.request_id, result.timing.total) == ("req_3", 6.0)


async def test_every_attempt_is_recorded_on_the_error(verb: str) -> None:
    transport = scripted(refused(503, x_request_id="req_1"), refused(400, "bad", x_request_id="req_2"))

    error = await failure(client_of(transport), verb)

    assert isinstance(error, BadRequestError)
    assert [(one.status_code, one.error, one.code, one.request_id) for one in error.attempts] == [
        (503, "OverloadedError", None, "req_1"),
        (400, "BadRequestError", "bad", "req_2"),
    ]
    assert error.request_id == "req_2"


async def test_rate_limits_are_on_results_errors_and_attempts(verb: str) -> None:
    limits = {"x-ratelimit-remaining-tokens": "12", "x-ratelimit-reset-tokens": "1m30s"}
    transport = scripted(told(**limits), refused(400, **limits))
    client = client_of(transport)

    result = await ask(client, verb)
    error = await failure(client, verb)

    for limit in (result.rate_limit, result.attempts[0].rate_limit, error.rate_limit, error.attempts[0].rate_limit):
        assert limit.tokens == RateLimitWindow(remaining=12, reset=90.0)


async def test_an_error_inside_a_200_answer_has_the_facts_of_its_headers(verb: str) -> None:
    body = error_body("the upstream failed", "server_error")
    headers = JSON | {"x-request-id": "req_1", "retry-after": "4", "x-ratelimit-remaining-requests": "3"}
    transport = scripted(Reply(200, headers, body), told())

    result = await ask(client_of(transport), verb)

    failed = result.attempts[0]
    assert (failed.status_code, failed.error, failed.request_id) == (200, "ServerError", "req_1")
    assert failed.rate_limit.requests.remaining == 3
    assert transport.clock.sleeps == [4.0]


# ---------------------------------------------------------------------- streams


BREAKS = {
    "cut": Reply(headers=EVENTS, body=[]),
    "cut after the role": Reply(headers=EVENTS, body=[ROLE]),
    "broken": Reply(headers=EVENTS, body=[ROLE, BROKEN]),
    "silent": Reply(headers=EVENTS, body=[ROLE, SLOW]),
    "error frame": Reply(headers=EVENTS, body=[b"data: %b\n\n" % error_body("failed", "server_error")]),
    "error after the role": Reply(
        headers=EVENTS, body=[ROLE, b"data: %b\n\n" % error_body("busy", None, "overloaded_error")]
    ),
    "error in the role's piece": Reply(
        headers=EVENTS, body=[ROLE + b"data: %b\n\n" % error_body("no", "server_error")]
    ),
}


@pytest.mark.parametrize("broken", BREAKS.values(), ids=BREAKS.keys())
async def test_a_stream_that_fails_before_any_content_is_sent_again_invisibly(broken: Reply) -> None:
    transport = scripted(broken, broken, streamed())

    events = [event async for event in client_of(transport).stream(HELLO)]

    assert [type(event) for event in events] == [Start, TextDelta, TextDelta, Finish]
    assert [attempt.error is None for attempt in events[-1].attempts] == [False, False, True]
    assert (len(transport.requests), transport.open) == (3, 0)


@pytest.mark.parametrize("failure_after", [BROKEN, SLOW, None], ids=["broken", "silent", "cut"])
async def test_a_stream_that_fails_after_content_is_not_sent_again(failure_after: Exception | None) -> None:
    body = [*text_chunks("Hi"), *([failure_after] if failure_after else [])]
    transport = scripted(Reply(headers=EVENTS, body=body), streamed())
    stream = client_of(transport).create_stream(HELLO)

    assert await anext(stream) == "Hi"
    with pytest.raises(ModelClientError) as caught:
        await anext(stream)

    assert (len(transport.requests), transport.open) == (1, 0)
    assert [attempt.status_code for attempt in caught.value.attempts] == [200]


async def test_reasoning_and_calls_are_content_too() -> None:
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": ""}}
    for delta in ({"reasoning_content": "Hm"}, {"tool_calls": [call]}, {"refusal": "No"}):
        transport = scripted(Reply(headers=EVENTS, body=[ROLE, chunk(delta), BROKEN]), streamed())

        error = await failure(client_of(transport), "stream")

        assert isinstance(error, StreamInterruptedError)
        assert len(transport.requests) == 1


async def test_early_usage_is_no_content() -> None:
    """Some providers report the prompt's tokens first, and then that they are overloaded."""
    from modelwire.types import Usage, UsageUpdate

    class Early(ChatCodec):
        def stream_decoder(self) -> Any:
            inner = super().stream_decoder()
            usage = UsageUpdate(usage=Usage(prompt_tokens=9, completion_tokens=0))

            class Decoder:
                error = None
                close = inner.close

                def feed(self, data: bytes) -> Any:
                    events = inner.feed(data)
                    self.error = inner.error
                    return [events[0], usage, *events[1:]] if events and isinstance(events[0], Start) else events

            return Decoder()

    transport = scripted(Reply(headers=EVENTS, body=[ROLE, BROKEN]), streamed())
    client = ProviderClient(
        model="m",
        codec=Early("https://api.example.com/chat/completions"),
        family="OpenAIOptions",
        given={"transport": transport, "clock": transport.clock},
    )

    events = [event async for event in client.stream(HELLO)]

    assert [type(event) for event in events] == [Start, UsageUpdate, TextDelta, TextDelta, Finish]
    assert len(transport.requests) == 2


async def test_an_error_status_on_a_stream_is_retried_and_mapped() -> None:
    transport = scripted(refused(503), refused(429, retry_after="1"), streamed())

    last = await ask(client_of(transport), "create_stream")

    assert last.content == "Hi there"
    assert [attempt.error for attempt in last.attempts] == ["OverloadedError", "RateLimitError", None]


async def test_a_stream_that_ends_with_its_first_content_is_one_attempt() -> None:
    transport = scripted(Reply(headers=EVENTS, body=[b"".join(stream_of("Hi"))]))

    events = [event async for event in client_of(transport).stream(HELLO)]

    assert [type(event) for event in events] == [Start, TextDelta, Finish]
    assert len(events[-1].attempts) == 1


# ---------------------------------------------------------------------- fresh credentials


class Tokens:
    """Gives tokens and notes when it is asked for another than the last."""

    def __init__(self) -> None:
        self.asked: list[bool] = []

    async def __call__(self, refresh: bool) -> str:
        self.asked.append(refresh)
        return f"token-{sum(self.asked)}-0123456789"


def client_with(tokens: Any, transport: FakeTransport, **settings: Any) -> ProviderClient:
    return ProviderClient(
        model="m",
        codec=ChatCodec("https://api.example.com/chat/completions"),
        family="OpenAIOptions",
        token=tokens,
        given={"transport": transport, "clock": transport.clock} | settings,
    )


def sent_tokens(transport: FakeTransport) -> list[bytes]:
    return [dict(request.headers)[b"authorization"] for request in transport.requests]


@pytest.mark.parametrize("settings", [{}, {"max_retries": 0}, {"retry": None}], ids=str)
async def test_a_401_is_tried_once_more_with_a_fresh_token(settings: dict[str, Any], verb: str) -> None:
    tokens, transport = Tokens(), scripted(refused(401), told())

    result = await ask(client_with(tokens, transport, **settings), verb)

    assert tokens.asked == [False, True]
    assert sent_tokens(transport) == [b"Bearer token-0-0123456789", b"Bearer token-1-0123456789"]
    assert [attempt.error for attempt in result.attempts] == ["AuthenticationError", None]
    assert transport.clock.sleeps == []


async def test_a_second_401_is_final(verb: str) -> None:
    tokens, transport = Tokens(), scripted(refused(401))

    error = await failure(client_with(tokens, transport), verb)

    assert isinstance(error, AuthenticationError)
    assert (tokens.asked, len(error.attempts)) == ([False, True], 2)


async def test_a_token_is_refreshed_once_and_not_for_each_retry_that_follows(verb: str) -> None:
    tokens, transport = Tokens(), scripted(refused(401), refused(500), refused(500), told())

    await ask(client_with(tokens, transport), verb)

    assert tokens.asked == [False, True, False, False]


async def test_without_a_source_of_tokens_a_401_is_final() -> None:
    transport = scripted(refused(401), told())

    await failure(client_of(transport))

    assert len(transport.requests) == 1


async def test_a_token_that_cannot_be_fetched_is_no_attempt_but_those_before_are_kept(verb: str) -> None:
    async def once(refresh: bool) -> str:
        if refresh:
            raise AuthenticationError("no token: the identity service is away")
        return "token"

    transport = scripted(refused(401), told())

    error = await failure(client_with(once, transport), verb)

    assert "identity service is away" in str(error)
    assert [attempt.status_code for attempt in error.attempts] == [401]


# ---------------------------------------------------------------------- the gate


async def test_the_gate_runs_before_every_attempt_with_its_number(verb: str) -> None:
    seen: list[tuple[int, int]] = []
    transport = scripted(refused(500), BROKEN, told())

    async def gate(attempt: int) -> None:
        seen.append((attempt, len(transport.requests)))

    client = client_of(transport, gate=gate)
    await ask(client, verb)
    await ask(client, verb)

    assert seen == [(1, 0), (2, 1), (3, 2), (1, 3)]


async def test_the_gate_also_runs_before_the_attempt_with_a_fresh_token() -> None:
    seen: list[int] = []
    transport = scripted(refused(401), told())

    async def gate(attempt: int) -> None:
        seen.append(attempt)

    await ask(client_with(Tokens(), transport, gate=gate))

    assert seen == [1, 2]


@pytest.mark.parametrize(
    "raised", [KeyError("full"), RateLimitError("full", retry_after=1.0)], ids=["own", "retryable"]
)
async def test_what_the_gate_raises_comes_through_at_once(raised: Exception, verb: str) -> None:
    """Even an error that would be retried if a server had sent it: the gate has said no."""

    async def gate(attempt: int) -> None:
        if attempt == 2:
            raise raised

    transport = scripted(refused(500), told())

    with pytest.raises(type(raised)) as caught:
        await ask(client_of(transport, gate=gate), verb)

    assert caught.value is raised
    assert (len(transport.requests), transport.open, len(transport.clock.sleeps)) == (1, 0, 1)
    if isinstance(raised, ModelClientError):
        assert [attempt.status_code for attempt in raised.attempts] == [500]
