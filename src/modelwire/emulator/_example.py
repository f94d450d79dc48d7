"""A value that fits a JSON Schema, always the same one: what an emulated model answers to a schema."""

from __future__ import annotations

from typing import Any

_DEPTH = 16
"""Steps into a schema that refers to itself, after which values are empty."""
_WORDS = {"date-time": "2026-01-01T00:00:00Z", "date": "2026-01-01", "time": "00:00:00Z", "uri": "https://example.com/",
          "email": "emulated@example.com", "uuid": "00000000-0000-4000-8000-000000000000"}  # fmt: skip
_EMPTY: dict[str, Any] = {"object": {}, "array": [], "integer": 0, "number": 0.0, "boolean": False, "null": None}


def example(schema: dict[str, Any]) -> Any:
    """A value of this schema: the first of each choice, every property, the least number of items.

    `pattern`, `not` and conditions are not looked at.
    """
    return _value(schema, schema, _DEPTH)


def _value(schema: Any, root: dict[str, Any], depth: int) -> Any:
    if not isinstance(schema, dict) or depth <= 0:
        return _EMPTY.get(_kind(schema) if isinstance(schema, dict) else "string", "emulated")
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    for name in ("enum", "examples"):
        if schema.get(name):
            return schema[name][0]
    if "$ref" in schema:
        return _value(_target(str(schema["$ref"]), root), root, depth - 1)
    for name in ("anyOf", "oneOf"):
        if schema.get(name):
            return _value(schema[name][0], root, depth - 1)
    if schema.get("allOf"):
        merged = {name: value for each in schema["allOf"] if isinstance(each, dict) for name, value in each.items()}
        return _value({**merged, **{name: value for name, value in schema.items() if name != "allOf"}}, root, depth - 1)
    return _of_kind(_kind(schema), schema, root, depth - 1)


def _of_kind(kind: str, schema: dict[str, Any], root: dict[str, Any], depth: int) -> Any:
    match kind:
        case "object":
            properties = schema.get("properties") or {}
            return {name: _value(inner, root, depth) for name, inner in properties.items()}
        case "array":
            count = min(schema.get("minItems", 1), 100)
            return [_value(schema.get("items", {}), root, depth) for _ in range(count)]
        case "integer" | "number":
            least, most = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum", 0)
            return min(0, most) if least is None else least + ("exclusiveMinimum" in schema)
        case "string":
            word = _WORDS.get(str(schema.get("format")), "emulated")
            longer = word.ljust(min(schema.get("minLength", 0), 10_000), ".")
            return longer[: schema.get("maxLength", len(longer))]
        case _:
            return _EMPTY.get(kind)


def _kind(schema: dict[str, Any]) -> str:
    """The type, or the first of several; of none, what its other keywords speak of."""
    given = schema.get("type")
    if isinstance(given, list):
        given = given[0] if given else None
    return str(given or ("object" if "properties" in schema else "array" if "items" in schema else "string")).lower()


def _target(reference: str, root: dict[str, Any]) -> Any:
    """What a reference inside the schema points to; anything where it leads nowhere."""
    found: Any = root
    for step in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found
