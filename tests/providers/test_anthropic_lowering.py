"""JSON Schemas in Anthropic's subset."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from modelwire.errors import BadRequestError
from modelwire.providers._anthropic.lowering import anthropic_subset


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def lowered(schema: dict[str, Any]) -> dict[str, Any]:
    """One property, lowered."""
    return anthropic_subset(obj(x=schema)).schema["properties"]["x"]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "format": "date-time"},
        {"type": "string", "title": "T", "description": "D"},
        {"type": "array", "items": {"type": "integer"}, "minItems": 1},
        {"type": "array"},
        {"enum": ["a", 1, True, None]},
        {"const": "a"},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        {"type": "object", "properties": {}, "additionalProperties": False},
        {"type": "null"},
    ],
)
def test_what_fits_is_not_changed(schema: dict[str, Any]) -> None:
    assert lowered(schema) == schema
    assert anthropic_subset(obj(x=schema)).dropped == ()


@pytest.mark.parametrize(
    ("schema", "note"),
    [
        ({"type": "integer", "minimum": 1, "exclusiveMaximum": 9}, "{minimum: 1, exclusiveMaximum: 9}"),
        ({"type": "number", "multipleOf": 0.5}, "{multipleOf: 0.5}"),
        (
            {"type": "string", "minLength": 2, "maxLength": 3, "pattern": "^a"},
            "{minLength: 2, maxLength: 3, pattern: ^a}",
        ),
        ({"type": "string", "format": "iban"}, "{format: iban}"),
        (
            {"type": "array", "items": {"type": "null"}, "minItems": 2, "uniqueItems": True},
            "{minItems: 2, uniqueItems: true}",
        ),
        ({"type": "string", "not": {"const": "a"}}, '{not: {"const":"a"}}'),
    ],
)
def test_bounds_move_into_the_description_and_are_listed(schema: dict[str, Any], note: str) -> None:
    found = anthropic_subset(obj(x=schema))
    moved = [key for key in schema if key not in ("type", "items")]

    kept = {key: value for key, value in schema.items() if key in ("type", "items")}
    assert found.schema["properties"]["x"] == {**kept, "description": note}
    assert found.dropped == tuple(
        f"#/properties/x: `{key}` went into the description: Anthropic does not check it" for key in moved
    )


def test_a_note_follows_the_description_that_is_there() -> None:
    assert (
        lowered({"type": "integer", "description": "How many", "minimum": 1})["description"]
        == "How many\n\n{minimum: 1}"
    )


def test_defaults_and_examples_are_told_but_demand_nothing() -> None:
    found = anthropic_subset(obj(x={"type": "integer", "default": 3, "examples": [1]}))

    assert found.schema["properties"]["x"]["description"] == "{default: 3, examples: [1]}"
    assert found.dropped == ()


def test_objects_are_closed_and_their_optional_properties_stay_optional() -> None:
    schema = {**obj(a={"type": "string"}, b=obj()), "required": ["a"], "additionalProperties": True}
    found = anthropic_subset(schema)

    assert found.schema == {
        "type": "object",
        "properties": {
            "a": {"type": "string"},
            "b": {"type": "object", "properties": {}, "additionalProperties": False},
        },
        "additionalProperties": False,
        "required": ["a"],
    }
    assert "additionalProperties" in found.dropped[0]


def test_one_of_is_sent_as_any_of() -> None:
    assert lowered({"oneOf": [{"type": "string"}, {"type": "integer", "minimum": 1}]}) == {
        "anyOf": [{"type": "string"}, {"type": "integer", "description": "{minimum: 1}"}]
    }


def test_a_list_of_types_is_any_of_them_each_with_what_concerns_it() -> None:
    schema = {"type": ["string", "integer", "null"], "description": "D", "minLength": 2, "minimum": 1}

    assert lowered(schema) == {
        "description": "D",
        "anyOf": [
            {"type": "string", "description": "{minLength: 2}"},
            {"type": "integer", "description": "{minimum: 1}"},
            {"type": "null"},
        ],
    }


def test_all_of_is_merged() -> None:
    parts = [obj(a={"type": "string"}), {**obj(b={"type": "integer"}), "required": ["b"]}]

    assert lowered({"allOf": parts}) == {
        **obj(a={"type": "string"}, b={"type": "integer"}),
        "required": ["b"],
        "additionalProperties": False,
    }


def test_enums_lose_the_type_that_their_values_say() -> None:
    assert lowered({"type": "string", "enum": ["a", "b"], "title": "T"}) == {"enum": ["a", "b"], "title": "T"}
    assert lowered({"type": ["string", "null"], "enum": ["a", None]}) == {"enum": ["a", None]}


def test_tuples_are_lists_of_any_of_their_members() -> None:
    found = anthropic_subset(
        obj(x={"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "maxItems": 2})
    )

    assert found.schema["properties"]["x"] == {
        "type": "array",
        "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        "description": "{maxItems: 2}",
    }
    assert len(found.dropped) == 2


def test_definitions_stay_and_are_lowered() -> None:
    schema = {
        **obj(x={"$ref": "#/$defs/N"}, y={"$ref": "#/$defs/N"}),
        "$defs": {"N": {"type": "integer", "minimum": 1}, "Unused": {}},
    }
    found = anthropic_subset(schema)

    assert found.schema["properties"] == {"x": {"$ref": "#/$defs/N"}, "y": {"$ref": "#/$defs/N"}}
    assert found.schema["$defs"] == {"N": {"type": "integer", "description": "{minimum: 1}"}}


def test_a_reference_with_a_description_is_written_out() -> None:
    schema = {**obj(x={"$ref": "#/$defs/N", "description": "Mine"}), "$defs": {"N": {"type": "integer"}}}

    assert anthropic_subset(schema).schema["properties"]["x"] == {"type": "integer", "description": "Mine"}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "integer"}},
        {"$ref": "#/$defs/N", "$defs": {"N": {"type": "integer"}}},
        {"anyOf": [{"type": "string"}, obj()]},
    ],
)
def test_the_root_may_be_any_value(schema: dict[str, Any]) -> None:
    assert anthropic_subset(schema).schema


TREE = {"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}}}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"$ref": "#/$defs/Tree", "$defs": {"Tree": TREE}}, "#/$defs/Tree, the schema contains itself"),
        (
            {
                **obj(a={"$ref": "#/$defs/A"}),
                "$defs": {"A": obj(b={"$ref": "#/$defs/B"}), "B": obj(a={"$ref": "#/$defs/A"})},
            },
            "#/$defs/A, the schema contains itself",
        ),
        (obj(self={"$ref": "#"}), "#, the schema contains itself"),
        (obj(x={"type": "object", "additionalProperties": {"type": "string"}}), "free keys"),
        (obj(x={}), "#/properties/x, Anthropic wants a type here"),
        (obj(x={"type": "decimal"}), "`type` is 'decimal'"),
        (obj(x={"const": {"a": 1}}), "a constant is an object or a list"),
        (obj(x={"$ref": "https://example.com/schema"}), "names nothing"),
        (obj(x={"$ref": "#/$defs/Missing"}), "names nothing"),
        ({**obj(), "required": ["y"]}, "`required` has 'y'"),
        (obj(x={"allOf": [{"type": "string"}, {"type": "integer"}]}), "different `type`"),
    ],
)
def test_what_the_subset_cannot_say_is_refused_with_its_place(schema: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        anthropic_subset(schema)
    assert words in caught.value.message
    assert "To mend it" in caught.value.message


def test_a_schema_that_is_too_deep_is_refused() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(100):
        schema = obj(x=schema)

    with pytest.raises(BadRequestError, match="64 levels"):
        anthropic_subset(schema)


def test_the_callers_schema_is_left_alone_and_a_lowered_one_is_final() -> None:
    schema = {
        **obj(
            a={"$ref": "#/$defs/N"},
            b={"type": ["array", "null"], "items": {"type": "string", "pattern": "x"}, "maxItems": 3},
            c={"oneOf": [{"const": 1}, {"allOf": [{"type": "string"}, {"minLength": 1}]}]},
        ),
        "$defs": {"N": {"type": "integer", "minimum": 1, "description": "D"}},
        "$schema": "https://json-schema.org/draft/2020-12/schema",
    }
    before = copy.deepcopy(schema)
    once = anthropic_subset(schema)

    assert schema == before
    assert anthropic_subset(once.schema) == (once.schema, ())
