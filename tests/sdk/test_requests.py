"""Every request that modelwire writes is one that the vendor's own SDK accepts, or sends itself."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from modelwire._option_table import FAMILIES, WIRE
from tests.corpus import corpus
from tests.sdk.accepted import complaints
from tests.sdk.explained import EXPLAINED
from tests.sdk.matrix import clients, matrix, ways
from tests.sdk.recordings import GEMINI, Recording, recordings

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.soak

MATRIX = list(matrix())
WRITTEN = [each for each in MATRIX if each.body is not None]
REFUSED = [each for each in MATRIX if each.body is None]


def complained(dialect: str, body: Any, *, count: bool = False, without: Any = None) -> list[str]:
    """What the SDK says of a body beside what is explained; `without` leaves one explanation out."""
    body = copy.deepcopy(body)
    try:
        for explain in EXPLAINED.get(dialect, ()):
            if explain is not without:
                body = explain(body)
        found = complaints(dialect, body, count=count)
    except Exception as error:  # noqa: BLE001  # an SDK that cannot write a request fails in any way
        found = [f"{type(error).__name__}: {error}"]
    return [re.sub(r"\.\d+(?=\.)", ".*", each) for each in found]


# ---------------------------------------------------------------------- the matrix


@pytest.mark.parametrize(("client", "how"), [(name, how) for name, each in clients().items() for how in ways(each)])
def test_what_modelwire_writes_is_accepted(client: str, how: str) -> None:
    asked = [each for each in WRITTEN if each.name.startswith(f"{client}/{how}/")]
    found = {each.name: complained(each.dialect, each.body, count=how == "count") for each in asked}

    assert len(asked) > 50
    assert {name: why[:8] for name, why in found.items() if why} == {}


WRONG: dict[str, list[Callable[[Any], object]]] = {
    "openai-chat": [
        lambda body: body.update(of_tomorrow=1),
        lambda body: body["messages"][0].update(of_tomorrow=1),
        lambda body: body["messages"][1].update(content=[{"type": "text", "text": 1}]),
        lambda body: body["tools"][0]["function"].update(parameters="{}"),
    ],
    "openai-responses": [
        lambda body: body.update(temperature="hot"),
        lambda body: body["input"][1].update(content=[{"type": "text", "text": "so"}]),
        lambda body: body["tools"][0].update(of_tomorrow=1),
    ],
    "anthropic": [
        lambda body: body.pop("max_tokens"),
        lambda body: body["messages"][0].update(content=[{"type": "text", "text": "so", "of_tomorrow": 1}]),
        lambda body: body["tools"][0].update(input_schema=[]),
    ],
    "gemini": [
        lambda body: body["contents"][0].update(of_tomorrow=1),
        lambda body: body["contents"][0]["parts"][0].update(text=1),
        lambda body: body.update(generationConfig={"maxTokens": 1}),
    ],
    "ollama": [
        lambda body: body.update(of_tomorrow=1),
        lambda body: body["tools"][0]["function"].update(of_tomorrow=1),
        lambda body: body["messages"][0].update(tool_calls=[{"function": {"name": "f", "arguments": "{}"}}]),
    ],
}
"""Ways to spoil a request."""


@pytest.mark.parametrize(("dialect", "spoil"), [(dialect, spoil) for dialect in WRONG for spoil in WRONG[dialect]])
def test_what_is_wrong_is_noticed(dialect: str, spoil: Callable[[Any], object]) -> None:
    (body,) = [each.body for each in WRITTEN if each.name == f"{dialect}/whole/system/one"]
    body = copy.deepcopy(body)
    assert complained(dialect, body) == []

    spoil(body)

    assert complained(dialect, body) != []


REASONS = [
    r"takes no (audio|video|documents?)",
    r"takes documents as data or file_id",
    r"Ollama takes (images as data|text and images)",
    r"the tokens of a prompt template",
    r"no tools with free text|no free-text tools",
    r"Ollama cannot force a call",
    r"^openai: \w+ is not supported: (gpt-5|gpt-6-sol) (does not take it while it reasons|is a reasoning model)",
    r"^azure: \w+ is not supported: gpt-6-sol does not take it while it reasons",
    r"claude-sonnet-5 takes no sampling options",
    r"Anthropic has no JSON mode",
    r"gemini-3.8-flash does not take (more than one answer|penalties)",
]
"""Why requests of the matrix are not written: the API or the model lacks it, and says so."""


def test_what_is_not_written_is_refused_for_a_known_reason() -> None:
    other = {each.name: each.refusal for each in REFUSED if not any(re.search(why, each.refusal) for why in REASONS)}

    assert other == {}
    assert all(any(re.search(why, each.refusal) for each in REFUSED) for why in REASONS)


@pytest.mark.parametrize("client", clients())
def test_every_option_of_an_api_is_in_the_matrix(client: str) -> None:
    """Written by one of the API's models at least."""
    asking = clients()[client]
    dialect = asking.codec.dialect
    written = {name for each in WRITTEN if each.dialect == dialect for name in each.options}

    assert {name for name in WIRE[dialect] if name in FAMILIES[asking._family]} <= written


# ---------------------------------------------------------------------- recorded requests

# Vertex names the model in the URL; a compatible server differs from OpenAI on purpose, and Google's SDK cannot count
# instructions and tools on the Gemini API at all.
RECORDED = [
    each
    for each in recordings()
    if each.request is not None
    and not each.provider.startswith("openai-compatible")
    and not (each.dialect == "anthropic" and "model" not in each.request)
    and not (each.dialect == GEMINI and each.counts)
]


def written_again(recording: Recording) -> Any:
    """What modelwire makes of a recorded request."""
    codec = recording.codec
    recorded = json.dumps(recording.request).encode()
    request = codec.decode_request(*((recorded, recording.url) if recording.dialect == GEMINI else (recorded,)))
    return json.loads((codec.encode_count if recording.counts else codec.encode)(request, {}).body)


@pytest.mark.parametrize("recording", [pytest.param(each, id=f"{each.dialect}-{each.id}") for each in RECORDED])
def test_a_recorded_request_is_accepted_as_it_was(recording: Recording) -> None:
    """Nothing is complained of that was not wrong in the recording itself, which the server took."""
    ours = complained(recording.dialect, written_again(recording), count=recording.counts)
    theirs = complained(recording.dialect, recording.request, count=recording.counts)

    assert set(ours) <= set(theirs)


def test_every_explanation_is_needed() -> None:
    corpus()
    bodies = [(each.dialect, each.body) for each in WRITTEN]
    bodies += [(each.dialect, written_again(each)) for each in RECORDED]
    for dialect, explanations in EXPLAINED.items():
        mine = [body for each, body in bodies if each == dialect]
        for explain in explanations:
            assert any(complained(dialect, body, without=explain) for body in mine), explain.__name__
            assert explain.__doc__


def test_the_matrix_is_large() -> None:
    written = Counter(each.dialect for each in WRITTEN)
    least = {"openai-chat": 880, "openai-responses": 1590, "anthropic": 840, "gemini": 650, "ollama": 150}

    assert all(written[name] >= number for name, number in least.items())
    assert len(REFUSED) < len(MATRIX) / 5


def test_how_many_recordings_there_are() -> None:
    """Recorded requests by wire format: all, and those of which the SDK complains as it does of the recording itself."""
    corpus()
    recorded = Counter(each.dialect for each in RECORDED)
    odd = Counter(each.dialect for each in RECORDED if complained(each.dialect, written_again(each), count=each.counts))

    assert {name: (recorded[name], odd[name]) for name in recorded} == {
        "openai-chat": (111, 0),
        "openai-responses": (114, 3),
        "anthropic": (113, 1),
        "gemini": (88, 5),
        "ollama": (23, 0),
    }


def test_the_matrix_has_no_two_requests_of_one_name() -> None:
    names = [each.name for each in MATRIX]

    assert len(names) == len(set(names))
