"""Each kind of change of a schema, and whom it breaks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from codegen import compare, generate
from codegen.__main__ import main
from codegen.prepass import SchemaError

GONE = object()
STRING, INTEGER, NULL = {"type": "string"}, {"type": "integer"}, {"type": "null"}


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name}"}


def record(tag: str, required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"type": {"const": tag}, **properties},
        "required": ["type", *required],
        "additionalProperties": False,
    }


SMALL: dict[str, Any] = {
    "$id": "urn:modelwire:schema:1.2.3",
    "$defs": {
        "Free": {"type": "object", "x-python-type": "dict[str, Any]"},
        "Mood": {"enum": ["glad", "sad"]},
        "Text": record(
            "text",
            ["text", "mood"],
            text={"type": "string", "description": "The text."},
            mood=ref("Mood"),
            size={"type": "integer", "minimum": 0, "maximum": 10, "default": 1},
            lang=STRING,
            total={"type": "integer", "default": None, "x-derived": True},
            names={"type": "array", "items": STRING},
            either={"anyOf": [STRING, {"type": "array", "items": STRING}]},
            parts={"type": "array", "items": {"anyOf": [STRING, ref("Text")]}, "x-python-type": "Sequence"},
            data=ref("Free"),
            scores={"type": "object", "additionalProperties": INTEGER},
            code={"type": "string", "pattern": "a+"},
        )
        | {"x-mixin": "TextMixin"},
        "Image": record("image", [], url=STRING),
        "Part": {"oneOf": [ref("Text"), ref("Image")], "discriminator": {"propertyName": "type"}},
        "CommonOptions": {
            "x-kind": "options",
            "type": "object",
            "properties": {
                "limit": {
                    "type": "integer",
                    "minimum": 1,
                    "x-aliases": ["max_limit"],
                    "x-wire": {"acme": "limit", "other": "opts.limit"},
                    "x-noop": {"acme": 1},
                },
                "effort": {"enum": ["low", "high"], "x-wire": {"acme": "effort"}},
                "names": {"type": "array", "items": STRING, "x-python-type": "Sequence[str]"},
            },
        },
        "AcmeOptions": {
            "x-kind": "options",
            "type": "object",
            "allOf": [ref("CommonOptions")],
            "properties": {"tier": {"type": "string", "x-wire": {"acme": "tier"}}},
        },
        "OtherOptions": {
            "x-kind": "options",
            "type": "object",
            "allOf": [ref("CommonOptions")],
            "properties": {"tier": ref("AcmeOptions/properties/tier")},
        },
        "ModelInfo": {"x-kind": "options", "type": "object", "properties": {"vision": {"type": "boolean"}}},
    },
}


def fresh(schema: dict[str, Any]) -> dict[str, Any]:
    """A copy in which no two nodes are the same object; `deepcopy` would keep them so."""
    return json.loads(json.dumps(schema))


def edited(edits: dict[str, Any]) -> dict[str, Any]:
    """`SMALL` with the node at each path replaced, added, or taken away (`GONE`)."""
    schema = fresh(SMALL)
    for path, value in edits.items():
        *way, last = path.split("/")
        node = schema["$defs"]
        for step in way:
            node = node[int(step) if step.isdigit() else step]
        if value is GONE:
            del node[last]
        else:
            node[last] = value
    return schema


TEXT = "Text/properties"
COMMON = "CommonOptions/properties"
REQUIRED = ["type", "text", "mood"]

# Edits of SMALL, and what begins each line: whom it breaks, where, and what happened.
BREAKING: list[tuple[dict[str, Any], list[str]]] = [
    # Definitions
    (
        {"Image": GONE, "Part/oneOf": [ref("Text")]},
        [
            "breaks readers and writers: Image removed",
            "breaks readers and writers: Part no longer has the member Image",
        ],
    ),
    (
        {"Image": {"oneOf": [ref("Text")], "discriminator": {"propertyName": "type"}}},
        ["breaks readers and writers: Image is of the kind union now, was struct"],
    ),
    (
        {"Image": GONE, "Picture": SMALL["$defs"]["Image"], "Part/oneOf": [ref("Text"), ref("Picture")]},
        ["breaks writers: Image renamed to Picture"],
    ),
    ({"Image/properties/type/const": "picture"}, ['breaks readers and writers: Image has the tag type="picture" now']),
    ({"Image/properties/type": GONE}, ['breaks readers and writers: Image no longer has the tag type="image"']),
    ({"Text/x-mixin": GONE}, ["breaks writers: Text loses the methods of TextMixin"]),
    ({"Image/additionalProperties": True}, ["breaks readers and writers: Image has another additionalProperties"]),
    # Fields that came, went, or may be left out in another way
    ({f"{TEXT}/lang": GONE}, ["breaks readers and writers: Text.lang removed"]),
    (
        {"Image/properties": {"type": {"const": "image"}, "uri": STRING}},
        ["breaks readers and writers: Image.url renamed to uri"],
    ),
    (
        {f"{TEXT}/more": STRING, "Text/required": [*REQUIRED, "more"]},
        ["breaks readers and writers: Text.more added as required"],
    ),
    ({"Text/required": [*REQUIRED, "lang"]}, ["breaks readers and writers: Text.lang became required"]),
    ({"Text/required": ["type", "mood"]}, ["breaks readers: Text.text became optional"]),
    ({f"{TEXT}/size/default": 2}, ["breaks readers and writers: Text.size means 2 now when left out, was 1"]),
    ({f"{TEXT}/size/default": True}, ["breaks readers and writers: Text.size means true now when left out, was 1"]),
    ({f"{TEXT}/lang/default": ""}, ['breaks readers and writers: Text.lang means "" now when left out, was null']),
    (
        {f"{TEXT}/total": INTEGER},
        ["breaks readers and writers: Text.total means null now when left out, was a derived value"],
    ),
    # Types
    ({f"{TEXT}/lang/type": "integer"}, ["breaks readers and writers: Text.lang takes integer now, was string"]),
    ({f"{TEXT}/size/type": "number"}, ["breaks readers: Text.size takes number now, was integer"]),
    ({f"{TEXT}/lang": {}}, ["breaks readers: Text.lang takes any now, was string"]),
    ({f"{TEXT}/lang/type": ["string", "null"]}, ["breaks readers: Text.lang takes string | null now, was string"]),
    ({f"{TEXT}/either": STRING}, ["breaks readers and writers: Text.either takes string now, was string | array"]),
    ({f"{TEXT}/lang": {"anyOf": [STRING, INTEGER]}}, ["breaks readers: Text.lang takes string | integer now"]),
    (
        {f"{TEXT}/either/anyOf/1/items": INTEGER},
        ["breaks readers and writers: Text.either[] takes integer now, was string"],
    ),
    (
        {f"{TEXT}/names/items/type": "boolean"},
        ["breaks readers and writers: Text.names[] takes boolean now, was string"],
    ),
    ({f"{TEXT}/scores/additionalProperties": STRING}, ["breaks readers and writers: Text.scores{} takes string now"]),
    (
        {f"{TEXT}/scores/additionalProperties": False},
        ["breaks readers and writers: Text.scores{} takes nothing now, was integer"],
    ),
    ({f"{TEXT}/scores/properties": {"a": INTEGER}}, ["breaks readers and writers: Text.scores has other members"]),
    ({f"{TEXT}/parts/items/anyOf": [STRING]}, ["breaks readers and writers: Text.parts[] takes string now"]),
    ({f"{TEXT}/lang": ref("Image")}, ["breaks readers and writers: Text.lang takes Image now, was string"]),
    # Annotations
    (
        {f"{TEXT}/names/x-python-type": "Sequence"},
        ["breaks readers: Text.names is annotated Sequence[str] now, was list[str]"],
    ),
    (
        {f"{TEXT}/parts/x-python-type": GONE},
        ["breaks writers: Text.parts is annotated list[str | Text] now, was Sequence["],
    ),
    ({f"{TEXT}/lang/x-python-type": "Raw"}, ["breaks readers and writers: Text.lang is annotated Raw now, was str"]),
    ({"Free/x-python-type": "dict[str, Raw]"}, ["breaks readers and writers: Free is annotated dict[str, Raw] now"]),
    # Words and bounds
    ({"Mood/enum": ["glad"]}, ['breaks readers and writers: Mood no longer has the value "sad"']),
    ({f"{TEXT}/lang": ref("Mood")}, ["breaks readers and writers: Text.lang takes enum now, was string"]),
    ({f"{TEXT}/mood": STRING}, ["breaks readers: Text.mood takes string now, was enum"]),
    ({f"{TEXT}/size/maximum": 9}, ["breaks readers and writers: Text.size has maximum 9 now, was maximum 10"]),
    (
        {f"{TEXT}/size/minimum": GONE, f"{TEXT}/size/exclusiveMinimum": 0},
        ["breaks readers and writers: Text.size has exclusiveMinimum 0 now, was minimum 0"],
    ),
    ({f"{TEXT}/names/minItems": 1}, ["breaks readers and writers: Text.names has minItems 1 now, was no minItems"]),
    ({f"{TEXT}/lang/maxLength": 9}, ["breaks readers and writers: Text.lang has maxLength 9 now, was no maxLength"]),
    ({f"{TEXT}/code/pattern": "b+"}, ['breaks readers and writers: Text.code has pattern "b+" now']),
    # Options have no readers
    (
        {"CommonOptions": GONE, "AcmeOptions/allOf": [], "OtherOptions": GONE},
        [
            "breaks writers: CommonOptions removed",
            "breaks writers: AcmeOptions no longer inherits from CommonOptions, and so loses limit, effort, names",
            "breaks writers: OtherOptions removed",
        ],
    ),
    (
        {"AcmeOptions/allOf": []},
        ["breaks writers: AcmeOptions no longer inherits from CommonOptions, and so loses limit"],
    ),
    ({f"{COMMON}/limit": GONE}, ["breaks writers: CommonOptions.limit removed"]),
    (
        {
            "AcmeOptions/properties": {"class": SMALL["$defs"]["AcmeOptions"]["properties"]["tier"]},
            "OtherOptions/properties": {},
        },
        ["breaks writers: AcmeOptions.tier renamed to class", "breaks writers: OtherOptions.tier removed"],
    ),
    ({f"{COMMON}/limit/type": "string"}, ["breaks writers: CommonOptions.limit takes string now, was integer"]),
    ({f"{COMMON}/limit/minimum": 2}, ["breaks writers: CommonOptions.limit has minimum 2 now, was minimum 1"]),
    ({f"{COMMON}/effort/enum": ["low"]}, ['breaks writers: CommonOptions.effort no longer has the value "high"']),
    (
        {f"{COMMON}/names/x-python-type": "list[str]"},
        ["breaks writers: CommonOptions.names is annotated list[str] now"],
    ),
    ({f"{COMMON}/limit/x-aliases": []}, ["breaks writers: CommonOptions.limit no longer has the alias max_limit"]),
    (
        {f"{COMMON}/limit/x-aliases": [], f"{COMMON}/effort/x-aliases": ["max_limit"]},
        [
            "breaks writers: CommonOptions.limit no longer has the alias max_limit, which is one of effort now",
            "breaks neither: CommonOptions.effort has the new alias max_limit",
        ],
    ),
    ({f"{COMMON}/limit/x-wire": {"acme": "limit"}}, ["breaks writers: CommonOptions.limit is no longer sent to other"]),
    ({f"{COMMON}/limit/x-noop": {}}, ["breaks writers: CommonOptions.limit says something to acme now when it is 1"]),
    (
        {f"{COMMON}/limit/x-noop/acme": True},
        ["breaks writers: CommonOptions.limit says something to acme now when it is 1"],
    ),
    ({"ModelInfo/properties/vision": GONE}, ["breaks readers and writers: ModelInfo.vision removed"]),
]

HARMLESS: list[tuple[dict[str, Any], list[str]]] = [
    # Definitions
    ({"Note": record("note", ["text"], text=STRING)}, ["Note added"]),
    (
        {"Note": record("note", ["text"], text=STRING), "Part/oneOf": [ref("Text"), ref("Image"), ref("Note")]},
        ["Part has the new member Note (programs with the older types cannot read it", "Note added"],
    ),
    ({"Free": GONE, "Loose": SMALL["$defs"]["Free"], f"{TEXT}/data": ref("Loose")}, ["Free renamed to Loose"]),
    ({"Mood": GONE, f"{TEXT}/mood": {"enum": ["sad", "glad"]}}, ["Mood removed; its uses are reported by themselves"]),
    ({"Image/x-mixin": "ImageMixin"}, ["Image has the mixin ImageMixin now, was none"]),
    ({"Text/x-mixin": "Other"}, ["Text has the mixin Other now, was TextMixin; see that no method is lost"]),
    ({"Image/x-gc": False}, ["Image has another x-gc"]),
    ({"Text/x-weakref": True}, ["Text has another x-weakref"]),
    ({"Image/description": "A picture."}, ["Image has a new description"]),
    # Fields
    ({f"{TEXT}/more": STRING}, ["Text.more added, may be left out (programs with the older types skip it)"]),
    (
        {f"{TEXT}/text/default": "", "Text/required": ["type", "mood"]},
        ['Text.text may be left out now, which means ""'],
    ),
    (
        {f"{TEXT}/text/x-derived": True, "Text/required": ["type", "mood"]},
        ["Text.text may be left out now, which means a derived value (programs with the older types cannot read it"],
    ),
    (
        {f"{TEXT}/lang": {"type": "string", "default": None, "x-derived": True}},
        ["Text.lang is derived now when left out"],
    ),
    ({f"{TEXT}/text/description": "Words."}, ["Text.text has a new description"]),
    ({f"{TEXT}/text/description": GONE}, ["Text.text lost its description"]),
    # Types
    (
        {"Mood/enum": ["glad", "sad", "calm"]},
        ['Mood has the new value "calm" (programs with the older types cannot read it'],
    ),
    ({f"{TEXT}/parts/items/anyOf": [STRING, ref("Part")]}, ["Text.parts[] takes string | Part now, was string | Text"]),
    ({f"{TEXT}/size/maximum": 11}, ["Text.size has maximum 11 now, was maximum 10"]),
    ({f"{TEXT}/size/minimum": GONE}, ["Text.size has no minimum now, was minimum 0"]),
    ({f"{TEXT}/code/pattern": GONE}, ['Text.code no longer has pattern "a+"']),
    # Options
    ({f"{COMMON}/more": STRING}, ["CommonOptions.more added, may be left out"]),
    (
        {f"{COMMON}/limit": GONE, f"{COMMON}/bound": {**INTEGER, "x-aliases": ["limit", "max_limit"]}},
        ["CommonOptions.limit is an alias of bound now", "CommonOptions.bound added, may be left out"],
    ),
    (
        {
            f"{COMMON}/tier": SMALL["$defs"]["AcmeOptions"]["properties"]["tier"],
            "AcmeOptions/properties": {},
            "OtherOptions/properties": {},
        },
        ["CommonOptions.tier added, may be left out"],
    ),
    (
        {"AcmeOptions/allOf": [ref("CommonOptions"), ref("OtherOptions")]},
        ["AcmeOptions inherits from OtherOptions now"],
    ),
    ({f"{COMMON}/limit/type": "number"}, ["CommonOptions.limit takes number now, was integer"]),
    ({f"{COMMON}/names/x-python-type": "Any"}, ["CommonOptions.names is annotated Any now, was Sequence[str]"]),
    ({f"{COMMON}/limit/x-aliases": ["max_limit", "n"]}, ["CommonOptions.limit has the new alias n"]),
    ({f"{COMMON}/limit/x-wire/third": "n"}, ["CommonOptions.limit is sent to third now, as n"]),
    ({f"{COMMON}/limit/x-wire/acme": "n"}, ["CommonOptions.limit is sent to acme as n now, was limit"]),
    ({f"{COMMON}/limit/x-noop/other": 0}, ["CommonOptions.limit says nothing to other now when it is 0"]),
    ({f"{COMMON}/limit/x-instead": "effort"}, ["CommonOptions.limit has a new x-instead"]),
    ({f"{COMMON}/limit/x-new": 1}, ["CommonOptions.limit has x-new 1 now"]),
]


def lines(edits: dict[str, Any]) -> list[str]:
    return [str(change) for change in compare.changes(SMALL, edited(edits))]


def assert_lines(edits: dict[str, Any], expected: list[str]) -> None:
    found = lines(edits)
    assert len(expected) == len(found), found
    for beginning, line in zip(expected, found, strict=True):
        assert line.startswith(beginning)


def name_of(value: Any) -> str:
    """A table's row is named by the first line that it expects."""
    return value[0] if isinstance(value, list) else "-"


@pytest.mark.parametrize(("edits", "expected"), BREAKING, ids=name_of)
def test_breaking(edits: dict[str, Any], expected: list[str]) -> None:
    """Each of these breaks somebody, so it needs a major step."""
    assert_lines(edits, expected)
    assert compare.version_problem(SMALL, edited(edits), compare.changes(SMALL, edited(edits)))


@pytest.mark.parametrize(("edits", "expected"), HARMLESS, ids=name_of)
def test_harmless(edits: dict[str, Any], expected: list[str]) -> None:
    """Each of these breaks neither readers nor writers, so that the version may stand."""
    assert_lines(edits, [f"breaks neither: {beginning}" for beginning in expected])
    assert compare.version_problem(SMALL, edited(edits), compare.changes(SMALL, edited(edits))) is None


@pytest.mark.parametrize(
    "edits",
    [
        {"Part/oneOf": [ref("Image"), ref("Text")]},
        {f"{TEXT}/mood": {"enum": ["glad", "sad"]}},
        {f"{TEXT}/data": {"type": "object", "x-python-type": "dict[str, Any]"}},
        {f"{TEXT}/lang": {"type": ["string"]}},
        {f"{TEXT}/either": {"anyOf": [{"type": "array", "items": STRING}, STRING]}},
        {"OtherOptions/properties/tier": SMALL["$defs"]["AcmeOptions"]["properties"]["tier"]},
        {"Image/examples": [{"type": "image"}]},
    ],
    ids=[
        "order of a union",
        "enum written out",
        "alias written out",
        "list of one type",
        "order of types",
        "moved",
        "examples",
    ],
)
def test_the_same_in_other_words(edits: dict[str, Any]) -> None:
    """What means the same is no change."""
    assert lines(edits) == []


def test_those_that_break_come_first() -> None:
    found = lines({"Mood/enum": ["glad", "calm"]})

    assert [line.partition(":")[0] for line in found] == ["breaks readers and writers", "breaks neither"]


def test_a_change_of_shared_things_is_reported_once() -> None:
    """A word of an enum and an option that providers share are reported where they are defined."""
    assert len(lines({"Mood/enum": ["glad", "sad", "calm"]})) == 1
    assert len(lines({"AcmeOptions/properties/tier/x-wire/other": "tier"})) == 1


@pytest.mark.parametrize(
    ("version", "problem"),
    [
        ("1.2.3", "make it 2.0.0"),
        ("1.3.0", "the version went from 1.2.3 to 1.3.0: make it 2.0.0"),
        ("0.9.0", "make it 2.0.0"),
        ("2.0.0", None),
        ("10.0.0", None),
        ("2.0", "must be like urn:modelwire:schema:1.0.0"),
    ],
)
def test_version_of_a_breaking_change(version: str, problem: str | None) -> None:
    new = edited({"Image": GONE, "Part/oneOf": [ref("Text")]}) | {"$id": f"urn:modelwire:schema:{version}"}
    found = compare.version_problem(SMALL, new, compare.changes(SMALL, new))

    assert found is problem if problem is None else problem in (found or "")


def test_version_that_stands_still_is_remarked_on() -> None:
    new = edited({"Image/description": "A picture."})
    changes = compare.changes(SMALL, new)

    assert "`$id` is still" in (compare.version_remark(SMALL, new, changes) or "")
    assert compare.version_remark(SMALL, new | {"$id": "urn:modelwire:schema:1.2.4"}, changes) is None
    assert compare.version_remark(SMALL, SMALL, []) is None


def test_command_line(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """`--diff` prints a line for each change; the exit status follows the version rule."""
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps(SMALL))
    broken = edited({f"{TEXT}/lang": GONE})
    new.write_text(json.dumps(broken))

    assert main(["--schema", str(new), "--diff", str(old)]) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith("breaks readers and writers: Text.lang removed (keep it")
    assert "make it 2.0.0" in printed.err

    new.write_text(json.dumps(broken | {"$id": "urn:modelwire:schema:2.0.0"}))
    assert main(["--schema", str(new), "--diff", str(old)]) == 0
    assert main(["--schema", str(old), "--diff", str(old)]) == 0


@pytest.mark.parametrize("name", generate.load()["$defs"])
def test_every_removal_from_the_schema_is_noticed(name: str) -> None:
    """On the real schema: each property or union member that is taken away is called breaking."""
    schema = generate.load()
    body = schema["$defs"][name]
    new = without_references(schema, f"#/$defs/{name}/properties/")
    new["$defs"][name] |= {key: [] if key == "oneOf" else {} for key in ("properties", "oneOf") if key in body}
    fields = [f"{name}.{field}" for field, node in body.get("properties", {}).items() if "const" not in node]
    members = [f"{name} no longer has the member {ref['$ref'].rsplit('/', 1)[1]}" for ref in body.get("oneOf", [])]

    noticed = [f"{change.place} {change.what}" for change in compare.changes(schema, new) if change.breaking]

    for place in [*fields, *members]:
        assert any(f"{line} ".startswith(f"{place} ") for line in noticed), place


def without_references(schema: dict[str, Any], target: str) -> dict[str, Any]:
    """A copy without the properties that stand for a property of `target`."""
    new = fresh(schema)
    for body in new["$defs"].values():
        own = body.get("properties", {})
        for field in [field for field, node in own.items() if target in node.get("$ref", "")]:
            del own[field]
    return new


@pytest.mark.parametrize("path", ["Nothing", "AcmeOptions/properties/nothing", "Nothing/properties/tier"])
def test_reference_to_nothing(path: str) -> None:
    with pytest.raises(SchemaError, match=path):
        compare.changes(SMALL, edited({f"{COMMON}/tier": ref(path), f"{TEXT}/lang": ref(path)}))


def test_the_schema_compared_with_itself() -> None:
    schema = generate.load()

    assert compare.changes(schema, fresh(schema)) == []
