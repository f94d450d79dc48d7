"""Where a recorded Gemini request and what modelwire writes for it differ without saying anything else.

Each normalisation takes a body and gives one that says the same; its docstring says why. A test compares recorded bodies
with rewritten ones after all of them, and another that each of them was needed.
"""

from __future__ import annotations

import re
from typing import Any

Json = Any

_USER_DATA = {"args", "response", "labels", "properties", "responseJsonSchema", "parametersJsonSchema"}
"""Members whose names inside are not the API's."""


def names_in_camel_case(body: Json) -> Json:
    """JSON of protocol buffers takes both spellings: https://protobuf.dev/programming-guides/json/#field-names."""
    if isinstance(body, list):
        return [names_in_camel_case(each) for each in body]
    if not isinstance(body, dict):
        return body
    camel = {re.sub(r"_([a-z])", lambda found: found[1].upper(), name): value for name, value in body.items()}
    return {name: value if name in _USER_DATA else names_in_camel_case(value) for name, value in camel.items()}


def _walked(body: Json, change: Any) -> Json:
    """The body with every object changed, the innermost first, but for users' own data."""
    if isinstance(body, list):
        return [_walked(each, change) for each in body]
    if not isinstance(body, dict):
        return body
    return change({name: value if name in _USER_DATA else _walked(value, change) for name, value in body.items()})


def nulls_left_out(body: Json) -> Json:
    """Null is the same as absent in JSON of protocol buffers."""
    return _walked(body, lambda each: {name: value for name, value in each.items() if value is not None})


def false_thought_left_out(body: Json) -> Json:
    """`thought` is false by default."""
    return _walked(
        body, lambda each: {name: value for name, value in each.items() if (name, value) != ("thought", False)}
    )


def lists_of_one_as_lists(body: Json) -> Json:
    """One object in the place of a list is read as a list of one."""

    def change(each: dict[str, Any]) -> dict[str, Any]:
        return {
            name: [value] if name in ("parts", "tools") and isinstance(value, dict) else value
            for name, value in each.items()
        }

    return _walked(body, change)


def standard_base64(body: Json) -> Json:
    """Bytes may come in the URL-safe alphabet, and mean the same in the standard one."""

    def change(each: dict[str, Any]) -> dict[str, Any]:
        data = each.get("data")
        return each | {"data": data.replace("-", "+").replace("_", "/")} if isinstance(data, str) else each

    return _walked(body, change)


def model_only_in_the_url(body: Json) -> Json:
    """The model of the URL counts; some clients repeat it in the body."""
    return {name: value for name, value in body.items() if name != "model"}


def no_role_of_instructions(body: Json) -> Json:
    """`systemInstruction` is a content, whose role is not read: "user", "model" and "system" were all seen."""
    instruction = body.get("systemInstruction")
    if instruction is None:
        return body
    return body | {"systemInstruction": {name: value for name, value in instruction.items() if name != "role"}}


def no_empty_configuration(body: Json) -> Json:
    """An empty `generationConfig` configures nothing."""
    return {name: value for name, value in body.items() if (name, value) != ("generationConfig", {})}


def no_empty_texts_of_the_model(body: Json) -> Json:
    """An empty text part without a signature says nothing."""

    def change(content: dict[str, Any]) -> dict[str, Any]:
        return content | {"parts": [part for part in content["parts"] if part != {"text": ""}]}

    contents = [change(each) if each.get("role") == "model" else each for each in body["contents"]]
    return body | {"contents": contents}


def levels_in_capitals(body: Json) -> Json:
    """Words of enums are read in any case where they are documented in capitals."""

    def change(each: dict[str, Any]) -> dict[str, Any]:
        level = each.get("thinkingLevel")
        return each | {"thinkingLevel": level.upper()} if isinstance(level, str) else each

    return _walked(body, change)


def json_schema_for_openapi(body: Json) -> Json:
    """Models since 2.5 take the same schema as JSON Schema, in a member of its own."""

    def change(each: dict[str, Any]) -> dict[str, Any]:
        names = {"parameters": "parametersJsonSchema", "responseSchema": "responseJsonSchema"}
        return {
            names.get(name, name): _json_schema(value) if name in names and isinstance(value, dict) else value
            for name, value in each.items()
        }

    return _walked(body, change)


_TYPES = {1: "string", 2: "number", 3: "integer", 4: "boolean", 5: "array", 6: "object"}


def _json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    made = dict(schema)
    if "type" in made:
        made["type"] = _TYPES.get(made["type"]) or made["type"].lower()
    if "properties" in made:
        made["properties"] = {name: _json_schema(each) for name, each in made["properties"].items()}
    if "items" in made:
        made["items"] = _json_schema(made["items"])
    return made


def no_ignored_keywords(body: Json) -> Json:
    """Gemini ignores `pattern` in the schema of an answer: it is not among the keywords of `responseJsonSchema`."""
    config = body.get("generationConfig", {})
    if "responseJsonSchema" not in config:
        return body
    return body | {"generationConfig": config | {"responseJsonSchema": _without_patterns(config["responseJsonSchema"])}}


def _without_patterns(schema: Json) -> Json:
    if isinstance(schema, list):
        return [_without_patterns(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: _without_patterns(each) for name, each in schema.items() if name != "pattern"}


def properties_in_their_own_order(body: Json) -> Json:
    """`propertyOrdering` in the order in which the properties stand: objects of this JSON have no order of their own."""
    if isinstance(body, list):
        return [properties_in_their_own_order(each) for each in body]
    if not isinstance(body, dict):
        return body
    body = {name: properties_in_their_own_order(each) for name, each in body.items()}
    if "properties" in body and body.get("propertyOrdering") == [*body["properties"]]:
        del body["propertyOrdering"]
    return body


NORMALISATIONS = (
    nulls_left_out,
    names_in_camel_case,
    false_thought_left_out,
    lists_of_one_as_lists,
    standard_base64,
    model_only_in_the_url,
    no_role_of_instructions,
    no_empty_configuration,
    no_empty_texts_of_the_model,
    levels_in_capitals,
    json_schema_for_openapi,
    no_ignored_keywords,
    properties_in_their_own_order,
)
