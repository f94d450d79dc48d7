"""What changed between two versions of the schema, and whom each change breaks.

A change **breaks readers** when what is read is no longer what it was:

- JSON that was written by the old schema is refused with the new types, loses something, or means something else
  (a field or part type removed, a field that became required, a type or range narrowed, a tag or default changed);
- or code that reads a field may now meet a value that the field's type excluded (it became optional, its type widened).

A change **breaks writers** when code that builds values or calls with the old names no longer works with the new types
(a class, field, option or alias removed or renamed, a new required field, a type narrowed, a tag or default changed).
A default counts on both sides because a value equal to it is never written: whoever left the field out, in code or
in stored data, meant the old default.

Everything else **breaks neither**: what was added and may be left out, and prose. Enums and unions are open lists: a
new word or a new kind of part is an addition, for which programs need a branch anyway (`FinishReason` has `unknown`).
Programs that still have the *older* types cannot read it, though; the line then says to update readers first.

Options are arguments of calls, not stored data, so they have only writers; `ModelInfo`, which is read too, counts as a
record. Bounds are judged as the schema states them, whether or not Python enforces them.

The version is the end of `$id` (`urn:modelwire:schema:1.0.0`). A change that breaks anybody needs a major step; for
other changes a minor step (something added) or a patch step (prose) is custom, and only remarked on.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from codegen.prepass import MODEL_INFO, TAG_FIELDS, Json, kind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

CLASSLESS = ("inline", "alias")
UPDATE_FIRST = "programs with the older types cannot read it: update readers first"
KEEP = "keep it until the next major version and say in its description what to use instead"
STORED = "data and code without it exist: make it optional or give it a default"
PROSE = ("description", "title", "examples", "$comment", "x-instead")
WIDER_CONTAINER = {"list": "Sequence", "dict": "Mapping"}

# Where JSON Schema states the same bound twice: keyword, exclusive keyword, and 1 for a least value, -1 for a greatest.
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
# What has a rule of its own below. Any other keyword is judged by `_other_keywords`.
JUDGED = {key for bound in BOUNDS for key in bound[:2]} | {
    *(*PROSE, "type", "enum", "const", "anyOf", "oneOf", "allOf", "items", "additionalProperties", "properties"),
    *("required", "default", "discriminator", "$ref", "x-kind", "x-mixin", "x-derived", "x-gc", "x-python-type"),
    *("x-aliases", "x-wire", "x-noop"),
}


class Change(NamedTuple):
    """One change; `str()` gives the line that people read."""

    place: str
    what: str
    readers: bool = False
    writers: bool = False
    advice: str = ""

    @property
    def breaking(self) -> bool:
        """Whether it needs a major version step."""
        return self.readers or self.writers

    def __str__(self) -> str:
        broken = [who for who, is_broken in (("readers", self.readers), ("writers", self.writers)) if is_broken]
        advice = f" ({self.advice})" if self.advice else ""
        return f"breaks {' and '.join(broken) or 'neither'}: {self.place} {self.what}{advice}"


def changes(old: Json, new: Json) -> list[Change]:
    """Every change from one schema to another, those that break somebody first."""
    renames = _renames(old["$defs"], new["$defs"])
    found = [
        Change(before, f"renamed to {after}", writers=kind(new["$defs"][after]) not in CLASSLESS, advice="stored data reads on")
        for before, after in renames.items()
    ]
    older, newer = _Definitions(_renamed(old["$defs"], renames)), _Definitions(new["$defs"])
    for name in [*older.all, *(name for name in newer.all if name not in older.all)]:
        found += _definition(name, older, newer)
    return sorted(found, key=lambda change: not change.breaking)


def version_problem(old: Json, new: Json, changes: list[Change]) -> str | None:
    """Why the new schema's version may not stand; `None` when it may."""
    try:
        before, after = _version(old), _version(new)
    except ValueError as error:
        return str(error)
    breaking = sum(change.breaking for change in changes)
    if not breaking or after[0] > before[0]:
        return None
    return (
        f"{breaking} of these changes break readers or writers, but the version went from {_dotted(before)} to "
        f"{_dotted(after)}: make it {before[0] + 1}.0.0 in `$id`, or take the advice on the lines above"
    )


def version_remark(old: Json, new: Json, changes: list[Change]) -> str | None:
    """What else is unusual about the new schema's version, though nothing breaks; `None` for nothing."""
    if changes and old["$id"] == new["$id"]:
        return f"something changed, but `$id` is still {new['$id']}: additions are a minor step, prose is a patch step"
    return None


def _version(schema: Json) -> tuple[int, int, int]:
    found = re.fullmatch(r"urn:modelwire:schema:(\d+)\.(\d+)\.(\d+)", str(schema["$id"]))
    if not found:
        raise ValueError(f"`$id` is {schema['$id']!r}; it must be like urn:modelwire:schema:1.0.0")
    major, minor, patch = found.groups()
    return int(major), int(minor), int(patch)


def _dotted(version: tuple[int, int, int]) -> str:
    return ".".join(map(str, version))


# --- Renamed definitions


def _renames(old: Json, new: Json) -> dict[str, str]:
    """Definitions that only changed their name, so that their uses need no line each."""
    added = {name: _bare(body) for name, body in new.items() if name not in old}
    found: dict[str, str] = {}
    for name, body in old.items():
        if name in new:
            continue
        twins = [other for other, twin in added.items() if twin == _bare(body) and other not in found.values()]
        if len(twins) == 1:
            found[name] = twins[0]
    return found


def _bare(node: Json) -> str:
    """A node without prose, as text; text because Python takes `1` and `true` for equal."""
    return _text({key: value for key, value in node.items() if key not in PROSE})


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _renamed(node: Any, renames: dict[str, str]) -> Any:
    """The old definitions under their new names, references included."""
    text = json.dumps(node)
    for before, after in renames.items():
        text = re.sub(rf'("\$ref": "#/\$defs/){re.escape(before)}(?=["/])', rf"\g<1>{after}", text)
    return {renames.get(name, name): body for name, body in json.loads(text).items()}


# --- One version's definitions


class _Definitions:
    """The definitions of one version, and what can be looked up in them."""

    def __init__(self, definitions: Json) -> None:
        self.all = definitions

    def target(self, node: Json) -> str:
        """Name of the definition that a node refers to; empty when it refers to none, or to a part of one."""
        name = str(node.get("$ref", "")).removeprefix("#/$defs/")
        return name if name in self.all else ""

    def resolved(self, node: Json) -> Json:
        """A reference to another property, or to what is no class of its own, replaced by what it refers to."""
        path = str(node.get("$ref", "")).split("/")
        if "properties" in path:
            return self.all[path[2]]["properties"][path[4]]
        name = self.target(node)
        return self.resolved(self.all[name]) if name and kind(self.all[name]) in CLASSLESS else node

    def members(self, name: str) -> set[str]:
        """Names of a union's members; of a record, its own."""
        body = self.all[name]
        return {self.target(ref) for ref in body["oneOf"]} if kind(body) == "union" else {name}

    def fields(self, name: str) -> dict[str, Json]:
        """Properties by name: those inherited through `allOf`, then its own; without the tag."""
        body = self.all.get(name, {})
        inherited = {field: node for ref in body.get("allOf", ()) for field, node in self.fields(self.target(ref)).items()}
        tag = _tag(body)
        return inherited | {field: node for field, node in body.get("properties", {}).items() if not tag or field != tag[0]}

    def aliases(self, name: str) -> dict[str, str]:
        """Other spellings of an options type's options."""
        fields = self.fields(name).items()
        return {alias: field for field, node in fields for alias in self.resolved(node).get("x-aliases", ())}


def _tag(body: Json) -> tuple[str, str] | None:
    properties = body.get("properties", {})
    return next(((field, properties[field]["const"]) for field in TAG_FIELDS if "const" in properties.get(field, {})), None)


class _Comparison(NamedTuple):
    """A place in both versions; its methods make the changes found there."""

    place: str
    old: _Definitions
    new: _Definitions
    stored: bool

    def at(self, place: str) -> _Comparison:
        """The same comparison, further in."""
        return self._replace(place=place)

    def broken(self, what: str, advice: str = "", *, readers: bool = True, writers: bool = True) -> Change:
        """A change that breaks readers, unless this is never stored, and writers."""
        readers = readers and self.stored
        return Change(self.place, what, readers, writers, advice if readers or writers else "")

    def harmless(self, what: str, advice: str = "") -> Change:
        """A change that breaks neither; advice on readers is left out where there are none."""
        return Change(self.place, what, advice=advice if self.stored else "")


# --- Definitions


def _definition(name: str, older: _Definitions, newer: _Definitions) -> Iterator[Change]:
    before, after = older.all.get(name), newer.all.get(name)
    was, becomes = kind(before or after or {}), kind(after or before or {})
    stored = "options" not in (was, becomes) or name == MODEL_INFO
    here = _Comparison(name, older, newer, stored)
    if before is None:
        yield here.harmless("added")
    elif after is None:
        yield here.harmless("removed (it was no class of its own)") if was in CLASSLESS else here.broken("removed", KEEP)
    elif was != becomes and not {was, becomes} <= set(CLASSLESS):
        yield here.broken(f"is of the kind {becomes} now, was {was}", "add a definition beside it instead")
    else:
        yield from _judge_of(becomes)(here, before, after)
        yield from _prose(here, before, after)


def _judge_of(what: str) -> Callable[[_Comparison, Json, Json], Iterator[Change]]:
    return {"struct": _record, "options": _options, "union": _union}.get(what, _type)


def _record(here: _Comparison, old: Json, new: Json) -> Iterator[Change]:
    yield from _tags(here, _tag(old), _tag(new))
    yield from _fields(here, old, new)
    yield from _mixin(here, old.get("x-mixin"), new.get("x-mixin"))
    if old.get("x-gc") != new.get("x-gc"):
        yield here.harmless("x-gc changed")
    yield from _other_keywords(here, old, new)
    closed = old.get("additionalProperties"), new.get("additionalProperties")
    if closed[0] != closed[1]:
        yield here.broken(f"additionalProperties is {closed[1]} now, was {closed[0]}", "records stay closed")


def _tags(here: _Comparison, old: tuple[str, str] | None, new: tuple[str, str] | None) -> Iterator[Change]:
    if old == new:
        return
    if old is None and new:
        yield here.broken(f"has the tag {new[0]}={new[1]!r} now", "stored data has no tag", writers=False)
    elif old:
        now = f"is {new[0]}={new[1]!r} now" if new else "is gone"
        yield here.broken(f"tag {now}, was {old[0]}={old[1]!r}", "stored data and plain dicts have the old tag: keep it")


def _mixin(here: _Comparison, old: str | None, new: str | None) -> Iterator[Change]:
    if old == new:
        return
    if new is None:
        yield here.broken(f"lost the methods of {old}", readers=False)
    else:
        yield here.harmless(f"has the mixin {new}, was {old or 'none'}" + (": see that no method is lost" if old else ""))


def _union(here: _Comparison, old: Json, new: Json) -> Iterator[Change]:
    before, after = [[ref["$ref"].rsplit("/", 1)[-1] for ref in body["oneOf"]] for body in (old, new)]
    for name in before:
        if name not in after:
            yield here.broken(f"no longer has the member {name}", KEEP)
    for name in after:
        if name not in before:
            yield here.harmless(f"has the new member {name}", UPDATE_FIRST)


def _options(here: _Comparison, old: Json, new: Json) -> Iterator[Change]:
    yield from _fields(here, old, new)
    bases = [[here.new.target(ref) or ref["$ref"] for ref in body.get("allOf", ())] for body in (old, new)]
    yield from (here.harmless(f"no longer inherits from {name}") for name in bases[0] if name not in bases[1])
    yield from (here.harmless(f"inherits from {name} now") for name in bases[1] if name not in bases[0])
    yield from _other_keywords(here, old, new)


# --- Fields and options


def _fields(here: _Comparison, old: Json, new: Json) -> Iterator[Change]:
    """Changes of the fields that either version names itself, or that are gone with a base.

    A field that only moved between a type and its base is compared like one that stayed.
    """
    name = here.place
    before, after = here.old.fields(name), here.new.fields(name)
    own = {**old.get("properties", {}), **new.get("properties", {})}
    lost_with_base = {field for field in before if field not in after and _is_known_to_a_kept_base(here, field)}
    renames = _field_renames(old, new, before, after)
    for field in [*before, *(field for field in after if field not in before)]:
        there = here.at(f"{name}.{field}")
        if field in renames:
            yield from _field_removed(there, field, f"renamed to {renames[field]}")
        elif field not in after:
            if field in own or field not in lost_with_base:
                yield from _field_removed(there, field, "removed")
        elif field in before:
            if field in own:
                yield from _field(there, field, (old, before[field]), (new, after[field]))
        elif field in own and field not in renames.values():
            yield _field_added(there, _presence(new, field, after[field]))


def _is_known_to_a_kept_base(here: _Comparison, field: str) -> bool:
    """Whether the loss of a field is already reported at a base that both versions inherit from."""
    bases = [{here.new.target(ref) for ref in v.all[here.place].get("allOf", ())} for v in (here.old, here.new)]
    return any(field in here.old.fields(base) for base in bases[0] & bases[1])


def _field_renames(old: Json, new: Json, before: Json, after: Json) -> dict[str, str]:
    """The one field that went and the one that came, where they differ in nothing but name and prose."""
    gone = [field for field in old.get("properties", {}) if field in before and field not in after]
    came = [field for field in new.get("properties", {}) if field in after and field not in before]
    if len(gone) != 1 or len(came) != 1:
        return {}
    same = _bare(before[gone[0]]) == _bare(after[came[0]])
    alike = _presence(old, gone[0], before[gone[0]]) == _presence(new, came[0], after[came[0]])
    return {gone[0]: came[0]} if same and alike else {}


def _field_removed(there: _Comparison, field: str, what: str) -> Iterator[Change]:
    options = there.place.partition(".")[0]
    now = there.new.aliases(options).get(field)
    if now:
        yield there.harmless(f"is an alias of {now} now: it works on, but type checkers refuse it")
    elif there.stored:
        yield there.broken(what, KEEP)
    else:
        yield there.broken(what, "keep its name in `x-aliases` of the option that takes its place")


def _field_added(there: _Comparison, presence: _Presence) -> Change:
    if presence.how == "required":
        return there.broken("added as required", STORED)
    return there.harmless("added, may be left out", "programs with the older types skip it")


def _field(there: _Comparison, field: str, old: tuple[Json, Json], new: tuple[Json, Json]) -> Iterator[Change]:
    """Changes of one field that both versions have: `old` and `new` are the record and the field."""
    if "/properties/" in str(new[1].get("$ref")) and old[1] == new[1]:
        return  # it is reported where it is defined
    before, after = there.old.resolved(old[1]), there.new.resolved(new[1])
    yield from _presences(there, _presence(old[0], field, before), _presence(new[0], field, after))
    yield from _type(there, old[1], new[1])
    yield from _spellings(there, before, after)
    yield from _prose(there, old[1], new[1])


class _Presence(NamedTuple):
    """Whether a field may be left out, and what it is then: `how` is `required`, `derived` or `default`."""

    how: str
    default: str = ""


def _presence(body: Json, field: str, node: Json) -> _Presence:
    if node.get("x-derived"):
        return _Presence("derived", "a derived value")
    if field in body.get("required", ()):
        return _Presence("required")
    return _Presence("default", _text(node.get("default")))


def _presences(there: _Comparison, old: _Presence, new: _Presence) -> Iterator[Change]:
    if old == new:
        return
    if new.how == "required":
        yield there.broken("became required", STORED)
    elif old.how == "required" and new.default == "null":
        yield there.broken("became optional", "code that reads it may meet `None`: give it a default", writers=False)
    elif old.how == "required":
        yield there.harmless(f"may be left out now, which means {new.default}", UPDATE_FIRST)
    elif old.default == "null" and new.how == "derived":
        yield there.harmless("is derived now where it was left out")
    else:
        left_out = "whoever left it out, in code or in stored data, meant the old default"
        yield there.broken(f"means {new.default} now when left out, was {old.default}", left_out)


def _spellings(there: _Comparison, old: Json, new: Json) -> Iterator[Change]:
    """Changes of an option's names: aliases, places on the wire, values that say nothing."""
    aliases = old.get("x-aliases", []), new.get("x-aliases", [])
    known = there.new.aliases(there.place.partition(".")[0])
    for alias in aliases[0]:
        if alias not in aliases[1]:
            elsewhere = f", and is one of {known[alias]} now" if alias in known else ""
            yield there.broken(f"no longer has the alias {alias}{elsewhere}", "keep the alias", readers=False)
    yield from (there.harmless(f"has the new alias {alias}") for alias in aliases[1] if alias not in aliases[0])
    yield from _wire(there, old.get("x-wire", {}), new.get("x-wire", {}))
    yield from _noop(there, old.get("x-noop", {}), new.get("x-noop", {}))


def _wire(there: _Comparison, old: Json, new: Json) -> Iterator[Change]:
    for dialect in _either(old, new):
        if dialect not in new:
            yield there.broken(f"is no longer sent to {dialect}: a call with it raises", readers=False)
        elif dialect not in old:
            yield there.harmless(f"is sent to {dialect} now, as {new[dialect]}")
        elif old[dialect] != new[dialect]:
            yield there.harmless(f"is sent to {dialect} as {new[dialect]} now, was {old[dialect]}")


def _noop(there: _Comparison, old: Json, new: Json) -> Iterator[Change]:
    for dialect in _either(old, new):
        if dialect not in old:
            yield there.harmless(f"says nothing to {dialect} now when it is {_text(new[dialect])}")
        elif dialect not in new or _text(old[dialect]) != _text(new[dialect]):
            was = _text(old[dialect])
            yield there.broken(f"is refused now where {dialect} lacks it, even when it is {was}", readers=False)


def _either(old: Collection[str], new: Collection[str]) -> list[str]:
    return [*old, *(key for key in new if key not in old)]


# --- Types


def _type(here: _Comparison, old: Json, new: Json) -> Iterator[Change]:
    """Changes of what a node takes, as JSON and as a Python annotation."""
    if here.old.target(old) == here.new.target(new) != "" and old is not here.old.all.get(here.place):
        return  # it is reported where it is defined
    old, new = here.old.resolved(old), here.new.resolved(new)
    found = list(_json_type(here, old, new))
    annotations = _annotation(old), _annotation(new)
    # One annotation alone follows from a change of the JSON type beside it, if there is one.
    if annotations[0] != annotations[1] and (all(annotations) or not found):
        found.append(_annotations(here, *annotations))
    yield from found


def _json_type(here: _Comparison, old: Json, new: Json) -> Iterator[Change]:
    before, after = _alternatives(here.old, old), _alternatives(here.new, new)
    lost = [key for key in before if key not in after and not _covered(key, here.old, after, here.new)]
    gained = [key for key in after if key not in before and not _covered(key, here.new, before, here.old)]
    was, now = " | ".join(map(_shown, before)), " | ".join(map(_shown, after))
    if lost:
        yield here.broken(f"takes {now} now, was {was}", "values of the old type exist: let it take both")
    elif gained and all(_is_reference(key) for key in gained) and any(_is_reference(key) for key in before):
        yield here.harmless(f"takes {now} now, was {was}", UPDATE_FIRST)
    elif gained:
        yield here.broken(f"takes {now} now, was {was}", "code that reads it may meet what it did not expect", writers=False)
    for key in before:
        if key in after:
            yield from _same_kind(here, key, before[key], after[key])


def _alternatives(definitions: _Definitions, node: Json) -> dict[str, Json]:
    """What a node takes: the name of each JSON type, `enum`, `any` or `#Definition`, with the node that says more."""
    node = definitions.resolved(node)
    found: dict[str, Json] = {}
    if choices := node.get("anyOf") or node.get("oneOf"):
        for choice in choices:
            for key, alternative in _alternatives(definitions, choice).items():
                # Two alternatives of one JSON type cannot be paired with those of the other version: compare them whole.
                found[_bare(alternative) if key in found else key] = alternative
        return found
    if name := definitions.target(node):
        return {f"#{name}": node}
    if "enum" in node or "const" in node:
        return {"enum": node}
    types = node.get("type", "any")
    return dict.fromkeys([types] if isinstance(types, str) else types, node)


def _is_reference(key: str) -> bool:
    return key.startswith("#")


def _shown(key: str) -> str:
    return key.removeprefix("#")


def _covered(key: str, theirs: _Definitions, others: dict[str, Json], definitions: _Definitions) -> bool:
    """Whether every value of an alternative is one of the other version's `others` too."""
    if "any" in others or (key == "integer" and "number" in others):
        return True
    if key == "enum":
        return "string" in others
    if not _is_reference(key):
        return False
    members = (definitions.members(other[1:]) for other in others if _is_reference(other))
    return theirs.members(key[1:]) <= set[str]().union(*members)


def _same_kind(here: _Comparison, key: str, old: Json, new: Json) -> Iterator[Change]:
    """Changes inside an alternative that both versions have."""
    if key == "enum":
        yield from _words(here, _enum(old), _enum(new))
    elif key == "array":
        yield from _container(here, old.get("x-python-type"), new.get("x-python-type"))
        yield from _type(here.at(f"{here.place}[]"), old.get("items", {}), new.get("items", {}))
    elif key == "object":
        yield from _type(here.at(f"{here.place}{{}}"), _values(old), _values(new))
    yield from _bounds(here, old, new)
    yield from _other_keywords(here, old, new)


def _enum(node: Json) -> list[Any]:
    return node["enum"] if "enum" in node else [node["const"]]


def _values(node: Json) -> Json:
    """The type of an object's values; with `additionalProperties: false` there are none."""
    values = node.get("additionalProperties", True)
    return values if isinstance(values, dict) else {} if values else {"enum": []}


def _words(here: _Comparison, old: list[Any], new: list[Any]) -> Iterator[Change]:
    before, after = [_text(value) for value in old], [_text(value) for value in new]
    yield from (here.broken(f"no longer has the value {value}", KEEP) for value in before if value not in after)
    yield from (here.harmless(f"has the new value {value}", UPDATE_FIRST) for value in after if value not in before)


def _container(here: _Comparison, old: str | None, new: str | None) -> Iterator[Change]:
    if new == "Sequence" and old is None:
        yield here.broken("is a Sequence now, was a list", "code that reads it may need `list(...)`", writers=False)
    elif old == "Sequence" and new is None:
        yield here.broken("is a list now, was any Sequence", readers=False)


def _bounds(here: _Comparison, old: Json, new: Json) -> Iterator[Change]:
    for keyword, exclusive, sign in BOUNDS:
        before, after = _bound(old, keyword, exclusive, sign), _bound(new, keyword, exclusive, sign)
        if before != after:
            was, now = (_bound_text(node, keyword, exclusive) for node in (old, new))
            said = f"has {now} now, was {was}"
            yield here.broken(said, "values beyond it exist") if after > before else here.harmless(said)


def _bound(node: Json, keyword: str, exclusive: str, sign: int) -> tuple[float, bool]:
    """How narrow a bound is: the greater, the narrower."""
    given = [(sign * node[key], key == exclusive) for key in (keyword, exclusive) if key in node]
    return max(given, default=(float("-inf"), False))


def _bound_text(node: Json, *keywords: str) -> str:
    return " and ".join(f"{key} {node[key]}" for key in keywords if key in node) or f"no {keywords[0]}"


def _other_keywords(here: _Comparison, old: Json, new: Json) -> Iterator[Change]:
    """Keywords that have no rule here (`pattern`, `format`, ...): one that was only taken away narrows nothing."""
    for key in _either(old, new):
        if key in JUDGED or _text(old.get(key)) == _text(new.get(key)):
            continue
        said = f"has {key} {_text(new[key])} now" if key in new else f"no longer has {key} {_text(old[key])}"
        yield here.harmless(said) if key not in new or key.startswith("x-") else here.broken(said, "values without it exist")


# --- Annotations


def _annotation(node: Json) -> str | None:
    """The Python annotation that the schema gives; a bare `Sequence` is about the array's container instead."""
    annotation = node.get("x-python-type")
    return None if annotation == "Sequence" else annotation


def _annotations(here: _Comparison, old: str | None, new: str | None) -> Change:
    narrowed = not _accepts(new, old)
    widened = not _accepts(old, new)
    said = f"is annotated {new or 'by its JSON type'} now, was {old or 'by its JSON type'}"
    if not narrowed and not here.stored:
        return here.harmless(said)
    return here.broken(said, readers=narrowed or widened, writers=narrowed)


def _accepts(wide: str | None, narrow: str | None) -> bool:
    """Whether one annotation certainly takes all that another does; no annotation is not known to."""
    if wide == "Any" or wide == narrow:
        return True
    if wide is None or narrow is None:
        return False
    alternatives = _split(wide)
    return all(any(_piece_accepts(other, piece) for other in alternatives) for piece in _split(narrow))


def _piece_accepts(wide: str, narrow: str) -> bool:
    if wide in (narrow, "Any") or (wide, narrow) == ("float", "int"):
        return True
    container, _, arguments = narrow.partition("[")
    return wide == f"{WIDER_CONTAINER.get(container, container)}[{arguments}"


def _split(annotation: str) -> list[str]:
    """The members of a union; a `|` within brackets does not separate."""
    pieces, depth = [""], 0
    for letter in annotation:
        depth += (letter in "[(") - (letter in "])")
        if letter == "|" and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += letter
    return [piece.strip() for piece in pieces]


# --- Prose


def _prose(here: _Comparison, old: Json, new: Json) -> Iterator[Change]:
    for key in ("description", "x-instead"):
        if old.get(key) != new.get(key):
            yield here.harmless(f"has a new {key}" if key in new else f"lost its {key}")
