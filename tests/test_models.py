"""What is known about models: the look-up, the tables, and how these are derived."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from codegen import models as derivation
from modelwire import ModelInfo, OpenAIChatCompletionClient, connect, models
from modelwire.models.encodings import ENCODINGS
from tests.requirements import need

FOLDER = Path(models.__file__).parent


# ---------------------------------------------------------------------- look-up


def test_a_known_model_has_the_facts_of_its_row_and_its_own_name() -> None:
    info = models.lookup("openai", "gpt-5.1")

    assert (info.get("model"), info.get("family")) == ("gpt-5.1", "gpt-5.1")
    assert info.get("max_input_tokens") == 272_000
    assert info.get("reasoning_efforts") == ["none", "low", "medium", "high"]


@pytest.mark.parametrize(
    ("provider", "name", "model"),
    [
        ("openai", "gpt-5.1-2025-11-13", "gpt-5.1"),
        ("openai", "gpt-4o-latest", "gpt-4o"),
        ("anthropic", "claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("anthropic", "claude-opus-4-6-20260205", "claude-opus-4-6"),
        ("openai", "ft:gpt-4.1-mini-2025-04-14:acme:support:Abc123", "gpt-4.1-mini"),
        ("openai", "ft:gpt-4o:acme::Abc123", "gpt-4o"),
    ],
)
def test_a_version_and_a_tuned_model_have_the_facts_of_their_model(provider: str, name: str, model: str) -> None:
    assert models.lookup(provider, name) == {**models.lookup(provider, model), "model": name}
    assert models.lookup(provider, name).get("family") != "unknown"


def test_a_version_that_differs_has_its_own_facts() -> None:
    assert models.lookup("openai", "gpt-4o-2024-05-13").get("max_output_tokens") == 4096
    assert models.lookup("openai", "gpt-4o-2024-11-20").get("max_output_tokens") == 16384
    assert models.lookup("mistral", "mistral-small-latest") != models.lookup("mistral", "mistral-small")


@pytest.mark.parametrize("provider", ["openai", "no_such_provider", "llama.cpp", ""])
def test_an_unknown_model_can_do_everything(provider: str) -> None:
    assert models.lookup(provider, "brand-new-3000") == {
        "model": "brand-new-3000",
        "family": "unknown",
        "vision": True,
        "function_calling": True,
        "json_output": True,
        "structured_output": True,
        "multiple_system_messages": True,
    }


def test_the_name_of_a_provider_is_no_path() -> None:
    assert models.rows("openai")
    assert models.rows("../models/openai") == {}


def test_what_a_table_does_not_say_is_taken_for_possible() -> None:
    assert "vision" not in models.rows("mistral")["codestral-2508"]
    assert models.lookup("mistral", "codestral-2508").get("vision") is True
    assert models.lookup("openai", "o3-mini").get("vision") is False


@pytest.mark.parametrize(
    ("name", "provider", "model"),
    [
        ("groq:openai/gpt-oss-120b", "groq", "openai/gpt-oss-120b"),
        ("mistral:mistral-large-4", "mistral", "mistral-large-4"),
        ("xai:grok-4.7", "xai", "grok-4.7"),
        ("deepseek:deepseek-v4-pro", "deepseek", "deepseek-v4-pro"),
    ],
)
def test_clients_of_compatible_servers_find_their_own_table(name: str, provider: str, model: str) -> None:
    client = connect(name, api_key="key")

    assert client.model_info == models.lookup(provider, model)
    assert client.model_info.get("max_input_tokens", 0) > 100_000


def test_what_the_user_says_goes_over_the_table_fact_by_fact() -> None:
    known = models.lookup("openai", "gpt-4o")

    assert models.merged(known, {"vision": False, "mine": 1}) == {**known, "vision": False, "mine": 1}
    assert models.merged(known, None) == models.merged(known, {}) == known
    assert models.lookup("openai", "gpt-4o").get("vision") is True
    with pytest.raises(TypeError, match="model_info is a dict"):
        models.merged(known, ["vision"])  # type: ignore[arg-type]


def test_a_client_takes_facts_of_a_model_that_no_table_knows() -> None:
    client = OpenAIChatCompletionClient(model="new", api_key="key", model_info={"max_input_tokens": 400_000})

    assert client.model_info == {**models.lookup("openai", "new"), "max_input_tokens": 400_000}


def test_tables_are_read_at_the_first_look_up_of_their_provider_and_only_then() -> None:
    """An audit hook sees every file that is opened: https://docs.python.org/3/library/audit_events.html."""
    code = """if True:
        import sys
        opened = []
        sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
        tables = lambda: [name.replace("\\\\", "/").split("/")[-1] for name in opened if name.endswith(".json")]
        from modelwire import models
        print(tables())
        models.lookup("openai", "gpt-4o"), models.lookup("openai", "o3"), models.lookup("nobody", "x")
        models.lookup("nobody", "y")
        print(tables())
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == ["[]", "['openai.json', 'nobody.json']"]


# ---------------------------------------------------------------------- the tables

ROWS = [
    pytest.param(provider, model, id=f"{provider}:{model}")
    for provider in models.providers()
    for model in models.rows(provider)
]
OWN = {"thinking", "thinks_by_default", "efforts", "prefill", "forced_tool_use", "mid_conversation_system"} | {
    "prompt_cache_min_tokens",
    "generation",
    "thinking_budget",
    "explicit_caching",
}
"""Facts that only one provider's codec asks for."""
EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh", "max"]


def test_there_is_a_table_for_each_provider() -> None:
    tables = {provider: len(models.rows(provider)) for provider in models.providers()}

    assert tables.keys() == {"anthropic", "deepseek", "gemini", "groq", "mistral", "openai", "xai"}
    assert tables["openai"] > 50
    assert all(tables.values())


@pytest.mark.parametrize(("provider", "model"), ROWS)
def test_a_row_holds_facts_of_the_right_kind_and_none_besides(provider: str, model: str) -> None:
    row = models.rows(provider)[model]

    msgspec.convert({name: value for name, value in row.items() if name not in OWN}, ModelInfo, strict=True)
    assert row.keys() <= ModelInfo.__annotations__.keys() | OWN
    assert row.get("tokenizer", "o200k_base") in ENCODINGS


@pytest.mark.parametrize(("provider", "model"), ROWS)
def test_the_facts_of_a_row_agree_with_each_other(provider: str, model: str) -> None:
    row = models.rows(provider)[model]

    efforts = row.get("reasoning_efforts", [])
    assert 0 < row["max_output_tokens"] <= row["max_input_tokens"]
    assert efforts == [level for level in EFFORTS if level in efforts]
    assert row.get("default_reasoning_effort") in (*efforts, None)
    assert row.get("reasoning", True) or not efforts
    if "deprecation_date" in row:
        dt.date.fromisoformat(row["deprecation_date"])
    if row.get("sampling") == "without_reasoning":
        assert "none" in efforts


@pytest.mark.parametrize(
    ("model", "facts"),
    [
        ("gpt-5", {"sampling": "never", "reasoning_efforts": ["minimal", "low", "medium", "high"]}),
        ("gpt-5.4", {"max_input_tokens": 922_000, "default_reasoning_effort": "none", "sampling": "without_reasoning"}),
        ("gpt-5.4", {"chat_tools_while_reasoning": False}),
        ("gpt-5.2", {"chat_tools_while_reasoning": True}),
        ("gpt-5.5-pro", {"apis": ["responses"], "structured_output": False}),
        ("gpt-6-sol", {"reasoning_efforts": ["none", "low", "medium", "high", "xhigh", "max"]}),
        ("gpt-6.1-sol", {"reasoning_efforts": ["low", "medium", "high", "xhigh", "max"], "sampling": "never"}),
        ("gpt-6.2-astra", {"max_output_tokens": 128_000, "sampling": "never"}),
        ("o3", {"sampling": "never", "deprecation_date": "2026-12-11"}),
        ("gpt-4o", {"sampling": "always", "reasoning": False, "deprecation_date": "2027-01-14"}),
        ("gpt-audio-1.5", {"audio_input": True, "vision": False, "apis": ["chat"]}),
        ("gpt-4-turbo", {"tokenizer": "cl100k_base"}),
        ("gpt-3.5-turbo-0125", {"tokenizer": "cl100k_base"}),
        ("gpt-4.1", {"tokenizer": "o200k_base"}),
    ],
)
def test_facts_that_codecs_rely_on(model: str, facts: dict[str, Any]) -> None:
    row = models.rows("openai")[model]

    assert {name: row[name] for name in facts} == facts


def test_every_model_of_openai_names_its_tokenizer() -> None:
    assert all("tokenizer" in row for row in models.rows("openai").values())


def test_the_notice_of_the_dataset_stands_beside_what_comes_from_it() -> None:
    notice = (FOLDER / "NOTICE").read_text("utf-8")

    assert "Copyright (c) 2023 Berri AI" in notice
    assert "Permission is hereby granted, free of charge" in notice
    overrides = json.loads(derivation.OVERRIDES.read_bytes())
    assert overrides["dataset"]["package"].partition("==")[2] in notice
    assert overrides["dataset"]["package"].partition("==")[2] in (FOLDER / "README.md").read_text("utf-8")


def test_every_override_says_why() -> None:
    providers = json.loads(derivation.OVERRIDES.read_bytes())["providers"]
    rules = [rule for own in providers.values() for rule in (*own.get("leave_out", ()), *own["facts"])]

    assert len(rules) > 40
    assert all(rule["why"] for rule in rules)
    assert all(rule.get("source", "https://").startswith("https://") for rule in rules)


def test_the_tables_are_what_the_dataset_and_the_overrides_give() -> None:
    overrides = json.loads(derivation.OVERRIDES.read_bytes())
    rows, problem = None, ""
    try:
        rows = derivation.dataset(overrides["dataset"], None)
    except derivation.DerivationError as error:
        problem = str(error)
    need(rows, f"the dataset of the model tables cannot be had: {problem}")

    tables = derivation.derive(rows or {}, overrides)

    assert tables.keys() == set(models.providers())
    assert [line for name, table in tables.items() for line in derivation.drift(name, table, FOLDER)] == []


# ---------------------------------------------------------------------- the derivation


def row(provider: str = "openai", mode: str = "chat", **facts: Any) -> dict[str, Any]:
    return {"litellm_provider": provider, "mode": mode, **facts}


def derived(rows: dict[str, Any], *rules: dict[str, Any], provider: str = "openai", **more: Any) -> dict[str, Any]:
    """The table of one provider; the rules are its overrides."""
    own = {"families": {}, "leave_out": [], "facts": list(rules), **more}
    return derivation.derive(rows, {"providers": {provider: own}})[provider]


def test_chat_models_of_the_provider_are_kept_without_its_prefix() -> None:
    rows = {
        "a": row("groq"),
        "groq/vendor/b": row("groq"),
        "groq/c": row("groq", mode="responses"),
        "groq/picture": row("groq", mode="image_generation"),
        "other": row("openai"),
        "sample_spec": {},
    }

    assert sorted(derived(rows, provider="groq")) == ["a", "c", "vendor/b"]


def test_of_two_rows_of_a_model_the_one_without_a_prefix_counts() -> None:
    for rows in (
        {"deepseek/m": row("deepseek", max_input_tokens=1), "m": row("deepseek", max_input_tokens=2)},
        {"m": row("deepseek", max_input_tokens=2), "deepseek/m": row("deepseek", max_input_tokens=1)},
    ):
        assert derived(rows, provider="deepseek") == {"m": {"max_input_tokens": 2}}


def test_flags_are_translated_and_an_absent_one_says_nothing() -> None:
    flags = {"supports_vision": True, "supports_pdf_input": False, "supports_response_schema": True}

    table = derived({"m": row("xai", **flags, max_output_tokens=9, input_cost_per_token=1e-6)}, provider="xai")

    assert table == {
        "m": {"vision": True, "structured_output": True, "max_output_tokens": 9, "document_input": False},
    }


@pytest.mark.parametrize(
    ("told", "efforts"),
    [
        ({}, None),
        ({"supports_none_reasoning_effort": True}, ["none", "low", "medium", "high"]),
        ({"supports_minimal_reasoning_effort": True, "supports_xhigh_reasoning_effort": False}, EFFORTS[1:5]),
        ({"supports_max_reasoning_effort": True, "supports_low_reasoning_effort": False}, ["medium", "high", "max"]),
        ({"reasoning_effort_levels": ["high", "none"]}, ["none", "high"]),
    ],
)
def test_levels_of_effort_are_put_together_in_order(told: dict[str, Any], efforts: list[str] | None) -> None:
    assert derived({"m": row("xai", **told)}, provider="xai")["m"].get("reasoning_efforts") == efforts


@pytest.mark.parametrize(
    ("told", "sampling"),
    [
        ({}, "always"),
        ({"supports_reasoning": True}, "never"),
        ({"supports_reasoning": True, "supports_none_reasoning_effort": True}, "without_reasoning"),
    ],
)
def test_openai_takes_sampling_options_while_a_model_does_not_reason(told: dict[str, Any], sampling: str) -> None:
    assert derived({"m": row(**told)})["m"] == {**derived({"m": row(**told)})["m"], "sampling": sampling}
    assert "sampling" not in derived({"m": row("xai", **told)}, provider="xai")["m"]


def test_openais_endpoints_are_apis() -> None:
    both = ["/v1/chat/completions", "/v1/batch", "/v1/responses"]
    rows = {
        "both": row(supported_endpoints=both),
        "one": row(mode="responses"),
        "unknown": row(),
    }

    assert {name: facts.get("apis") for name, facts in derived(rows).items()} == {
        "both": ["chat", "responses"],
        "one": ["responses"],
        "unknown": None,
    }


def test_overrides_set_fill_take_away_and_except() -> None:
    rows = {name: row("xai", max_input_tokens=5, supports_vision=False) for name in ("m-1", "m-2", "n")}

    table = derived(
        rows,
        {"models": ["m-*"], "but": ["m-2"], "set": {"max_input_tokens": 6}, "where_unknown": {"vision": True}},
        {"models": ["n"], "set": {"vision": None}, "where_unknown": {"reasoning": True, "vision": True}},
        {"models": ["*"], "set": {"json_output": True}},
        provider="xai",
        families={"m-*": "em"},
    )

    assert table == {
        "m-1": {"family": "em", "vision": False, "json_output": True, "max_input_tokens": 6},
        "m-2": {"family": "em", "vision": False, "json_output": True, "max_input_tokens": 5},
        "n": {"json_output": True, "max_input_tokens": 5, "reasoning": True},
    }


def test_overrides_add_models_like_others_and_of_their_own_and_leave_some_out() -> None:
    rows = {"old": row("xai", max_input_tokens=5), "gone-1": row("xai"), "gone-2": row("xai")}

    table = derived(
        rows,
        {"models": ["new"], "like": "old", "set": {"vision": True}},
        {"models": ["own"], "set": {"vision": False}},
        provider="xai",
        leave_out=[{"models": ["gone-*"]}],
    )

    assert table == {
        "old": {"max_input_tokens": 5},
        "new": {"vision": True, "max_input_tokens": 5},
        "own": {"vision": False},
    }


@pytest.mark.parametrize(
    "more",
    [
        {"leave_out": [{"models": ["gone"]}]},
        {"leave_out": [{"models": ["m", "gone-*"]}]},
        {"facts": [{"models": ["gone-*"], "set": {}}]},
        {"facts": [{"models": ["*"], "but": ["gone-*"], "set": {}}]},
        {"families": {"gone-*": "x"}},
        {"facts": [{"models": ["*"], "set": {"visoin": True}}]},
    ],
)
def test_an_override_that_is_out_of_date_or_misspelt_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(derivation.DerivationError, match=r"gone|visoin"):
        derived({"m": row("xai")}, provider="xai", **more)


def test_a_version_that_says_what_its_model_says_is_dropped() -> None:
    rows = {
        "m": row("xai", max_input_tokens=5),
        "m-2026-01-01": row("xai", max_input_tokens=5),
        "m-20260101": row("xai", max_input_tokens=5),
        "m-2025-01-01": row("xai", max_input_tokens=4),
        "n-2026-01-01": row("xai", max_input_tokens=5),
    }

    assert sorted(derived(rows, provider="xai")) == ["m", "m-2025-01-01", "n-2026-01-01"]


# ---------------------------------------------------------------------- its command


@pytest.fixture
def inputs(tmp_path: Path) -> list[str]:
    """A small dataset and its overrides, as arguments."""
    data = json.dumps({"grok-b": row("xai", max_input_tokens=5), "xai/grok-a": row("xai", supports_vision=True)})
    own = {"families": {"grok-*": "grok"}, "leave_out": [], "facts": []}
    sha256 = derivation.hashlib.sha256(data.encode()).hexdigest()
    overrides = {"dataset": {"package": "data==1", "sha256": sha256}, "providers": {"xai": own}}
    (tmp_path / "data.json").write_text(data)
    (tmp_path / "overrides.json").write_text(json.dumps(overrides))
    with zipfile.ZipFile(tmp_path / "data-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr(derivation.MEMBER, data)
    (tmp_path / "out").mkdir()
    return ["--overrides", str(tmp_path / "overrides.json"), "--out", str(tmp_path / "out"), "--from"]


@pytest.mark.parametrize("name", ["data.json", "data-1-py3-none-any.whl"])
def test_tables_are_written_sorted_with_a_line_for_each_model(inputs: list[str], tmp_path: Path, name: str) -> None:
    assert derivation.main([*inputs, str(tmp_path / name)]) == 0

    assert (tmp_path / "out" / "xai.json").read_text() == (
        '{\n  "grok-a": {"family": "grok", "vision": true},\n  "grok-b": {"family": "grok", "max_input_tokens": 5}\n}\n'
    )
    assert derivation.main([*inputs, str(tmp_path / name), "--check"]) == 0


def test_check_names_each_fact_that_differs_and_writes_nothing(
    inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "out" / "xai.json"
    edited = json.dumps({"grok-a": {"family": "grok", "vision": False}, "grok-c": {}})
    table.write_text(edited)

    assert derivation.main([*inputs, str(tmp_path / "data.json"), "--check"]) == 1

    assert capsys.readouterr().out.splitlines() == [
        "xai: grok-a: vision: false in the file, true derived",
        "xai: grok-b: only in the derived table",
        "xai: grok-c: only in the file",
    ]
    assert table.read_text() == edited


def test_check_names_a_table_in_another_order(
    inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    derivation.main([*inputs, str(tmp_path / "data.json")])
    table = tmp_path / "out" / "xai.json"
    table.write_text(json.dumps(json.loads(table.read_text()), indent=1))

    assert derivation.main([*inputs, str(tmp_path / "data.json"), "--check"]) == 1
    assert "the same facts, in another order" in capsys.readouterr().out


def test_another_dataset_than_the_overrides_were_written_for_is_refused(
    inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "newer.json").write_text("{}")

    assert derivation.main([*inputs, str(tmp_path / "newer.json")]) == 1

    error = capsys.readouterr().err
    assert (
        "is not the dataset of data==1: its SHA-256 is 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f6"
        in error
    )
    assert not list((tmp_path / "out").iterdir())


def test_a_dataset_that_is_not_there_is_told(
    inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert derivation.main([*inputs, str(tmp_path / "nothing.json")]) == 1
    assert "nothing.json" in capsys.readouterr().err
