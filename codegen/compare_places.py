"""What `compare` and `compare_types` share: a change, a version's definitions, and a place in two versions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from codegen.prepass import Json, SchemaError, is_property_reference, kind, tag_of

if TYPE_CHECKING:
    from collections.abc import Collection

CLASSLESS = ("inline", "alias")
"""Kinds of definitions that are written out wherever they are used, so that nobody imports them."""
PROSE = ("description", "title", "examples", "$comment", "x-instead")
UPDATE_FIRST = "programs with the older types cannot read it: update readers first"
KEEP = "keep it until the next major version and say in its description what to use instead"


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


class Definitions:
    """The definitions of one version, and what can be looked up in them."""

    def __init__(self, definitions: Json) -> None:
        self.all = definitions

    def target(self, node: Json) -> str:
        """Name of the definition that a node refers to; empty when it refers to none, or to a part of one.

        Raises `SchemaError` where it refers to something that is not there, as `followed` does.
        """
        if "$ref" not in node or is_property_reference(node):
            return ""
        name = str(node["$ref"]).removeprefix("#/$defs/")
        if name not in self.all:
            raise SchemaError(f"{node['$ref']}: there is no such definition")
        return name

    def followed(self, node: Json) -> Json:
        """A reference to another definition's property, replaced by that property."""
        if not is_property_reference(node):
            return node
        _, _, name, _, field = node["$ref"].split("/")
        if field not in self.all.get(name, {}).get("properties", {}):
            raise SchemaError(f"{node['$ref']}: there is no such property")
        return self.followed(self.all[name]["properties"][field])

    def resolved(self, node: Json) -> Json:
        """A node with references followed, except those to classes."""
        node = self.followed(node)
        name = self.target(node)
        return self.resolved(self.all[name]) if name and kind(self.all[name]) in CLASSLESS else node

    def members(self, name: str) -> set[str]:
        """Names of a union's members; of a record, its own."""
        body = self.all[name]
        return {self.target(ref) for ref in body["oneOf"]} if kind(body) == "union" else {name}

    def bases(self, name: str) -> list[str]:
        """Names of the options types that one inherits from."""
        return [self.target(ref) for ref in self.all[name].get("allOf", ())]

    def fields(self, name: str) -> dict[str, Json]:
        """Properties by name: those inherited, then its own; without the tag."""
        inherited = {field: node for base in self.bases(name) for field, node in self.fields(base).items()}
        own = dict(self.all[name].get("properties", {}))
        tag = tag_of(self.all[name])
        if tag:
            del own[tag[0]]
        return inherited | own

    def aliases(self, name: str) -> dict[str, str]:
        """Other spellings of an options type's options: alias to portable name."""
        fields = self.fields(name).items()
        return {alias: field for field, node in fields for alias in self.followed(node).get("x-aliases", ())}


class Comparison(NamedTuple):
    """A place in both versions; its methods make the changes found there."""

    place: str
    old: Definitions
    new: Definitions
    stored: bool
    """Whether the place is in data that is stored; if not, nobody reads it."""

    def at(self, place: str) -> Comparison:
        """The same comparison elsewhere."""
        return self._replace(place=place)

    def broken(self, what: str, advice: str = "", *, readers: bool = True, writers: bool = True) -> Change:
        """A change that breaks readers, unless there are none, and writers."""
        readers = readers and self.stored
        return Change(self.place, what, readers, writers, advice if readers or writers else "")

    def harmless(self, what: str, advice: str = "") -> Change:
        """A change that breaks neither; advice for readers is left out where there are none."""
        return Change(self.place, what, advice=advice if self.stored else "")


def text(value: Any) -> str:
    """A value as JSON; compared as text, since Python takes `1` and `True` for equal."""
    return json.dumps(value, sort_keys=True)


def bare(node: Json) -> str:
    """A node without its prose, as text."""
    return text({key: value for key, value in node.items() if key not in PROSE})


def either(old: Collection[str], new: Collection[str]) -> list[str]:
    """The keys of both, in order."""
    return [*old, *(key for key in new if key not in old)]
