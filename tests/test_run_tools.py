"""What becomes of a model's calls: functions run side by side, and every call gets its result."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from dataclasses import dataclass, field
from typing import Any

import anyio
import msgspec
import pytest

from modelwire import (
    AssistantMessage,
    BadRequestError,
    CancellationToken,
    CreateResult,
    CustomTool,
    FunctionCall,
    FunctionTool,
    Image,
    ProviderTool,
    Text,
    Tool,
    ToolCallError,
    ToolMessage,
    ToolResult,
    UserMessage,
    run_tools,
    tool,
)
from tests.chat_answers import JSON, completion, sent, told
from tests.fakes import FOREVER, Reply, client_of, scripted
from tests.test_tools import City, Person, Point, Range, get_weather

pytestmark = pytest.mark.anyio


def call(name: str, arguments: str = "{}", **more: Any) -> FunctionCall:
    return FunctionCall(id=f"call_{name}", name=name, arguments=arguments, **more)


@tool
async def search(query: str, limit: int = 10) -> dict[str, Any]:
    await anyio.lowlevel.checkpoint()
    if query == "bad":
        raise KeyError("no such thing")
    return {"query": query, "limit": limit}


async def results_of(calls: Any, *tools: Any, **options: Any) -> list[ToolResult]:
    message = await run_tools(calls, tools, **options)
    assert isinstance(message, ToolMessage)
    return list(message.content)


async def result_of(function: Any, arguments: str = "{}", **options: Any) -> ToolResult:
    given = function if isinstance(function, FunctionTool) else tool(function)
    (result,) = await results_of([call(given.name, arguments)], given, **options)
    return result


async def test_a_whole_conversation() -> None:
    asked = [
        {"id": "a", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}},
        {"id": "b", "type": "function", "function": {"name": "search", "arguments": '{"query": "x", "limit": 3}'}},
    ]
    reply = Reply(headers=JSON, body=completion(None, "tool_calls", tool_calls=asked))
    transport = scripted(reply, told("Sunny."))
    client = client_of(transport)
    messages: list[Any] = [UserMessage(content="Hello")]

    result = await client.create(messages, tools=[get_weather, search])
    messages += [result.message, await run_tools(result, [get_weather, search])]
    assert (await client.create(messages, tools=[get_weather, search])).text == "Sunny."

    assert sent(transport.requests[1].body)["messages"][2:] == [
        {"role": "tool", "tool_call_id": "a", "content": "Paris, 1 days, in C"},
        {"role": "tool", "tool_call_id": "b", "content": '{"query":"x","limit":3}'},
    ]


@pytest.mark.parametrize("form", ["result", "calls", "message", "tuple"])
async def test_calls_come_in_any_form(form: str) -> None:
    calls = [call("search", '{"query": "x"}')]
    forms = {
        "result": CreateResult(finish_reason="function_calls", content=calls),
        "calls": calls,
        "message": AssistantMessage(content=["Well.", *calls]),
        "tuple": tuple(calls),
    }

    (result,) = await results_of(forms[form], search)

    assert result == ToolResult(call_id="call_search", name="search", content='{"query":"x","limit":10}')


async def test_what_is_no_call_is_refused() -> None:
    with pytest.raises(ValueError, match="there are no calls to run"):
        await run_tools(CreateResult(finish_reason="stop", content="Hi"), [search])
    with pytest.raises(TypeError, match="run_tools takes a CreateResult, or its tool_calls, not str"):
        await run_tools("search", [search])  # type: ignore[arg-type]
    with pytest.raises(BadRequestError, match="two of them are named 'search'"):
        await run_tools([call("search")], [search, search])
    with pytest.raises(ValueError, match="timeout=0: seconds above 0"):
        await run_tools([call("search")], [search], timeout=0)
    with pytest.raises(TypeError, match=r"limiter is an async context manager, such as anyio.CapacityLimiter\(4\)"):
        await run_tools([call("search")], [search], limiter=4)  # type: ignore[arg-type]


@pytest.mark.parametrize("declared", [Tool(name="mine"), {"name": "mine"}, CustomTool(name="mine")], ids=repr)
async def test_a_call_of_a_tool_without_a_function_is_the_callers_to_run(declared: Any) -> None:
    ran: list[str] = []

    @tool
    def first() -> None:
        ran.append("first")

    others = [ProviderTool(data=msgspec.Raw(b'{"type":"web_search"}')), {"type": "web_search"}]
    with pytest.raises(TypeError, match=r"tools\[1\] \(mine\): a \w+ has no function to run"):
        await run_tools([call("first"), call("mine")], [first, declared, *others])
    assert ran == []

    assert len(await results_of([call("first")], first, declared, *others)) == 1


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("serch", "{}", "There is no tool 'serch'. The tools are: search, get_weather."),
        ("search", '{"query": 5}', "The arguments of search do not fit: Expected `str`, got `int` - at `$.query`."),
        ("search", '{"query": "x", "size": 1}', "The arguments of search do not fit: Object contains unknown field `size`"),
        ("search", "", "The arguments of search do not fit: Object missing required field `query`"),
        ("search", '{"query": "x', "The arguments of search do not fit: Input data was truncated"),
        ("search", "[1]", "The arguments of search do not fit: Expected `object`, got `array`"),
        ("search", "[" * 100_000, "The arguments of search do not fit: "),
        ("search", '{"query": "bad"}', "search failed: KeyError: 'no such thing'"),
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
async def test_what_fails_tells_the_model_why(name: str, arguments: str, text: str) -> None:
    wrong, right = await results_of(
        [call(name, arguments), call("get_weather", '{"city": "Rome"}')], search, get_weather
    )

    assert wrong.is_error
    assert str(wrong.content).startswith(text)
    assert (wrong.call_id, wrong.name) == (f"call_{name}", name)
    assert (right.content, right.is_error) == ("Rome, 1 days, in C", False)


async def test_arguments_arrive_as_their_types() -> None:
    seen: list[Any] = []

    @tool
    def take(
        city: City,
        people: list[Person],
        where: Point,
        one: Person | None = None,
        span: Range = Range(least=7),  # noqa: B008
        many: set[int] = frozenset(),  # type: ignore[assignment]
    ) -> None:
        seen.extend([city, people, where, one, span, many])

    arguments = (
        '{"city": {"name": "Nice"}, "people": [{"name": "A", "age": 3, "friends": [{"name": "B", "age": 4}]}], '
        '"where": {"x": 1, "y": 2.5}, "one": {"name": "C", "age": 5}, "many": [1, 1]}'
    )
    assert not (await result_of(take, arguments)).is_error

    ann = Person(name="A", age=3, friends=[Person(name="B", age=4)])
    assert seen == [City("Nice"), [ann], {"x": 1, "y": 2.5}, Person(name="C", age=5), Range(least=7), {1}]

    failed = await result_of(
        take, '{"city": {"name": "Nice"}, "people": [{"name": "A", "age": -1}], "where": {"x": 1, "y": 2}}'
    )
    assert "greater than or equal to 0" in str(failed.content)
    assert "`$.people[0]`" in str(failed.content)


async def test_nulls_of_strict_schemas_and_numbers_in_quotes_are_understood() -> None:
    assert (await result_of(search, '{"query": "x", "limit": null}')).content == '{"query":"x","limit":10}'
    assert (await result_of(search, '{"query": "x", "limit": "3"}')).content == '{"query":"x","limit":3}'
    assert (await result_of(search, '{"query": null}')).is_error


async def test_every_kind_of_parameter_is_filled() -> None:
    def order(customer: str, item: str = "tea", /, count: int = 1, *, rush: bool = False) -> str:
        return f"{customer} {item} {count} {rush}"

    assert (await result_of(order, '{"customer": "a", "rush": true}')).content == "a tea 1 True"
    assert (await result_of(order, '{"customer": "a", "item": "b", "count": 2}')).content == "a b 2 False"
    bound = functools.partial(order, "me", rush=True)
    assert (await result_of(bound, '{"item": "b"}')).content == "me b 1 True"
    assert "unknown field `rush`" in str((await result_of(bound, '{"item": "b", "rush": false}')).content)


async def test_methods_run_on_their_object() -> None:
    class Shop:
        def __init__(self, stock: int) -> None:
            self.stock = stock

        @tool
        async def price(self, item: str) -> str:
            return f"{item}: {self.stock}"

        def count(self, item: str) -> str:
            return f"{self.stock} {item}"

        @classmethod
        def name(cls, item: str) -> str:
            return f"{cls.__name__} of {item}"

    shop = Shop(3)
    calls = [call("price", '{"item": "tea"}'), call("count", '{"item": "cups"}'), call("name", '{"item": "tea"}')]
    results = await results_of(calls, shop.price, shop.count, shop.name)
    assert [result.content for result in results] == ["tea: 3", "3 cups", "Shop of tea"]
    assert (await results_of(calls[1:2], Shop(4).count))[0].content == "4 cups"
    assert await shop.price("tea") == "tea: 3"
    with pytest.raises(TypeError, match="tool price is a method: take it from an object, not from the class"):
        await result_of(Shop.price, '{"item": "x"}')


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("text", "text"),
        ("", ""),
        (None, "null"),
        (3.5, "3.5"),
        (True, "true"),
        (["a", "b"], '["a","b"]'),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        (City("Paris"), '{"name":"Paris","country":"France"}'),
        (Person(name="A", age=1), '{"name":"A","age":1,"friends":[]}'),
        ([Person(name="A", age=1)], '[{"name":"A","age":1,"friends":[]}]'),
        (Range(least=2), '{"least":2}'),
        (Image(url="https://x/a.png"), [Image(url="https://x/a.png")]),
        (["Look:", Image(url="https://x/a.png")], ["Look:", Image(url="https://x/a.png")]),
        ((Text(text="a"), "b"), [Text(text="a"), "b"]),
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_what_a_function_gives_is_what_the_model_sees(value: Any, content: Any) -> None:
    @tool
    def give() -> Any:
        return value

    result = await result_of(give)

    assert (result.content, result.is_error) == (content, False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (object(), "give failed: TypeError: it returned a object, which is not JSON"),
        ([Image(url="https://x/a.png"), 7], "give failed: TypeError: it returned parts with a int among them"),
        ([threading.Lock()], "give failed: TypeError: it returned a lock, which is not JSON"),
    ],
    ids=["object", "mixed", "inside"],
)
async def test_what_no_model_can_read_is_an_error(value: Any, text: str) -> None:
    @tool
    def give() -> Any:
        return value

    result = await result_of(give)

    assert result.is_error
    assert str(result.content).startswith(text)


async def test_a_function_may_say_that_it_failed() -> None:
    @tool
    def give() -> ToolResult:
        return ToolResult(call_id="", content=["No.", Text(text="Sorry.")], is_error=True)

    assert await result_of(give) == ToolResult(
        call_id="call_give", name="give", content=["No.", Text(text="Sorry.")], is_error=True
    )


async def test_a_custom_call_gives_its_text_as_it_is() -> None:
    @tool(custom=True)
    def shout(text: str) -> str:
        return text.upper()

    (result,) = await results_of([call("shout", '"not" {JSON', custom=True)], shout)

    assert result == ToolResult(call_id="call_shout", name="shout", content='"NOT" {JSON', custom=True)


# ---------------------------------------------------------------------- side by side


async def test_calls_run_side_by_side_and_their_results_are_in_order() -> None:
    both = {"a": anyio.Event(), "b": anyio.Event()}

    @tool
    async def meet(me: str, other: str) -> str:
        both[me].set()
        await both[other].wait()
        return me

    with anyio.fail_after(10):
        results = await results_of(
            [call("meet", '{"me": "a", "other": "b"}'), call("meet", '{"me": "b", "other": "a"}')], meet
        )

    assert [result.content for result in results] == ["a", "b"]


async def test_sync_functions_run_in_threads_side_by_side() -> None:
    barrier = threading.Barrier(2, timeout=10)

    def meet(me: str) -> str:
        barrier.wait()
        return f"{me} {threading.current_thread() is threading.main_thread()}"

    results = await results_of([call("meet", '{"me": "a"}'), call("meet", '{"me": "b"}')], meet)

    assert [result.content for result in results] == ["a False", "b False"]


async def test_a_function_that_gives_an_awaitable_is_awaited() -> None:
    @functools.wraps(search.func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return search.func(*args, **kwargs)

    assert (await result_of(wrapped, '{"query": "x"}')).content == '{"query":"x","limit":10}'


async def test_a_limiter_bounds_how_many_run_at_once() -> None:
    running: list[int] = []
    most: list[int] = []

    @tool
    async def work() -> None:
        running.append(1)
        most.append(len(running))
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        running.pop()

    await results_of([call("work")] * 6, work, limiter=anyio.CapacityLimiter(2))

    assert max(most) == 2


async def test_a_call_that_takes_too_long_is_an_error_and_the_others_go_on() -> None:
    release = threading.Event()

    @tool
    async def hang() -> None:
        await anyio.sleep(FOREVER)

    def block() -> None:
        release.wait(FOREVER)

    @tool
    async def quick() -> str:  # it never waits, so that no limit can end it
        return "done"

    @tool
    async def own() -> None:
        raise TimeoutError("the database is away")

    results = await results_of(
        [call("hang"), call("quick"), call("block"), call("own")], hang, quick, block, own, timeout=0.05
    )
    release.set()

    assert [str(result.content) for result in results] == [
        "hang did not finish within 0.05 s.",
        "done",
        "block did not finish within 0.05 s.",
        "own failed: TimeoutError: the database is away",
    ]
    assert [result.is_error for result in results] == [True, False, True, True]


# ---------------------------------------------------------------------- errors


async def test_the_text_of_an_error_may_be_ones_own() -> None:
    seen: list[tuple[str, type]] = []

    def say(failed: FunctionCall, error: Exception) -> str | None:
        seen.append((failed.name, type(error)))
        return "Something went wrong." if isinstance(error, KeyError) else None

    first, second = await results_of([call("search", '{"query": "bad"}'), call("nothing")], search, on_error=say)

    assert first.content == "Something went wrong."
    assert str(second.content).startswith("There is no tool 'nothing'.")
    assert sorted(seen) == [("nothing", ToolCallError), ("search", KeyError)]


async def test_what_the_hook_raises_stops_all_and_is_raised() -> None:
    stopped: list[bool] = []

    @tool
    async def hang() -> None:
        try:
            await anyio.sleep(FOREVER)
        finally:
            stopped.append(True)

    def stop(failed: FunctionCall, error: Exception) -> str:
        raise LookupError(failed.name) from error

    with pytest.raises(LookupError, match="search") as caught:
        await run_tools([call("hang"), call("search", '{"query": "bad"}')], [search, hang], on_error=stop)

    assert isinstance(caught.value.__cause__, KeyError)
    assert stopped == [True]


async def test_the_log_has_the_exception_and_not_the_models_mistakes(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "modelwire"):
        await results_of([call("search", '{"query": "bad"}'), call("nothing"), call("search", "[]")], search)

    (record,) = caplog.records
    assert record.getMessage() == "tool search failed: KeyError"
    assert record.exc_info is not None


async def test_an_exception_that_is_no_exception_passes() -> None:
    class Stop(BaseException):
        pass

    @tool
    async def stop() -> None:
        raise Stop

    for calls in ([call("stop")], [call("search", '{"query": "x"}'), call("stop")]):
        with pytest.raises(Stop):
            await run_tools(calls, [search, stop])


async def test_cancellation_passes_and_reaches_the_functions() -> None:
    ended: list[str] = []
    started = anyio.Event()

    @tool
    async def hang() -> None:
        started.set()
        try:
            await anyio.sleep(FOREVER)
        finally:
            ended.append("hang")

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:

            async def stop() -> None:
                await started.wait()
                scope.cancel()

            group.start_soon(stop)
            await run_tools([call("hang"), call("hang")], [hang])
            pytest.fail("it was not cancelled")

    assert ended == ["hang", "hang"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancelled_task_of_asyncio_is_cancelled() -> None:
    """Asyncio's own way to cancel, which no scope sees."""
    started = asyncio.Event()

    async def hang() -> None:
        started.set()
        await asyncio.sleep(FOREVER)

    task = asyncio.ensure_future(run_tools([call("hang"), call("search", '{"query": "x"}')], [hang, search]))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_function_that_waited_for_something_cancelled_failed_alone() -> None:
    """Such as a model that it asked with a token of its own."""

    @tool
    async def wait() -> None:
        token = CancellationToken()
        token.cancel()
        await client_of(scripted(told())).create([UserMessage(content="Hello")], cancellation_token=token)

    wrong, right = await results_of([call("wait"), call("search", '{"query": "x"}')], wait, search)

    assert (wrong.is_error, right.is_error) == (True, False)
    assert str(wrong.content).startswith("wait failed: RuntimeError: cancelled")


async def test_a_token_stops_the_run_and_reaches_functions_that_ask_for_it() -> None:
    token = CancellationToken()
    seen: list[Any] = []

    @tool
    async def hang(query: str, cancellation_token: CancellationToken) -> None:
        seen.append((query, cancellation_token))
        token.cancel()
        await anyio.sleep(FOREVER)

    assert set(hang.schema["parameters"]["properties"]) == {"query"}
    with pytest.raises(asyncio.CancelledError):
        await run_tools([call("hang", '{"query": "x"}')], [hang], cancellation_token=token)
    assert seen == [("x", token)]

    with pytest.raises(BadRequestError, match="cancellation_token is a CancellationToken, not int"):
        await run_tools([call("hang")], [hang], cancellation_token=7)


# ---------------------------------------------------------------------- AutoGen's words


async def test_a_tool_is_run_with_autogens_words_too() -> None:
    value = await search.run_json({"query": "x"}, CancellationToken(), call_id="1")

    assert value == {"query": "x", "limit": 10}
    assert search.return_value_as_string(value) == '{"query":"x","limit":10}'
    with pytest.raises(ToolCallError, match="The arguments of search do not fit"):
        await search.run_json({"query": 7})


@dataclass
class Counting:
    """As AutoGen's tools are, with what was asked of it."""

    asked: list[Any] = field(default_factory=list)
    name = "counting"
    schema = {"name": "counting", "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}}}  # noqa: RUF012

    async def run_json(self, args: Any, cancellation_token: Any, call_id: str | None = None) -> Any:
        self.asked.append((args, cancellation_token.is_cancelled(), call_id))
        return args["n"]

    def return_value_as_string(self, value: Any) -> str:
        return f"<{value}>"


async def test_tools_of_autogens_kind_run() -> None:
    theirs = Counting()

    right, missing, wrong = await results_of(
        [call("counting", '{"n": 3}'), call("counting"), call("counting", "no")], theirs
    )

    assert (right.content, right.is_error) == ("<3>", False)
    assert (missing.content, missing.is_error) == ("counting failed: KeyError: 'n'", True)
    assert str(wrong.content).startswith("arguments of counting are not JSON")
    assert ({"n": 3}, False, "call_counting") in theirs.asked
