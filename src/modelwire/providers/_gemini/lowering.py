"""JSON Schemas in the subsets that Gemini reads, and back.

Two members of a request take a schema: `responseJsonSchema` knows part of JSON Schema; `responseSchema`, which is older,
part of OpenAPI 3.0. https://ai.google.dev/gemini-api/docs/structured-output, https://ai.google.dev/api/caching#Schema
"""

from __future__ import annotations

import re
from typing import Any

from modelwire._schema_lowering import Lowered, Schema, _Lowering, _Place, _ref_steps, _refused, _unique

# "While the full JSON Schema may be sent, not all features are supported. Specifically, only the following properties
# are supported": https://ai.google.dev/api/generate-content#v1beta.GenerationConfig, `responseJsonSchema`.
_JSON_KEYWORDS = {
    *{"type", "format", "title", "description", "required", "minItems", "maxItems", "minimum", "maximum"},
    "propertyOrdering",
}
_OPENAPI_KEYWORDS = {
    *{"format", "title", "description", "required", "minItems", "maxItems", "minimum", "maximum", "propertyOrdering"},
    *{"minLength", "maxLength", "pattern", "minProperties", "maxProperties", "default", "example"},
}
_SEEN_TO = {"type", "properties", "items", "prefixItems", "additionalProperties", "anyOf", "oneOf", "enum", "const"}
"""Keywords that are looked at one by one."""
_NO_CONSTRAINTS = {"default", "examples", "example", "deprecated", "readOnly", "writeOnly"}
"""Keywords that demand nothing of an answer: that they are gone needs no mention."""
_BOUNDS = {"exclusiveMinimum": ("minimum", 1), "exclusiveMaximum": ("maximum", -1)}
_TYPES = ("string", "number", "integer", "boolean", "array", "object", "null")
"""Types of the OpenAPI subset, in the order of their numbers, from 1 on."""
_INTEGERS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
"""Keywords whose values are 64-bit integers, which this JSON writes as strings."""
_NULLABLE = {"nullable": True}
"""What the schema of null alone becomes."""
_SNAKE = re.compile(r"_([a-z])")


def gemini_json_schema(schema: dict[str, Any]) -> Lowered:
    """Rewrite `schema` for `responseJsonSchema`.

    `oneOf` is sent as `anyOf`, `const` as `enum`, `allOf` as one schema; a `$ref` that has siblings becomes a copy of
    what it names. What Gemini would ignore is left out. Raises `BadRequestError`, naming the place, for `allOf` whose
    members do not merge, and for `false`.
    """
    return _GeminiJson(schema).lowered()


def gemini_openapi_schema(schema: dict[str, Any]) -> Lowered:
    """Rewrite `schema` for `responseSchema` and `parameters` of models before Gemini 2.5.

    Every `$ref` becomes a copy of what it names, null becomes `nullable`, and the properties' order is written down.
    Raises `BadRequestError` as `gemini_json_schema` does, and for a schema that contains itself.
    """
    return _GeminiOpenApi(schema).lowered()


class _GeminiJson(_Lowering):
    """One lowering; see `_Lowering` for what they have in common: references, `allOf`, and the list of losses."""

    def lowered(self) -> Lowered:
        flat, place = self.expanded(self.root, _Place())
        return Lowered({**self.typed(flat, place), **self.definitions()}, tuple(self.dropped))

    def lower(self, schema: Any, place: _Place) -> Schema:
        flat, place = self.flattened(schema, place)
        return self.reference(flat["$ref"], place) if "$ref" in flat else self.typed(flat, place)

    def reference(self, ref: str, place: _Place) -> Schema:
        return _under_defs(super().reference(ref, place))

    def definitions(self) -> Schema:
        """All definitions under the one name that is read."""
        sections = super().definitions()
        merged = {name: schema for section in sections.values() for name, schema in section.items()}
        return {"$defs": merged} if merged else {}

    def typed(self, flat: Schema, place: _Place) -> Schema:
        """A flat schema, keyword by keyword."""
        flat = _one_union(flat, place)
        _types(flat, place)
        lowered = {key: value for key, value in flat.items() if key in _JSON_KEYWORDS}
        lowered |= self.parts(flat, place) | self.choices(flat, place)
        if isinstance(flat.get("additionalProperties"), bool):
            lowered["additionalProperties"] = flat["additionalProperties"]
        elif "additionalProperties" in flat:
            lowered["additionalProperties"] = self.lower(flat["additionalProperties"], place.at("additionalProperties"))
        self.note(flat, _JSON_KEYWORDS, place)
        return _in_order(flat, lowered | self.bounds(flat, place))

    def parts(self, flat: Schema, place: _Place) -> Schema:
        """The schemas inside: of properties, items and branches."""
        lowered: Schema = {}
        if "properties" in flat:
            members = flat["properties"].items()
            lowered["properties"] = {name: self.lower(each, place.at("properties", name)) for name, each in members}
        prefix, rest = flat.get("prefixItems"), flat.get("items")
        if isinstance(rest, list):  # before draft 2020-12
            prefix, rest = rest, None
        if prefix is not None:
            lowered["prefixItems"] = [self.lower(each, place.at("prefixItems", at)) for at, each in enumerate(prefix)]
        if rest is not None and rest is not False:
            lowered["items"] = self.lower(rest, place.at("items"))
        if "anyOf" in flat:
            lowered["anyOf"] = [self.lower(each, place.at("anyOf", at)) for at, each in enumerate(flat["anyOf"])]
        return lowered

    def choices(self, flat: Schema, place: _Place) -> Schema:
        """`enum`, which may list strings and numbers; of other constants only the types are left."""
        if "enum" not in flat and "const" not in flat:
            return {}
        constants = [flat["const"]] if "const" in flat else flat["enum"]
        kinds = _unique(_kind(constant) for constant in constants)
        typed = {"type": kinds[0] if len(kinds) == 1 else kinds} if kinds and "type" not in flat else {}
        if all(kind in ("string", "integer", "number") for kind in kinds):
            return {**typed, "enum": constants}
        self.drop("const" if "const" in flat else "enum", place, "Gemini lists strings and numbers only")
        return typed

    def bounds(self, flat: Schema, place: _Place) -> Schema:
        """Bounds that leave their number out, for integers."""
        lowered: Schema = {}
        for key, (inclusive, step) in _BOUNDS.items():
            if isinstance(flat.get(key), int) and flat.get("type") == "integer" and inclusive not in flat:
                lowered[inclusive] = flat[key] + step
            elif key in flat:
                self.drop(key, place, "Gemini does not take it")
        return lowered

    def note(self, flat: Schema, keywords: set[str], place: _Place) -> None:
        for key in flat:
            if key not in keywords | _SEEN_TO | _NO_CONSTRAINTS | _BOUNDS.keys():
                self.drop(key, place, "Gemini does not take it")


class _GeminiOpenApi(_GeminiJson):
    """The same for the OpenAPI subset."""

    def lower(self, schema: Any, place: _Place) -> Schema:
        return self.typed(*self.expanded(schema, place))

    def typed(self, flat: Schema, place: _Place) -> Schema:
        flat = _one_union(flat, place)
        types = _types(flat, place)
        lowered = {key: value for key, value in flat.items() if key in _OPENAPI_KEYWORDS}
        lowered |= self.parts(flat, place) | self.choices(flat, place)
        types = types or _listed(lowered.pop("type", []))
        lowered |= self.bounds(flat, place)
        self.note(flat, _OPENAPI_KEYWORDS, place)
        if flat.get("additionalProperties", True) not in (True, {}):
            self.drop("additionalProperties", place, "Gemini does not take it in this form")
        return _in_order(
            flat, self.shaped(lowered, [name for name in types if name != "null"], nullable="null" in types)
        )

    def shaped(self, lowered: Schema, types: list[str], *, nullable: bool) -> Schema:
        """A schema of one type, or of a union of several; null is a flag."""
        unions = lowered.pop("anyOf", [])
        branches = [branch for branch in unions if branch != _NULLABLE]
        nullable = nullable or _NULLABLE in unions
        if len(types) > 1:
            branches = [{"type": name.upper()} for name in types]
        elif types:
            lowered["type"] = types[0].upper()
        if len(branches) == 1:
            lowered |= branches[0]
        elif branches:
            lowered["anyOf"] = branches
        return lowered | _NULLABLE if nullable else lowered

    def parts(self, flat: Schema, place: _Place) -> Schema:
        lowered = super().parts(flat, place)
        if lowered.get("properties") and "propertyOrdering" not in flat:
            # Objects of this JSON have no order of their own.
            lowered["propertyOrdering"] = list(lowered["properties"])
        if "prefixItems" in lowered:
            kinds = _unique([*lowered.pop("prefixItems"), *([lowered["items"]] if "items" in lowered else [])])
            self.drop("prefixItems", place, "each item may be of the type of any of them")
            lowered["items"] = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
        return lowered

    def choices(self, flat: Schema, place: _Place) -> Schema:
        """`enum`: "Possible values of the element of Type.STRING"."""
        lowered = super().choices(flat, place)
        if any(not isinstance(constant, str) for constant in lowered.get("enum", ())):
            del lowered["enum"]
            self.drop("enum", place, "Gemini lists strings only")
        return lowered


def _under_defs(reference: Schema) -> Schema:
    """A `$ref` to a definition as one to `$defs`; any other schema as it is."""
    ref = reference.get("$ref")
    if isinstance(ref, str) and len(_ref_steps(ref)) == 2:
        return {"$ref": f"#/$defs/{ref.rpartition('/')[2]}"}
    return reference


def _one_union(flat: Schema, place: _Place) -> Schema:
    """`oneOf` as `anyOf`: "interpreted the same as anyOf"."""
    if "oneOf" not in flat:
        return flat
    if "anyOf" in flat:
        raise _refused(place.pointer, "`anyOf` and `oneOf` stand together", "keep one of them")
    return {("anyOf" if key == "oneOf" else key): value for key, value in flat.items()}


def _types(flat: Schema, place: _Place) -> list[str]:
    """The types that a schema names; none where it names none.

    Raises `BadRequestError` for a name that is none.
    """
    types = _listed(flat.get("type", []))
    if any(name not in _TYPES for name in types):
        raise _refused(place.pointer, f"`type` is {flat['type']!r}", f"use one or more of {', '.join(_TYPES)}")
    return types


def _in_order(flat: Schema, lowered: Schema) -> Schema:
    """Keywords in the order in which they were given: the model reads them too."""
    return {key: lowered[key] for key in flat if key in lowered} | lowered


def _kind(constant: Any) -> str:
    kinds: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
    return kinds.get(type(constant), "object" if isinstance(constant, dict) else "array")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


# ---------------------------------------------------------------------- back


def json_schema_of_openapi(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema of the OpenAPI subset as JSON Schema: names in camelCase, types in lower case, `nullable` as a type."""
    made: Schema = {}
    for name, value in schema.items():
        key = _SNAKE.sub(lambda found: found[1].upper(), name)
        if value is not None:
            made[key] = _converted(key, value)
    kind = _type_name(made.pop("type", None))
    nullable = made.pop("nullable", False) is True
    if kind is not None:
        made = {"type": [kind, "null"] if nullable else kind, **made}
    elif nullable and "anyOf" in made:
        made["anyOf"] = [*made["anyOf"], {"type": "null"}]
    return made


def _converted(key: str, value: Any) -> Any:
    if key == "properties" and isinstance(value, dict):
        return {name: _schema(each) for name, each in value.items()}
    if key in ("items", "additionalProperties"):
        return _schema(value)
    if key == "anyOf" and isinstance(value, list):
        return [_schema(each) for each in value]
    return int(value) if key in _INTEGERS and isinstance(value, str) and value.isdecimal() else value


def _schema(value: Any) -> Any:
    """A schema inside another; what is none stays as it is."""
    return json_schema_of_openapi(value) if isinstance(value, dict) else value


def _type_name(kind: Any) -> str | None:
    """A type, which may be a word in capitals or a number; `None` for none."""
    if isinstance(kind, int) and 0 < kind <= len(_TYPES):
        return _TYPES[kind - 1]
    return kind.lower() if isinstance(kind, str) and kind != "TYPE_UNSPECIFIED" else None
