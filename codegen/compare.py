"""What changed between two versions of the schema, and whom each change breaks.

A change **breaks readers** when what is read is no longer what it was:

- JSON that was written by the old schema is refused by the new types, loses something, or means something else
  (a field or part type removed, a field that became required, a type or range narrowed, a tag or default changed);
- or code that reads a field may meet a value that the field's type excluded (it became optional, its type widened).

A change **breaks writers** when code that builds values, or calls with options, by the old names no longer works with
the new types (a class, field, option or alias removed or renamed, a new required field, a type or range narrowed, a tag
or default changed). A default counts on both sides because a value equal to it is never written: whoever left the field
out, in code or in stored data, meant the old default.

Everything else **breaks neither**: what was added and may be left out, a wider range, prose. Enums and unions are open
lists: a new word or kind of part is an addition, since programs need a branch for the rest anyway (`FinishReason` has
`unknown`). Programs that still have the *older* types cannot read such data, though; the line then says so.

Options are arguments of calls, not stored data, so they have writers only; `ModelInfo`, which is read too, counts as a
record. Bounds are judged as the schema states them, whether or not Python enforces them.

The version is the end of `$id` (`urn:modelwire:schema:1.0.0`). A change that breaks anybody needs a major step. For
others a minor step (something added) or a patch step (prose) is the custom, and leaving it out is only remarked on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from codegen.compare_places import CLASSLESS, KEEP, UPDATE_FIRST, Change, Comparison, Definitions, bare, either, text
from codegen.compare_types import compare_types, other_keywords
from codegen.prepass import MODEL_INFO, Json, is_property_reference, kind, tag_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Change", "changes", "version_problem", "version_remark"]


def changes(old: Json, new: Json) -> list[Change]:
    """Every change from one schema to another, those that break somebody first."""
    renames = _renames(old["$defs"], new["$defs"])
    found = [_definition_renamed(before, after, new["$defs"][after]) for before, after in renames.items()]
    given: Json = old["$defs"]
    definitions = {renames.get(name, name): _with_new_names(body, renames) for name, body in given.items()}
    older, newer = Definitions(definitions), Definitions(new["$defs"])
    for name in either(older.all, newer.all):
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
    step = f"from {_dotted(before)} to {_dotted(after)}" if after != before else f"from {_dotted(before)} nowhere"
    return (
        f"{breaking} of the changes break readers or writers, but the version went {step}: "
        f"make it {before[0] + 1}.0.0 in `$id`, or change the schema as the lines above say"
    )


def version_remark(old: Json, new: Json, changes: list[Change]) -> str | None:
    """What is unusual about the new schema's version though it may stand; `None` for nothing."""
    if changes and old["$id"] == new["$id"]:
        return f"something changed, but `$id` is still {new['$id']}: an addition is a minor step, prose a patch step"
    return None


def _version(schema: Json) -> tuple[int, int, int]:
    found = re.fullmatch(r"urn:modelwire:schema:(\d+)\.(\d+)\.(\d+)", str(schema["$id"]))
    if not found:
        raise ValueError(f"`$id` is {schema['$id']!r}; it must be like urn:modelwire:schema:1.0.0")
    major, minor, patch = found.groups()
    return int(major), int(minor), int(patch)


def _dotted(version: tuple[int, int, int]) -> str:
    return ".".join(map(str, version))


# --- Definitions that only changed their name


def _renames(old: Json, new: Json) -> dict[str, str]:
    """Old name to new name, where one definition went and one came that differ in nothing but name and prose."""
    came = {name: bare(body) for name, body in new.items() if name not in old}
    found: dict[str, str] = {}
    for name, body in old.items():
        twins = [twin for twin, its in came.items() if its == bare(body) and twin not in found.values()]
        if name not in new and len(twins) == 1:
            found[name] = twins[0]
    return found


def _with_new_names(node: Any, renames: dict[str, str]) -> Any:
    """An old node with its references under the new names, so that uses of a renamed definition are no changes."""
    if isinstance(node, list):
        return [_with_new_names(item, renames) for item in node]
    if not isinstance(node, dict):
        return node
    found: Json = {str(key): _with_new_names(value, renames) for key, value in node.items()}
    if isinstance(found.get("$ref"), str):
        path = str(found["$ref"]).split("/")
        path[2] = renames.get(path[2], path[2])
        found["$ref"] = "/".join(path)
    return found


def _definition_renamed(before: str, after: str, body: Json) -> Change:
    return Change(before, f"renamed to {after}", writers=kind(body) not in CLASSLESS, advice="stored data reads on")


# --- Definitions


def _definition(name: str, older: Definitions, newer: Definitions) -> Iterator[Change]:
    old, new = older.all.get(name), newer.all.get(name)
    was, becomes = kind(old or new or {}), kind(new or old or {})
    stored = "options" not in (was, becomes) or name == MODEL_INFO
    here = Comparison(name, older, newer, stored)
    if old is None:
        yield here.harmless("added")
    elif new is None:
        yield (
            here.harmless("removed; its uses are reported by themselves")
            if was in CLASSLESS
            else here.broken("removed", KEEP)
        )
    elif was != becomes and not {was, becomes} <= set(CLASSLESS):
        yield here.broken(f"is of the kind {becomes} now, was {was}", "add a definition beside it instead")
    else:
        yield from _rule_for(becomes)(here, old, new)
        yield from _prose(here, old, new)


def _rule_for(what: str) -> Callable[[Comparison, Json, Json], Iterator[Change]]:
    return {"struct": _record, "options": _options, "union": _union}.get(what, compare_types)


def _record(here: Comparison, old: Json, new: Json) -> Iterator[Change]:
    yield from _tags(here, tag_of(old), tag_of(new))
    yield from _fields(here, old, new)
    yield from _mixins(here, old.get("x-mixin"), new.get("x-mixin"))
    yield from other_keywords(here, old, new)
    for keyword in ("x-gc", "x-weakref"):
        if old.get(keyword) != new.get(keyword):
            yield here.harmless(f"has another {keyword}")
    if old.get("additionalProperties") != new.get("additionalProperties"):
        yield here.broken("has another additionalProperties", "records stay closed")


def _tags(here: Comparison, old: tuple[str, str] | None, new: tuple[str, str] | None) -> Iterator[Change]:
    if old is None and new:
        yield here.broken(f"has the tag {_shown(new)} now", "stored data has none", writers=False)
    elif old and old != new:
        now = f"has the tag {_shown(new)} now, was {_shown(old)}" if new else f"no longer has the tag {_shown(old)}"
        yield here.broken(now, "stored data and plain dicts have the old tag: keep it")


def _shown(tag: tuple[str, str]) -> str:
    return f"{tag[0]}={text(tag[1])}"


def _mixins(here: Comparison, old: str | None, new: str | None) -> Iterator[Change]:
    if old and new is None:
        yield here.broken(f"loses the methods of {old}", readers=False)
    elif old != new:
        yield here.harmless(
            f"has the mixin {new} now, was {old or 'none'}" + ("; see that no method is lost" if old else "")
        )


def _union(here: Comparison, old: Json, new: Json) -> Iterator[Change]:
    before, after = ([ref["$ref"].rsplit("/", 1)[-1] for ref in body["oneOf"]] for body in (old, new))
    yield from (here.broken(f"no longer has the member {name}", KEEP) for name in before if name not in after)
    yield from (here.harmless(f"has the new member {name}", UPDATE_FIRST) for name in after if name not in before)


def _options(here: Comparison, old: Json, new: Json) -> Iterator[Change]:
    yield from _fields(here, old, new)
    yield from _bases(here)
    yield from other_keywords(here, old, new)


def _bases(here: Comparison) -> Iterator[Change]:
    before, after = here.old.bases(here.place), here.new.bases(here.place)
    for base in before:
        lost = [field for field in here.old.fields(base) if field not in here.new.fields(here.place)]
        if base not in after and lost:
            yield here.broken(f"no longer inherits from {base}, and so loses {', '.join(lost)}")
        elif base not in after:
            yield here.harmless(f"no longer inherits from {base}")
    yield from (here.harmless(f"inherits from {base} now") for base in after if base not in before)


# --- Fields and options


def _fields(here: Comparison, old: Json, new: Json) -> Iterator[Change]:
    """Changes of the fields that either version names in its own `properties`.

    What an options type inherits is looked up too: an option that moved to or from a base has not gone.
    """
    before, after = here.old.fields(here.place), here.new.fields(here.place)
    named = either(old.get("properties", {}), new.get("properties", {}))
    renames = _field_renames(here, old, new)
    for field in named:
        there = here.at(f"{here.place}.{field}")
        if field in renames:
            yield _field_gone(there, field, f"renamed to {renames[field]}")
        elif field in before and field in after:
            yield from _field(there, (old, before[field]), (new, after[field]))
        elif field in before:
            yield _field_gone(there, field, "removed")
        elif field in after and field not in renames.values():
            yield _field_added(there, _presence(new, field, after[field]))


def _field_renames(here: Comparison, old: Json, new: Json) -> dict[str, str]:
    """The one field that went and the one that came, where they differ in nothing but name and prose."""
    before, after = here.old.fields(here.place), here.new.fields(here.place)
    gone = [field for field in old.get("properties", {}) if field in before and field not in after]
    came = [field for field in new.get("properties", {}) if field in after and field not in before]
    if len(gone) != 1 or len(came) != 1:
        return {}
    was, becomes = before[gone[0]], after[came[0]]
    alike = bare(was) == bare(becomes) and _presence(old, gone[0], was) == _presence(new, came[0], becomes)
    return {gone[0]: came[0]} if alike else {}


def _field_gone(there: Comparison, field: str, what: str) -> Change:
    owner = there.place.partition(".")[0]
    instead = there.new.aliases(owner).get(field)
    if instead:
        return there.harmless(f"is an alias of {instead} now: calls work on, but type checkers refuse it")
    return there.broken(
        what, KEEP if there.stored else "keep its name in `x-aliases` of the option that takes its place"
    )


def _field_added(there: Comparison, presence: _Presence) -> Change:
    if presence.how == "required":
        return there.broken(
            "added as required", "data and code without it exist: make it optional or give it a default"
        )
    return there.harmless("added, may be left out", "programs with the older types skip it")


def _field(there: Comparison, old: tuple[Json, Json], new: tuple[Json, Json]) -> Iterator[Change]:
    """Changes of a field that both versions have: `old` and `new` are the record and the field."""
    if is_property_reference(new[1]) and old[1] == new[1]:
        return  # it is reported where it is defined
    field = there.place.rpartition(".")[2]
    before, after = there.old.followed(old[1]), there.new.followed(new[1])
    yield from _presences(there, _presence(old[0], field, before), _presence(new[0], field, after))
    yield from compare_types(there, before, after)
    yield from _aliases(there, before.get("x-aliases", []), after.get("x-aliases", []))
    yield from _wire(there, before.get("x-wire", {}), after.get("x-wire", {}))
    yield from _noop(there, before.get("x-noop", {}), after.get("x-noop", {}))
    yield from _prose(there, before, after)


class _Presence(NamedTuple):
    """Whether a field may be left out, and what that means: `how` is `required`, `derived` or `default`."""

    how: str
    default: str = ""


def _presence(body: Json, field: str, node: Json) -> _Presence:
    if node.get("x-derived"):
        return _Presence("derived", "a derived value")
    if field in body.get("required", ()):
        return _Presence("required")
    return _Presence("default", text(node.get("default")))


def _presences(there: Comparison, old: _Presence, new: _Presence) -> Iterator[Change]:
    if old == new:
        return
    if new.how == "required":
        yield there.broken("became required", "data and code without it exist: give it a default")
    elif old.how == "required" and new.default == "null":
        yield there.broken("became optional", "code that reads it may meet `None`: give it a default", writers=False)
    elif old.how == "required":
        yield there.harmless(f"may be left out now, which means {new.default}", UPDATE_FIRST)
    elif old.default == "null" and new.how == "derived":
        yield there.harmless("is derived now when left out")
    else:
        said = f"means {new.default} now when left out, was {old.default}"
        yield there.broken(said, "whoever left it out, in code or in stored data, meant the old default")


def _aliases(there: Comparison, old: list[str], new: list[str]) -> Iterator[Change]:
    known = there.new.aliases(there.place.partition(".")[0])
    for alias in old:
        if alias not in new:
            elsewhere = f", which is one of {known[alias]} now" if alias in known else ""
            yield there.broken(f"no longer has the alias {alias}{elsewhere}", "keep the alias", readers=False)
    yield from (there.harmless(f"has the new alias {alias}") for alias in new if alias not in old)


def _wire(there: Comparison, old: Json, new: Json) -> Iterator[Change]:
    for dialect in either(old, new):
        if dialect not in new:
            yield there.broken(f"is no longer sent to {dialect}", "calls with it will be refused there", readers=False)
        elif dialect not in old:
            yield there.harmless(f"is sent to {dialect} now, as {new[dialect]}")
        elif old[dialect] != new[dialect]:
            yield there.harmless(f"is sent to {dialect} as {new[dialect]} now, was {old[dialect]}")


def _noop(there: Comparison, old: Json, new: Json) -> Iterator[Change]:
    for dialect in either(old, new):
        if dialect not in old:
            yield there.harmless(f"says nothing to {dialect} now when it is {text(new[dialect])}")
        elif text(old[dialect]) != text(new.get(dialect)):
            said = f"says something to {dialect} now when it is {text(old[dialect])}"
            yield there.broken(said, "calls with it may be refused there", readers=False)


def _prose(here: Comparison, old: Json, new: Json) -> Iterator[Change]:
    for key in ("description", "x-instead"):
        if old.get(key) != new.get(key):
            yield here.harmless(f"has a new {key}" if key in new else f"lost its {key}")
