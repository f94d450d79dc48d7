"""Schemas in the subsets that Gemini reads."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import jsonschema
import pytest

from modelwire.errors import BadRequestError
from modelwire.providers._gemini.lowering import gemini_json_schema, gemini_openapi_schema, json_schema_of_openapi

TREE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}},
    "required": ["name"],
}


def lowered(schema: Any) -> Any:
    """As JSON Schema; a lowered schema is valid, is not changed again, and the caller's is untouched."""
    before = deepcopy(schema)
    made = gemini_json_schema(schema).schema
    assert schema == before
    jsonschema.Draft202012Validator.check_schema(made)
    assert gemini_json_schema(made).schema == made
    return made


def openapi(schema: Any) -> Any:
    before = deepcopy(schema)
    made = gemini_openapi_schema(schema).schema
    assert schema == before
    return made


# ---------------------------------------------------------------------- JSON Schema


@pytest.mark.parametrize(
    "schema",
    [
        {
            "type": "object",
            "properties": {"a": {"type": ["string", "null"], "format": "date", "title": "A"}},
            "required": ["a"],
        },
        {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 5}, "minItems": 1, "maxItems": 3},
        {"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}]},
        {"type": "object", "additionalProperties": False, "properties": {}},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "d"},
        {
            "type": "object",
            "properties": {"a": {}, "b": {"enum": [1, 2], "type": "integer"}},
            "propertyOrdering": ["b", "a"],
        },
        {"type": "object", "properties": {"root": {"$ref": "#/$defs/Tree"}}, "$defs": {"Tree": TREE}},
        {"type": "object", "properties": {"again": {"$ref": "#"}}},
    ],
)
def test_what_gemini_reads_stays_as_it_is(schema: Any):
    assert lowered(schema) == schema
    assert gemini_json_schema(schema).dropped == ()


def test_the_order_of_keywords_and_of_properties_stays():
    schema = {"title": "T", "properties": {"b": {"type": "string"}, "a": {"type": "string"}}, "type": "object"}

    assert str(lowered(schema)) == str(schema)


@pytest.mark.parametrize(
    ("schema", "made"),
    [
        ({"const": "a"}, {"type": "string", "enum": ["a"]}),
        ({"const": 1, "type": "integer"}, {"type": "integer", "enum": [1]}),
        ({"enum": [1, "a"]}, {"type": ["integer", "string"], "enum": [1, "a"]}),
        ({"oneOf": [{"type": "string"}, {"type": "number"}]}, {"anyOf": [{"type": "string"}, {"type": "number"}]}),
        (
            {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 10},
            {"type": "integer", "minimum": 1, "maximum": 9},
        ),
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        ({"allOf": [{"type": "string"}, {"title": "T"}]}, {"type": "string", "title": "T"}),
        ({"type": "array", "items": [{"type": "string"}]}, {"type": "array", "prefixItems": [{"type": "string"}]}),
        ({"type": "array", "items": True}, {"type": "array", "items": {}}),
        ({"type": "array", "prefixItems": [{}], "items": False}, {"type": "array", "prefixItems": [{}]}),
        ({"type": "string", "default": "x", "examples": ["y"], "$schema": "z", "deprecated": True}, {"type": "string"}),
    ],
)
def test_what_is_written_differently_says_the_same(schema: Any, made: Any):
    assert lowered(schema) == made
    assert gemini_json_schema(schema).dropped == ()


@pytest.mark.parametrize(
    ("schema", "made", "keyword"),
    [
        ({"type": "string", "pattern": "a+"}, {"type": "string"}, "pattern"),
        ({"type": "string", "minLength": 1}, {"type": "string"}, "minLength"),
        ({"type": "number", "multipleOf": 2}, {"type": "number"}, "multipleOf"),
        ({"type": "number", "exclusiveMinimum": 0}, {"type": "number"}, "exclusiveMinimum"),
        (
            {"type": "integer", "exclusiveMinimum": 0, "minimum": 5},
            {"type": "integer", "minimum": 5},
            "exclusiveMinimum",
        ),
        ({"type": "array", "items": {}, "uniqueItems": True}, {"type": "array", "items": {}}, "uniqueItems"),
        ({"type": "object", "patternProperties": {"a": {}}}, {"type": "object"}, "patternProperties"),
        ({"const": True}, {"type": "boolean"}, "const"),
        ({"enum": ["a", None]}, {"type": ["string", "null"]}, "enum"),
        ({"not": {"type": "string"}}, {}, "not"),
    ],
)
def test_what_gemini_would_ignore_is_left_out_and_told(schema: Any, made: Any, keyword: str):
    outer = {"type": "object", "properties": {"a/b": schema}}

    assert lowered(outer)["properties"]["a/b"] == made
    (dropped,) = gemini_json_schema(outer).dropped
    assert dropped.startswith(f"#/properties/a~1b: `{keyword}` was left out: ")


def test_a_reference_with_siblings_becomes_a_copy():
    """ "If `$ref` is set on a sub-schema, no other properties may be set." """
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A", "description": "this one"}, "b": {"$ref": "#/$defs/A"}},
        "$defs": {"A": {"type": "string", "description": "any"}, "unused": {"type": "null"}},
    }

    assert lowered(schema) == {
        "type": "object",
        "properties": {"a": {"type": "string", "description": "this one"}, "b": {"$ref": "#/$defs/A"}},
        "$defs": {"A": {"type": "string", "description": "any"}},
    }


def test_definitions_of_older_drafts_and_other_places_are_found():
    schema = {
        "type": "object",
        "properties": {
            "a": {"$ref": "#/definitions/A"},
            "b": {"$ref": "#/properties/c/items"},
            "c": {"type": "array", "items": {"type": "integer"}},
        },
        "definitions": {"A": {"type": "string"}},
    }

    made = lowered(schema)
    assert made["properties"]["a"] == {"$ref": "#/$defs/A"}
    assert made["properties"]["b"] == {"type": "integer"}
    assert made["$defs"] == {"A": {"type": "string"}}


def test_a_root_that_is_a_reference_is_what_it_names():
    made = lowered({"$ref": "#/$defs/Tree", "$defs": {"Tree": TREE}})

    assert made == {**TREE, "$defs": {"Tree": TREE}}


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"type": "object", "properties": {"a": False}}, "#/properties/a"),
        ({"type": "object", "properties": {"a": 3}}, "#/properties/a"),
        ({"$ref": "#/$defs/none"}, "#"),
        ({"$ref": "https://example.com/schema"}, "#"),
        ({"allOf": [{"type": "string"}, {"type": "number"}]}, "#"),
        ({"anyOf": [{}, {}], "oneOf": [{}, {}]}, "#"),
        ({"type": "object", "properties": []}, "#"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "#"),
    ],
)
@pytest.mark.parametrize("lower", [gemini_json_schema, gemini_openapi_schema])
def test_what_cannot_be_said_is_refused_with_the_place(schema: Any, place: str, lower: Any):
    with pytest.raises(BadRequestError, match=f"at {place}"):
        lower(schema)


def test_a_schema_that_is_too_deep_is_refused():
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(500):
        schema = {"type": "array", "items": schema}

    with pytest.raises(BadRequestError, match="levels deep"):
        gemini_json_schema(schema)
    with pytest.raises(BadRequestError, match="levels deep"):
        gemini_openapi_schema(schema)


# ---------------------------------------------------------------------- OpenAPI


@pytest.mark.parametrize(
    ("schema", "made"),
    [
        ({"type": "string"}, {"type": "STRING"}),
        ({"type": ["string", "null"]}, {"type": "STRING", "nullable": True}),
        ({"type": ["string", "integer"]}, {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]}),
        (
            {"type": ["string", "integer", "null"]},
            {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}], "nullable": True},
        ),
        (
            {"anyOf": [{"type": "string"}, {"type": "null"}], "title": "T"},
            {"title": "T", "type": "STRING", "nullable": True},
        ),
        (
            {"oneOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]},
            {"anyOf": [{"type": "STRING"}, {"type": "NUMBER"}], "nullable": True},
        ),
        ({"const": "a"}, {"type": "STRING", "enum": ["a"]}),
        ({"type": "string", "minLength": 1, "pattern": "a"}, {"type": "STRING", "minLength": 1, "pattern": "a"}),
        (
            {"type": "object", "properties": {"b": {}, "a": {}}, "required": ["a"], "additionalProperties": True},
            {"type": "OBJECT", "properties": {"b": {}, "a": {}}, "required": ["a"], "propertyOrdering": ["b", "a"]},
        ),
        (
            {"type": "object", "properties": {"a": {}}, "propertyOrdering": []},
            {"type": "OBJECT", "properties": {"a": {}}, "propertyOrdering": []},
        ),
        (
            {
                "type": "object",
                "properties": {"a": {"$ref": "#/$defs/A", "title": "T"}},
                "$defs": {"A": {"type": "string"}},
            },
            {"type": "OBJECT", "properties": {"a": {"type": "STRING", "title": "T"}}, "propertyOrdering": ["a"]},
        ),
    ],
)
def test_the_same_in_openapi(schema: Any, made: Any):
    assert openapi(schema) == made
    assert gemini_openapi_schema(schema).dropped == ()


@pytest.mark.parametrize(
    ("schema", "made", "keyword"),
    [
        ({"enum": [1, 2]}, {"type": "INTEGER"}, "enum"),
        ({"type": "object", "additionalProperties": False}, {"type": "OBJECT"}, "additionalProperties"),
        (
            {"type": "array", "prefixItems": [{"type": "string"}]},
            {"type": "ARRAY", "items": {"type": "STRING"}},
            "prefixItems",
        ),
        (
            {"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "integer"}},
            {"type": "ARRAY", "items": {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]}},
            "prefixItems",
        ),
        ({"type": "array", "items": {}, "uniqueItems": True}, {"type": "ARRAY", "items": {}}, "uniqueItems"),
    ],
)
def test_what_openapi_cannot_say_is_left_out_and_told(schema: Any, made: Any, keyword: str):
    assert openapi(schema) == made
    assert [each.split("`")[1] for each in gemini_openapi_schema(schema).dropped] == [keyword]


def test_a_schema_that_contains_itself_cannot_be_said_in_openapi():
    with pytest.raises(BadRequestError, match="endless"):
        openapi({"$ref": "#/$defs/Tree", "$defs": {"Tree": TREE}})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string"}}, "propertyOrdering": ["a"]},
        {"type": ["string", "null"], "enum": ["a"]},
        {"type": "array", "items": {"type": "number"}, "minItems": 1},
    ],
)
def test_openapi_is_read_back_as_json_schema(schema: Any):
    assert json_schema_of_openapi(openapi(schema)) == schema


def test_a_schema_that_is_none_inside_another_is_read_as_it_is():
    schema = {"properties": {"a": 3}, "items": "x", "anyOf": [None], "type": None}

    assert json_schema_of_openapi(schema) == {"properties": {"a": 3}, "items": "x", "anyOf": [None]}
