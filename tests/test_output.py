"""From `response_format=` to a JSON Schema, and from an answer's text to a value."""

from __future__ import annotations

import dataclasses
import enum
import subprocess
import sys
import time
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, TypedDict, TypeVar

import jsonschema
import msgspec
import pydantic
import pytest

from modelwire._schema_lowering import openai_strict
from modelwire.errors import BadRequestError, OutputValidationError
from modelwire.output import parse_output, response_schema, strip_optional_nulls
from modelwire.types import ResponseFormat

T = TypeVar("T")


class Person(msgspec.Struct):
    """Someone with a name."""

    name: str
    age: int = 3


class Cat(msgspec.Struct, tag="cat"):
    lives: int = 9


class Dog(msgspec.Struct, tag="dog"):
    owner: Person | None = None


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


class Pair(NamedTuple):
    left: int
    right: str


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Box(msgspec.Struct, Generic[T]):
    content: T


class Model(pydantic.BaseModel):
    """A pydantic model."""

    name: str
    age: int = 3
    child: Model | None = None


class Numbers(pydantic.RootModel[list[int]]):
    pass


class Team(msgspec.Struct):
    lead: Model
    members: list[Model] = []


PERSON = {
    "type": "object",
    "title": "Person",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "default": 3}},
    "required": ["name"],
}

# (type, the JSON that fits its own schema, the value)
TYPES: list[tuple[Any, str, Any]] = [
    (Person, '{"name":"Ada","age":5}', Person("Ada", 5)),
    (Point, '{"x":1,"y":2}', Point(1, 2)),
    (Movie, '{"title":"Up"}', {"title": "Up"}),
    (Model, '{"name":"Ada","child":{"name":"Bo"}}', Model(name="Ada", child=Model(name="Bo"))),
    (Team, '{"lead":{"name":"Ada"}}', Team(Model(name="Ada"))),
    (Box[int], '{"content":1}', Box(1)),
    (dict[str, int], '{"a":1}', {"a": 1}),
    (list[Person], '[{"name":"Ada"}]', [Person("Ada")]),
    (list[Model], '[{"name":"Ada"}]', [Model(name="Ada")]),
    (Cat | Dog, '{"type":"dog","owner":{"name":"Ada"}}', Dog(Person("Ada"))),
    (Person | None, "null", None),
    (Pair, '[1,"a"]', Pair(1, "a")),
    (Colour, '"red"', Colour.RED),
    (Literal["a", 1], '"a"', "a"),
    (Annotated[int, msgspec.Meta(ge=1, extra={})], "4", 4),
    (Numbers, "[1,2]", Numbers([1, 2])),
    (int, "5", 5),
    (Any, '{"value":1,"b":2}', {"value": 1, "b": 2}),
]
WRAPPED = TYPES[7:]


def ids(rows: list[tuple[Any, ...]]) -> list[str]:
    return [str(row[0]) for row in rows]


# response_schema


@pytest.mark.parametrize(("target", "text", "_value"), TYPES, ids=ids(TYPES))
def test_every_type_is_asked_for_as_an_object(target, text, _value):
    form = response_schema(target)

    assert form.type == "json_schema"
    assert form.strict is None
    assert form.schema is not None
    jsonschema.Draft202012Validator.check_schema(form.schema)
    wrapped = (target, text, _value) in WRAPPED
    answer = f'{{"value":{text}}}' if wrapped else text
    jsonschema.Draft202012Validator(form.schema).validate(msgspec.json.decode(answer))


@pytest.mark.parametrize(("target", "text", "value"), TYPES, ids=ids(TYPES))
def test_every_type_is_read_back(target, text, value):
    assert parse_output(text, target) == value


@pytest.mark.parametrize(("target", "text", "value"), WRAPPED, ids=ids(WRAPPED))
def test_a_type_that_is_no_object_is_read_out_of_its_wrapper(target, text, value):
    assert parse_output(f'{{"value": {text}}}', target) == value


@pytest.mark.parametrize(
    "target", [Person, Point, Movie, Model, Team, list[Person], Cat | Dog, Pair, Numbers, Colour], ids=str
)
def test_types_fit_the_strict_subset(target):
    schema = response_schema(target).schema

    assert schema is not None
    assert openai_strict(schema).schema


def test_the_wrapper_holds_the_value_and_the_root_its_definitions():
    assert response_schema(list[Person]).schema == {
        "type": "object",
        "properties": {"value": {"type": "array", "items": {"$ref": "#/$defs/Person"}}},
        "required": ["value"],
        "additionalProperties": False,
        "$defs": {"Person": {**PERSON, "description": "Someone with a name."}},
    }


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (Person, "Person"),
        (list[Person], "list_Person"),
        (Cat | Dog, "Cat_or_Dog"),
        (Box[int], "Box_int"),
        (dict[str, list[int]], "dict_str_list_int"),
        (Literal["a b", "ü"], "Literal_a_b"),
        (Annotated[int, msgspec.Meta(ge=1)], "int"),
        (type("Ü", (msgspec.Struct,), {}), "response"),
        (type("N" * 90, (msgspec.Struct,), {}), "N" * 64),
        ({"type": "object", "title": "A title!"}, "A_title"),
        ({"type": "object"}, "response"),
    ],
    ids=str,
)
def test_the_name_follows_the_type_in_letters_that_every_provider_takes(target, name):
    assert response_schema(target).name == name


@pytest.mark.parametrize(
    ("target", "description"),
    [
        (Person, "Someone with a name."),
        (Model, "A pydantic model."),
        (Point, None),  # dataclass writes "Point(x: int, y: int = 0)" itself
        (Pair, None),
        (Movie, None),
        (list[Person], None),
        ({"type": "object", "description": "d"}, "d"),
    ],
    ids=str,
)
def test_the_description_is_the_docstring_that_the_user_wrote(target, description):
    assert response_schema(target).description == description


def test_a_default_that_json_does_not_have_becomes_json():
    @dataclasses.dataclass
    class WithTuple:
        pair: tuple[int, str] = (1, "a")

    schema = response_schema(WithTuple).schema

    assert schema is not None
    assert schema["$defs"]["WithTuple"]["properties"]["pair"]["default"] == [1, "a"]


def test_a_type_is_described_once():
    assert response_schema(Person).schema is response_schema(Person).schema
    assert response_schema(list[Person]) is response_schema(list[Person])


def test_a_json_schema_is_taken_as_it_is():
    form = response_schema(PERSON)

    assert form == ResponseFormat(type="json_schema", name="Person", schema=PERSON)
    assert form.schema == PERSON


def test_a_json_schema_that_is_no_object_is_wrapped():
    """A `$ref` to the root follows it; one to a definition stays."""
    schema = {
        "anyOf": [{"$ref": "#/definitions/S"}, {"type": "array", "items": {"$ref": "#"}}],
        "definitions": {"S": {"type": "string"}},
    }
    sent = response_schema(schema).schema

    assert sent is not None
    assert sent["properties"]["value"]["anyOf"][1]["items"] == {"$ref": "#/properties/value"}
    assert sent["definitions"] == {"S": {"type": "string"}}
    jsonschema.Draft202012Validator(sent).validate({"value": ["a", ["b"]]})
    assert parse_output('{"value": ["a", ["b"]]}', schema) == ["a", ["b"]]


WIRE_FORMS = [
    ({"type": "text"}, ResponseFormat(type="text")),
    ({"type": "json_object"}, ResponseFormat(type="json_object")),
    (
        {"type": "json_schema", "json_schema": {"name": "p", "description": "d", "schema": PERSON, "strict": True}},
        ResponseFormat(type="json_schema", name="p", description="d", schema=PERSON, strict=True),
    ),
    (
        {"type": "json_schema", "name": "p q", "schema": PERSON, "strict": False},
        ResponseFormat(type="json_schema", name="p_q", schema=PERSON, strict=False),
    ),
    (
        {"type": "json_schema", "schema": {"type": "array", "items": {}}},
        ResponseFormat(type="json_schema", name="response", schema={"type": "array", "items": {}}),
    ),
    (
        {"type": "json_schema", "name": None, "schema": PERSON},
        ResponseFormat(type="json_schema", name="Person", schema=PERSON),
    ),
]


@pytest.mark.parametrize(("form", "expected"), WIRE_FORMS)
def test_the_forms_of_the_wire_are_understood(form, expected):
    assert response_schema(form) == expected
    assert response_schema(expected) == expected


class Unreadable:
    pass


class Forward(msgspec.Struct):
    x: Missing  # noqa: F821


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (None, "response_format is None"),
        ("json", "response_format is 'json'.*json_object"),
        (Person("Ada"), "an instance of Person. Pass the class itself"),
        (Point(1), "an instance of Point. Pass the class"),
        (Model(name="a"), "an instance of Model. Pass the class"),
        (5, "no JSON Schema for 5"),
        ([int], "no JSON Schema for"),
        (Unreadable, "no JSON Schema for Unreadable: .*Use a type"),
        (Forward, "no JSON Schema for Forward: name 'Missing' is not defined"),
        (Cat | Person, "no JSON Schema for Cat_or_Person: .*must be tagged"),
        (Model | Numbers, "RootModel"),
        ({}, "no JSON Schema: its type is None"),
        ({"type": "json"}, "its type is 'json'"),
        ({"type": "text", "verbosity": "low"}, "unknown key 'verbosity'"),
        ({"type": "json_schema"}, "`schema` is None"),
        ({"type": "json_schema", "json_schema": {"name": "a"}}, "`schema` is None"),
        ({"type": "json_schema", "json_schema": {"schema": Person}}, "`schema` is <class .*Person.*pass the type"),
        ({"type": "json_schema", "json_schema": Person}, "`schema` is <class .*Person.*pass the type"),
        ({"type": "json_schema", "json_schema": {"schema": PERSON, "strct": True}}, "unknown key 'strct'"),
        ({"type": "json_schema", "json_schema": {"schema": PERSON}, "strict": True}, "unknown key 'strict'"),
        ({"type": "json_schema", "schema": PERSON, "strict": "yes"}, r"Expected `bool \| null`.*strict"),
        ({"type": "json_schema", "schema": PERSON, "name": 5}, "name"),
        (
            {"type": "object", "properties": {"a": {"enum": {1}}}},
            "has \\{1\\} at #/properties/a/enum, which is not JSON",
        ),
        ({"type": "object", "properties": {"a": int}}, "has <class 'int'> at #/properties/a, .*no types"),
        ({"type": "object", "properties": {1: {}}}, "has \\{1: \\{\\}\\} at #/properties"),
        ({"type": "object", "default": float("nan")}, "has nan at #/default"),
        ({"type": "object", "required": ("a",)}, "at #/required"),
    ],
    ids=str,
)
def test_a_bad_response_format_is_refused_with_the_reason(bad, message):
    with pytest.raises(BadRequestError, match=message):
        response_schema(bad)


def test_a_schema_that_contains_itself_is_refused():
    schema: dict[str, Any] = {"type": "object"}
    schema["properties"] = {"a": schema, "b": schema}

    with pytest.raises(BadRequestError, match="contains itself"):
        response_schema(schema)


def test_two_models_of_one_name_in_a_type_are_refused():
    inner = [pydantic.create_model("Inner", a=(int, ...)), pydantic.create_model("Inner", b=(int, ...))]
    one, two = (pydantic.create_model(f"Outer{n}", inner=(model, ...)) for n, model in enumerate(inner))

    with pytest.raises(BadRequestError, match="two types are named Inner"):
        response_schema(tuple[one, two])


# parse_output


@pytest.mark.parametrize(
    "text",
    [
        ' \n{"name": "Ada"}\t\n',
        '```json\n{"name": "Ada"}\n```',
        '\n```JSON\n{"name":\n"Ada"}\n\n```\n',
        '```\n{"name": "Ada"}```',
    ],
)
def test_white_space_and_one_fence_are_taken_off(text):
    assert parse_output(text, Person) == Person("Ada")
    assert parse_output(text, Model) == Model(name="Ada")
    assert parse_output(text, PERSON) == {"name": "Ada"}


@pytest.mark.parametrize("text", ['Sure: {"name": "Ada"}', '{"name": "Ada"} Done.', '```python\n{"name": "Ada"}\n```'])
def test_prose_around_the_json_is_an_error(text):
    with pytest.raises(OutputValidationError, match=r"not JSON: .*There it says: ") as caught:
        parse_output(text, Person)

    assert caught.value.text == text


@pytest.mark.parametrize("target", [Person, Model, list[Person], PERSON, {"type": "json_object"}], ids=str)
@pytest.mark.parametrize(
    "text", ['{"name": "Ad', '{"name": "Ada", "age": 3', '```json\n{"name": "Ada",', '{"name": 1.']
)
def test_a_cut_answer_is_said_to_be_cut(target, text):
    with pytest.raises(OutputValidationError, match=r'probably cut \(finish_reason "length"\): raise max_tokens'):
        parse_output(text, target)


@pytest.mark.parametrize("text", ["", " \n", "```json\n```"])
def test_an_empty_answer_is_said_to_be_empty(text):
    with pytest.raises(OutputValidationError, match="The answer is empty"):
        parse_output(text, Person)


@pytest.mark.parametrize(
    ("target", "text", "what"),
    [
        (Person, '{"name": "Ada", "age": "x"}', "fit Person: Expected `int`, got `str` - at `$.age`"),
        (Person, "[1]", "fit Person: Expected `object`, got `array` - at `$`"),
        (Model, '{"age": 1}', "fit Model: Field required - at `$.name`"),
        (Model, '{"age": "x"}', "Field required - at `$.name` (and 1 more)"),
        (Model, '{"name": "a", "child": {"name": 5}}', "Input should be a valid string - at `$.child.name`"),
        (Team, '{"lead": {"name": 5}}', "fit Team: Input should be a valid string - at `$.name` - at `$.lead`"),
        (list[Person], '{"value": [{"name": 1}]}', "fit list_Person: Expected `str`, got `int` - at `$[0].name`"),
        (list[Person], '[{"name": 1}]', "Expected `str`, got `int` - at `$[0].name`"),
        (Cat | Dog, '{"type": "cow"}', "Invalid value 'cow' - at `$.type`"),
        ({"type": "json_object"}, "[]", "fit a JSON object: it is a list"),
    ],
    ids=str,
)
def test_a_misfit_says_what_where_and_shows_the_text(target, text, what):
    with pytest.raises(OutputValidationError) as caught:
        parse_output(text, target)

    message = str(caught.value)
    assert what in message
    assert "Ask again" in message
    assert text in message
    assert caught.value.text == text


def test_a_long_answer_is_excerpted_around_the_fault():
    with pytest.raises(OutputValidationError) as caught:
        parse_output('{"name": "' + "é" * 5000 + '", oops}', Person)

    message = str(caught.value)
    assert "oops" in message
    assert len(message) < 600
    assert message.endswith(" …")


@pytest.mark.parametrize("target", [Person, Model, list[Any], Any, {"type": "object"}], ids=str)
@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '"\ud800"', "\x00", "1e999"])
def test_hostile_text_is_an_output_error(target, text):
    with pytest.raises(OutputValidationError):
        parse_output(text, target)


def test_fences_and_spaces_without_measure_take_no_time():
    started = time.perf_counter()
    with pytest.raises(OutputValidationError):
        parse_output("```json\n" + "\n" * 300_000 + "x" + "` " * 100_000, Person)

    assert time.perf_counter() - started < 2


def test_dicts_are_decoded_without_being_checked():
    assert parse_output('{"name": 5}', PERSON) == {"name": 5}
    assert parse_output('{"a": 1}', {"type": "json_object"}) == {"a": 1}
    assert parse_output(" any text ", {"type": "text"}) == " any text "


def test_a_wire_form_is_not_unwrapped():
    schema = {"type": "json_schema", "schema": {"type": "array", "items": {"type": "integer"}}}

    assert parse_output('{"value": [1]}', schema) == {"value": [1]}


def test_a_bad_target_is_a_bad_request():
    with pytest.raises(BadRequestError, match="instance of Person"):
        parse_output("{}", Person("Ada"))


# Nulls that strict schemas bring


class Options(msgspec.Struct, rename="camel"):
    max_size: int = 3
    label: str | None = "x"
    inner: Person | None = None
    mode: int | msgspec.UnsetType = msgspec.UNSET


@pytest.mark.parametrize(
    ("target", "text", "value"),
    [
        (Person, '{"name": "Ada", "age": null}', Person("Ada")),
        (Point, '{"x": 1, "y": null}', Point(1)),
        (Movie, '{"title": "Up", "year": null}', {"title": "Up"}),
        (
            Model,
            '{"name": "Ada", "age": null, "child": {"name": "Bo", "age": null}}',
            Model(name="Ada", child=Model(name="Bo")),
        ),
        (Team, '{"lead": {"name": "Ada", "age": null}, "members": null}', Team(Model(name="Ada"))),
        (Options, '{"maxSize": null, "label": null, "inner": null, "mode": null}', Options(label=None)),
        (Options, '{"maxSize": 1, "inner": {"name": "Ada", "age": null}}', Options(1, inner=Person("Ada"))),
        (list[Person], '{"value": [{"name": "Ada", "age": null}]}', [Person("Ada")]),
        (list[Person], '[{"name": "Ada", "age": null}]', [Person("Ada")]),
        (Cat | Dog, '{"value": {"type": "cat", "lives": null}}', Cat()),
        (dict[str, Person], '{"a": {"name": "Ada", "age": null}}', {"a": Person("Ada")}),
        (PERSON, '{"name": "Ada", "age": null}', {"name": "Ada"}),
    ],
    ids=str,
)
def test_null_for_an_optional_property_that_may_not_be_null_is_its_default(target, text, value):
    assert parse_output(text, target) == value


def test_null_for_a_required_property_is_an_error():
    with pytest.raises(OutputValidationError, match=r"Expected `str`, got `null` - at `\$.name`"):
        parse_output('{"name": null, "age": null}', Person)


def test_the_error_is_the_one_that_remains_without_the_nulls():
    with pytest.raises(OutputValidationError, match=r"Expected `int`, got `str` - at `\$\[1\].age`"):
        parse_output('[{"name": "Ada", "age": null}, {"name": "Bo", "age": "x"}]', list[Person])


def test_a_union_is_read_by_the_branch_that_fits():
    schema = {
        "type": "object",
        "anyOf": [
            {"properties": {"k": {"const": 1}, "n": {"type": ["integer", "null"]}}, "required": ["k"]},
            {"properties": {"k": {"const": 2}, "n": {"type": "integer"}}, "required": ["k"]},
        ],
    }

    assert strip_optional_nulls({"k": 1, "n": None}, schema) == {"k": 1, "n": None}
    assert strip_optional_nulls({"k": 2, "n": None}, schema) == {"k": 2}
    assert strip_optional_nulls({"k": 3, "n": None}, schema) == {"k": 3}


def test_true_is_no_number():
    numbers = {"type": "object", "properties": {"k": {"type": "integer"}, "n": {"type": ["integer", "null"]}}}
    booleans = {"type": "object", "properties": {"k": {"type": "boolean"}, "n": {"type": "integer"}}}

    assert strip_optional_nulls({"k": True, "n": None}, {"anyOf": [numbers, booleans]}) == {"k": True}
    assert strip_optional_nulls({"k": 1.0, "n": None}, {"anyOf": [booleans, numbers]}) == {"k": 1.0, "n": None}


def test_stripping_leaves_the_value_alone_and_what_does_not_fit_as_it_is():
    value = {"name": None, "age": None, "more": [None]}

    assert strip_optional_nulls(value, PERSON) == {"name": None, "more": [None]}
    assert value == {"name": None, "age": None, "more": [None]}
    assert strip_optional_nulls("text", PERSON) == "text"
    assert strip_optional_nulls({"a": None}, {"properties": {"a": {"type": "string", "nullable": True}}}) == {"a": None}
    assert strip_optional_nulls({"a": None}, {"properties": 5}) == {"a": None}
    assert strip_optional_nulls([None], {"type": "array", "prefixItems": [{"type": "null"}], "items": False}) == [None]


def test_stripping_ends_where_a_schema_or_a_value_does_not():
    """Unions that are ambiguous at every level are not tried in all combinations."""
    branch = {"type": "object", "properties": {"a": {"$ref": "#/$defs/E"}, "b": {"type": "integer"}}}
    schema = {
        "$ref": "#/$defs/E",
        "$defs": {"E": {"anyOf": [branch, {**branch, "title": "again"}, {"$ref": "#/$defs/E"}]}},
    }
    value: Any = "misfit"
    for _ in range(40):
        value = {"a": value, "b": None}
    started = time.perf_counter()

    assert strip_optional_nulls(value, schema)["a"].keys() == {"a"}
    assert time.perf_counter() - started < 2
    for _ in range(5000):
        value = {"a": value}
    assert strip_optional_nulls(value, schema) is value


def test_numbers_survive_a_second_reading():
    class Bill(msgspec.Struct):
        total: float
        big: int
        paid: Decimal
        note: str = ""

    text = '{"total": 0.1, "big": 123456789012345678901234567890, "paid": "1.10", "note": null}'
    assert parse_output(text, Bill) == Bill(0.1, 123456789012345678901234567890, Decimal("1.10"))


def test_an_answer_to_the_strict_schema_is_read_back():
    """The whole way: the type's schema is lowered, the answer has every property, and the type's defaults come back."""
    schema = response_schema(Options).schema
    assert schema is not None
    sent = openai_strict(schema).schema
    answer = {"maxSize": None, "label": "y", "inner": {"name": "Ada", "age": None}, "mode": None}
    jsonschema.Draft202012Validator(sent).validate(answer)

    assert parse_output(msgspec.json.encode(answer).decode(), Options) == Options(label="y", inner=Person("Ada"))


def test_pydantic_is_never_imported():
    code = "import sys, modelwire.output as o; o.parse_output('[1]', list[int]); sys.exit('pydantic' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False, env={"PYTHONPATH": "src"}).returncode == 0
