"""Where a recorded Messages request may differ from the one that modelwire writes after reading it.

Each function takes the recorded body and gives it as modelwire writes it; its docstring says why that asks for the
same. Anything else is a failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Json = dict[str, Any]


def nulls_say_nothing(body: Json) -> Json:
    """An option, or a member of a block, that is null is one that was not given: all of them are optional."""
    return _without_nulls(_with_blocks(body, _without_nulls))


def no_stream_is_the_default(body: Json) -> Json:
    """`stream: false` is what leaving it out means."""
    return {name: value for name, value in body.items() if name != "stream" or value}


def success_is_the_default(body: Json) -> Json:
    """`is_error: false` on a result is what leaving it out means."""
    return _with_blocks(body, lambda block: {name: block[name] for name in block if name != "is_error" or block[name]})


def the_formats_beta_name(body: Json) -> Json:
    """`output_format` was the beta's name of what is `output_config.format` now, with the same content.

    https://platform.claude.com/docs/en/build-with-claude/structured-outputs, "migrating from beta"
    """
    if "output_format" not in body:
        return body
    config = {**body.get("output_config", {}), "format": body["output_format"]}
    return {name: value for name, value in body.items() if name != "output_format"} | {"output_config": config}


NORMALISATIONS: list[Callable[[Json], Json]] = [
    nulls_say_nothing,
    no_stream_is_the_default,
    success_is_the_default,
    the_formats_beta_name,
]


def normalised(body: Json) -> tuple[Json, set[str]]:
    """The body as modelwire writes it, and the names of the normalisations that changed it."""
    used: set[str] = set()
    for normalise in NORMALISATIONS:
        changed = normalise(body)
        if changed != body:
            used.add(normalise.__name__)
        body = changed
    return body, used


def _without_nulls(members: Json) -> Json:
    return {name: value for name, value in members.items() if value is not None}


def _with_blocks(body: Json, change: Callable[[Json], Json]) -> Json:
    messages = [
        message | {"content": [change(block) for block in message["content"]]}
        if isinstance(message["content"], list)
        else message
        for message in body["messages"]
    ]
    return body | {"messages": messages}
