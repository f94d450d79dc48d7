"""Counting tokens: the estimate, and exact counts by tiktoken and the real data of its tokenizers."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import tiktoken

from modelwire import (
    AssistantMessage,
    Audio,
    AzureOpenAIChatCompletionClient,
    BadRequestError,
    CustomTool,
    Document,
    FunctionCall,
    Image,
    OpenAIChatCompletionClient,
    OpenAICompatibleChatCompletionClient,
    ProviderPart,
    ProviderTool,
    Reasoning,
    Refusal,
    SystemMessage,
    Text,
    Tool,
    ToolMessage,
    ToolResult,
    UserMessage,
    Video,
    _tiktoken,
    models,
    tokens,
)
from modelwire.models.encodings import ENCODINGS
from modelwire.providers._openai_chat import OPENAI, read
from tests.corpus import find_corpus
from tests.requirements import need

if TYPE_CHECKING:
    from collections.abc import Iterator

HELLO = [UserMessage(content="Hello, how are you?")]
IMAGE = Image(url="https://example.com/cat.png")
CALL = FunctionCall(id="call_1", name="get_weather", arguments='{"city":"Paris"}')
RESULT = ToolResult(call_id="call_1", name="get_weather", content="22 degrees")
TOOL = Tool(name="get_weather", description="The weather.", parameters={"properties": {"city": {"type": "string"}}})


# ---------------------------------------------------------------------- fixtures


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tokenizers' real data, as `python -m modelwire tokens fetch` gets it from the package registry."""
    folder = tmp_path_factory.mktemp("tokenizers")
    command = [sys.executable, "-m", "modelwire", "tokens", "fetch", "--dir", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    need(done.returncode == 0, f"the data of tokenizers could not be fetched: {done.stderr}")
    return folder


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, instead of what this machine may have."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def exact(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data is where it is looked for."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(data_folder))


@pytest.fixture
def unloaded() -> Iterator[None]:
    """No tokenizer is in memory, before and after."""
    _tiktoken._loaded.cache_clear()
    yield
    _tiktoken._loaded.cache_clear()


def counted(model: str, messages: Any, tools: Any = (), **facts: Any) -> tokens.TokenCount:
    """A count with the tokenizer of a model of OpenAI's."""
    names = facts.pop("names", True)
    counter = _tiktoken.counter(models.merged(models.lookup("openai", model), facts), names=names)
    assert counter is not None
    return counter(messages, tools)


# ---------------------------------------------------------------------- the estimate


def test_an_estimate_follows_the_length_of_the_text_and_says_what_it_is() -> None:
    short, long = (tokens.estimate([UserMessage(content="word " * n)]) for n in (100, 1000))

    assert short.method == "estimate"
    assert 90 < short < 180
    assert 9 < (long - 4) / (short - 4) < 11


def test_text_is_estimated_the_same_in_every_form_it_may_have() -> None:
    text = "What is on this picture, and who took it?"
    forms: list[Any] = [
        UserMessage(content=text),
        UserMessage(content=[text]),
        UserMessage(content=[Text(text=text)]),
        SystemMessage(content=text),
        AssistantMessage(content=text),
        AssistantMessage(content=[Refusal(text=text)]),
        ToolMessage(content=[ToolResult(call_id="1", content=text)]),
        ToolMessage(content=[ToolResult(call_id="1", content=[Text(text=text)])]),
        {"role": "user", "content": text},
        {"role": "user", "content": [{"type": "text", "text": text}]},
    ]

    assert {int(tokens.estimate([form])) for form in forms} == {16}


def test_text_beyond_ascii_is_estimated_by_its_bytes() -> None:
    assert tokens.estimate([UserMessage(content="語" * 100)]) > 2 * tokens.estimate([UserMessage(content="x" * 100)])
    assert tokens.estimate([UserMessage(content="\ud800")]) > 4


@pytest.mark.parametrize(
    "part",
    [
        IMAGE,
        Audio(url="https://example.com/a.wav"),
        Video(url="https://example.com/v.mp4"),
        Document(url="https://example.com/d.pdf"),
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}},
    ],
)
def test_what_is_no_text_is_estimated_at_a_fixed_amount(part: Any) -> None:
    message: Any = {"role": "user", "content": [part]} if isinstance(part, dict) else UserMessage(content=[part])

    assert tokens.estimate([message]) == 1004


def test_reasoning_calls_results_and_parts_of_a_provider_are_in_the_estimate() -> None:
    base = tokens.estimate([AssistantMessage(content="Well.")])
    parts = (Reasoning(text="thinking " * 50), CALL, ProviderPart(provider="x", data=msgspec.Raw(b'{"a":"bcdefgh"}')))
    more = [tokens.estimate([AssistantMessage(content=["Well.", part])]) for part in parts]
    assert min(more) > base
    assert tokens.estimate([AssistantMessage(content="Well.", thought="thinking " * 50)]) == more[0]
    two_results = [ToolMessage(content=[RESULT, RESULT])]
    assert tokens.estimate(two_results) == 2 * tokens.estimate([ToolMessage(content=[RESULT])])
    dict_call = {
        "role": "assistant",
        "content": "Well.",
        "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}],
    }
    assert tokens.estimate([dict_call]) > base


def test_a_plain_text_document_is_estimated_by_its_text() -> None:
    assert 2000 < tokens.estimate([UserMessage(content=[Document(text="chapter " * 1000)])]) < 3000


def test_tools_are_estimated_in_all_forms_and_a_tool_that_is_none_is_refused() -> None:
    as_dict = {"type": "function", "function": msgspec.to_builtins(TOOL)}

    assert tokens.estimate(HELLO, [TOOL]) == tokens.estimate(HELLO, [as_dict]) > tokens.estimate(HELLO) + 10
    with pytest.raises(BadRequestError, match=r"tools\[0\]"):
        tokens.estimate(HELLO, [42])  # type: ignore[list-item]


# ---------------------------------------------------------------------- exact counts

SAID = (
    ("user", "New synergies will help drive top-line growth."),
    ("assistant", "Things working well together will increase revenue."),
    ("user", "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."),
    ("assistant", "Let's talk later when we're less busy about how to do better."),
)
COOKBOOK: list[Any] = [
    SystemMessage(
        content="You are a helpful, pattern-following assistant that translates corporate jargon into plain English."
    ),
    *({"role": "system", "name": f"example_{role}", "content": text} for role, text in SAID),
    UserMessage(content="This late pivot means we don't have time to boil the ocean for the client deliverable."),
]
"""The example of https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken, which tells what the API billed."""


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize(
    ("model", "billed"), [("gpt-3.5-turbo", 129), ("gpt-4", 129), ("gpt-4o", 124), ("gpt-4o-mini", 124)]
)
def test_the_cookbooks_conversation_counts_what_the_api_billed(model: str, billed: int) -> None:
    assert repr(counted(model, COOKBOOK)) == f"TokenCount({billed}, method='exact')"


@pytest.mark.usefixtures("exact")
def test_a_name_costs_its_tokens_as_they_are_sent_and_nothing_where_names_are_not_sent() -> None:
    named = [UserMessage(content="Hi", source="Ana María")]
    bare = counted("gpt-4o", [UserMessage(content="Hi")])

    assert counted("gpt-4o", named) == counted("gpt-4o", [UserMessage(content="Hi", source="Ana_Mar_a")]) > bare
    assert counted("gpt-4o", named, names=False) == bare
    long, longer = (counted("gpt-4o", [UserMessage(content="Hi", source="name " * n)]) for n in (20, 200))
    assert long == longer > bare + 5


@pytest.mark.usefixtures("exact")
def test_reasoning_models_begin_their_answer_with_one_token_less_and_keep_answers_on_a_channel() -> None:
    asked, answered = HELLO, [*HELLO, AssistantMessage(content="Fine."), *HELLO]
    first = {model: int(counted(model, asked)) for model in ("gpt-4o", "o3", "gpt-5", "gpt-6-sol")}
    later = {model: int(counted(model, answered)) - first[model] for model in first}

    assert first["gpt-4o"] - 1 == first["o3"] == first["gpt-5"] == first["gpt-6-sol"]
    assert later["gpt-4o"] == later["o3"] == later["gpt-5"] - 2 == later["gpt-6-sol"] - 2


@pytest.mark.usefixtures("exact")
def test_what_looks_like_a_special_token_is_text() -> None:
    empty = counted("gpt-4o", [UserMessage(content="")])

    assert counted("gpt-4o", [UserMessage(content="<|endoftext|>")]) == empty + 7


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("model", ["gpt-4", "gpt-4o"])
def test_a_million_blanks_are_counted_and_do_not_bring_the_tokenizer_down(model: str) -> None:
    """One token for 128 blanks, in both tokenizers."""
    base = counted(model, [UserMessage(content="ab")])

    assert counted(model, [UserMessage(content="a" + " " * 1_280_000 + "b")]) - base == pytest.approx(10_000, abs=2)
    assert counted(model, [UserMessage(content="a" + "\n\t" * 500_000 + "b")]) > base


SAMPLES = (
    "Hello, world! It's  two   spaces.\n\n\tdef f(x):\r\n    return x ** 2  # 12345678 \n ",
    "Žluťoučký kůň; 你好世界。 日本語のテキスト 🎉👩‍👩‍👧 नमस्ते مرحبا",
    "CamelCaseAndSNAKE_CASE'LL DON'T don't I'd 've\u00a0\u2003x",
    '{"key": [1, 2.5, null], "path": "C:\\\\dir"}' * 50,
    "\ud83d lone surrogate",
    "",
)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("name", ENCODINGS)
def test_the_tokenizer_is_tiktokens_own(name: str) -> None:
    own, size = tiktoken.get_encoding(name), _tiktoken._size(name)
    assert size is not None

    assert own._pat_str == ENCODINGS[name].pattern
    assert [size(text) for text in SAMPLES] == [len(own.encode(text, disallowed_special=())) for text in SAMPLES]


# ---------------------------------------------------------------------- what is not exact


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize(
    "message",
    [
        UserMessage(content=["Look:", IMAGE]),
        UserMessage(content=[Document(text="A chapter.")]),
        UserMessage(content=[ProviderPart(provider="openai", data=msgspec.Raw(b'{"type":"new"}'))]),
        AssistantMessage(content=[CALL]),
        ToolMessage(content=[RESULT]),
    ],
)
def test_a_message_with_more_than_text_makes_the_count_an_estimate(message: Any) -> None:
    assert counted("gpt-4o", HELLO).method == "exact"
    assert counted("gpt-4o", [*HELLO, message]).method == "estimate"


@pytest.mark.usefixtures("exact")
def test_earlier_reasoning_takes_no_tokens() -> None:
    with_reasoning = AssistantMessage(content=[Reasoning(text="Let me think. " * 20), "42"], thought="Hm.")

    assert repr(counted("gpt-5", [with_reasoning])) == repr(counted("gpt-5", [AssistantMessage(content="42")]))


@pytest.mark.usefixtures("exact")
def test_tools_make_the_count_an_estimate_and_cost_more_without_a_system_message() -> None:
    rules = [SystemMessage(content="Be brief.")]
    with_system = counted("gpt-4o", [*rules, *HELLO], [TOOL]) - counted("gpt-4o", [*rules, *HELLO])
    without = counted("gpt-4o", HELLO, [TOOL]) - counted("gpt-4o", HELLO)

    assert counted("gpt-4o", HELLO, [TOOL]).method == "estimate"
    assert without > with_system > 20
    with pytest.raises(BadRequestError, match="needs a name"):
        counted("gpt-4o", HELLO, [{"type": "function", "function": {}}])


def test_tools_are_written_as_the_model_reads_them() -> None:
    """The example of https://cookbook.openai.com/articles/openai-harmony#function-calling, word for word."""
    unit = {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"}
    city = {"type": "string", "description": "The city and state, e.g. San Francisco, CA"}
    cities = {
        "type": "array",
        "items": {"type": "string"},
        "description": 'List of city and state, e.g. ["San Francisco, CA", "New York, NY"]',
    }
    tools = [
        Tool(name="get_location", description="Gets the location of the user."),
        Tool(
            name="get_current_weather",
            description="Gets the current weather in the provided location.",
            parameters={"type": "object", "properties": {"location": city, "format": unit}, "required": ["location"]},
        ),
        Tool(
            name="get_multiple_weathers",
            description="Gets the current weather in the provided list of locations.",
            parameters={
                "type": "object",
                "properties": {"locations": cities, "format": unit},
                "required": ["locations"],
            },
        ),
    ]

    assert _tiktoken._declarations(tools) == (
        "namespace functions {\n\n"
        "// Gets the location of the user.\n"
        "type get_location = () => any;\n\n"
        "// Gets the current weather in the provided location.\n"
        "type get_current_weather = (_: {\n"
        "// The city and state, e.g. San Francisco, CA\n"
        "location: string,\n"
        'format?: "celsius" | "fahrenheit", // default: celsius\n'
        "}) => any;\n\n"
        "// Gets the current weather in the provided list of locations.\n"
        "type get_multiple_weathers = (_: {\n"
        '// List of city and state, e.g. ["San Francisco, CA", "New York, NY"]\n'
        "locations: string[],\n"
        'format?: "celsius" | "fahrenheit", // default: celsius\n'
        "}) => any;\n\n"
        "} // namespace functions"
    )


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        ({"type": "integer"}, "number"),
        ({"type": ["string", "null"]}, "string | null"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "string | number"),
        (
            {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "boolean"}}}},
            "{\na?: boolean,\n}[]",
        ),
        ({"type": "object"}, "object"),
        ({"type": "integer", "default": 3}, "number, // default: 3"),
        ({"$ref": "#/$defs/Thing"}, "any"),
        (True, "any"),
        ("nonsense", "any"),
    ],
)
def test_a_schema_of_any_shape_is_written_as_a_type(schema: Any, written: str) -> None:
    field = _tiktoken._fields({"properties": {"x": schema}, "required": ["x"]})

    assert field == f"{{\nx: {written}\n}}" if "//" in written else f"{{\nx: {written},\n}}"


def test_tools_of_other_kinds_are_written_too() -> None:
    custom = CustomTool(name="run", description="Runs code.", grammar="start: WORD", syntax="lark")
    text = _tiktoken._declarations([custom, ProviderTool(data=msgspec.Raw(b'{"type":"web_search"}'))])

    assert all(word in text for word in ("// Runs code.", "type run", "start: WORD", '{"type":"web_search"}'))


# ---------------------------------------------------------------------- against what the API billed


def recorded(*, tools: bool) -> list[Any]:
    """Requests that were sent to the API, with what it billed for the prompt; `tools` for those with tools or calls."""
    root = find_corpus()
    files = sorted((root / "openai-chat").glob("*.json")) if root else []
    cases = ((path.stem, json.loads(path.read_bytes())) for path in files)
    return [
        pytest.param(case["request_body"], int(billed[-1]), id=name)
        for name, case in cases
        if _is_countable(case)
        and tools == _has_tools(case["request_body"])
        and (billed := re.findall(r'"prompt_tokens":\s*(\d+)', case["response_body"]))
    ]


def _is_countable(case: Any) -> bool:
    """Without what count_tokens is not told, such as a schema for the answer, and without pictures and the like."""
    body = case["request_body"] or {}
    more = ("functions", "web_search_options")
    schema = (body.get("response_format") or {}).get("type") == "json_schema"
    named = isinstance(body.get("tool_choice"), dict)
    media = any(feature in ("image-in", "audio-in", "document-in") for feature in case["features"])
    return case["status"] == 200 and not (schema or named or media) and not any(name in body for name in more)


def _has_tools(body: Any) -> bool:
    return bool(body.get("tools")) or any(message.get("tool_calls") for message in body["messages"])


PLAIN, TOOLS = recorded(tools=False), recorded(tools=True)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize(("body", "billed"), PLAIN)
def test_a_recorded_conversation_counts_exactly_what_the_api_billed(body: Any, billed: int) -> None:
    request = read.decode_request(json.dumps(body).encode(), OPENAI)

    assert repr(counted(request.model, request.messages)) == f"TokenCount({billed}, method='exact')"


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize(("body", "billed"), TOOLS)
def test_a_recorded_conversation_with_tools_is_estimated_closely(body: Any, billed: int) -> None:
    request = read.decode_request(json.dumps(body).encode(), OPENAI)
    count = counted(request.model, request.messages, request.tools or ())
    told_more = 85 if models.lookup("openai", request.model).get("family") == "gpt-5" else 0

    assert count.method == "estimate"
    assert abs(billed - told_more - count) < 20


def test_there_are_recordings_to_compare_with() -> None:
    need(find_corpus(), "there is no corpus of recorded exchanges: set MODELWIRE_CORPUS to its folder")

    assert len(PLAIN) >= 30
    assert len(TOOLS) >= 12
    assert {"gpt-3.5-turbo", "gpt-4", "gpt-4o", "gpt-4.1-mini", "gpt-5", "o3-mini", "o4-mini", "gpt-5.1"} <= {
        case.values[0]["model"] for case in PLAIN
    }


# ---------------------------------------------------------------------- tiktoken and its data


def size_of_hello() -> int | None:
    return size("Hello, world!") if (size := _tiktoken._size("o200k_base")) else None


def test_without_the_data_there_is_no_counter_and_nothing_is_downloaded(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", no_network)

    assert _tiktoken.counter(models.lookup("openai", "gpt-4o")) is None
    assert not empty_cache.exists()


@pytest.mark.usefixtures("exact", "unloaded")
def test_with_the_data_the_network_is_not_asked_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", None)

    assert size_of_hello() == 4


@pytest.mark.usefixtures("exact", "unloaded")
def test_without_tiktoken_there_is_no_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tiktoken", None)

    assert size_of_hello() is None


@pytest.mark.usefixtures("exact")
def test_a_model_without_a_tokenizer_or_with_an_unknown_one_has_no_counter() -> None:
    assert _tiktoken.counter(models.lookup("openai", "no-such-model")) is None
    assert _tiktoken.counter({"tokenizer": "p50k_base"}) is None
    assert _tiktoken.counter({"tokenizer": "o200k_base"}) is not None


def test_damaged_data_is_told_and_not_used_and_once_it_is_mended_it_is(data_folder: Path, empty_cache: Path) -> None:
    empty_cache.mkdir()
    name = ENCODINGS["o200k_base"].file_name
    whole = (data_folder / name).read_bytes()
    (empty_cache / name).write_bytes(whole[:-1])

    with pytest.warns(RuntimeWarning, match="modelwire tokens fetch"):
        assert size_of_hello() is None
    assert size_of_hello() is None  # told once
    (empty_cache / name).write_bytes(whole)
    assert size_of_hello() == 4


@pytest.mark.usefixtures("exact", "unloaded")
def test_the_data_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert size_of_hello() == 4
    monkeypatch.setattr(Path, "read_bytes", None)

    assert size_of_hello() == 4


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {"TIKTOKEN_CACHE_DIR": "/t", "DATA_GYM_CACHE_DIR": "/d", "XDG_CACHE_HOME": "/x"}, "/t"),
        ("linux", {"DATA_GYM_CACHE_DIR": "/d", "XDG_CACHE_HOME": "/x"}, "/d"),
        ("linux", {"TIKTOKEN_CACHE_DIR": "", "XDG_CACHE_HOME": "/x"}, "/x/modelwire/tiktoken"),
        ("linux", {}, "/home/me/.cache/modelwire/tiktoken"),
        ("darwin", {}, "/home/me/Library/Caches/modelwire/tiktoken"),
        ("win32", {"LOCALAPPDATA": "/l"}, "/l/modelwire/tiktoken"),
        ("win32", {}, "/home/me/AppData/Local/modelwire/tiktoken"),
    ],
)
def test_the_data_is_looked_for_where_tiktoken_is_told_or_where_the_system_keeps_caches(
    platform: str, variables: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))

    assert _tiktoken.cache_folder() == Path(folder)


def test_a_user_without_a_home_has_a_folder_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)

    assert _tiktoken.cache_folder().is_absolute()


# ---------------------------------------------------------------------- clients


def openai(model: str, **settings: Any) -> OpenAIChatCompletionClient:
    return OpenAIChatCompletionClient(model=model, api_key="sk-test", **settings)


@pytest.mark.usefixtures("exact")
def test_a_client_counts_by_its_models_tokenizer_in_every_form_of_messages() -> None:
    client = openai("gpt-4o")

    assert repr(client.count_tokens(COOKBOOK)) == "TokenCount(124, method='exact')"
    assert client.count_tokens([{"role": "user", "content": "Hi"}]) == client.count_tokens([UserMessage(content="Hi")])
    assert client.count_tokens([]) == 3
    assert client.count_tokens(HELLO, tools=[TOOL]).method == "estimate"
    with pytest.raises(BadRequestError, match="messages is a list"):
        client.count_tokens("Hello")  # type: ignore[arg-type]


@pytest.mark.usefixtures("exact")
def test_what_remains_says_how_it_was_counted_and_goes_below_zero() -> None:
    remaining = openai("gpt-4o").remaining_tokens(COOKBOOK)
    over = openai("gpt-4o", model_info={"max_input_tokens": 100}).remaining_tokens(COOKBOOK)

    assert (int(remaining), remaining.method) == (128_000 - 124, "exact")
    assert (int(over), over.method) == (-24, "exact")


@pytest.mark.usefixtures("exact")
def test_azure_counts_by_the_model_that_was_deployed() -> None:
    settings: dict[str, Any] = {"api_key": "key", "azure_endpoint": "https://name.openai.azure.com"}
    known = AzureOpenAIChatCompletionClient(model="gpt-4", azure_deployment="mine", **settings)
    unknown = AzureOpenAIChatCompletionClient(azure_deployment="mine", **settings)

    assert repr(known.count_tokens(COOKBOOK)) == "TokenCount(129, method='exact')"
    assert unknown.count_tokens(COOKBOOK).method == "estimate"


@pytest.mark.usefixtures("exact")
def test_another_server_is_estimated_unless_the_user_names_its_tokenizer() -> None:
    settings: dict[str, Any] = {"model": "gpt-4o", "base_url": "http://127.0.0.1:1/v1"}
    named = OpenAICompatibleChatCompletionClient(model_info={"tokenizer": "o200k_base"}, **settings)

    assert OpenAICompatibleChatCompletionClient(**settings).count_tokens(HELLO).method == "estimate"
    assert named.count_tokens(HELLO).method == "exact"


@pytest.mark.usefixtures("exact")
def test_a_server_that_takes_no_names_is_not_counted_any() -> None:
    settings: dict[str, Any] = {"model": "m", "api_key": "key", "model_info": {"tokenizer": "o200k_base"}}
    named = [UserMessage(content="Hi", source="somebody")]
    costs = {
        preset: client.count_tokens(named) - client.count_tokens([UserMessage(content="Hi")])
        for preset in ("mistral", "together")
        for client in [OpenAICompatibleChatCompletionClient(preset=preset, **settings)]
    }

    assert costs == {"mistral": 0, "together": 3}


def test_a_client_without_the_data_estimates() -> None:
    assert openai("gpt-4o").count_tokens(HELLO).method == "estimate"
    assert openai("gpt-4o").remaining_tokens(HELLO).method == "estimate"
