"""Types that msgspec reads and describes, with pydantic models in any place: recognised, never imported. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable


def is_pydantic(target: Any) -> bool:
    """Whether this is a class of pydantic's models."""
    return isinstance(target, type) and callable(getattr(target, "model_json_schema", None))


def schema_of(target: Any) -> dict[str, Any]:
    """Describe a type; pydantic models inside it describe themselves, their `$defs` go to the root.

    Raises `TypeError` and what pydantic raises for what has no JSON Schema.
    """
    schema: dict[str, Any]
    if is_pydantic(target):
        schema = target.model_json_schema()
        return schema
    found: list[tuple[str, Any]] = []

    def describe(inner: Any) -> dict[str, Any]:
        if not is_pydantic(inner):
            raise NotImplementedError
        described: dict[str, Any] = inner.model_json_schema()
        found.extend(described.pop("$defs", {}).items())
        return described

    schema = msgspec.json.schema(target, schema_hook=describe)
    definitions = schema.pop("$defs", {})
    for name, definition in found:
        if definitions.setdefault(name, definition) != definition:
            raise TypeError(f"two types are named {name}")
    return schema | ({"$defs": definitions} if definitions else {})


def decoder(target: Any, *, strict: bool = True) -> Callable[[str | bytes], Any]:
    """What reads a type from JSON; its errors are `ValueError`s. Not strict, it takes numbers that are written as text."""
    return msgspec.json.Decoder[Any](target, strict=strict, dec_hook=_validated).decode


def _validated(kind: Any, value: Any) -> Any:
    """Read a pydantic model that is part of a type of msgspec's."""
    try:
        return kind.model_validate_json(msgspec.json.encode(value))
    except ValueError as error:
        raise ValueError(explained(error)) from error


def explained(error: Exception) -> str:
    """Say what was wrong and where, as msgspec does: "Expected `int`, got `str` - at `$.age`"."""
    list_errors = getattr(error, "errors", None)  # pydantic's
    if not callable(list_errors):
        return str(error) if " - at `" in str(error) else f"{error} - at `$`"
    errors: Any = list_errors(include_url=False, include_context=False, include_input=False)
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in errors[0]["loc"])
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{errors[0]['msg']} - at `${path}`{more}"
