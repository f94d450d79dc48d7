"""Structured output: from what users pass as `response_format` to a JSON Schema, and from the answer's text to a value.

Models answer with a JSON *object*. A type that is none (`list[Person]`, `Cat | Dog`, `int`) is therefore asked for as
`{"value": …}`, at every provider, and `parse_output` takes the value out again. The text itself stays as it came.

Accepted are msgspec Structs, dataclasses, TypedDicts, any other type that msgspec can describe, pydantic models (also
inside those), a JSON Schema as a dict, `{"type": "text"}`, `{"type": "json_object"}` and the two `json_schema` forms of
OpenAI's APIs. A `json_schema` form is sent as it is written: a root that is not an object is not wrapped there.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin, overload

import msgspec

from modelwire._schema_lowering import is_object, resolve_ref
from modelwire._typed import decoder, explained, is_pydantic, schema_of
from modelwire.errors import BadRequestError, OutputValidationError
from modelwire.types import ResponseFormat

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["parse_output", "response_schema", "strip_optional_nulls"]

T = TypeVar("T")

_SIMPLE_TYPES: dict[str, Any] = {"object": dict, "array": list, "string": str, "boolean": bool, "null": NoneType}
_PYTHON_TYPES = _SIMPLE_TYPES | dict.fromkeys(("number", "integer"), (int, float))
_SCHEMA_KEYWORDS = {"$ref", "$defs", "allOf", "anyOf", "const", "enum", "items", "oneOf", "prefixItems", "properties"}
_FORMS = 'Use a type, a JSON Schema such as {"type": "object", "properties": …}, or {"type": "json_object"}'
_MAX_DEPTH = 200


def response_schema(response_format: Any) -> ResponseFormat:
    """Describe what `response_format` asks for; for a type, once, so that the result must not be changed.

    `name` and `description` come from the class and its docstring, or from the schema's `title` and `description`.
    `strict` is `None` unless it is given. Raises `BadRequestError` for what the module's docstring does not list.
    """
    if isinstance(response_format, ResponseFormat):
        _refuse_what_is_not_json(response_format.schema)
        return response_format
    if not isinstance(response_format, dict):
        return _shape(response_format).form
    try:
        return msgspec.convert(_fields_of(response_format), ResponseFormat)
    except msgspec.ValidationError as error:
        raise BadRequestError(f"response_format does not have the right form: {error}.") from error


@overload
def parse_output(text: str, target: type[T]) -> T: ...
@overload
def parse_output(text: str, target: Any) -> Any: ...
def parse_output(text: str, target: Any) -> Any:
    """Read the answer's text as a `target`, which is anything that may be a `response_format`.

    The text is JSON, with nothing around it but white space or one fence of three backticks, which models without
    native structured output like to add. For a type that is no JSON object it is `{"value": …}` or the bare value.
    A null for an optional property that may not be null counts as absent: strict schemas make the model write it.
    For a dict the result is decoded JSON, not checked against the schema; for `{"type": "text"}` it is `text`.

    Raises `OutputValidationError`, which says what does not fit and where, and `BadRequestError` for a bad `target`.
    """
    if isinstance(target, dict):
        return _parse_untyped(text, target)
    shape = _shape(target)
    body = _unfenced(text)
    try:
        return shape.read(body)
    except (ValueError, RecursionError):  # msgspec's and pydantic's errors are ValueErrors
        value = _taken_out(_decoded(body), wrapped=shape.form.schema is not shape.schema)
    try:
        return shape.read_value(msgspec.json.encode(strip_optional_nulls(value, shape.schema)))
    except (ValueError, RecursionError) as error:
        raise _misfit(_name_of(target), explained(error), body) from error


def strip_optional_nulls(value: Any, schema: dict[str, Any]) -> Any:
    """Give `value`, decoded JSON, without the nulls that only a lowered schema allows.

    OpenAI's strict mode has every property required, so that optional ones are sent as nullable. Where `schema`, the
    original, lets a property be absent but not null, its null is left out, and the type's default applies. Nothing else
    is changed, `value` itself never, and a `value` that does not fit is no error. Of a union the first branch counts
    that fits by types, constants and names.
    """
    try:
        return _Reading(schema).read(value, schema)[1]
    except (RecursionError, TypeError, AttributeError, KeyError, BadRequestError):  # no JSON Schema, or endless
        return value


class _Shape(NamedTuple):
    """What is known of a type: the form that asks for it, its own schema, and readers of what fits the one or other."""

    form: ResponseFormat
    schema: dict[str, Any]
    read: Callable[[str], Any]
    read_value: Callable[[bytes], Any]


def _shape(target: Any) -> _Shape:
    try:
        return _remembered_shape(target)
    except TypeError:  # unhashable, such as Annotated with a dict
        return _new_shape(target)


def _new_shape(target: Any) -> _Shape:
    _refuse_instance(target)
    schema = _schema_of(target)
    sent = schema if is_object(schema, schema) else _wrapped(schema)
    node: dict[str, Any] = schema
    while "$ref" in node:
        node = resolve_ref(schema, node["$ref"])
    name, description = _cleaned(_name_of(target)), node.get("description")
    form = ResponseFormat(type="json_schema", name=name, description=description, schema=sent)
    read_value = target.model_validate_json if is_pydantic(target) else decoder(target)
    return _Shape(form, schema, read_value if sent is schema else _decoder_of_wrapped(target), read_value)


_remembered_shape = lru_cache(maxsize=512)(_new_shape)


def _schema_of(target: Any) -> dict[str, Any]:
    try:
        schema = schema_of(target)
    except (TypeError, ValueError, NameError, RuntimeError) as error:
        what = f"response_format: there is no JSON Schema for {_name_of(target)}: {' '.join(str(error).split())}"
        raise BadRequestError(f"{what}. {_FORMS}; of pydantic models make a union with RootModel.") from error
    return msgspec.json.decode(msgspec.json.encode(schema), type=dict[str, Any])  # a default may be a Struct


def _decoder_of_wrapped(target: Any) -> Callable[[str | bytes], Any]:
    read = decoder(msgspec.defstruct("Wrapper", [("value", target)], forbid_unknown_fields=True))
    return lambda text: read(text).value


def _refuse_instance(target: Any) -> None:
    kind: Any = type(target)
    if target is None or isinstance(target, str):
        raise BadRequestError(f"response_format is {target!r}. {_FORMS}, or leave it out.")
    if isinstance(target, msgspec.Struct) or is_pydantic(kind) or hasattr(kind, "__dataclass_fields__"):
        raise BadRequestError(f"response_format is an instance of {kind.__name__}. Pass the class itself.")


def _name_of(target: Any) -> str:
    """Name a type for people: `list_Person`, `Cat_or_Dog`."""
    origin, arguments = get_origin(target), get_args(target)
    if origin is None:
        return str(getattr(target, "__name__", target))
    if origin is Annotated:
        return _name_of(arguments[0])
    if origin in (Union, UnionType):
        return "_or_".join(map(_name_of, arguments))
    return "_".join(map(_name_of, (origin, *arguments)))


def _cleaned(name: str) -> str:
    """Give a name that every provider takes: `[a-zA-Z0-9_-]{1,64}`."""
    return re.sub(r"[^a-zA-Z0-9_-]+", "_", name).strip("_")[:64] or "response"


def _fields_of(form: dict[str, Any]) -> dict[str, Any]:
    """Give the fields of the `ResponseFormat` that a dict stands for."""
    kind = form.get("type")
    if kind in ("text", "json_object"):
        return _known(form, "type")
    if kind == "json_schema":
        return _fields_of_wire(form)
    if not (kind in _PYTHON_TYPES if isinstance(kind, str) else _SCHEMA_KEYWORDS & form.keys() or kind):
        raise BadRequestError(f"response_format is a dict that is no JSON Schema: its type is {kind!r}. {_FORMS}.")
    _refuse_what_is_not_json(form)
    return _named(form, {"type": "json_schema", "schema": form if is_object(form, form) else _wrapped(form)})


def _fields_of_wire(form: dict[str, Any]) -> dict[str, Any]:
    """Read `json_schema` as Chat Completions writes it, nested, or as Responses does, flat."""
    if "json_schema" in form:
        inner = _known(form, "type", "json_schema")["json_schema"]
        form = {"type": "json_schema", **(inner if isinstance(inner, dict) else {"schema": inner})}
    schema = _known(form, "type", "name", "description", "schema", "strict").get("schema")
    if not isinstance(schema, dict):
        raise BadRequestError(f"response_format: `schema` is {schema!r}. Use a dict, or pass the type by itself.")
    _refuse_what_is_not_json(schema)
    return _named(schema, form)


def _named(schema: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """Add a name and a description where there are none, from the schema."""
    texts = {key: value for key, value in schema.items() if isinstance(value, str)}
    given = {key: value for key, value in fields.items() if value is not None}
    named = {"name": texts.get("title", ""), "description": texts.get("description"), **given}
    return {**named, "name": _cleaned(named["name"])} if isinstance(named["name"], str) else named


def _known(form: dict[str, Any], *keys: str) -> dict[str, Any]:
    if unknown := [key for key in form if key not in keys]:
        raise BadRequestError(f"response_format has the unknown key {unknown[0]!r}. Leave it out, or use extra_body.")
    return form


def _refuse_what_is_not_json(value: Any, pointer: str = "#") -> None:
    named = value if isinstance(value, dict) else dict(enumerate(value)) if isinstance(value, list) else {}
    good = isinstance(value, (dict, list, str, int, float, NoneType)) and pointer.count("/") < _MAX_DEPTH
    good &= all(isinstance(key, str) for key in named) or isinstance(value, list)
    if not good or (isinstance(value, float) and not math.isfinite(value)):
        hint = "which is not JSON: no types, sets, tuples, NaN, keys that are no str, nothing that contains itself"
        raise BadRequestError(f"response_format: the schema has {value!r:.100} at {pointer}, {hint}.")
    for key, child in named.items():
        _refuse_what_is_not_json(child, f"{pointer}/{key}")


def _wrapped(schema: dict[str, Any]) -> dict[str, Any]:
    """Give the schema of `{"value": …}`; definitions stay at the root, where `$ref`s look for them."""
    text = re.sub(rb'(?<="\$ref":"#)(?!/\$defs/|/definitions/)', b"/properties/value", msgspec.json.encode(schema))
    value: dict[str, Any] = msgspec.json.decode(text)
    kept: dict[str, Any] = {key: value.pop(key) for key in ("$schema", "$defs", "definitions") if key in value}
    wrapper = {"type": "object", "properties": {"value": value}, "required": ["value"], "additionalProperties": False}
    return {**wrapper, **kept}


def _parse_untyped(text: str, target: dict[str, Any]) -> Any:
    form = response_schema(target)
    if form.type == "text":
        return text
    value = _decoded(_unfenced(text))
    if form.schema is not None:
        schema = form.schema if target.get("type") == "json_schema" else target
        return strip_optional_nulls(_taken_out(value, wrapped=schema is not form.schema), schema)
    if not isinstance(value, dict):
        raise _misfit("a JSON object", f"it is a {type(value).__name__}", text)
    return value


def _taken_out(value: Any, *, wrapped: bool) -> Any:
    """Give what `{"value": …}` holds where that was asked for; a model that only read a prompt may leave it bare."""
    return value["value"] if wrapped and isinstance(value, dict) and value.keys() == {"value"} else value


def _unfenced(text: str) -> str:
    body = text.strip()
    first, _, rest = body.partition("\n")
    fenced = first.startswith("```") and first[3:].strip().lower() in ("", "json")
    return rest.strip().removesuffix("```").strip() if fenced else body


def _decoded(body: str) -> Any:
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:
        raise OutputValidationError(_why_not_json(body, str(error)), text=body) from error


def _why_not_json(body: str, what: str) -> str:
    if not body:
        return "The answer is empty. The model may have refused, called tools or stopped early: see `finish_reason`."
    position = re.search(r"\(byte (\d+)\)", what)
    at = int(position[1]) if position else 0
    if "truncated" in what or at == len(body.encode(errors="replace")):
        hint = 'It was probably cut (finish_reason "length"): raise max_tokens, or ask for less'
        return f"The answer ends before its JSON is complete. {hint}. It ends with: {body[-120:]!r}"
    hint = "Give response_format so that the provider demands JSON, or ask the model for JSON alone"
    return f"The answer is not JSON: {what}. {hint}. There it says: {_excerpt(body, at)}"


def _misfit(name: str, what: str, body: str) -> OutputValidationError:
    hint = "Ask again with this message, make the type wider, or use a model with structured output"
    message = f"The answer does not fit {name}: {what}. {hint}. It says: {_excerpt(body)}"
    return OutputValidationError(message, text=body)


def _excerpt(body: str, at: int = 0) -> str:
    near = body.encode(errors="replace")[max(0, at - 60) : max(0, at - 60) + 200].decode(errors="ignore")
    return repr(near) + ("" if near == body else " …")


class _Reading:
    """Values read against one schema: whether each fits, and what it is without the nulls."""

    def __init__(self, root: dict[str, Any]) -> None:
        self.root = root
        # By identity, so that a branch tried twice costs once; the value is kept, or its id might be used again.
        self.done: dict[tuple[int, int], tuple[bool, Any, Any]] = {}

    def read(self, value: Any, schema: Any) -> tuple[bool, Any]:
        if not isinstance(schema, dict):
            return schema is not False, value
        if value is None and schema.get("nullable") is True:  # OpenAPI 3.0
            return True, None
        key = id(value), id(schema)
        if key not in self.done:
            self.done[key] = False, value, value  # for a schema that is only a `$ref` to itself
            self.done[key] = *self.read_anew(value, schema), value
        return self.done[key][:2]

    def read_anew(self, value: Any, schema: dict[str, Any]) -> tuple[bool, Any]:
        steps: list[tuple[Callable[..., tuple[bool, Any]], Any]] = [(self.inside, schema)]
        steps += [(self.read, part) for part in schema.get("allOf", ())]
        steps += [(self.read, resolve_ref(self.root, schema[key])) for key in ("$ref",) if key in schema]
        steps += [(self.chosen, schema[key]) for key in ("anyOf", "oneOf") if key in schema]
        all_fit = _fits_alone(value, schema)
        for step, argument in steps:
            fits, value = step(value, argument)
            all_fit &= fits
        return all_fit, value

    def inside(self, value: Any, schema: dict[str, Any]) -> tuple[bool, Any]:
        if not isinstance(value, (dict, list)):
            return True, value
        fits, stripped = self.items(value, schema) if isinstance(value, list) else self.members(value, schema)
        return fits, value if stripped == value else stripped  # the same object while nothing changes

    def items(self, value: list[Any], schema: dict[str, Any]) -> tuple[bool, Any]:
        first, rest = schema.get("prefixItems", ()), schema.get("items", True)
        readings = [self.read(item, first[at] if at < len(first) else rest) for at, item in enumerate(value)]
        return all(fits for fits, _ in readings), [item for _, item in readings]

    def members(self, value: dict[str, Any], schema: dict[str, Any]) -> tuple[bool, Any]:
        properties, required = schema.get("properties", {}), schema.get("required", ())
        extra = "patternProperties" in schema or schema.get("additionalProperties", True)
        readings = {name: self.read(item, properties.get(name, extra)) for name, item in value.items()}
        for name in properties.keys() & readings.keys() - {*required}:
            if readings[name] == (False, None):
                del readings[name]
        fits = all(fits for fits, _ in readings.values()) and all(name in readings for name in required)
        return fits, {name: item for name, (_, item) in readings.items()}

    def chosen(self, value: Any, branches: list[Any]) -> tuple[bool, Any]:
        """Read by the first branch that fits, or else by the first that finds nulls: the misfit may lie elsewhere."""
        readings = [self.read(value, branch) for branch in branches]
        changed = [reading for reading in readings if reading[1] is not value]
        return next((reading for reading in readings if reading[0]), (changed or [(False, value)])[0])


def _fits_alone(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a value is of a schema's type and among its constants."""
    types = schema.get("type", _PYTHON_TYPES)
    if not any(_has_type(value, name) for name in ([types] if isinstance(types, str) else types)):
        return False
    constants = [schema["const"]] if "const" in schema else schema.get("enum", [value])
    return any(value == constant and isinstance(value, bool) == isinstance(constant, bool) for constant in constants)


def _has_type(value: Any, name: str) -> bool:
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _PYTHON_TYPES.get(name, object)) and isinstance(value, bool) == (name == "boolean")
