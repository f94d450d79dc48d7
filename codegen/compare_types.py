"""Whether a type, a bound or an annotation became narrower or wider; the terms are those of `compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codegen.compare_places import KEEP, PROSE, UPDATE_FIRST, Comparison, Definitions, bare, either, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codegen.compare_places import Change
    from codegen.prepass import Json

PYTHON = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "null": "None",
    "object": "dict[str, Any]",
}
WIDER_CONTAINER = {"list": "Sequence", "dict": "Mapping"}

# Each bound as its keyword, its exclusive keyword, and 1 for a least value or -1 for a greatest.
BOUNDS = (
    ("minimum", "exclusiveMinimum", 1),
    ("maximum", "exclusiveMaximum", -1),
    ("minLength", "", 1),
    ("maxLength", "", -1),
    ("minItems", "", 1),
    ("maxItems", "", -1),
    ("minProperties", "", 1),
    ("maxProperties", "", -1),
)
# Keywords that have a rule of their own, here or in `compare`; `other_keywords` judges the rest.
JUDGED = {key for bound in BOUNDS for key in bound[:2]} | {
    *(*PROSE, "$ref", "type", "enum", "const", "anyOf", "oneOf", "allOf", "discriminator", "default"),
    *("items", "properties", "required", "additionalProperties"),
    *("x-kind", "x-mixin", "x-gc", "x-weakref", "x-derived", "x-python-type", "x-aliases", "x-wire", "x-noop"),
}


def compare_types(here: Comparison, old: Json, new: Json) -> Iterator[Change]:
    """Changes of what a node takes, as JSON and as a Python annotation."""
    if here.old.target(old) and here.old.target(old) == here.new.target(new):
        return  # it is reported where it is defined
    old, new = here.old.resolved(old), here.new.resolved(new)
    yield from _annotations(here, old, new)
    yield from _alternatives_changed(here, _alternatives(here.old, old), _alternatives(here.new, new))
    for key, (before, after) in _pairs(here, old, new).items():
        if before is not old:
            yield from _annotations(here, before, after)
        yield from _same_type(here, key, before, after)


def other_keywords(here: Comparison, old: Json, new: Json) -> Iterator[Change]:
    """Keywords without a rule (`pattern`, `format`, ...): one that was only taken away narrows nothing."""
    for key in either(old, new):
        if key in JUDGED or text(old.get(key)) == text(new.get(key)):
            continue
        said = f"has {key} {text(new[key])} now" if key in new else f"no longer has {key} {text(old[key])}"
        yield (
            here.harmless(said)
            if key not in new or key.startswith("x-")
            else here.broken(said, "values without it exist")
        )


# --- Alternatives: JSON types and records


def _alternatives(definitions: Definitions, node: Json) -> dict[str, Json]:
    """What a node takes: the name of each JSON type, `enum`, `any` or `#Record`, with the node that says more."""
    node = definitions.resolved(node)
    choices = node.get("anyOf") or node.get("oneOf")
    if choices:
        found: dict[str, Json] = {}
        for choice in choices:
            for key, alternative in _alternatives(definitions, choice).items():
                # A second alternative of one JSON type has no partner in the other version: it is compared whole.
                found[bare(alternative) if key in found else key] = alternative
        return found
    if "$ref" in node:
        return {f"#{definitions.target(node)}": node}
    if "enum" in node or "const" in node:
        return {"enum": node}
    types = node.get("type", "any")
    return dict.fromkeys([types] if isinstance(types, str) else types, node)


def _pairs(here: Comparison, old: Json, new: Json) -> dict[str, tuple[Json, Json]]:
    before, after = _alternatives(here.old, old), _alternatives(here.new, new)
    return {key: (before[key], after[key]) for key in before if key in after}


def _alternatives_changed(here: Comparison, old: dict[str, Json], new: dict[str, Json]) -> Iterator[Change]:
    lost = [key for key in old if key not in new and not _covered(key, here.old, new, here.new)]
    gained = [key for key in new if key not in old and not _covered(key, here.new, old, here.old)]
    now, was = (" | ".join(key.removeprefix("#") for key in keys) for keys in (new, old))
    said = f"takes {now} now, was {was}"
    if lost:
        yield here.broken(said, "values of the old type exist: let it take both")
    elif gained and all(map(_is_record, gained)) and any(map(_is_record, old)):
        yield here.harmless(said, UPDATE_FIRST)  # a union has grown, though it has no name
    elif gained:
        yield here.broken(said, "code that reads it may meet what it does not expect", writers=False)


def _is_record(key: str) -> bool:
    return key.startswith("#")


def _covered(key: str, own: Definitions, others: dict[str, Json], their: Definitions) -> bool:
    """Whether every value of an alternative is also taken by the other version, whose alternatives are `others`."""
    wider = {"integer": "number", "enum": "string"}.get(key)
    if key == "nothing" or "any" in others or wider in others:
        return True
    if not _is_record(key):
        return False
    members = (their.members(other[1:]) for other in others if _is_record(other))
    return own.members(key[1:]) <= set[str]().union(*members)


def _same_type(here: Comparison, key: str, old: Json, new: Json) -> Iterator[Change]:
    """Changes inside an alternative that both versions have."""
    if key == "enum":
        yield from _words(here, _enum(old), _enum(new))
    elif key == "array":
        yield from compare_types(here.at(f"{here.place}[]"), old.get("items", {}), new.get("items", {}))
    elif key == "object":
        yield from compare_types(here.at(f"{here.place}{{}}"), _values(old), _values(new))
        if any(text(old.get(members)) != text(new.get(members)) for members in ("properties", "required")):
            yield here.broken("has other members", "give it a definition of its own, so that they can be compared")
    yield from _bounds(here, old, new)
    yield from other_keywords(here, old, new)


def _enum(node: Json) -> list[Any]:
    return node["enum"] if "enum" in node else [node["const"]]


def _values(node: Json) -> Json:
    """The type of an object's values; with `additionalProperties: false` there are none."""
    values = node.get("additionalProperties", True)
    return values if isinstance(values, dict) else {} if values else {"type": "nothing"}


def _words(here: Comparison, old: list[Any], new: list[Any]) -> Iterator[Change]:
    before, after = [text(value) for value in old], [text(value) for value in new]
    yield from (here.broken(f"no longer has the value {value}", KEEP) for value in before if value not in after)
    yield from (here.harmless(f"has the new value {value}", UPDATE_FIRST) for value in after if value not in before)


# --- Bounds


def _bounds(here: Comparison, old: Json, new: Json) -> Iterator[Change]:
    for keyword, exclusive, sign in BOUNDS:
        before, after = (_narrowness(node, keyword, exclusive, sign) for node in (old, new))
        if before != after:
            said = f"has {_bound(new, keyword, exclusive)} now, was {_bound(old, keyword, exclusive)}"
            yield here.broken(said, "values beyond it exist") if after > before else here.harmless(said)


def _narrowness(node: Json, keyword: str, exclusive: str, sign: int) -> tuple[float, bool]:
    """A bound as a pair that is the greater, the less it lets through."""
    given = [(sign * node[key], key == exclusive) for key in (keyword, exclusive) if key in node]
    return max(given, default=(float("-inf"), False))


def _bound(node: Json, keyword: str, exclusive: str) -> str:
    return " and ".join(f"{key} {node[key]}" for key in (keyword, exclusive) if key in node) or f"no {keyword}"


# --- Annotations


def _annotations(here: Comparison, old: Json, new: Json) -> Iterator[Change]:
    """A changed `x-python-type`; where one side has none, what its JSON type is generated as."""
    if old.get("x-python-type") == new.get("x-python-type"):
        return
    before, after = _annotation(here.old, old), _annotation(here.new, new)
    said = f"is annotated {after} now, was {before}"
    narrowed, widened = not _accepts(after, before), not _accepts(before, after)
    if narrowed or (widened and here.stored):
        yield here.broken(said, readers=widened, writers=narrowed)
    else:
        yield here.harmless(said)


def _annotation(definitions: Definitions, node: Json) -> str:
    node = definitions.resolved(node)
    given = node.get("x-python-type")
    if given not in (None, "Sequence"):
        return str(given)
    if "anyOf" in node:
        return " | ".join(_annotation(definitions, choice) for choice in node["anyOf"])
    if "$ref" in node:
        return definitions.target(node)
    if "enum" in node:
        return f"Literal[{', '.join(map(repr, node['enum']))}]"
    if node.get("type") == "array":
        return f"{given or 'list'}[{_annotation(definitions, node.get('items', {}))}]"
    return PYTHON.get(node.get("type", ""), "Any")


def _accepts(wide: str, narrow: str) -> bool:
    """Whether one annotation certainly takes all that another does."""
    return all(any(_piece_accepts(other, piece) for other in _pieces(wide)) for piece in _pieces(narrow))


def _piece_accepts(wide: str, narrow: str) -> bool:
    if wide in (narrow, "Any") or (wide, narrow) == ("float", "int"):
        return True
    container, bracket, arguments = narrow.partition("[")
    return bool(bracket) and wide == f"{WIDER_CONTAINER.get(container)}[{arguments}"


def _pieces(annotation: str) -> list[str]:
    """The members of a union; a `|` within brackets does not separate."""
    pieces, depth = [""], 0
    for letter in annotation:
        depth += (letter in "[(") - (letter in "])")
        if letter == "|" and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += letter
    return [piece.strip() for piece in pieces]
