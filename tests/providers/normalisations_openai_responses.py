"""Where a recorded body of the Responses API may differ from the one that modelwire writes after reading it.

Each function takes the recorded body and gives the body as modelwire writes it; its docstring says why that asks for the
same. Anything else is a failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Json = dict[str, Any]


def _items(body: Json, change: Callable[[Json], Json]) -> Json:
    """The body with every item of its input changed."""
    if not isinstance(body.get("input"), list):
        return body
    return body | {"input": [change(item) for item in body["input"]]}


def _is_message(item: Json, *roles: str) -> bool:
    return item.get("type", "message") == "message" and item.get("role") in roles


def nulls_say_nothing(body: Json) -> Json:
    """A member that is null is one that was not given: of the body, of a function, of an item that is not kept raw."""

    def change(item: Json) -> Json:
        return (
            _without_nulls(item) if item.get("type", "message") in ("message", "reasoning", "function_call") else item
        )

    body = _items(_without_nulls(body), change)
    if "tools" not in body:
        return body
    return body | {"tools": [_without_nulls(tool) if tool["type"] == "function" else tool for tool in body["tools"]]}


def _without_nulls(value: Json) -> Json:
    return {name: member for name, member in value.items() if member is not None}


def no_stream_is_the_default(body: Json) -> Json:
    """`stream: false` is what leaving it out means."""
    return {name: value for name, value in body.items() if name != "stream" or value}


def empty_lists_say_nothing(body: Json) -> Json:
    """No tools, nothing to include and no items are said by leaving them out."""
    return {name: value for name, value in body.items() if name not in ("tools", "include", "input") or value}


def what_is_stored_by_default_is_said(body: Json) -> Json:
    """`store` "defaults to true"; modelwire's default is false, so it says either."""
    return {"store": True} | body


def encrypted_reasoning_is_asked_for_where_nothing_is_stored(body: Json) -> Json:
    """Without it the reasoning of the answer could not be sent back; other clients leave it out for want of a next turn."""
    include = body.get("include", [])
    if body["store"] or "reasoning.encrypted_content" in include:
        return body
    return body | {"include": [*include, "reasoning.encrypted_content"]}


def a_text_is_a_users_message(body: Json) -> Json:
    """`input` as a text is "equivalent to a text input with the `user` role"."""
    if not isinstance(body.get("input"), str):
        return body
    return body | {"input": [{"role": "user", "content": body["input"]}]}


def messages_need_no_type(body: Json) -> Json:
    """`type` of a message is optional: its `role` says what it is."""

    def change(item: Json) -> Json:
        if not _is_message(item, "user", "system", "developer"):
            return item
        return {name: value for name, value in item.items() if name != "type"}

    return _items(body, change)


def log_probabilities_are_not_sent_back(body: Json) -> Json:
    """Recorded ones are empty lists; they say how likely the tokens of an earlier answer were, not what it was."""

    def change(item: Json) -> Json:
        if not _is_message(item, "assistant") or isinstance(item["content"], str):
            return item
        parts = [{name: value for name, value in part.items() if name != "logprobs"} for part in item["content"]]
        return item | {"content": parts}

    return _items(body, change)


def a_plain_text_of_the_models_is_an_easy_message(body: Json) -> Json:
    """A message that consists of one text and has neither id nor phase may be written as that text."""

    def change(item: Json) -> Json:
        plain = _is_message(item, "assistant") and set(item) <= {"type", "role", "content"}
        if not plain or isinstance(item["content"], str) or len(item["content"]) != 1:
            return item
        (part,) = item["content"]
        return {"role": "assistant", "content": part["text"]} if set(part) == {"type", "text"} else item

    return _items(body, change)


def texts_of_the_model_say_their_annotations(body: Json) -> Json:
    """`annotations` of an `output_text` is a required list; leaving it out means an empty one."""

    def change(item: Json) -> Json:
        if not _is_message(item, "assistant") or isinstance(item["content"], str):
            return item
        return item | {"content": [{"annotations": []} | part for part in item["content"]]}

    return _items(body, change)


def functions_say_whether_they_are_strict(body: Json) -> Json:
    """Without `strict` the server tries to make the schema strict and falls back; modelwire leaves schemas as they are."""
    if "tools" not in body:
        return body
    tools = [{"strict": False} | tool if tool["type"] == "function" else tool for tool in body["tools"]]
    return body | {"tools": tools}


NORMALISATIONS: list[Callable[[Json], Json]] = [
    nulls_say_nothing,
    no_stream_is_the_default,
    empty_lists_say_nothing,
    what_is_stored_by_default_is_said,
    encrypted_reasoning_is_asked_for_where_nothing_is_stored,
    a_text_is_a_users_message,
    messages_need_no_type,
    log_probabilities_are_not_sent_back,
    a_plain_text_of_the_models_is_an_easy_message,
    texts_of_the_model_say_their_annotations,
    functions_say_whether_they_are_strict,
]


def normalised(body: Json) -> Json:
    """The body as modelwire writes it."""
    for normalise in NORMALISATIONS:
        body = normalise(body)
    return body


def used_by(body: Json) -> set[str]:
    """Names of those that change this body."""
    used: set[str] = set()
    for normalise in NORMALISATIONS:
        changed = normalise(body)
        if changed != body:
            used.add(normalise.__name__)
        body = changed
    return used
