"""JSON Schemas rewritten to the subset of Anthropic's structured outputs and strict tools.

https://platform.claude.com/docs/en/build-with-claude/structured-outputs, "JSON Schema limitations". What the subset
cannot check goes into the `description`, where the model still reads it; the vendor's own SDKs do the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from modelwire._schema_lowering import (
    _ANNOTATIONS,
    _IMPLIED_TYPES,
    _NAMES,
    _SILENT,
    _STRUCTURE,
    _TYPES,
    Lowered,
    _listed,
    _Lowering,
    _only,
    _Place,
    _ref_steps,
    _refused,
    _too_deep,
    _unique,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    Schema = dict[str, Any]

# "String formats", same page; any other goes into the description.
_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")
_LITERALS = {"enum", "const"}


def anthropic_subset(schema: dict[str, Any]) -> Lowered:
    """Rewrite `schema` for `output_config.format` and for tools with `strict: true`.

    Objects get `additionalProperties: false`, `oneOf` is sent as `anyOf`, `allOf` is merged, and bounds, patterns and
    the like move into the description; each of those is listed in `Lowered.dropped`. Optional properties stay
    optional. A lowered schema is not changed again.

    Raises `BadRequestError`, naming the place and a remedy, for what the subset cannot say: objects with free keys,
    values of any type, recursion, and `allOf` whose members do not merge.
    """
    try:
        return _AnthropicSubset(schema).lowered()
    except RecursionError:
        raise _too_deep("#") from None


class _AnthropicSubset(_Lowering):
    """The walk is that of strict mode (references, `allOf`, unions); what a schema may say is Anthropic's."""

    def lowered(self) -> Lowered:
        root = self.lower(self.root, _Place())
        definitions = self.definitions()
        self.refuse_recursion(root, definitions)
        return Lowered({**root, **definitions}, tuple(self.dropped))

    def refuse_recursion(self, root: Schema, definitions: Schema) -> None:
        """Raise for a definition that contains itself: "recursive schemas" are not supported."""
        edges = {"#": set(_references(root))}
        for ref in self.owed:
            section, name = _ref_steps(ref)
            edges[ref] = set(_references(definitions[section][name]))
        for ref, direct in edges.items():
            seen: set[str] = set()
            ahead = set(direct)
            while ahead:
                if ref in ahead:
                    raise _refused(ref, "the schema contains itself", "write it out to the depth that is needed")
                seen |= ahead
                ahead = set[str]().union(*(edges[step] for step in ahead)) - seen

    def typed(self, flat: Schema, place: _Place) -> Schema:
        types = self.types(flat, place)
        if _LITERALS & flat.keys():
            # The values say their types themselves.
            return {**_only(flat, _LITERALS), **self.kept(flat, place)}
        if len(types) > 1:
            return self.any_type(types, flat, place)
        lowered = {"type": types[0], **self.kept(flat, place, _checked_for(types[0], flat))}
        if types[0] == "object":
            lowered |= self.object_keywords(flat, place)
        elif types[0] == "array":
            lowered |= self.array_keywords(flat, place)
        return lowered

    def any_type(self, types: list[str], flat: Schema, place: _Place) -> Schema:
        """Give a list of types as `anyOf`, which is how the documentation writes a value that may be null."""
        beside = {key: value for key, value in flat.items() if key not in {*_ANNOTATIONS, "type"}}
        branches = [
            {"type": name, **{key: value for key, value in beside.items() if _concerns(key, name)}} for name in types
        ]
        return {
            **self.kept(_only(flat, _ANNOTATIONS), place),
            "anyOf": [self.typed(branch, place) for branch in branches],
        }

    def types(self, flat: Schema, place: _Place) -> list[str]:
        """Name the types of a flat schema, inferring a missing one."""
        constants = [flat["const"]] if "const" in flat else flat.get("enum", [])
        if any(type(constant) not in _NAMES for constant in constants):
            raise _refused(place.pointer, "a constant is an object or a list", "describe its parts instead")
        implied = _unique(_NAMES[type(constant)] for constant in constants)
        implied = implied or [_IMPLIED_TYPES[key] for key in flat if key in _IMPLIED_TYPES][:1]
        types = _unique(_listed(flat.get("type", implied)))
        if not types:
            raise _refused(place.pointer, "Anthropic wants a type here", "give it one")
        if any(name not in _TYPES for name in types):
            raise _refused(place.pointer, f"`type` is {flat['type']!r}", f"use one or more of {', '.join(_TYPES)}")
        return types

    def kept(self, flat: Schema, place: _Place, checked: frozenset[str] = frozenset()) -> Schema:
        """Give what stays as it is, `checked` included, with all else that the schema says in its description."""
        kept = _only(flat, {"title", "description", *checked})
        elsewhere = {"type", *kept, *_LITERALS, *_STRUCTURE, *_SILENT}
        moved = {key: value for key, value in flat.items() if key not in elsewhere}
        for key in moved:
            if key not in _ANNOTATIONS:
                self.dropped[f"{place.pointer}: `{key}` went into the description: Anthropic does not check it"] = None
        if moved:
            note = "{" + ", ".join(f"{key}: {_shown(value)}" for key, value in moved.items()) + "}"
            kept["description"] = f"{kept['description']}\n\n{note}" if kept.get("description") else note
        return kept

    def object_keywords(self, flat: Schema, place: _Place) -> Schema:
        self.refuse_free_keys(flat, place)
        properties, required = flat.get("properties", {}), flat.get("required", [])
        for name in required:
            if name not in list(properties):
                raise _refused(place.pointer, f"`required` has {name!r}, `properties` has not", "describe it there")
        lowered = {
            name: self.lower(schema, place.at("properties", name))
            for name, schema in properties.items()
            if schema is not False or name in required
        }
        named: Schema = {"properties": lowered, "additionalProperties": False}
        return {**named, "required": list(required)} if "required" in flat else named

    def array_keywords(self, flat: Schema, place: _Place) -> Schema:
        """Lower the items; a tuple becomes a list of any of its members' types, as there is no `prefixItems`."""
        prefix, rest = flat.get("prefixItems", []), flat.get("items", True)
        if isinstance(rest, list):  # before draft 2020-12
            prefix, rest = rest, flat.get("additionalItems", True)
        kinds = _unique(self.lower(item, place.at("prefixItems", index)) for index, item in enumerate(prefix))
        if prefix:
            self.drop("prefixItems", place, "here each item may be of the type of any of them")
        if isinstance(rest, dict) and rest:
            kinds = _unique([*kinds, self.lower(rest, place.at("items"))])
        if not kinds:
            return {}
        return {"items": kinds[0] if len(kinds) == 1 else {"anyOf": kinds}}


def _references(schema: Any) -> Iterable[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _checked_for(kind: str, flat: Schema) -> frozenset[str]:
    """Name the constraints on values of this type that the subset knows: some formats, and "`minItems` 0 and 1"."""
    known = (kind == "string" and flat.get("format") in _FORMATS, kind == "array" and flat.get("minItems") in (0, 1))
    return frozenset(name for name, holds in zip(("format", "minItems"), known, strict=True) if holds)


def _concerns(keyword: str, kind: str) -> bool:
    """Whether a keyword says anything about values of this type."""
    implied = _IMPLIED_TYPES.get(keyword)
    return implied in (None, kind) or (implied == "number" and kind == "integer")


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
