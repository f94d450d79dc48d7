"""Typed functions as tools: what the model is told, and what becomes of its calls."""

from __future__ import annotations

import functools
import gc
import threading
import weakref
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pytest
from pydantic import BaseModel, Field

from modelwire import (
    BadRequestError,
    FunctionTool,
    tool,
)
from modelwire._signature import describe
from tests.chat_answers import HELLO, sent, told
from tests.fakes import client_of, scripted

# ---------------------------------------------------------------------- types that tools take


@dataclass
class City:
    """A place."""

    name: str
    country: str = "France"


class Point(TypedDict):
    x: float
    y: float


class Person(BaseModel):
    name: str
    age: int = Field(ge=0)
    friends: list[Person] = []


class Range(msgspec.Struct):
    least: Annotated[int, msgspec.Meta(ge=0, description="From here.")] = 0


CITY, NUMBERS = City("Paris"), [1]


def schema_of(function: Any) -> dict[str, Any]:
    return describe(function).schema["properties"]


# ---------------------------------------------------------------------- what the model is told


@tool
def get_weather(city: str, days: Annotated[int, "How many."] = 1, unit: Literal["C", "F"] = "C") -> str:
    """The weather in a city.

    Args:
        city: Its name.
        days: Not this.
    """
    return f"{city}, {days} days, in {unit}"


def test_a_function_is_described_by_its_signature_and_docstring() -> None:
    assert get_weather.schema == {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Its name."},
                "days": {"type": "integer", "description": "How many.", "default": 1},
                "unit": {"enum": ["C", "F"], "default": "C"},
            },
            "required": ["city"],
            "additionalProperties": False,
        },
    }
    assert (get_weather.name, get_weather.description) == ("get_weather", "The weather in a city.")


def test_it_stays_the_function() -> None:
    assert get_weather("Paris", unit="F") == "Paris, 1 days, in F"
    assert get_weather.__name__ == "get_weather"
    assert get_weather.__doc__ is not None
    assert repr(get_weather) == "FunctionTool('get_weather')"


def test_options_go_over_what_the_function_says() -> None:
    @tool(name="weather", description="Forecast.", strict=True)
    def get(city: str) -> str:
        """Not this."""
        return city

    assert isinstance(get, FunctionTool)
    assert {name: get.schema[name] for name in ("name", "description", "strict")} == {
        "name": "weather",
        "description": "Forecast.",
        "strict": True,
    }
    assert FunctionTool(get, "Forecast.", "again").schema["name"] == "again"
    assert "description" not in FunctionTool(lambda: None, name="nothing").schema


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        (str, {"type": "string"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (Literal["a", "b"], {"enum": ["a", "b"]}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (Annotated[int, msgspec.Meta(ge=1, description="One up.")], {"type": "integer", "minimum": 1, "description": "One up."}),
        (Annotated[int, Field(ge=1, le=5, description="Few.")], {"type": "integer", "minimum": 1, "maximum": 5, "description": "Few."}),
        (Annotated[str, Field(max_length=3)], {"type": "string", "maxLength": 3}),
        (Annotated[City, "Where."], {"$ref": "#/$defs/City", "description": "Where."}),
        (Point, {"$ref": "#/$defs/Point"}),
        (Range, {"$ref": "#/$defs/Range"}),
    ],
    ids=str,
)  # fmt: skip
def test_types_are_described(kind: Any, schema: dict[str, Any]) -> None:
    def f(value):  # type: ignore[no-untyped-def]
        pass

    f.__annotations__ = {"value": kind}

    assert schema_of(f)["value"] == schema


def test_nested_types_lie_beside_the_parameters() -> None:
    def f(city: City, people: list[Person], one: Person | None = None, where: City | None = None) -> None:
        pass

    schema = describe(f).schema

    assert set(schema["$defs"]) == {"City", "Person"}
    assert schema["$defs"]["City"]["description"] == "A place."
    assert set(schema["properties"]) == {"city", "people", "one", "where"}
    assert schema["required"] == ["city", "people"]


def test_defaults_are_shown_where_json_can_say_them() -> None:
    def f(  # type: ignore[no-untyped-def]
        a: City = CITY, b: int | None = None, c: list[int] = NUMBERS, d: float = 0.5, e: Person | None = None
    ):
        pass

    found = {name: given.get("default") for name, given in schema_of(f).items()}
    assert found == {"a": {"name": "Paris", "country": "France"}, "b": None, "c": [1], "d": 0.5, "e": None}
    assert describe(f).schema.get("required") is None


def test_a_method_a_partial_and_an_object_are_tools() -> None:
    class Shop:
        """A shop."""

        stock = 3

        def count(self, item: str) -> str:
            """How many there are."""
            return f"{self.stock} {item}"

        @tool
        async def price(self, item: str) -> str:
            """What it costs."""
            return f"{item} costs {self.stock}"

        def __call__(self, item: str) -> str:
            return item

    def order(customer: str, item: str, /, count: int = 1, *, rush: bool = False) -> str:
        """Order it."""
        return f"{customer}: {count} {item} {rush}"

    shop = Shop()
    assert describe(shop.count)[:2] == ("count", "How many there are.")
    assert set(schema_of(shop.count)) == {"item"}
    assert set(schema_of(shop.price)) == set(Shop.price.schema["parameters"]["properties"]) == {"item"}
    assert describe(shop)[:2] == ("Shop", "A shop.")
    assert describe(functools.partial(order, "me", rush=True))[:2] == ("order", "Order it.")
    assert set(schema_of(functools.partial(order, "me", rush=True))) == {"item", "count"}
    assert set(schema_of(functools.lru_cache(order))) == {"customer", "item", "count", "rush"}
    assert shop.price.schema == Shop.price.schema


@pytest.mark.parametrize(
    ("function", "text"),
    [
        ("def f(a): ...", "tool f: a has no type; write it as a: str, or the like"),
        ("def f(*args: int): ...", r"tool f: \*args: a model needs parameters with names and types"),
        ("def f(**more: int): ...", r"tool f: \*\*more: a model needs"),
        ("def f(a: str, b: threading.Lock): ...", "tool f: there is no JSON Schema for b: "),
        ("def f(a: complex): ...", "tool f: there is no JSON Schema for a: complex"),
        ("def f(a: str, b: Nowhere): ...", "tool f: a type of its parameters cannot be found: name 'Nowhere' is not defined"),
        ("def f(a: 'list['): ...", "tool f: a type of its parameters cannot be found: "),
        ("def f(b: str, a: list[int] | set[int]): ...", r"tool f: there is no JSON Schema for a: list\[int\] \| set\[int\]: "),
        ("def f(a: int = Field(3)): ...", r"tool f: a: write a Field as Annotated\["),
        ("def f(a: str):\n    yield a", "tool f: it yields; a tool returns its result"),
        ("async def f(a: str):\n    yield a", "tool f: it yields"),
        ("f = lambda: 1", "tool '<lambda>': a name of a tool is"),
        ("def größe(a: str): ...\nf = größe", "tool 'größe': a name of a tool is .*; pass name="),
        ("class f: ...", "f is a class; a tool is a function"),
        ("f = 7", "a tool is a function, not int"),
        ("f = len", "tool len: obj has no type"),
        ("f = dict.fromkeys", "tool fromkeys: "),
    ],
    ids=str,
)  # fmt: skip
def test_what_no_model_can_call_is_refused_where_it_is_decorated(function: str, text: str) -> None:
    names: dict[str, Any] = {"threading": threading, "Field": Field}
    exec("from __future__ import annotations\n" + function, names)

    with pytest.raises(TypeError, match=text):
        tool(names["f"])
    if callable(names["f"]):
        with pytest.raises(BadRequestError, match=rf"tools\[0\]: {text}"):
            client_of(scripted(told())).stream(HELLO, tools=[names["f"]])


def test_what_is_remembered_of_a_function_does_not_keep_it() -> None:
    def f(a: str) -> str:
        return a

    assert describe(f) is describe(f)
    gone = weakref.ref(f)
    del f
    gc.collect()

    assert gone() is None


@pytest.mark.anyio
@pytest.mark.parametrize("given", [get_weather, get_weather.func], ids=["tool", "function"])
async def test_tools_and_functions_go_where_tools_go(given: Any) -> None:
    transport = scripted(told())
    client = client_of(transport)

    await client.create(HELLO, tools=[given], tool_choice=given)

    body = sent(transport.requests[0].body)
    assert body["tools"] == [{"type": "function", "function": get_weather.schema}]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "get_weather"}}
    assert client.count_tokens(HELLO, tools=[given]) > client.count_tokens(HELLO)
    assert await client.request_key(HELLO, tools=[given]) == await client.request_key(HELLO, tools=[get_weather])


@pytest.mark.anyio
async def test_strict_and_custom_tools_are_sent_as_such() -> None:
    @tool(strict=True)
    def add(a: int, b: int = 2) -> int:
        return a + b

    @tool(custom=True, grammar="start: /a+/")
    def shout(text: str) -> str:
        return text.upper()

    transport = scripted(told())
    await client_of(transport).create(HELLO, tools=[add, shout])

    strict, custom = sent(transport.requests[0].body)["tools"]
    assert strict["function"]["strict"] is True
    assert strict["function"]["parameters"]["required"] == ["a", "b"]
    assert custom["custom"]["format"]["grammar"] == {"syntax": "lark", "definition": "start: /a+/"}
    for wrong in (lambda: tool(custom=True)(add), lambda: tool(grammar="x")(add.func)):
        with pytest.raises(TypeError, match="tool add: "):
            wrong()
