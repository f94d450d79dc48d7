"""Where a recorded Chat Completions request may differ from the one that modelwire writes after reading it.

Each function takes the recorded body and the server's switches, and gives the body as modelwire writes it; its
docstring says why that asks for the same. Anything else is a failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelwire._schema_lowering import openai_strict

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelwire.providers._openai_chat import Quirks

    Json = dict[str, Any]


def nulls_say_nothing(body: Json, _: Quirks) -> Json:
    """An option, or a member of a message or part, that is null is one that was not given."""
    messages = [_without_nulls(message) for message in body["messages"]]
    for message in messages:
        if isinstance(message.get("content"), list):
            message["content"] = [_without_nulls(part) for part in message["content"]]
    return _without_nulls(body) | {"messages": messages}


def no_stream_is_the_default(body: Json, _: Quirks) -> Json:
    """`stream: false` is what leaving it out means."""
    return {name: value for name, value in body.items() if name != "stream" or value}


def empty_lists_say_nothing(body: Json, _: Quirks) -> Json:
    """No tools and no tool calls are said by leaving them out; OpenAI refuses an empty list of either."""
    kept = {name: value for name, value in body.items() if name != "tools" or value}
    return kept | {
        "messages": [
            {name: value for name, value in message.items() if name != "tool_calls" or value}
            for message in body["messages"]
        ]
    }


def the_servers_name_of_max_tokens(body: Json, quirks: Quirks) -> Json:
    """Servers that know both names mean the same by them; OpenAI deprecated `max_tokens`, and its newer models refuse it."""
    wanted = quirks.wire.get("max_tokens", "max_completion_tokens")
    return {(wanted if name in ("max_tokens", "max_completion_tokens") else name): body[name] for name in body}


def usage_is_always_asked_for(body: Json, quirks: Quirks) -> Json:
    """A streamed answer without its usage is of no use to anyone who counts; where a server knows the option, it is set."""
    if not body.get("stream") or not quirks.stream_usage:
        return body
    return body | {"stream_options": {"include_usage": True} | body.get("stream_options", {})}


def calls_need_no_content(body: Json, _: Quirks) -> Json:
    """Beside tool calls, content that is empty is left out: null and "" are refused by some servers, absence by none."""
    return body | {
        "messages": [
            {
                name: value
                for name, value in message.items()
                if name != "content" or value or not message.get("tool_calls")
            }
            for message in body["messages"]
        ]
    }


def one_text_is_a_string(body: Json, _: Quirks) -> Json:
    """An assistant's content that is a list of one plain text is that text, which every server takes."""
    return body | {
        "messages": [
            message | {"content": message["content"][0]["text"]}
            if message["role"] == "assistant" and _is_one_text(message.get("content"))
            else message
            for message in body["messages"]
        ]
    }


def lists_of_text_are_joined(body: Json, quirks: Quirks) -> Json:
    """Where it is not known that a server takes lists of nothing but text, one text of the same words is sent."""
    if quirks.text_lists:
        return body
    return body | {
        "messages": [
            message | {"content": "\n\n".join(part["text"] for part in message["content"])}
            if isinstance(message.get("content"), list) and all(_is_one_text([part]) for part in message["content"])
            else message
            for message in body["messages"]
        ]
    }


def sources_do_not_go_back(body: Json, _: Quirks) -> Json:
    """`annotations` say where an answer's statements came from; they are no member of a request's messages."""
    return body | {
        "messages": [
            {name: value for name, value in message.items() if name != "annotations" or message["role"] != "assistant"}
            for message in body["messages"]
        ]
    }


def a_tool_says_its_type(body: Json, _: Quirks) -> Json:
    """A tool with `function` in it is of type `function`; Mistral lets clients leave that out."""
    if not body.get("tools"):
        return body
    return body | {"tools": [{"type": "function"} | tool if "function" in tool else tool for tool in body["tools"]]}


def strict_schemas_are_lowered(body: Json, _: Quirks) -> Json:
    """A strict schema is sent in OpenAI's subset: without `$schema`, which demands nothing of the answer."""
    described = body.get("response_format", {}).get("json_schema", {})
    if not described.get("strict"):
        return body
    lowered = described | {"schema": openai_strict(described["schema"]).schema}
    return body | {"response_format": body["response_format"] | {"json_schema": lowered}}


def _without_nulls(value: Json) -> Json:
    return {name: member for name, member in value.items() if member is not None}


def _is_one_text(content: Any) -> bool:
    return isinstance(content, list) and len(content) == 1 and content[0].keys() == {"type", "text"}


NORMALISATIONS: list[Callable[[Json, Quirks], Json]] = [
    nulls_say_nothing,
    no_stream_is_the_default,
    empty_lists_say_nothing,
    the_servers_name_of_max_tokens,
    usage_is_always_asked_for,
    calls_need_no_content,
    one_text_is_a_string,
    lists_of_text_are_joined,
    sources_do_not_go_back,
    a_tool_says_its_type,
    strict_schemas_are_lowered,
]


def normalised(body: Json, quirks: Quirks) -> tuple[Json, set[str]]:
    """The body as modelwire writes it, and the names of the normalisations that changed it."""
    used: set[str] = set()
    for normalise in NORMALISATIONS:
        after = normalise(body, quirks)
        if after != body:
            used.add(normalise.__name__)
        body = after
    return body, used
