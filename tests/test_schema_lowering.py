"""What `openai_strict` makes of JSON Schemas, checked against rules that are written down here a second time."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
import msgspec
import pydantic
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from modelwire._schema_lowering import MAX_DEPTH, openai_strict
from modelwire.errors import BadRequestError
from modelwire.output import strip_optional_nulls

STRING = {"type": "string"}
INTEGER = {"type": "integer"}
NULL = {"type": "null"}


def object_of(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def closed(**properties: Any) -> dict[str, Any]:
    return {**object_of(*properties, **properties), "additionalProperties": False}


def lowered_property(schema: Any, **definitions: Any) -> Any:
    """What becomes of a required property with that schema."""
    root = object_of("p", p=schema)
    if definitions:
        root["$defs"] = definitions
    return openai_strict(root).schema["properties"]["p"]


# What is rewritten


def test_a_schema_that_fits_is_sent_as_it_is():
    schema = closed(
        name={"type": "string", "description": "Full name", "minLength": 1}, age={"type": ["integer", "null"]}
    )

    assert openai_strict(schema) == (schema, ())


def test_objects_are_closed_and_all_properties_required():
    lowered = openai_strict(object_of(a=object_of("b", b=STRING)))

    assert lowered.schema == closed(a={"anyOf": [closed(b=STRING), NULL]})
    assert lowered.dropped == ()


@pytest.mark.parametrize(
    ("optional", "sent"),
    [
        (STRING, {"type": ["string", "null"]}),
        ({"type": ["string", "integer"]}, {"type": ["string", "integer", "null"]}),
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
        ({"enum": ["a"]}, {"anyOf": [{"type": "string", "enum": ["a"]}, NULL]}),
        ({"const": 1}, {"anyOf": [{"type": "integer", "const": 1}, NULL]}),
        ({"enum": ["a", None]}, {"type": ["string", "null"], "enum": ["a", None]}),
        (
            {"type": ["string", "null"], "enum": ["a"]},
            {"anyOf": [{"type": ["string", "null"], "enum": ["a"]}, NULL]},
        ),
        ({"anyOf": [STRING, INTEGER], "title": "P"}, {"title": "P", "anyOf": [STRING, INTEGER, NULL]}),
        ({"anyOf": [STRING, NULL]}, {"anyOf": [STRING, NULL]}),
        ({"type": "array", "items": STRING}, {"anyOf": [{"type": "array", "items": STRING}, NULL]}),
    ],
)
def test_an_optional_property_becomes_a_union_with_null(optional, sent):
    assert openai_strict(object_of(p=optional)).schema == closed(p=sent)


def test_an_optional_reference_keeps_its_description_outside():
    schema = {**object_of(p={"$ref": "#/$defs/X", "description": "why"}), "$defs": {"X": object_of("a", a=STRING)}}

    assert openai_strict(schema).schema == {
        **closed(p={"description": "why", "anyOf": [{"$ref": "#/$defs/X"}, NULL]}),
        "$defs": {"X": closed(a=STRING)},
    }


def test_the_default_is_dropped_and_noted():
    lowered = openai_strict(object_of(n={"type": "integer", "default": 3}))

    assert lowered.schema == closed(n={"type": ["integer", "null"]})
    assert lowered.dropped == ("#/properties/n: `default` was left out: OpenAI's strict mode does not take it",)


def test_one_of_is_sent_as_any_of_without_its_discriminator():
    assert lowered_property({"oneOf": [STRING, INTEGER], "discriminator": {"propertyName": "k"}}) == {
        "anyOf": [STRING, INTEGER]
    }


def test_what_stands_beside_a_union_moves_into_its_branches():
    schema = {**object_of(a=STRING, b=STRING), "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}

    maybe = {"type": ["string", "null"]}
    assert lowered_property(schema) == {"anyOf": [closed(a=STRING, b=maybe), closed(a=maybe, b=STRING)]}


def test_a_type_beside_a_union_of_references_leaves_them_references():
    """Copying the branch would never end when it refers to the union again."""
    node = object_of("next", next={"type": "object", "anyOf": [{"$ref": "#/$defs/N"}, {"$ref": "#/$defs/End"}]})
    lowered = openai_strict({"$ref": "#/$defs/N", "$defs": {"N": node, "End": object_of("end", end=STRING)}})

    assert lowered.schema["properties"]["next"] == {"anyOf": [{"$ref": "#/$defs/N"}, {"$ref": "#/$defs/End"}]}


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_a_single_member_is_inlined_and_outer_annotations_win(keyword):
    schema = {keyword: [{"type": "string", "description": "inner"}], "description": "outer"}

    assert lowered_property(schema) == {"description": "outer", "type": "string"}


def test_all_of_merges_objects():
    base, more = object_of("id", id=STRING, n={"minimum": 1}), object_of("n", n=INTEGER)

    assert lowered_property({"allOf": [{"$ref": "#/$defs/Base"}, more]}, Base=base) == closed(
        id=STRING, n={"minimum": 1, "type": "integer"}
    )


@pytest.mark.parametrize(
    ("members", "what"),
    [
        ([STRING, INTEGER], "different `type`"),
        ([closed(a=STRING), object_of(b=STRING)], "`additionalProperties: false`, another has 'b'"),
        ([{"anyOf": [STRING, NULL]}, {"anyOf": [INTEGER, STRING]}], "different `anyOf`"),
    ],
)
def test_all_of_that_does_not_merge_is_an_error_naming_the_place(members, what):
    with pytest.raises(BadRequestError, match=f"at #/properties/p, .*{what}"):
        lowered_property({"allOf": members})


def test_a_reference_with_siblings_becomes_a_copy():
    assert lowered_property({"$ref": "#/$defs/X", "description": "d"}, X=object_of("a", a=STRING)) == {
        "description": "d",
        **closed(a=STRING),
    }


def test_a_recursive_reference_with_siblings_loses_them():
    node = object_of("kids", kids={"type": "array", "items": {"$ref": "#/$defs/N", "description": "kid"}})
    lowered = openai_strict({"$ref": "#/$defs/N", "$defs": {"N": node}})

    kids = closed(kids={"type": "array", "items": {"$ref": "#/$defs/N"}})
    assert lowered.schema == {**kids, "$defs": {"N": kids}}
    assert "#/properties/kids/items: `description` was left out" in lowered.dropped[0]


class Node(msgspec.Struct):
    child: Node | None = None


class Model(pydantic.BaseModel):
    child: Model | None = None


@pytest.mark.parametrize(
    ("schema", "name"), [(msgspec.json.schema(Node), "Node"), (Model.model_json_schema(), "Model")]
)
def test_a_reference_at_the_root_is_resolved(schema, name):
    """As msgspec writes structs and pydantic recursive models."""
    lowered = openai_strict(schema).schema

    child = {"anyOf": [{"$ref": f"#/$defs/{name}"}, NULL]}
    assert lowered["properties"] == {"child": child}
    assert lowered["$defs"][name]["properties"] == {"child": child}


def test_definitions_that_nothing_refers_to_are_left_out():
    schema = {**object_of("a", a={"$ref": "#/definitions/A"}), "definitions": {"A": STRING, "B": {}}}

    assert openai_strict(schema).schema == {**closed(a={"$ref": "#/definitions/A"}), "definitions": {"A": STRING}}


def test_the_root_may_refer_to_itself():
    schema = object_of(next={"$ref": "#"})

    assert openai_strict(schema).schema == closed(next={"anyOf": [{"$ref": "#"}, NULL]})


def test_a_reference_to_another_place_becomes_a_copy():
    """As zod writes a schema that it meets twice; the place it names may look different after lowering."""
    lowered = openai_strict(object_of("b", a=STRING, b={"$ref": "#/properties/a"}))

    assert lowered.schema == closed(a={"type": ["string", "null"]}, b=STRING)


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        ({"enum": ["a", 1, 1.5, True, None]}, ["string", "integer", "number", "boolean", "null"]),
        ({"const": "a"}, "string"),
        ({"properties": {}}, "object"),
        ({"items": STRING}, "array"),
        ({"pattern": "a"}, "string"),
        ({"minimum": 1}, "number"),
    ],
)
def test_a_missing_type_is_inferred(schema, sent):
    assert lowered_property(schema)["type"] == sent


@pytest.mark.parametrize(
    "nullable", [{**STRING, "nullable": True}, {"nullable": True, "allOf": [{"$ref": "#/$defs/S"}]}]
)
def test_nullable_of_openapi_is_a_union_with_null(nullable):
    lowered = lowered_property(nullable, S=STRING)

    assert lowered in ({"type": ["string", "null"]}, {"anyOf": [{"$ref": "#/$defs/S"}, NULL]})


def test_booleans_are_schemas():
    """`false` for an optional property or a branch takes it away; `true` adds nothing to `allOf`."""
    schema = object_of("a", a={"allOf": [True, STRING]}, gone=False, b={"anyOf": [False, STRING, INTEGER]})

    assert openai_strict(schema).schema == closed(a=STRING, b={"anyOf": [STRING, INTEGER, NULL]})


@pytest.mark.parametrize(
    ("schema", "sent", "noted"),
    [
        (
            {"type": "array", "prefixItems": [STRING, INTEGER], "items": False, "minItems": 2},
            {"type": "array", "minItems": 2, "items": {"anyOf": [STRING, INTEGER]}, "maxItems": 2},
            1,
        ),
        (
            {"type": "array", "prefixItems": [STRING, STRING]},
            {"type": "array", "items": STRING, "maxItems": 2},
            0,
        ),
        (
            {"type": "array", "items": [STRING], "additionalItems": INTEGER},
            {"type": "array", "items": {"anyOf": [STRING, INTEGER]}},
            1,
        ),
    ],
)
def test_a_tuple_becomes_a_list_of_any_of_its_types(schema, sent, noted):
    lowered = openai_strict(object_of("p", p=schema))

    assert lowered.schema == closed(p=sent)
    assert [entry.partition(":")[0] for entry in lowered.dropped] == ["#/properties/p"] * noted


@pytest.mark.parametrize(
    "extra",
    [
        {"uniqueItems": True},
        {"contains": STRING},
        {"not": {"maxItems": 1}},
        {"if": {}, "then": {}, "else": {}},
        {"dependentRequired": {}},
        {"unevaluatedItems": False},
        {"minProperties": 1, "patternProperties": {}, "propertyNames": {}},
        {"examples": [[]], "x-order": 1},
    ],
)
def test_keywords_outside_the_subset_are_dropped_and_noted(extra):
    array = {"type": "array", "items": STRING, "minItems": 1, "maxItems": 3}
    lowered = openai_strict(object_of("p", p={**array, **extra}))

    assert lowered.schema == closed(p=array)
    assert [entry.split(" was ")[0] for entry in lowered.dropped] == [f"#/properties/p: `{key}`" for key in extra]


def test_only_formats_that_openai_knows_stay():
    lowered = openai_strict(object_of("a", "b", a={"type": "string", "format": "uri"}, b={"format": "date"}))

    assert lowered.schema == closed(a=STRING, b={"type": "string", "format": "date"})
    assert lowered.dropped == ("#/properties/a: `format` was left out: OpenAI does not know 'uri'",)


def test_free_keys_beside_named_ones_are_noted():
    lowered = openai_strict({**object_of("a", a=STRING), "additionalProperties": True})

    assert lowered.schema == closed(a=STRING)
    assert "`additionalProperties` was left out" in lowered.dropped[0]


def test_pointers_are_escaped():
    schema = {**object_of("a", a={"$ref": "#/$defs/x~1y~0z"}), "$defs": {"x/y~z": STRING}}

    assert openai_strict(schema).schema["$defs"] == {"x/y~z": STRING}
    assert (
        openai_strict(object_of("a/b~c", **{"a/b~c": {**STRING, "x": 1}}))
        .dropped[0]
        .startswith("#/properties/a~1b~0c:")
    )


# What cannot be said


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": STRING},
        {"anyOf": [closed(a=STRING), closed(b=STRING)]},
        {"$ref": "#/$defs/U", "$defs": {"U": {"oneOf": [closed(a=STRING), closed(b=STRING)]}}},
        {"type": ["object", "null"], "properties": {}},
        {**object_of(a=STRING), "nullable": True},
    ],
)
def test_a_root_that_is_not_an_object_is_an_error_with_the_remedy(schema):
    with pytest.raises(BadRequestError, match=r"at #, the root is not an object.*wrap it") as caught:
        openai_strict(schema)

    assert caught.value.status_code == 0


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "additionalProperties": STRING},
        {"type": "object", "properties": {}, "additionalProperties": True},
        {**object_of(a=STRING), "additionalProperties": INTEGER},
        {"type": "object", "patternProperties": {"^x": STRING}, "additionalProperties": False},
    ],
)
def test_an_object_with_free_keys_is_an_error_with_the_remedy(schema):
    with pytest.raises(BadRequestError, match=r"at #/properties/m, an object has free keys.*strict=False.*key"):
        openai_strict(object_of(m=schema))


@pytest.mark.parametrize(
    ("schema", "what"),
    [
        ({}, "at #/properties/p, strict mode wants a type"),
        (True, "at #/properties/p, strict mode wants a type"),
        (False, "at #/properties/p, no value is accepted"),
        ({"anyOf": [STRING, {}]}, "at #/properties/p/anyOf/1, strict mode wants a type"),
        ({"anyOf": [False, False]}, "at #/properties/p, `anyOf` accepts nothing"),
        ({"anyOf": [STRING, NULL], "oneOf": [STRING, NULL]}, "stand together"),
        ({"type": "array"}, "at #/properties/p/items, strict mode wants a type"),
        ({"enum": [{}]}, "constant is an object"),
        ({"type": "STRING"}, "`type` is 'STRING'"),
        ({"$ref": "#/$defs/None"}, "`\\$ref` names nothing: '#/\\$defs/None'"),
        ({"$ref": "other.json#/a"}, "`\\$ref` names nothing"),
        ({"$ref": "#/$defs/Loop"}, "endless"),
        ({"$ref": "#/properties/p"}, "endless"),
        (object_of(again={"$ref": "#/properties/p"}), "recurs to '#/properties/p'"),
        ({"allOf": [{"$ref": "#/$defs/Grows"}, {"minimum": 1}]}, "endless"),
        ({"type": "object", "properties": {}, "required": ["a"]}, "`required` has 'a'"),
        ({"type": "object", "properties": []}, "`properties` is \\[\\]"),
        ({"type": 5}, "`type` is 5"),
        ("string", "'string' stands for a schema"),
        (object_of(a=str), "<class 'str'> stands for a schema"),
    ],
)
def test_what_strict_mode_cannot_say_is_an_error_naming_the_place(schema, what):
    definitions = {"Loop": {"$ref": "#/$defs/Loop"}, "Grows": {"allOf": [{"$ref": "#/$defs/Grows"}, {"maximum": 1}]}}
    with pytest.raises(BadRequestError, match=what):
        lowered_property(schema, **definitions)


def nested(depth: int, wrap: Any) -> dict[str, Any]:
    schema: dict[str, Any] = STRING
    for _ in range(depth):
        schema = wrap(schema)
    return object_of(p=schema)


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 100_000])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: {"type": "array", "items": inner},
        lambda inner: {"anyOf": [inner, NULL]},
        lambda inner: {"allOf": [inner]},
        lambda inner: {"allOf": [inner], "nullable": True},
        lambda inner: object_of(p=inner),
    ],
)
def test_a_schema_nested_too_deep_is_an_error(depth, wrap):
    with pytest.raises(BadRequestError, match=f"more than {MAX_DEPTH} levels deep"):
        openai_strict(nested(depth, wrap))


def test_a_schema_that_contains_itself_is_an_error():
    schema = object_of(a=STRING)
    schema["properties"]["a"] = schema

    with pytest.raises(BadRequestError):
        openai_strict(schema)


def test_a_schema_that_unfolds_without_measure_is_an_error():
    """Each definition copies the next twice."""
    definitions: dict[str, Any] = {
        f"D{n}": object_of("a", "b", **{name: {"$ref": f"#/$defs/D{n + 1}", "title": name} for name in "ab"})
        for n in range(25)
    }
    definitions["D25"] = object_of("a", a=STRING)

    with pytest.raises(BadRequestError, match="unfolds to more than"):
        openai_strict({"$ref": "#/$defs/D0", "$defs": definitions})


def test_a_long_chain_of_definitions_is_no_depth():
    definitions: dict[str, Any] = {f"D{n}": object_of("a", a={"$ref": f"#/$defs/D{n + 1}"}) for n in range(300)}
    definitions["D300"] = STRING

    assert openai_strict({"$ref": "#/$defs/D0", "$defs": definitions}).dropped == ()


# Any schema

NAMES = st.sampled_from(["a", "b", "c/d", "$ref"])
NOTES = st.fixed_dictionaries(
    {}, optional={"title": st.just("T"), "description": st.just("D"), "default": st.just(None)}
)
SCALARS = st.one_of(
    st.fixed_dictionaries({"type": st.just("string")}, optional={"maxLength": st.just(2), "format": st.just("uri")}),
    st.fixed_dictionaries({"type": st.just("integer")}, optional={"minimum": st.just(0), "nullable": st.just(True)}),
    st.sampled_from([{"type": ["boolean", "null"]}, {"enum": ["x", None]}, {"const": 7}, {"minimum": 3}]),
    st.sampled_from([{"$ref": "#/$defs/Tree"}, {"$ref": "#/$defs/Tag", "description": "D"}, {"$ref": "#/$defs/Tag"}]),
)
DEFINITIONS = {
    "Tree": object_of(
        "label", label=STRING, left={"$ref": "#/$defs/Tree"}, right={"$ref": "#/$defs/Tree", "title": "R"}
    ),
    "Tag": {"enum": ["t", "u"]},
}


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Any], constant: str = "") -> dict[str, Any]:
    properties = draw(st.dictionaries(NAMES, inner, max_size=3))
    if constant:
        properties["kind"] = {"const": constant}
    required = [name for name in properties if name == "kind" or draw(st.booleans())]
    return {**draw(NOTES), "type": "object", "properties": properties, "required": required}


def compounds(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    tagged = st.tuples(objects(inner, "one"), objects(inner, "two")).map(list)
    return st.one_of(
        objects(inner),
        st.builds(lambda items: {"type": "array", "items": items, "maxItems": 2}, inner),
        st.builds(lambda keyword, branches: {keyword: branches}, st.sampled_from(["anyOf", "oneOf"]), tagged),
        st.builds(lambda branch: {"anyOf": [branch, NULL]}, inner),
        st.builds(
            lambda one, two: {"type": "object", "allOf": [one, two]}, st.just(object_of("z", z=STRING)), objects(inner)
        ),
    )


SCHEMAS = objects(st.recursive(SCALARS, compounds, max_leaves=6)).map(lambda schema: {**schema, "$defs": DEFINITIONS})


@st.composite
def instances(draw: st.DrawFn, schema: dict[str, Any], root: dict[str, Any], depth: int = 0) -> Any:
    """Some value that fits a lowered schema; null wherever it may be, once it is deep."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    if "anyOf" in schema:
        branches = schema["anyOf"]
        deep = depth > 6 and NULL in branches
        return draw(instances(NULL if deep else draw(st.sampled_from(branches)), root, depth))
    if "enum" in schema or "const" in schema:
        return draw(st.sampled_from(schema.get("enum", [schema.get("const")])))
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    match draw(st.sampled_from(types)):
        case "object":
            return {name: draw(instances(inner, root, depth + 1)) for name, inner in schema["properties"].items()}
        case "array":
            return [draw(instances(schema["items"], root, depth + 1)) for _ in range(draw(st.integers(0, 2)))]
        case kind:
            return draw(SIMPLE[kind])


SIMPLE = {
    "string": st.sampled_from(["", "xy"]),
    "integer": st.integers(0, 9),
    "number": st.sampled_from([3, 4.5]),
    "boolean": st.booleans(),
    "null": st.none(),
}
ALLOWED = {
    *{
        "type",
        "title",
        "description",
        "enum",
        "const",
        "anyOf",
        "$ref",
        "$defs",
        "definitions",
        "properties",
        "required",
    },
    *{"additionalProperties", "items", "minItems", "maxItems", "pattern", "format", "minLength", "maxLength"},
    *{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
}


def broken_rules(schema: dict[str, Any], root: dict[str, Any], at: str = "#") -> list[str]:
    """The rules of OpenAI's structured outputs guide that a schema breaks, written without a look at the lowering."""
    broken = [f"{at}: {key}" for key in schema if key not in ALLOWED]
    if "$ref" in schema:
        section, _, name = schema["$ref"].removeprefix("#/").partition("/")
        return [
            *broken,
            *([] if len(schema) == 1 and (schema["$ref"] == "#" or name in root[section]) else [f"{at}: $ref"]),
        ]
    if "anyOf" not in schema and "type" not in schema:
        broken.append(f"{at}: no type")
    closed_and_full = schema.get("additionalProperties") is False and list(schema["properties"]) == schema["required"]
    if "object" in (schema.get("type") or ()) and not closed_and_full:
        broken.append(f"{at}: open object")
    if "array" in (schema.get("type") or ()) and "items" not in schema:
        broken.append(f"{at}: no items")
    if schema is root and schema.get("type") != "object":
        broken.append(f"{at}: root")
    inner = {f"anyOf/{n}": branch for n, branch in enumerate(schema.get("anyOf", ()))}
    inner |= {"items": schema["items"]} if "items" in schema else {}
    for key in ("properties", "$defs", "definitions"):
        inner |= {f"{key}/{name}": child for name, child in schema.get(key, {}).items()}
    return broken + [rule for name, child in inner.items() for rule in broken_rules(child, root, f"{at}/{name}")]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(schema=SCHEMAS, data=st.data())
def test_any_schema_is_lowered_to_the_strict_subset_without_loss(schema, data):
    """It obeys the rules, the input is untouched, lowering again changes nothing, and an answer fits the original."""
    before = copy.deepcopy(schema)
    lowered = openai_strict(schema).schema

    assert schema == before
    assert broken_rules(lowered, lowered) == []
    assert openai_strict(lowered) == (lowered, ())
    answer = data.draw(instances(lowered, lowered))
    jsonschema.Draft202012Validator(lowered).validate(answer)
    jsonschema.Draft202012Validator(_with_null_for_nullable(schema)).validate(strip_optional_nulls(answer, schema))


def _with_null_for_nullable(schema: Any) -> Any:
    """JSON Schema does not know OpenAPI's `nullable`."""
    if isinstance(schema, list):
        return [_with_null_for_nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: _with_null_for_nullable(value) for key, value in schema.items() if key != "nullable"}
    return {"anyOf": [inner, NULL]} if schema.get("nullable") is True else inner


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["object", "array", "string", "#", "#/$defs/A", "a"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["type", "properties", "items", "anyOf", "allOf", "$ref", "$defs", "A", "enum", "const", "required",
                         "additionalProperties", "nullable", "format", "oneOf", "prefixItems", "maxItems", "default"]),
        inner, max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(schema=JUNK)
def test_garbage_is_lowered_or_refused(schema):
    assume(isinstance(schema, dict))
    try:
        lowered = openai_strict(schema).schema
    except BadRequestError:
        return
    assert broken_rules(lowered, lowered) == []
    assert openai_strict(lowered).schema == lowered
