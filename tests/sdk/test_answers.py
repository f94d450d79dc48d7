"""Every recorded answer, whole or streamed, shows the same to a caller of modelwire and of the vendor's own SDK."""

from __future__ import annotations

from collections import Counter

import pytest

from modelwire.errors import ModelClientError
from modelwire.protocols import HttpResponse
from tests.corpus import corpus
from tests.sdk.recordings import Recording, recordings
from tests.sdk.views import View, by_modelwire, by_sdk

pytestmark = [
    pytest.mark.soak,
    # The accumulator of OpenAI's SDK copies answers through types that are older than they.
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings"),
]

corpus()
ANSWERS = [each for each in recordings() if each.status == 200 and not each.counts]
FAILURES = [each for each in recordings() if each.status >= 400]

RAISES = "raises"
EXPLAINED: dict[str, tuple[tuple[str, ...], str]] = {
    # Google
    **dict.fromkeys(
        ("langchaingo-577335c947b8", "otel-contrib-8134e0c3c985", "otel-contrib-efb4040bbae4"),
        ((RAISES,), "asked for with numbers for the words of enums, which the SDK cannot read"),
    ),
    **dict.fromkeys(
        ("langchaingo-0f7769ad6adc", "langchaingo-e4159ffa43d8"),
        (("text", "finish", "usage"), "a stream as one JSON list (no alt=sse), which the SDK never asks for"),
    ),
    **dict.fromkeys(
        ("vercel-ai-72c0ceb0dc59", "vercel-ai-dc1880474dec"),
        (("calls",), "arguments in pieces (Vertex): the SDK gives the pieces and puts nothing together"),
    ),
    "pydantic-ai-9de1430ac167": (("usage",), "usage without a single count: modelwire says that none was reported"),
    # OpenAI
    "openllmetry-3ef7cbf52781": ((RAISES,), "Azure: a filtered choice without a message; the SDK shows message=None"),
    "openllmetry-8ed62a10a279": ((RAISES,), "Azure: an error with status 200; the SDK shows choices=None"),
    "vercel-ai-aec4d3035f60": ((RAISES,), "an item's id changed between added and done, which the SDK refuses"),
    "vercel-ai-c39351f41eac": ((RAISES,), "an error inside the stream: both raise"),
    # Compatible servers
    "pydantic-ai-924ea98e4adb": ((RAISES,), "Groq: an error inside the stream: both raise"),
    "pydantic-ai-66a294bb99f0": (("usage",), "Groq: usage in x_groq, which the SDK does not look into"),
    "pydantic-ai-370501ff4620": (
        ("text", "reasoning"),
        "Mistral: content as chunks, which the SDK passes on as a list",
    ),
    "pydantic-ai-5b42cae61b89": (("usage",), "Mistral: num_cached_tokens, which the SDK does not look into"),
    "pydantic-ai-621b8e2ff396": ((RAISES,), "OpenRouter: annotations without an index, which the accumulator refuses"),
    "rig-1add29a31897": (("finish",), "Perplexity: the reason comes in an event that the accumulator overlooks"),
    "pydantic-ai-0008a7259d82": (("calls", "finish"), "Snowflake: an empty function_call and reason mean none"),
    "pydantic-ai-0441a6407568": (("calls", "finish"), "Snowflake: an empty function_call and reason mean none"),
}
"""Where the two differ: what, and why. Everything else is equal."""


def ids(which: list[Recording]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("recording", [pytest.param(each, id=f"{each.dialect}-{each.id}") for each in which])


def _calls_without_made_up_ids(ours: View, sdk: View) -> View:
    """Ids of calls count where the SDK shows one: Ollama's has no place for them, and some of Google's models send none."""
    if len(ours.calls) != len(sdk.calls):
        return ours
    pairs = zip(ours.calls, sdk.calls, strict=True)
    return ours._replace(calls=[(None if theirs[0] is None else own[0], *own[1:]) for own, theirs in pairs])


def differences(recording: Recording) -> tuple[str, ...]:
    """What differs between the two."""
    try:
        ours = by_modelwire(recording)
        sdk = by_sdk(recording)
    except Exception:  # noqa: BLE001  # an SDK that cannot read an answer fails in any way
        return (RAISES,)
    ours = _calls_without_made_up_ids(ours, sdk)
    return tuple(name for name in View._fields if getattr(ours, name) != getattr(sdk, name))


@ids(ANSWERS)
def test_an_answer_is_the_same(recording: Recording) -> None:
    if recording.id in EXPLAINED:
        assert differences(recording) == EXPLAINED[recording.id][0]
        return
    ours, sdk = by_modelwire(recording), by_sdk(recording)

    assert _calls_without_made_up_ids(ours, sdk) == sdk


ERRORS_OF_OURS = ("openllmetry-8ed62a10a279", "pydantic-ai-924ea98e4adb", "vercel-ai-c39351f41eac")
"""Recordings that are an error in spite of status 200."""


@ids([each for each in ANSWERS if EXPLAINED.get(each.id, ("",))[0] == (RAISES,)])
def test_what_the_sdk_cannot_read_modelwire_reads(recording: Recording) -> None:
    if recording.id in ERRORS_OF_OURS:
        with pytest.raises(ModelClientError):
            by_modelwire(recording)
    else:
        assert by_modelwire(recording).finish is not None


OTHER_ERRORS = {
    **dict.fromkeys(
        ("mirascope-034fb994bc9a", "mirascope-085452894811"),
        ("NotFoundError", "BadRequestError", "400 for a model that does not exist, told apart by its code"),
    ),
    "langchaingo-0e426aba0428": ("AuthenticationError", "ClientError", "403 for a key that was not sent"),
}
"""Errors of another kind than the status alone says: modelwire's, the SDK's, and why."""


@ids(FAILURES)
def test_an_error_is_of_the_same_kind(recording: Recording) -> None:
    headers = {b"content-type": recording.media.encode()}
    ours = recording.codec.decode_error(HttpResponse(recording.status, headers, recording.body))
    with pytest.raises(Exception) as caught:  # each SDK has errors of its own
        by_sdk(recording)
    sdk = caught.value
    status = getattr(sdk, "status_code", None) or getattr(sdk, "code", None)

    assert ours.status_code == status == recording.status
    kinds = {kind.__name__ for kind in type(ours).__mro__}
    theirs = {"InternalServerError": "ServerError", "ClientError": "ModelClientError"}.get(
        type(sdk).__name__, type(sdk).__name__
    )
    if recording.id in OTHER_ERRORS:
        assert (type(ours).__name__, type(sdk).__name__) == OTHER_ERRORS[recording.id][:2]
    else:
        assert theirs in kinds


def test_how_many_there_are() -> None:
    """Answers by wire format: all, those that are equal, and those whose difference is explained."""
    known = Counter(each.dialect for each in ANSWERS)
    equal = Counter(each.dialect for each in ANSWERS if not differences(each))
    explained = Counter(each.dialect for each in ANSWERS if each.id in EXPLAINED)

    assert {name: (known[name], equal[name], explained[name]) for name in known} == {
        "anthropic": (120, 120, 0),
        "gemini": (86, 78, 8),
        "ollama": (28, 28, 0),
        "openai-chat": (158, 148, 10),
        "openai-responses": (148, 146, 2),
    }
    assert EXPLAINED.keys() <= {each.id for each in ANSWERS}
