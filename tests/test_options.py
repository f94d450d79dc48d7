"""Options from all spellings that users know to what is sent."""

from __future__ import annotations

from typing import Any

import pytest

from modelwire import _options
from modelwire._option_table import ALIASES, FAMILIES, NOOP, WIRE
from modelwire.errors import BadRequestError, UnsupportedOptionError

# ---------------------------------------------------------------------- spellings


@pytest.mark.parametrize("alias", ALIASES)
def test_a_providers_own_word_means_the_portable_one(alias: str) -> None:
    assert _options.portable({alias: 3}) == {ALIASES[alias]: 3}


@pytest.mark.parametrize(
    ("given", "portable"),
    [
        ({}, {}),
        ({"temperature": 0.5}, {"temperature": 0.5}),
        ({"max_completion_tokens": None}, {"max_tokens": None}),
        ({"max_tokens": 5, "num_predict": None}, {"max_tokens": 5}),
        ({"num_predict": None, "max_tokens": 5}, {"max_tokens": 5}),
        ({"extra_create_args": {"temperature": 0.5, "num_predict": 5}}, {"temperature": 0.5, "max_tokens": 5}),
        ({"extra_create_args": None, "seed": 1}, {"seed": 1}),
        ({"extra_create_args": {}}, {}),
        ({"json_output": True}, {"response_format": {"type": "json_object"}}),
        ({"json_output": dict}, {"response_format": dict}),
        ({"json_output": False}, {"response_format": None}),
        ({"json_output": None}, {}),
        ({"json_output": False, "response_format": dict}, {"response_format": dict}),
        ({"json_output": True, "response_format": None}, {"response_format": {"type": "json_object"}}),
        ({"response_mime_type": "application/json"}, {"response_format": {"type": "json_object"}}),
        ({"response_mime_type": "application/json", "response_schema": dict}, {"response_format": dict}),
        ({"response_mime_type": "text/plain"}, {}),
        ({"response_mime_type": None}, {"response_mime_type": None, "response_format": None}),
        (
            {"response_mime_type": "text/x.enum", "response_schema": {"enum": ["a"]}},
            {"response_mime_type": "text/x.enum", "response_format": {"enum": ["a"]}},
        ),
    ],
)
def test_options_have_one_name(given: dict[str, Any], portable: dict[str, Any]) -> None:
    assert _options.portable(_options.flattened(given)) == portable


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens and max_completion_tokens are the same option; give"),
        ({"stop_sequences": ["a"], "stop": ["b"]}, "stop_sequences and stop are the same option; give one of them"),
        ({"extra_create_args": {"num_predict": 5}, "max_tokens": 5}, "max_tokens and num_predict are the same option"),
        ({"json_output": True, "response_format": dict}, "json_output and response_format are the same option; give one"),
        ({"response_mime_type": "image/png"}, "response_mime_type='image/png' is not known; it is 'application/json', "),
        ({"extra_create_args": 5}, "extra_create_args is a dict of options by their names, not 5"),
        ({"extra_create_args": [("seed", 1)]}, "extra_create_args is a dict of options by their names, not [('seed', 1)]"),
        ({"extra_create_args": {5: 1}}, "extra_create_args is a dict of options by their names, not {5: 1}"),
        ({"temperature": "hot"}, "temperature='hot': a number is needed"),
        ({"temperature": True}, "temperature=True: a number is needed"),
        ({"temperature": 2.5}, "temperature=2.5 is out of range: 0 to 2"),
        ({"temperature": -1}, "temperature=-1 is out of range: 0 to 2"),
        ({"temperature": float("nan")}, "temperature=nan is out of range: 0 to 2"),
        ({"top_p": 1.5}, "top_p=1.5 is out of range: 0 to 1"),
        ({"max_tokens": -1}, "max_tokens=-1 is out of range: at least 0"),
        ({"num_predict": -1}, "max_tokens=-1 is out of range: at least 0"),
        ({"top_logprobs": 21}, "top_logprobs=21 is out of range: 0 to 20"),
        ({"n": 0}, "n=0 is out of range: at least 1"),
        ({"frequency_penalty": 3}, "frequency_penalty=3 is out of range: -2 to 2"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        _options.portable(_options.flattened(given))

    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", 0), ("temperature", 2), ("temperature", None), ("top_logprobs", 20), ("max_tokens", 0), ("n", 1)],
)
def test_the_ends_of_a_range_are_inside(name: str, value: Any) -> None:
    assert _options.portable({name: value}) == {name: value}


def test_a_calls_options_go_over_the_clients() -> None:
    defaults = {"temperature": 0.5, "seed": 1, "stop": ["a"]}

    assert _options.merged(defaults, {"temperature": 1, "seed": None, "n": 2}) == {
        "temperature": 1,
        "stop": ["a"],
        "n": 2,
    }
    assert _options.merged({}, {}) == {}


# ---------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("temprature", "temprature is not an option; did you mean temperature?"),
        ("max_token", "max_token is not an option; did you mean max_tokens?"),
        ("stop_sequence", "stop_sequence is not an option; did you mean stop_sequences?"),
        ("zzz", "zzz is not an option; what modelwire does not know goes into extra_body"),
    ],
)
def test_a_wrong_name_is_refused_with_the_nearest_one(name: str, hint: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        _options.check_names(["temperature", name], "OpenAIOptions")

    assert caught.value.message == hint


def test_names_of_all_providers_and_of_autogen_are_known() -> None:
    _options.check_names([*FAMILIES["AnyOptions"], *ALIASES, "json_output", "extra_create_args"], "OpenAIOptions")


def test_an_option_of_another_api_is_lacking() -> None:
    given = {"temperature": 1, "top_k": 3, "num_ctx": 5, "previous_response_id": "x", "response_format": dict}
    given |= {"extra_body": {}, "extra_headers": {}, "unsupported": "drop", "deadline": 5}

    lacking = _options.lacking(given, "OpenAIOptions", "openai-chat", {})

    assert {*lacking} == {"top_k", "num_ctx", "previous_response_id"}
    assert {*_options.lacking(given, "OpenAIOptions", "openai-chat", {"top_k": "top_k"})} == {
        "num_ctx",
        "previous_response_id",
    }
    assert {*_options.lacking(given, "OpenAIOptions", "openai-responses", {})} == {"top_k", "num_ctx"}


# ---------------------------------------------------------------------- what is refused


def test_nothing_is_left_out_where_nothing_is_refused() -> None:
    given = {"temperature": 1, "stop": ["a"]}

    resolved = _options.resolve(given, {}, "openai-chat", "openai")

    assert resolved == (given, [])
    assert resolved.options is not given


def test_a_refused_option_is_an_error_with_the_reason_and_the_alternative() -> None:
    with pytest.raises(UnsupportedOptionError) as caught:
        _options.resolve({"top_k": 3}, {"top_k": "this API does not have it"}, "openai-chat", "openai")

    assert caught.value.option == "top_k"
    assert caught.value.message == (
        "openai: top_k is not supported: this API does not have it; use top_p (or pass unsupported='drop')"
    )
    with pytest.raises(UnsupportedOptionError, match=r"stop is not supported: no \(or pass unsupported='drop'\)"):
        _options.resolve({"stop": ["a"]}, {"stop": "no"}, "openai-chat", "openai")


def test_a_refused_option_may_be_dropped_and_is_listed() -> None:
    given = {"top_k": 3, "stop": ["a"], "seed": 1, "unsupported": "drop"}

    resolved = _options.resolve(given, {"top_k": "no", "stop": "no"}, "openai-chat", "openai")

    assert resolved.options == {"seed": 1, "unsupported": "drop"}
    assert resolved.dropped == ["top_k", "stop"]


@pytest.mark.parametrize(("name", "value"), NOOP["openai-chat"].items())
def test_a_value_that_says_nothing_is_left_out_silently(name: str, value: Any) -> None:
    assert _options.resolve({name: value}, {name: "no"}, "openai-chat", "openai") == ({}, [])


def test_the_table_names_known_options() -> None:
    """Every word of the wire belongs to an option, and every alias to one of all providers."""
    assert {*ALIASES.values()} <= FAMILIES["AnyOptions"]
    for dialect, words in WIRE.items():
        assert {*words} <= FAMILIES["AnyOptions"], dialect
        assert {*NOOP.get(dialect, {})} <= FAMILIES["AnyOptions"], dialect
