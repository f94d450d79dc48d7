"""From the schema as people read it to what datamodel-code-generator turns into the right msgspec structs.

The generator has no notion of tags, mixins, derived fields or "optional means `None`". Each of them is said in the
schema by a plain JSON Schema keyword or an `x-` keyword (schema/README.md lists them) and is rewritten here, in memory.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

Json = dict[str, Any]
TAG_FIELDS = ("type", "role")
MODEL_INFO = "ModelInfo"
"""A `TypedDict` like the options, but no set of options: it is read as well as given, and its members are never `None`."""


class SchemaError(Exception):
    """The schema uses something that the code generation does not understand."""


class StructInput(NamedTuple):
    """What the struct run of the generator is given."""

    schema: Json
    template_data: Json
    base_classes: dict[str, list[str]]


def kind(definition: Json) -> str:
    """`options`, `union`, `inline` (an annotation of its own, not a class), `alias` or `struct`."""
    if definition.get("x-kind") == "options":
        return "options"
    if "oneOf" in definition:
        return "union"
    if "enum" in definition:
        return "alias"
    return "inline" if "x-python-type" in definition else "struct"


def check_prose(schema: Json) -> None:
    """Refuse what a docstring cannot hold, and a name without a description: every name is public."""
    for name, definition in schema["$defs"].items():
        for place, node in [(name, definition), *_properties(name, definition)]:
            text = node.get("description", "")
            if '"""' in text or "\\" in text:
                raise SchemaError(f'{place}: a description cannot hold """ or a backslash')
            if not text and "const" not in node and not is_property_reference(node):
                raise SchemaError(f"{place}: has no description")


def tag_of(definition: Json) -> tuple[str, str] | None:
    """Name and value of a record's tag; `None` when it has none."""
    properties = definition.get("properties", {})
    found = ((field, properties[field]["const"]) for field in TAG_FIELDS if "const" in properties.get(field, {}))
    return next(found, None)


def is_property_reference(node: Json) -> bool:
    """Whether a node stands for another definition's property, as options that providers share do."""
    return "/properties/" in str(node.get("$ref"))


def _properties(name: str, definition: Json) -> list[tuple[str, Json]]:
    return [(f"{name}.{field}", node) for field, node in definition.get("properties", {}).items()]


def for_structs(schema: Json, mixins: str) -> StructInput:
    """Input of the struct run; `mixins` is the module that the classes named by `x-mixin` live in."""
    definitions: Json = copy.deepcopy(schema["$defs"])
    inline = {name: body for name, body in definitions.items() if kind(body) in ("inline", "alias")}
    structs = {name: body for name, body in definitions.items() if kind(body) == "struct"}
    unions = {name: body for name, body in definitions.items() if kind(body) == "union"}
    template_data = {name: _template_data(name, body) for name, body in structs.items()}
    bases = {
        name: [f"{mixins}.{body['x-mixin']}", "msgspec.Struct"] for name, body in structs.items() if "x-mixin" in body
    }
    for body in structs.values():
        _rewrite_fields(body, inline)
    for body in unions.values():
        body.pop("discriminator", None)
        body.pop("description", None)
    return StructInput({**_envelope(schema), "$defs": {**structs, **unions}}, template_data, bases)


def for_options(schema: Json) -> Json:
    """Input of the `TypedDict` run."""
    definitions: Json = copy.deepcopy(schema["$defs"])
    kept = {name: body for name, body in definitions.items() if kind(body) == "options"}
    for name, body in kept.items():
        body["properties"] = {
            field: _nullable(_resolved(schema, node), f"{name}.{field}") if name != MODEL_INFO else node
            for field, node in body["properties"].items()
        }
    return {**_envelope(schema), "$defs": kept}


def option_table(schema: Json) -> dict[str, Json]:
    """Every option that goes over the wire, by its portable name, with its spellings, wire names and limits."""
    table: dict[str, Json] = {}
    for name, body in schema["$defs"].items():
        own = body["properties"].items() if kind(body) == "options" else ()
        for option, node in own:
            if not {"x-wire", "x-aliases"} & node.keys():
                continue
            if option in table:
                raise SchemaError(f"{name}.{option}: is defined twice; refer to the other one with `$ref`")
            table[option] = node
    return table


def _envelope(schema: Json) -> Json:
    return {key: schema[key] for key in ("$schema", "title")}


def _target(ref: Json) -> str:
    return str(ref["$ref"]).rsplit("/", 1)[-1]


def _resolved(schema: Json, node: Json) -> Json:
    """A property that is a reference to another definition's property, replaced by it."""
    if not is_property_reference(node):
        return node
    _, _, name, _, field = node["$ref"].split("/")
    found: Json = copy.deepcopy(schema["$defs"][name]["properties"][field])
    return found


def _template_data(name: str, body: Json) -> Json:
    if body.get("additionalProperties") is not False:
        raise SchemaError(f"{name}: says nothing about additionalProperties; records are closed, so say false")
    kwargs = {"frozen": "True", "omit_defaults": "True"}
    if body.get("x-gc") is False:
        kwargs["gc"] = "False"
    if body.get("x-weakref") is True:
        kwargs["weakref"] = "True"
    data: Json = {"base_class_kwargs": kwargs}
    tag = tag_of(body)
    if tag:
        if tag[0] not in body.get("required", ()):
            raise SchemaError(f"{name}.{tag[0]}: is a tag, so it must be in `required`")
        kwargs |= {"tag_field": repr(tag[0]), "tag": repr(tag[1])}
        data |= {"tag_field": tag[0], "tag": tag[1]}
        del body["properties"][tag[0]]
    data["derived"] = [field for field, node in body["properties"].items() if node.get("x-derived")]
    return data


def _rewrite_fields(body: Json, inline: Json) -> None:
    """Make every property required with a default, since otherwise the generator's `UNSET` comes in."""
    required = body.get("required", ())
    body["properties"] = {field: _field(node, inline, field in required) for field, node in body["properties"].items()}
    body["required"] = list(body["properties"])


def _field(node: Json, inline: Json, required: bool) -> Json:
    # A default and a description stand beside a `$ref` or an annotation that is replaced by something else.
    own = {key: node[key] for key in ("default", "description") if key in node}
    taken: Json = _inlined(node, inline)
    if required or "default" in node:
        return taken | own
    return {"anyOf": [taken, {"type": "null"}], "default": None} | own


def _inlined(node: Any, inline: Json) -> Any:
    if isinstance(node, list):
        return [_inlined(item, inline) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node and _target(node) in inline:
        node = {key: value for key, value in inline[_target(node)].items() if key != "description"}
    return {key: _inlined(value, inline) for key, value in _annotated(node).items()}


def _annotated(node: Json) -> Json:
    """Make the generator take an `x-python-type` as it stands.

    It does so only where the annotation does not fit the JSON type (`_overriding_python_type` in its parser), so the
    JSON type is replaced by one that does not. A bare `Sequence` only changes the container and stays.
    """
    annotation = node.get("x-python-type")
    if annotation in (None, "Sequence"):
        return node
    return {"x-python-type": annotation} if "|" in annotation else {"type": "string", "x-python-type": annotation}


def _nullable(node: Json, place: str) -> Json:
    described = node.get("description")
    if not described:
        raise SchemaError(f"{place}: has no description")
    body = {key: value for key, value in node.items() if not key.startswith("x-") or key == "x-python-type"}
    del body["description"]
    return {"anyOf": [_annotated(body), {"type": "null"}], "description": described}
