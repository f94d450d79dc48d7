"""Where a recorded body of `/api/chat` may differ from the one that modelwire writes after reading it.

Each docstring says why both ask for the same; anything else is a failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Json = dict[str, Any]


def streaming_is_said(body: Json) -> Json:
    """The server streams by default, so leaving `stream` out means true."""
    return {"stream": True} | body


def nulls_and_empty_members_say_nothing(body: Json) -> Json:
    """An empty `format`, no options and no tools are what leaving them out means; null is nothing."""
    return {name: value for name, value in body.items() if value not in (None, "", {}, []) or name == "stream"}


def a_call_is_of_a_function(body: Json) -> Json:
    """There is one kind of call, and the server does not read its `type`; no calls are said by leaving them out."""
    messages: list[Json] = []
    for message in body["messages"]:
        calls = [
            {name: value for name, value in call.items() if name != "type"} for call in message.get("tool_calls") or ()
        ]
        rest = {name: value for name, value in message.items() if name != "tool_calls"}
        messages.append(rest | ({"tool_calls": calls} if calls else {}))
    return body | {"messages": messages}


def a_result_names_its_function(body: Json) -> Json:
    """The documentation wants `tool_name` with each result, and modelwire says it: results answer the calls in order."""
    names: list[str] = []
    messages: list[Json] = []
    for message in body["messages"]:
        names += [call["function"]["name"] for call in message.get("tool_calls", ())]
        called = {"tool_name": names.pop(0)} if message["role"] == "tool" else {}
        messages.append(called | message)
    return body | {"messages": messages}


NORMALISATIONS: list[Callable[[Json], Json]] = [
    streaming_is_said,
    nulls_and_empty_members_say_nothing,
    a_call_is_of_a_function,
    a_result_names_its_function,
]


def normalised(body: Json) -> Json:
    for normalisation in NORMALISATIONS:
        body = normalisation(body)
    return body
