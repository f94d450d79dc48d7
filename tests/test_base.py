"""The base class: any one verb gives all of them."""

from __future__ import annotations

import copy
import gc
import pickle
from itertools import combinations
from typing import Any

import anyio
import pytest

from modelwire import (
    AssistantMessage,
    ChatCompletionClient,
    CreateResult,
    Finish,
    FunctionCall,
    Image,
    ModelInfo,
    PartEnd,
    Reasoning,
    Start,
    SystemMessage,
    Text,
    TextDelta,
    TokenCount,
    ToolCallDelta,
    ToolCallStart,
    ToolMessage,
    ToolResult,
    Usage,
    UserMessage,
)

ASK = [UserMessage(content="Hello", source="user")]
RESULT = CreateResult(
    parts=[Text(text="Hi there")], finish_reason="stop", usage=Usage(prompt_tokens=3, completion_tokens=2)
)
TOOL = {"name": "look_up", "parameters": {"type": "object", "properties": {}}}
VERBS = ("create", "create_stream", "stream")
SUBSETS = [set(chosen) for size in (1, 2, 3) for chosen in combinations(VERBS, size)]


class Iterator:
    """An async iterator without anything beyond what the language asks for."""

    def __init__(self, *items: Any) -> None:
        self._items = list(items)

    def __aiter__(self) -> Iterator:
        return self

    async def __anext__(self) -> Any:
        if not self._items:
            raise StopAsyncIteration
        return self._items.pop(0)


async def create(self: Any, messages: Any, **kwargs: Any) -> CreateResult:
    self.seen.append(("create", messages, kwargs))
    return RESULT


async def create_stream(self: Any, messages: Any, **kwargs: Any) -> Any:
    self.seen.append(("create_stream", messages, kwargs))
    yield "Hi"
    yield " there"
    yield RESULT


def create_stream_by_class(self: Any, messages: Any, **kwargs: Any) -> Iterator:
    self.seen.append(("create_stream", messages, kwargs))
    return Iterator("Hi", " there", RESULT)


def events() -> list[Any]:
    finish = Finish(finish_reason="stop", usage=RESULT.usage)
    return [Start(), TextDelta(text="Hi"), TextDelta(text=" there"), finish]


async def stream(self: Any, messages: Any, **kwargs: Any) -> Any:
    self.seen.append(("stream", messages, kwargs))
    for event in events():
        yield event


def stream_by_class(self: Any, messages: Any, **kwargs: Any) -> Iterator:
    self.seen.append(("stream", messages, kwargs))
    return Iterator(*events())


GENERATORS = {"create": create, "create_stream": create_stream, "stream": stream}
CLASSES = {"create": create, "create_stream": create_stream_by_class, "stream": stream_by_class}


def a_client(verbs: set[str], kinds: dict[str, Any] = GENERATORS) -> Any:
    """A client of a class that defines these verbs, and an `__init__` that does not call the base's."""

    def init(self: Any) -> None:
        self.seen = []

    return type("Own", (ChatCompletionClient,), {"__init__": init} | {verb: kinds[verb] for verb in verbs})()


parametrized = pytest.mark.parametrize("verbs", SUBSETS, ids=lambda verbs: "+".join(sorted(verbs)))
both_kinds = pytest.mark.parametrize("kinds", [GENERATORS, CLASSES], ids=["generators", "classes"])


@parametrized
@both_kinds
@pytest.mark.anyio
async def test_create_works_from_any_verb(verbs: set[str], kinds: dict[str, Any]) -> None:
    async with a_client(verbs, kinds) as client:
        result = await client.create(ASK)

    assert (result.content, result.finish_reason, result.usage) == ("Hi there", "stop", RESULT.usage)
    assert len(client.seen) == 1


@parametrized
@both_kinds
@pytest.mark.anyio
async def test_create_stream_works_from_any_verb(verbs: set[str], kinds: dict[str, Any]) -> None:
    async with a_client(verbs, kinds) as client:
        *chunks, last = [item async for item in client.create_stream(ASK)]

    assert "".join(chunks) == "Hi there"
    assert (last.content, last.finish_reason, last.usage) == ("Hi there", "stop", RESULT.usage)
    assert len(client.seen) == 1


@parametrized
@both_kinds
@pytest.mark.anyio
async def test_stream_works_from_any_verb(verbs: set[str], kinds: dict[str, Any]) -> None:
    async with a_client(verbs, kinds) as client:
        seen = [event async for event in client.stream(ASK)]

    assert "".join(event.text for event in seen if isinstance(event, TextDelta)) == "Hi there"
    assert isinstance(seen[-1], Finish)
    assert seen[-1].usage == RESULT.usage
    assert len(client.seen) == 1


@pytest.mark.parametrize(
    "verbs", [{"create"}, {"create_stream"}, {"create", "create_stream"}], ids=lambda verbs: "+".join(sorted(verbs))
)
@pytest.mark.anyio
async def test_a_stream_that_the_base_makes_is_a_context_manager_with_a_result(verbs: set[str]) -> None:
    client = a_client(verbs)

    async with client.stream(ASK) as events:
        async for _ in events:
            pass

    assert events.result.content == "Hi there"


@pytest.mark.anyio
async def test_without_any_verb_each_says_what_is_missing() -> None:
    client = a_client(set())

    for call in (client.create(ASK), anext(client.stream(ASK)), anext(client.create_stream(ASK))):
        with pytest.raises(NotImplementedError, match="Own defines none of create, create_stream and stream"):
            await call


@parametrized
@pytest.mark.anyio
async def test_tools_and_tool_choice_are_passed_on_only_when_given(verbs: set[str]) -> None:
    client = a_client(verbs)

    for verb in VERBS:
        if verb in verbs:  # the subclass's own gets exactly what the caller wrote
            continue
        for given in ({}, {"tools": [TOOL]}, {"tool_choice": "none", "tools": [TOOL]}, {"temperature": 0.5}):
            client.seen.clear()
            if verb == "create":
                await client.create(ASK, **given)
            else:
                _ = [item async for item in getattr(client, verb)(ASK, **given)]
            assert client.seen[0][1:] == (ASK, given)


@pytest.mark.anyio
async def test_defaults_of_tools_are_not_passed_on_either() -> None:
    """A class that wraps another passes on `tools=()` and `tool_choice="auto"`: they mean the same as nothing."""
    client = a_client({"create"})

    _ = [item async for item in client.create_stream(ASK, tools=(), tool_choice="auto")]

    assert client.seen == [("create", ASK, {})]


@pytest.mark.anyio
async def test_a_subclass_that_calls_super_does_not_recurse() -> None:
    class Loud(ChatCompletionClient):
        async def create(self, messages: Any, **kwargs: Any) -> CreateResult:
            return RESULT

        def stream(self, messages: Any, **kwargs: Any) -> Any:
            return super().stream(messages, **kwargs)

        def create_stream(self, messages: Any, **kwargs: Any) -> Any:
            return super().create_stream(messages, **kwargs)

    client = Loud()

    assert [type(item) for item in [item async for item in client.create_stream(ASK)]] == [str, CreateResult]
    assert await client.create(ASK) == RESULT


@pytest.mark.anyio
async def test_nothing_is_asked_before_the_first_item() -> None:
    client = a_client({"create"})

    async with client.stream(ASK), client.create_stream(ASK):
        pass

    assert client.seen == []


@pytest.mark.anyio
async def test_calls_come_as_events_from_a_create_alone() -> None:
    call = FunctionCall(id="call_1", name="look_up", arguments="{}")

    class Calling(ChatCompletionClient):
        async def create(self, messages: Any, **kwargs: Any) -> CreateResult:
            return CreateResult(content=[call], finish_reason="function_calls")

    events = [event async for event in Calling().stream(ASK)]

    assert [type(event) for event in events] == [Start, ToolCallStart, ToolCallDelta, PartEnd, Finish]
    assert [item async for item in Calling().create_stream(ASK)][-1].content == [call]


@pytest.mark.anyio
async def test_reasoning_and_calls_of_a_create_stream_reach_create_and_stream() -> None:
    parts = [Reasoning(text="Hm."), Text(text="Hi"), FunctionCall(id="call_1", name="look_up", arguments="{}")]

    class Streaming(ChatCompletionClient):
        async def create_stream(self, messages: Any, **kwargs: Any) -> Any:
            yield "Hi"
            yield CreateResult(parts=parts, finish_reason="function_calls")

    async with Streaming().stream(ASK) as events:
        _ = [event async for event in events]

    assert events.result.parts == parts
    assert (await Streaming().create(ASK)).parts == parts


@pytest.mark.anyio
async def test_a_create_stream_without_a_result_at_its_end_is_named() -> None:
    class Broken(ChatCompletionClient):
        async def create_stream(self, messages: Any, **kwargs: Any) -> Any:
            yield "Hi"

    with pytest.raises(TypeError, match="last item of create_stream must be a CreateResult, not str"):
        await Broken().create(ASK)


@pytest.mark.parametrize("verb", ["create_stream", "stream"])
@pytest.mark.anyio
async def test_a_generator_of_a_subclass_is_closed_when_the_reader_leaves(verb: str) -> None:
    closed: list[str] = []

    async def generator(self: Any, messages: Any, **kwargs: Any) -> Any:
        try:
            yield "Hi" if verb == "create_stream" else TextDelta(text="Hi")
            await anyio.sleep(60)
        finally:
            closed.append(verb)

    client: Any = type("Own", (ChatCompletionClient,), {verb: generator})()
    other = client.stream(ASK) if verb == "create_stream" else client.create_stream(ASK)
    async with other as items:
        async for _ in items:
            break
    gc.collect()  # a generator that is left behind would be reported now

    assert closed == [verb]


@pytest.mark.parametrize("verb", ["create_stream", "stream"])
@pytest.mark.anyio
async def test_an_error_of_a_subclass_comes_through_unchanged(verb: str) -> None:
    async def generator(self: Any, messages: Any, **kwargs: Any) -> Any:
        yield "Hi" if verb == "create_stream" else TextDelta(text="Hi")
        raise KeyError("its own")

    client: Any = type("Own", (ChatCompletionClient,), {verb: generator})()

    with pytest.raises(KeyError, match="its own"):
        await client.create(ASK)
    with pytest.raises(KeyError, match="its own"):
        _ = [item async for item in client.stream(ASK)]


@pytest.mark.anyio
async def test_chunks_without_text_are_no_chunks() -> None:
    class Sparse(ChatCompletionClient):
        async def stream(self, messages: Any, **kwargs: Any) -> Any:
            for event in (TextDelta(text=""), TextDelta(text="Hi"), TextDelta(text=""), Finish(finish_reason="stop")):
                yield event

    items = [item async for item in Sparse().create_stream(ASK)]

    assert [item if isinstance(item, str) else item.content for item in items] == ["Hi", "Hi"]


@pytest.mark.anyio
async def test_what_comes_after_another_task_closed_the_stream_is_not_given() -> None:
    closed = anyio.Event()
    seen: list[Any] = []

    class Slow(ChatCompletionClient):
        async def create(self, messages: Any, **kwargs: Any) -> CreateResult:
            await closed.wait()
            return RESULT

    stream = Slow().stream(ASK)

    async def read() -> None:
        seen.extend([event async for event in stream])

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        await stream.aclose()
        closed.set()

    assert seen == []


@pytest.mark.anyio
async def test_the_rest_of_the_interface_is_there_without_init() -> None:
    client = a_client({"create"})

    assert client.model_info["family"] == "unknown"
    assert client.capabilities is client.model_info
    assert client.actual_usage() == client.total_usage() == Usage(prompt_tokens=0, completion_tokens=0)
    await client.close()
    await client.close()


@pytest.mark.anyio
async def test_model_info_may_be_an_attribute_or_a_property() -> None:
    class Fixed(ChatCompletionClient):
        model_info = ModelInfo(family="mine", max_input_tokens=100)

    class Computed(ChatCompletionClient):
        @property
        def model_info(self) -> Any:
            return {"family": "mine", "max_input_tokens": 100}

    for client in (Fixed(), Computed()):
        assert client.capabilities["family"] == "mine"
        assert client.remaining_tokens(ASK) == 100 - client.count_tokens(ASK)


# ---------------------------------------------------------------------- tokens


def test_a_count_is_a_number_that_says_it_is_an_estimate() -> None:
    count = a_client({"create"}).count_tokens(ASK)

    assert (isinstance(count, int), count.method) == (True, "estimate")
    assert 4 < count < 12
    assert repr(count) == f"TokenCount({int(count)}, method='estimate')"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda count: pickle.loads(pickle.dumps(count))])
def test_a_count_can_be_copied_and_pickled(copied: Any) -> None:
    count = copied(TokenCount(7, "exact"))

    assert (count, count.method) == (7, "exact")


def test_an_estimate_grows_with_every_kind_of_content() -> None:
    client = a_client({"create"})
    messages: list[Any] = [
        SystemMessage(content="Be brief."),
        UserMessage(content=["What is this?", Text(text="And that?")]),
        AssistantMessage(content=[FunctionCall(id="call_1", name="look_up", arguments='{"what": "this"}')]),
        ToolMessage(content=[ToolResult(call_id="call_1", content="a long explanation " * 20)]),
        {"role": "user", "content": [{"type": "text", "text": "as a dict"}]},
    ]
    counts = [client.count_tokens(messages[:end]) for end in range(len(messages) + 1)]

    assert counts == sorted(set(counts))
    assert client.count_tokens(messages, tools=[TOOL]) > counts[-1]
    assert counts[4] - counts[3] == pytest.approx(95, rel=0.3)


def test_an_image_counts_a_fixed_amount_and_not_its_bytes() -> None:
    client = a_client({"create"})
    image = Image(data="A" * 100_000, media_type="image/png")
    as_dict = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:" + "A" * 100_000}}]}

    assert 500 < client.count_tokens([UserMessage(content=[image])]) < 2000
    assert 500 < client.count_tokens([as_dict]) < 2000


def test_remaining_tokens_need_a_known_limit() -> None:
    client = a_client({"create"})

    with pytest.raises(ValueError, match="max_input_tokens"):
        client.remaining_tokens(ASK)


# ---------------------------------------------------------------------- the key of a call


async def key(client: Any, messages: Any = ASK, **options: Any) -> bytes | None:
    return await client.request_key(messages, **options)


class Mine(ChatCompletionClient):
    async def create(self, messages: Any, **kwargs: Any) -> CreateResult:
        return RESULT


@pytest.mark.anyio
async def test_equal_calls_have_equal_keys_in_any_order_of_options() -> None:
    first = await key(Mine(), temperature=0.5, extra={"a": 1, "b": [2]})
    second = await key(Mine(), [UserMessage(content="Hello", source="user")], extra={"b": [2], "a": 1}, temperature=0.5)

    assert isinstance(first, bytes)
    assert first == second


@pytest.mark.anyio
async def test_a_message_and_the_same_message_as_a_dict_have_equal_keys() -> None:
    as_dict = {"role": "user", "source": "user", "content": "Hello"}

    assert await key(Mine(), ASK) == await key(Mine(), [as_dict])


@pytest.mark.anyio
async def test_calls_that_differ_in_anything_have_different_keys() -> None:
    class Other(Mine):
        pass

    class Named(Mine):
        model_info = ModelInfo(family="mine")

    keys = [
        await key(Mine()),
        await key(Mine(), [UserMessage(content="Hello!", source="user")]),
        await key(Mine(), [SystemMessage(content="Hello", source="user")]),
        await key(Mine(), [*ASK, *ASK]),
        await key(Mine(), temperature=0),
        await key(Mine(), temperature=0.5),
        await key(Mine(), tools=[TOOL]),
        await key(Mine(), tools=[TOOL], tool_choice="required"),
        await key(Other()),
        await key(Named()),
    ]

    assert None not in keys
    assert len(set(keys)) == len(keys)


def an_endless_list() -> list[Any]:
    endless: list[Any] = []
    endless.append(endless)
    return endless


@pytest.mark.parametrize("option", [object(), dict, lambda: None, an_endless_list(), "\ud800"])
@pytest.mark.anyio
async def test_what_cannot_be_written_down_has_no_key(option: Any) -> None:
    assert await key(Mine(), response_format=option) is None
