"""A value that fits a JSON Schema, always the same one: what an emulated model answers to a schema."""

from __future__ import annotations

from typing import Any

_DEPTH = 16
_SIZE = 1000
"""Steps into a schema, and values in all, after which everything is empty: schemas may refer to themselves."""
_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "uri": "https://example.com/",
    "email": "emulated@example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_EMPTY: dict[str, Any] = {"object": {}, "array": [], "integer": 0, "number": 0.0, "boolean": False, "null": None}


def example(schema: dict[str, Any]) -> Any:
    """A value of this schema: the first of each choice, every property, as few items as may be but one.

    `pattern`, `not` and conditions are not looked at.
    """
    return _Writer(schema).value(schema, _DEPTH)


class _Writer:
    """Writes one value."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._left = _SIZE

    def value(self, schema: Any, depth: int) -> Any:
        """Any value of a schema inside the whole."""
        self._left -= 1
        if not isinstance(schema, dict) or depth <= 0 or self._left <= 0:
            return _EMPTY.get(_kind(schema) if isinstance(schema, dict) else "string", "emulated")
        for name in ("const", "default"):
            if name in schema:
                return schema[name]
        for name in ("enum", "examples"):
            if schema.get(name):
                return schema[name][0]
        if "$ref" in schema:
            return self.value(self._target(str(schema["$ref"])), depth - 1)
        for name in ("anyOf", "oneOf"):
            if schema.get(name):
                return self.value(schema[name][0], depth - 1)
        if schema.get("allOf"):
            return self.value(_merged(schema), depth - 1)
        return self._of_kind(_kind(schema), schema, depth - 1)

    def _of_kind(self, kind: str, schema: dict[str, Any], depth: int) -> Any:
        match kind:
            case "object":
                properties: dict[str, Any] = schema.get("properties") or {}
                return {name: self.value(inner, depth) for name, inner in properties.items()}
            case "array":
                count = min(schema.get("minItems", 1), _SIZE)
                return [self.value(schema.get("items", {}), depth) for _ in range(count)]
            case "integer" | "number":
                return _number(schema)
            case "string":
                word = _FORMATS.get(str(schema.get("format")), "emulated")
                longer = word.ljust(min(schema.get("minLength", 0), _SIZE), ".")
                return longer[: schema.get("maxLength", len(longer))]
            case _:
                return _EMPTY.get(kind)

    def _target(self, reference: str) -> Any:
        """What a reference inside the schema points to; anything where it leads nowhere."""
        found: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
            found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        return found


def _number(schema: dict[str, Any]) -> Any:
    if "minimum" in schema:
        return schema["minimum"]
    if "exclusiveMinimum" in schema:
        return schema["exclusiveMinimum"] + 1
    return min(0, schema.get("maximum", 0), schema.get("exclusiveMaximum", 1) - 1)


def _merged(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with the keywords of its `allOf`."""
    inner = [each for each in schema["allOf"] if isinstance(each, dict)]
    merged = {name: value for each in inner for name, value in each.items()}
    return {**merged, **{name: value for name, value in schema.items() if name != "allOf"}}


def _kind(schema: dict[str, Any]) -> str:
    """The type, or the first of several; of none, what its other keywords speak of."""
    given = schema.get("type")
    if isinstance(given, list):
        given = given[0] if given else None
    return str(given or ("object" if "properties" in schema else "array" if "items" in schema else "string")).lower()
