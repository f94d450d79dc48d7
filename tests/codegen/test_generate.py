"""What `python -m codegen` writes, what it refuses, and that the structs are what the schema says."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from codegen import generate, prepass
from codegen.__main__ import main
from modelwire import types

REPOSITORY = Path(generate.__file__).parent.parent
FILES = {"types.py", "options.py", "_option_table.py"}
SCHEMA = generate.load()
DEFINITIONS = SCHEMA["$defs"]
STRUCTS = [name for name, body in DEFINITIONS.items() if prepass.kind(body) == "struct"]


# --- Files


def test_the_committed_files_are_what_the_schema_says() -> None:
    assert main(["--check"]) == 0


def test_drift_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A changed and a missing file are both printed as a diff, and nothing is written."""
    assert main(["--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == FILES
    assert main(["--out", str(tmp_path), "--check"]) == 0

    changed, missing = tmp_path / "types.py", tmp_path / "options.py"
    changed.write_text(changed.read_text("utf-8").replace("class Citation(", "class Source("), "utf-8")
    missing.unlink()
    capsys.readouterr()

    assert main(["--out", str(tmp_path), "--check"]) == 1
    printed = capsys.readouterr()
    assert "-class Source(" in printed.out
    assert "+class Citation(" in printed.out
    assert "+class CommonOptions(" in printed.out
    assert "_option_table.py" not in printed.out
    assert "make codegen" in printed.err
    assert not missing.exists()


def test_the_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-m", "codegen", "--out", str(tmp_path / seed)]
        subprocess.run(command, cwd=REPOSITORY, env=environment, check=True)

    for name in FILES:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_a_file_that_is_no_schema_is_refused_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "schema.json"
    for text in ("{", "[]", "{}"):
        path.write_text(text)
        assert main(["--schema", str(path), "--out", str(tmp_path)]) == 1
        assert "schema.json" in capsys.readouterr().err
    assert main(["--schema", str(tmp_path / "nowhere.json")]) == 1


# --- A changed schema


def fresh() -> dict[str, Any]:
    return json.loads(json.dumps(SCHEMA))


def loaded(path: Path, name: str) -> Any:
    """A generated file as a module; msgspec looks the module of a struct up in `sys.modules`."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Modules generated from the schema with the part, the field and the option that the README adds as examples."""
    readme = Path(generate.__file__).with_name("README.md").read_text("utf-8")
    part, field, option = (json.loads(f"{{{block}}}") for block in re.findall(r"```json\n(.*?)```", readme, re.DOTALL))
    part["Sticker"]["properties"]["why"] = {"$ref": "#/$defs/FinishReason", "default": "stop", "description": "Reason."}
    schema = fresh()
    definitions = schema["$defs"]
    definitions |= part
    definitions["Part"]["oneOf"].append({"$ref": "#/$defs/Sticker"})
    definitions["Text"]["properties"] |= field
    definitions["CommonOptions"]["properties"] |= option
    folder = tmp_path_factory.mktemp("extended")
    (folder / "schema.json").write_text(json.dumps(schema))
    assert main(["--schema", str(folder / "schema.json"), "--out", str(folder)]) == 0
    return {path.stem: loaded(path, f"extended_{path.stem}") for path in folder.glob("*.py")}


def test_an_added_part(extended: dict[str, Any]) -> None:
    """A definition and a place in the union are all that a new kind of part needs."""
    types = extended["types"]
    sticker = types.Sticker(name="cat")

    encoded = msgspec.json.encode(sticker)
    assert encoded == b'{"type":"sticker","name":"cat"}'
    assert sticker.type == "sticker"
    assert (sticker.mood, sticker.why, sticker.data) == ("glad", "stop", None)
    assert sticker.__doc__ == "A small picture that stands for a feeling."
    assert msgspec.json.decode(encoded, type=types.Part) == sticker

    message = msgspec.json.decode(b'{"role":"assistant","content":["Hi",%s]}' % encoded, type=types.Message)
    assert message.content == ["Hi", sticker]


def test_an_added_field(extended: dict[str, Any]) -> None:
    """An optional field is `None` when left out, and is then not written."""
    text = extended["types"].Text

    assert text(text="Hi").lang is None
    assert msgspec.json.encode(text(text="Hi")) == b'{"type":"text","text":"Hi"}'
    assert msgspec.json.decode(b'{"type":"text","text":"Salut","lang":"fr"}', type=text) == text(
        text="Salut", lang="fr"
    )


def test_an_added_option(extended: dict[str, Any]) -> None:
    """An option reaches every family by inheritance, and the table by its columns."""
    options, table = extended["options"], extended["_option_table"]

    assert options.CommonOptions.__annotations__["min_tokens"]
    assert "min_tokens" in options.AnyOptions.__annotations__
    assert table.ALIASES["min_new_tokens"] == "min_tokens"
    assert table.WIRE["ollama"]["min_tokens"] == "options.min_tokens"
    assert "min_tokens" not in table.WIRE["gemini"]
    assert table.NOOP["anthropic"]["min_tokens"] == 0
    assert table.INSTEAD["min_tokens"] == "asking for a long answer in the prompt"
    assert table.RANGES["min_tokens"] == (0, None)
    assert all("min_tokens" in names for names in table.FAMILIES.values())


def put(path: str, value: Any) -> dict[str, Any]:
    """The schema with another value at `path`; `None` takes it away."""
    schema = fresh()
    *way, last = path.split("/")
    node = schema["$defs"]
    for step in way:
        node = node[step]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return schema


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("Text/description", 'Says """hello""".', "Text: a description cannot hold"),
        ("Text/properties/text/description", "A \\ in it.", "Text.text: a description cannot hold"),
        ("CommonOptions/properties/seed/description", 'A """ in it.', "CommonOptions.seed: a description cannot hold"),
        ("Text/description", None, "Text: has no description"),
        ("Text/properties/text/description", None, "Text.text: has no description"),
        ("Text/properties/citations", {"$ref": "#/$defs/Citation"}, "Text.citations: has no description"),
        ("CommonOptions/properties/seed/description", "", "CommonOptions.seed: has no description"),
        ("Text/additionalProperties", None, "Text: says nothing about additionalProperties"),
        ("Usage/additionalProperties", True, "Usage: says nothing about additionalProperties"),
        ("Text/required", ["text"], "Text.type: is a tag, so it must be in `required`"),
        ("CommonOptions/properties/seed/x-aliases", ["deadline"], "seed: its alias deadline is already the name"),
        ("CommonOptions/properties/seed/x-aliases", ["num_predict"], "seed: its alias num_predict is already"),
        (
            "GeminiOptions/properties/store",
            {"type": "boolean", "description": "Whether to keep it.", "x-wire": {"gemini": "store"}},
            "GeminiOptions.store: is defined twice",
        ),
    ],
)
def test_what_is_refused(path: str, value: Any, complaint: str) -> None:
    """A mistake in the schema is reported with its place, not generated."""
    with pytest.raises(prepass.SchemaError, match=complaint):
        generate.generate(put(path, value))


# --- The generated structs


def test_absence_is_none() -> None:
    for name in FILES:
        text = (generate.PACKAGE / name).read_text("utf-8")
        assert "UNSET" not in text
        assert "UnsetType" not in text


@pytest.mark.parametrize("name", STRUCTS)
def test_every_struct_is_frozen_keyword_only_and_terse(name: str) -> None:
    struct: type[msgspec.Struct] = getattr(types, name)
    config = struct.__struct_config__

    assert config.frozen
    assert config.omit_defaults
    assert config.gc is DEFINITIONS[name].get("x-gc", True)
    assert config.weakref is DEFINITIONS[name].get("x-weakref", False)
    assert {parameter.kind for parameter in inspect.signature(struct).parameters.values()} == {
        inspect.Parameter.KEYWORD_ONLY
    }


@pytest.mark.parametrize("name", STRUCTS)
def test_every_struct_has_the_fields_and_the_tag_of_the_schema(name: str) -> None:
    struct: type[msgspec.Struct] = getattr(types, name)
    tag = prepass.tag_of(DEFINITIONS[name])
    config = struct.__struct_config__

    assert (config.tag_field, config.tag) == (tag or (None, None))
    assert set(struct.__struct_fields__) == set(DEFINITIONS[name]["properties"]) - ({tag[0]} if tag else set())
    if tag:
        assert getattr(struct, tag[0]) == tag[1]


@pytest.mark.parametrize("name", [name for name, body in DEFINITIONS.items() if prepass.kind(body) == "union"])
def test_every_union_tells_its_members_apart(name: str) -> None:
    """Building the decoder fails where two members have the same tag."""
    msgspec.json.Decoder(getattr(types, name))


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def problems(name: str, value: Any) -> list[str]:
    """What an independent validator has against `value` as a `name`."""
    validator = Draft202012Validator({**SCHEMA, "$ref": f"#/$defs/{name}"})
    return [error.message for error in validator.iter_errors(value)]


def there_and_back(name: str, value: Any) -> Any:
    struct: type[msgspec.Struct] = getattr(types, name)
    decoded = msgspec.json.decode(msgspec.json.encode(value), type=struct)
    encoded = msgspec.json.encode(decoded)
    assert decoded == msgspec.json.decode(encoded, type=struct)
    return json.loads(encoded)


def with_default(name: str, value: dict[str, Any]) -> set[str]:
    """The fields of `value` that are equal to their default, and so are not written."""
    properties = DEFINITIONS[name]["properties"]
    return {field for field, given in value.items() if given == properties[field].get("default", ...)}


def derived(name: str) -> set[str]:
    return {field for field, node in DEFINITIONS[name]["properties"].items() if node.get("x-derived")}


@pytest.mark.parametrize(
    ("name", "example"),
    [(name, example) for name, body in DEFINITIONS.items() for example in body.get("examples", ())],
)
def test_examples(name: str, example: dict[str, Any]) -> None:
    """Each example of the schema is valid, and comes back as it was, but for defaults and what is derived."""
    assert problems(name, example) == []

    found = there_and_back(name, example)

    assert problems(name, found) == []
    assert found.keys() - example.keys() <= derived(name)
    assert example.keys() - found.keys() == with_default(name, example)
    assert {field: found[field] for field in example if field in found} == {
        field: example[field] for field in example if field in found
    }


# A media part says in one way only where its content is; each way is a case of its own.
SOURCES = {
    "Image": ("url", "data", "file_id"),
    "Audio": ("url", "data", "file_id", "id"),
    "Document": ("url", "data", "file_id", "text"),
    "Video": ("url", "data", "file_id"),
}


def filled(node: dict[str, Any], field: str = "any", *, choice: int = -1) -> Any:
    """A value that fits a node of the schema, every optional field included.

    An array of a union has one of each member; of other alternatives, `choice` says which to take.
    """
    if "$ref" in node:
        return filled_definition(node["$ref"].rsplit("/", 1)[1], field, choice)
    if "anyOf" in node:
        return filled(node["anyOf"][choice], field, choice=choice)
    if "enum" in node:
        return node["enum"][-1]
    match node.get("type"):
        case "string":
            return "aGk=" if node.get("contentEncoding") == "base64" else f"a {field}: \u00e9 \u2028 \U0001f600"
        case "integer":
            return node.get("minimum", 0) + 7
        case "number":
            return node.get("minimum", node.get("exclusiveMinimum", -1)) + 0.5
        case "boolean":
            return True
        case "array":
            return [filled(item, field, choice=choice) for item in members(node["items"])]
        case "object":
            return {field: filled(node.get("additionalProperties", {}), field, choice=choice)}
        case _:
            return {"raw": [1, 2.5, None, True, "text"]}


def members(node: dict[str, Any]) -> list[dict[str, Any]]:
    """The alternatives of an array's items, with those of a union."""
    if "anyOf" in node:
        return [member for alternative in node["anyOf"] for member in members(alternative)]
    union = DEFINITIONS[node["$ref"].rsplit("/", 1)[1]].get("oneOf") if "$ref" in node else None
    return union or [node]


def filled_definition(name: str, field: str, choice: int, source: str = "data") -> Any:
    body = DEFINITIONS[name]
    if prepass.kind(body) == "union":
        return filled(body["oneOf"][choice], choice=choice)
    if prepass.kind(body) != "struct":
        return filled(body, field, choice=choice)
    left_out = {*SOURCES.get(name, ())} - {source}
    given = {key: node for key, node in body["properties"].items() if key not in left_out}
    return {key: node["const"] if "const" in node else filled(node, key, choice=choice) for key, node in given.items()}


@pytest.mark.parametrize("choice", [0, -1], ids=["first", "last"])
@pytest.mark.parametrize(
    ("name", "source"), [(name, source) for name in STRUCTS for source in SOURCES.get(name, ("data",))]
)
def test_every_struct_with_all_its_fields(name: str, source: str, choice: int) -> None:
    """A struct of every kind is the same after a way through JSON, and valid before and after."""
    value = filled_definition(name, "any", choice, source)
    assert problems(name, value) == []

    found = there_and_back(name, value)

    assert problems(name, found) == []
    assert found.keys() == value.keys()
    stated = value.keys() - derived(name)
    assert {field: value[field] for field in stated} == {field: found[field] for field in stated}
