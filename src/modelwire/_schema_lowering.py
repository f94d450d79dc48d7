"""JSON Schemas rewritten to the subset that a provider accepts.

One lowering per provider: schema in, `Lowered` out, the caller's schema untouched. What a subset cannot say at all is a
`BadRequestError` that names the place; a constraint that it merely lacks is left out and listed in `Lowered.dropped`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from modelwire.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Schema = dict[str, Any]

MAX_DEPTH = 64
"""Schemas nested deeper are refused. The guide allows 10 levels of objects, each two or three schemas deep."""
MAX_SCHEMAS = 50_000
"""Schemas that unfold to more are refused. The guide allows 5000 properties."""

_NULL = {"type": "null"}
_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
_NAMES = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
_ANNOTATIONS = {"title", "description", "default", "examples", "example", "deprecated", "readOnly", "writeOnly"}
# These demand nothing of the answer: that they are gone needs no mention.
_SILENT = {"$schema", "$id", "$comment", "$anchor", "$defs", "definitions", "discriminator", "nullable"}
_STRUCTURE = {"properties", "required", "additionalProperties", "items", "additionalItems", "prefixItems"}

# OpenAI structured outputs guide, "Supported schemas": https://platform.openai.com/docs/guides/structured-outputs
_OPENAI_KEYWORDS = {
    *{"type", "title", "description", "enum", "const", "minItems", "maxItems", "pattern", "format", "minLength"},
    *{"maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
}
# The same page under `format`, "Currently supported"; any other "is not a valid format", a 400.
_OPENAI_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid")

# The type that a schema means when it has one of these and no `type`.
_IMPLIED_TYPES = {
    **dict.fromkeys(("properties", "required", "additionalProperties", "patternProperties"), "object"),
    **dict.fromkeys(("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"), "array"),
    **dict.fromkeys(("pattern", "format", "minLength", "maxLength"), "string"),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), "number"),
}
_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("required", "enum", "allOf", "anyOf", "oneOf", "prefixItems"), list),
    **dict.fromkeys(("$defs", "definitions", "properties"), dict),
    **dict.fromkeys(("$ref", "format"), str),
    "type": (str, list),
    "maxItems": int,
}


class Lowered(NamedTuple):
    """A schema in a provider's subset. It shares parts with the one that it was made from: change neither."""

    schema: dict[str, Any]
    dropped: tuple[str, ...]
    """What it no longer says, each with its place: "#/properties/tags: `uniqueItems` was left out: …"."""


def openai_strict(schema: dict[str, Any]) -> Lowered:
    """Rewrite `schema` for `strict: true` of OpenAI's response formats and tools.

    Every property becomes required; one that was optional may be null instead, which `strip_optional_nulls` of
    `modelwire.output` undoes in the answer. `oneOf` is sent as `anyOf`. A lowered schema is not changed again.

    Raises `BadRequestError`, naming the place and a remedy, for what strict mode cannot say: a root that is not an
    object, objects with free keys, values of any type, and `allOf` whose members do not merge.
    """
    try:
        return _Lowering(schema).lowered()
    except RecursionError:
        raise _too_deep("#") from None


def lowered_json(lower: Callable[[dict[str, Any]], Lowered], schema: dict[str, Any]) -> msgspec.Raw:
    """`schema` as `lower` rewrites it, as JSON; done once however often it is sent.

    Raises the `BadRequestError` of `lower`.
    """
    lowered = _lowered_json(lower, msgspec.json.encode(schema))
    if isinstance(lowered, BadRequestError):
        raise BadRequestError(lowered.message)
    return lowered


@lru_cache(maxsize=512)
def _lowered_json(lower: Callable[[dict[str, Any]], Lowered], encoded: bytes) -> msgspec.Raw | BadRequestError:
    try:
        return msgspec.Raw(msgspec.json.encode(lower(msgspec.json.decode(encoded)).schema))
    except BadRequestError as error:
        return error


def resolve_ref(root: dict[str, Any], ref: str, pointer: str = "#") -> Any:
    """Find what the `$ref` at `pointer` names in `root`; raise `BadRequestError` when that is nothing in there."""
    found: Any = root
    try:
        for step in _ref_steps(ref):
            found = found[int(step)] if isinstance(found, list) else found[step]
    except (KeyError, ValueError, IndexError, TypeError, AttributeError):
        raise _refused(pointer, f"`$ref` names nothing: {ref!r}", 'use a pointer such as "#/$defs/Name"') from None
    return found


def is_object(schema: Any, root: dict[str, Any], depth: int = 0) -> bool:
    """Whether a schema describes objects only, and not as a union, so that it may be the root everywhere."""
    if not isinstance(schema, dict) or {"anyOf", "oneOf", "nullable"} & schema.keys() or depth > MAX_DEPTH:
        return False
    kind = schema.get("type", "object" if "properties" in schema else None)
    parts = _listed(schema.get("allOf", [])) + [resolve_ref(root, schema[key]) for key in ("$ref",) if key in schema]
    return kind == "object" if kind else any(is_object(part, root, depth + 1) for part in parts)


def _ref_steps(ref: str) -> list[str]:
    if ref != "#" and not ref.startswith("#/"):
        raise ValueError(ref)
    return [step.replace("~1", "/").replace("~0", "~") for step in ref.split("/")[1:]]


class _Place(NamedTuple):
    """Where in the caller's schema a lowering is; a pointer may lead through a `$ref`."""

    pointer: str = "#"
    depth: int = 0
    inlined: frozenset[str] = frozenset()
    """The definitions that this place is a copy of: one that recurs in itself must stay a `$ref` there."""

    def at(self, *steps: str | int) -> _Place:
        escaped = (str(step).replace("~", "~0").replace("/", "~1") for step in steps)
        return self.inside()._replace(pointer="/".join((self.pointer, *escaped)))

    def inside(self, *refs: str) -> _Place:
        if self.depth >= MAX_DEPTH:
            raise _too_deep(self.pointer)
        return self._replace(depth=self.depth + 1, inlined=self.inlined.union(refs))


class _Lowering:
    """One lowering: the definitions that it still owes and what it dropped.

    The rules are those of OpenAI's strict mode; other subsets override what they say otherwise.
    """

    def __init__(self, root: Schema) -> None:
        self.root = root
        self.dropped: dict[str, None] = {}
        self.owed: list[str] = []  # `$ref`s to definitions
        self.seen = 0

    def lowered(self) -> Lowered:
        flat, place = self.expanded(self.root, _Place())
        if {"anyOf", "oneOf"} & flat.keys() or self.types(flat, place) != ["object"]:
            raise _refused("#", "the root is not an object", 'wrap it: {"type": "object", "properties": {"value": …}}')
        schema = self.typed(flat, place)
        return Lowered({**schema, **self.definitions()}, tuple(self.dropped))

    def definitions(self) -> Schema:
        """Lower every definition that something refers to, and what those refer to."""
        sections: Schema = {}
        for ref in self.owed:  # grows meanwhile
            section, name = _ref_steps(ref)
            schema = self.lower(resolve_ref(self.root, ref), _Place(ref, inlined=frozenset({ref})))
            sections.setdefault(section, {})[name] = schema
        return sections

    def lower(self, schema: Any, place: _Place) -> Schema:
        flat, place = self.flattened(schema, place)
        if "$ref" in flat:
            return self.reference(flat["$ref"], place)
        if "anyOf" in flat or "oneOf" in flat:
            return self.union(flat, place)
        return self.typed(flat, place)

    def checked(self, schema: Any, place: _Place) -> Schema:
        """Give a schema whose keywords have the right kind of value; booleans are schemas too."""
        self.seen += 1
        if self.seen > MAX_SCHEMAS:
            raise _refused(place.pointer, f"the schema unfolds to more than {MAX_SCHEMAS} schemas", "make it smaller")
        if schema is True:
            return {}
        if not isinstance(schema, dict):
            what = "no value is accepted" if schema is False else f"{schema!r} stands for a schema"
            raise _refused(place.pointer, what, "leave it out, or describe a value")
        for key in _KINDS.keys() & schema.keys():
            if not isinstance(schema[key], _KINDS[key]):
                raise _refused(place.pointer, f"`{key}` is {schema[key]!r}", "see what JSON Schema wants there")
        return schema

    def flattened(self, schema: Any, place: _Place) -> tuple[Schema, _Place]:
        """Give `schema` either as a bare `$ref` or without `$ref`, `allOf` and `nullable`.

        A `$ref` may not have siblings, so that such a one is replaced by a copy, which the new place remembers.
        """
        outer, parts = _parted(self.checked(schema, place))
        if len(parts) == 1 and _is_reference(parts[0]):
            recurs = parts[0]["$ref"] in place.inlined and outer.keys() <= _ANNOTATIONS
            for key in outer if recurs else ():
                self.drop(key, place, "a `$ref` may not have siblings, and this one recurs")
            if recurs or not outer:
                return parts[0], place
        inlined = place.inlined
        for part in parts:
            inner, within = self.expanded(part, place)
            outer = _merged(outer, inner, place)
            inlined |= within.inlined
        return outer, place._replace(inlined=inlined)

    def expanded(self, schema: Any, place: _Place) -> tuple[Schema, _Place]:
        """Give `schema` flattened, and followed until it is no `$ref`."""
        flat, place = self.flattened(schema, place.inside())
        while "$ref" in flat:
            ref = flat["$ref"]
            flat, place = self.flattened(resolve_ref(self.root, ref, place.pointer), place.inside(ref))
        return flat, place

    def reference(self, ref: str, place: _Place) -> Schema:
        self.expanded({"$ref": ref}, place)  # it leads to a schema in the end, not to itself
        if re.fullmatch(r"#|#/(\$defs|definitions)/[^/]+", ref):
            if ref != "#" and ref not in self.owed:
                self.owed.append(ref)
            return {"$ref": ref}
        if ref in place.inlined:
            raise _refused(place.pointer, f"`$ref` recurs to {ref!r}", "refer to a definition under `$defs` instead")
        return self.lower(resolve_ref(self.root, ref), place.inside(ref))  # that place looks different in the result

    def union(self, flat: Schema, place: _Place) -> Schema:
        """Lower `anyOf` and `oneOf`. What stands beside them moves in: "each [branch] must be valid" by itself."""
        if "anyOf" in flat and "oneOf" in flat:
            raise _refused(place.pointer, "`anyOf` and `oneOf` stand together", "keep one of them")
        keyword = "anyOf" if "anyOf" in flat else "oneOf"
        beside = {key: value for key, value in flat.items() if key not in {*_ANNOTATIONS, keyword}}
        branches = {index: branch for index, branch in enumerate(flat[keyword]) if branch is not False}
        if not branches:
            raise _refused(place.pointer, f"`{keyword}` accepts nothing", "give it a branch")
        lowered = [self.lower(self.branch(branches[at], beside), place.at(keyword, at)) for at in branches]
        return {**self.kept(_only(flat, _ANNOTATIONS), place), "anyOf": lowered}

    def branch(self, branch: Any, beside: Schema) -> Any:
        """Give a branch with what stood beside its union, unless it says all of that already (`type`, mostly)."""
        target = resolve_ref(self.root, branch["$ref"]) if _is_reference(branch) else branch
        if isinstance(target, dict) and all(key in target and target[key] == beside[key] for key in beside):
            return branch
        return {"allOf": [beside, branch]} if beside else branch

    def typed(self, flat: Schema, place: _Place) -> Schema:
        types = self.types(flat, place)
        lowered = {"type": types if len(types) > 1 else types[0], **self.kept(flat, place)}
        if "object" in types:
            lowered |= self.object_keywords(flat, place)
        if "array" in types:
            lowered |= self.array_keywords(flat, place)
        return lowered

    def types(self, flat: Schema, place: _Place) -> list[str]:
        """Name the types of a flat schema; strict mode wants a `type` everywhere, so that a missing one is inferred."""
        constants = [flat["const"]] if "const" in flat else flat.get("enum", [])
        if any(isinstance(constant, (dict, list)) for constant in constants):
            raise _refused(place.pointer, "a constant is an object or a list", "describe its parts instead")
        implied = _unique(_NAMES.get(type(constant), "string") for constant in constants)
        implied = implied or [_IMPLIED_TYPES[key] for key in flat if key in _IMPLIED_TYPES][:1]
        types = _listed(flat.get("type", implied))
        if not types:
            raise _refused(place.pointer, "strict mode wants a type here", "give it one, or use strict=False")
        if any(name not in _TYPES for name in types):
            raise _refused(place.pointer, f"`type` is {flat['type']!r}", f"use one or more of {', '.join(_TYPES)}")
        return types

    def kept(self, flat: Schema, place: _Place) -> Schema:
        """Give the keywords that stay as they are, and note those that may not."""
        kept = _only(flat, _OPENAI_KEYWORDS)
        if kept.get("format", "date") not in _OPENAI_FORMATS:
            self.drop("format", place, f"OpenAI does not know {kept.pop('format')!r}")
        for key in flat:
            if key not in _OPENAI_KEYWORDS | _STRUCTURE:
                self.drop(key, place, "OpenAI's strict mode does not take it")
        return kept

    def drop(self, keyword: str, place: _Place, reason: str) -> None:
        self.dropped[f"{place.pointer}: `{keyword}` was left out: {reason}"] = None

    def object_keywords(self, flat: Schema, place: _Place) -> Schema:
        self.refuse_free_keys(flat, place)
        properties, required = flat.get("properties", {}), flat.get("required", [])
        for name in required:
            if name not in list(properties):
                raise _refused(place.pointer, f"`required` has {name!r}, `properties` has not", "describe it there")
        lowered = {
            name: self.member(schema, place.at("properties", name), optional=name not in required)
            for name, schema in properties.items()
            if schema is not False or name in required
        }
        # A schema that fits already comes out as it went in.
        order = list(required) if set(required) == set(lowered) else list(lowered)
        return {"properties": lowered, "required": order, "additionalProperties": False}

    def refuse_free_keys(self, flat: Schema, place: _Place) -> None:
        """Raise for a map. Free keys beside named properties are left out, as no answer needs them."""
        named = flat.get("properties")
        extra = flat.get("additionalProperties", "properties" not in flat)
        if extra is False and (named or "patternProperties" not in flat):
            return
        if not named or extra not in (True, {}):
            remedy = 'use strict=False, or a list of {"key": …, "value": …} objects'
            raise _refused(place.pointer, "an object has free keys, which strict mode cannot express", remedy)
        self.drop("additionalProperties", place, "in strict mode an object has its named properties only")

    def member(self, schema: Any, place: _Place, *, optional: bool) -> Schema:
        """Lower a property. "All fields must be required": one that may be absent becomes a union with null."""
        if not optional:
            return self.lower(schema, place)
        if isinstance(schema, dict) and "$ref" in schema and schema.keys() - {"$ref"} <= _ANNOTATIONS:
            notes = self.kept(_only(schema, _ANNOTATIONS), place)
            return {**notes, "anyOf": [self.lower({"$ref": schema["$ref"]}, place), _NULL]}
        return _or_null(self.lower(schema, place))

    def array_keywords(self, flat: Schema, place: _Place) -> Schema:
        """Lower the items; a tuple becomes a list of any of its members' types, as strict mode has no `prefixItems`."""
        prefix, rest = flat.get("prefixItems", []), flat.get("items", True)
        if isinstance(rest, list):  # before draft 2020-12
            prefix, rest = rest, flat.get("additionalItems", True)
        if not prefix:
            return {"items": self.lower(rest, place.at("items"))}
        kinds = _unique(self.lower(item, place.at("prefixItems", index)) for index, item in enumerate(prefix))
        limit = {"maxItems": min(len(prefix), flat.get("maxItems", len(prefix)))}
        if isinstance(rest, dict):
            kinds, limit = _unique([*kinds, self.lower(rest, place.at("items"))]), {}
        if len(kinds) == 1:
            return {"items": kinds[0], **limit}
        self.drop("prefixItems", place, "in strict mode each item may be of the type of any of them")
        return {"items": {"anyOf": kinds}, **limit}


def _parted(schema: Schema) -> tuple[Schema, list[Any]]:
    """Split a schema into its own keywords and the schemas that must hold as well: `$ref`, `allOf`, a union of one."""
    if schema.get("nullable") is True:  # OpenAPI 3.0
        schema = _or_null({key: value for key, value in schema.items() if key != "nullable"})
    outer = {key: value for key, value in schema.items() if key not in _SILENT}
    parts: list[Any] = [{"$ref": outer.pop("$ref")}] if "$ref" in outer else []
    parts += outer.pop("allOf", [])
    for keyword in ("anyOf", "oneOf"):
        if len(outer.get(keyword, ())) == 1:
            parts += outer.pop(keyword)
    return outer, parts


def _is_reference(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.keys() == {"$ref"} and isinstance(schema["$ref"], str)


def _merged(outer: Schema, inner: Schema, place: _Place) -> Schema:
    """Give one schema that says what both say; of annotations, those of `outer` count."""
    _refuse_closed_to_each_other(outer, inner, place)
    merged = dict(outer)
    for key, value in inner.items():
        if key not in outer:
            merged[key] = value
        elif key == "properties":
            clashes = [name for name in value if outer[key].get(name, value[name]) != value[name]]
            both = {name: {"allOf": [outer[key][name], value[name]]} for name in clashes}
            merged[key] = outer[key] | value | both
        elif key == "required":
            merged[key] = _unique([*outer[key], *value])
        elif key not in _ANNOTATIONS and outer[key] != value:
            raise _refused(place.pointer, f"parts of `allOf` have different `{key}`", "write them as one schema")
    return merged


def _refuse_closed_to_each_other(outer: Schema, inner: Schema, place: _Place) -> None:
    for closed, other in ((outer, inner), (inner, outer)):
        foreign = other.get("properties", {}).keys() - closed.get("properties", {}).keys()
        if closed.get("additionalProperties") is False and foreign:
            what = f"a part of `allOf` has `additionalProperties: false`, another has {min(foreign)!r}"
            raise _refused(place.pointer, what, "write them as one schema")


def _or_null(schema: Schema) -> Schema:
    """Give a schema for what `schema` accepts or null, in the shortest form that the guide shows."""
    types = _listed(schema.get("type", []))
    if "anyOf" in schema and schema.keys() - {"anyOf"} <= _ANNOTATIONS:
        return {**schema, "anyOf": _unique([*schema["anyOf"], _NULL])}
    if "null" in types and schema.get("const") is None and None in schema.get("enum", [None]):
        return schema
    compound = {"enum", "const", "$ref", "allOf", "anyOf", "oneOf"} & schema.keys()
    if not types or compound or "object" in types or "array" in types:
        return {"anyOf": [schema, _NULL]}
    return {**schema, "type": [*types, "null"]}


def _only(schema: Schema, keywords: set[str]) -> Schema:
    return {key: value for key, value in schema.items() if key in keywords}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _unique(items: Iterable[Any]) -> list[Any]:
    unique: list[Any] = []
    for item in items:
        if item not in unique:
            unique.append(item)
    return unique


def _refused(pointer: str, what: str, remedy: str) -> BadRequestError:
    return BadRequestError(f"The JSON Schema cannot be sent: at {pointer}, {what}. To mend it: {remedy}.")


def _too_deep(pointer: str) -> BadRequestError:
    return _refused(pointer, f"it is more than {MAX_DEPTH} levels deep or endless", "flatten it, or use strict=False")
