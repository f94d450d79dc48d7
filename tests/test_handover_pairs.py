"""For every ordered pair of providers: a conversation with one is a valid request to the other, and to the first again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from modelwire.types import (
    Document,
    FunctionCall,
    Image,
    Message,
    ProviderPart,
    Reasoning,
    Refusal,
    SystemMessage,
    Text,
    ToolMessage,
    ToolResult,
    UserMessage,
)
from tests.conversations import PDF, PNG, TARGETS, Target, results_for

if TYPE_CHECKING:
    from modelwire._conversion import Conversion

NO_DOCUMENTS = {"azure-chat", "groq", "deepseek", "ollama"}
CITES_AGAIN = {"openai-responses", "azure-responses", "anthropic"}
REFUSES = {"openai-chat", "azure-chat", "openai-responses", "azure-responses", "deepseek", "openrouter", "vllm"}
SECRETS = {
    "openai-responses": [b"gAAA", b"web_search_call", b"url_citation"],
    "azure-responses": [b"gAAA", b"web_search_call", b"url_citation"],
    "anthropic": [b"c2ln", b"cmVk", b"server_tool_use", b"encrypted_index"],
    "gemini": [b'"thought":true', b"c2ln", b"c2lnMg==", b"executableCode"],
    "openrouter": [b"c2ln", b"reasoning_details"],
    "mistral": [b"thinking", b"reference_ids"],
    "deepseek": [b"reasoning_content"],
    "groq": [b'"reasoning":"hm"'],
    "vllm": [b'"reasoning":"hm"'],
    "ollama": [b'"thinking":"hm"'],
}
"""What only its provider understands, in the bytes of its own requests."""

TO_EACH = pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))


def others(target: Target) -> list[Target]:
    return [source for source in TARGETS.values() if source is not target]


def reloaded(messages: list[Message]) -> list[Message]:
    """The messages after a night in a store."""
    return msgspec.json.decode(msgspec.json.encode(messages), type=list[Message])


def dialogue(source: Target) -> list[Message]:
    """With tools, images, a document, reasoning, citations, a refusal, and whatever else the provider has."""
    asked = source.answer()
    seen, drawn = results_for(asked, ["seen", Image(data=PNG, media_type="image/png")], "no pen")
    return reloaded(
        [
            SystemMessage(content="Be brief."),
            UserMessage(
                content=["See:", Image(data=PNG), Document(data=PDF, media_type="application/pdf", filename="a.pdf")]
            ),
            asked,
            ToolMessage(content=[seen, msgspec.structs.replace(drawn, is_error=True)]),
            source.answer("cited"),
            UserMessage(content="And?"),
            source.answer("refusal"),
            UserMessage(content="Go on."),
        ]
    )


def expected_losses(source: Target, target: Target, messages: list[Message]) -> list[tuple[str, str, str]]:
    """What is lost, from what the providers' documentation says that they take."""
    losses = []
    own = source.codec.origin == target.codec.origin
    for index, message in enumerate(messages):
        for at, part in enumerate(message.content) if not isinstance(message.content, str) else ():
            match part:
                case Document() if target.name in NO_DOCUMENTS:
                    loss = ("document", "dropped")
                case Reasoning() if not own:
                    loss = ("reasoning", "dropped")
                case ProviderPart() if not own:
                    loss = ("provider", "dropped")
                case Text(citations=list()) if not (own and target.name in CITES_AGAIN):
                    loss = ("citation", "dropped")
                case Refusal() if target.name not in REFUSES:
                    loss = ("refusal", "as_text")
                case Image() if message.role == "assistant" and target.name != "gemini":
                    loss = ("image", "as_user")
                case _:
                    continue
            losses.append((*loss, f"messages[{index}].content[{at}]"))
    return losses


def reported(conversion: Conversion) -> list[tuple[str, str, str]]:
    return [(loss.what, loss.action, loss.place) for loss in conversion.losses]


@pytest.mark.parametrize("name", TARGETS)
def test_a_dialogue_has_all_that_its_provider_can_say(name: str) -> None:
    messages = dialogue(TARGETS[name])
    kinds = {part.type for message in messages for part in message.content if not isinstance(part, str)}

    expected = {"text", "image", "document", "function_call", "tool_result"}
    expected |= {"reasoning"} if name not in ("openai-chat", "azure-chat") else set()
    expected |= (
        {"provider"} if name in {"openai-responses", "azure-responses", "anthropic", "gemini", "mistral"} else set()
    )
    expected |= {"refusal"} if name in REFUSES | {"anthropic"} else set()
    assert kinds == expected


@TO_EACH
def test_a_dialogue_with_any_other_provider_is_a_valid_request(target: Target) -> None:
    for source in others(target):
        messages = dialogue(source)

        converted = target.take(messages)

        assert (source.name, reported(converted)) == (source.name, expected_losses(source, target, messages))
        target.wire(converted.messages)
        assert messages == dialogue(source)


@TO_EACH
def test_a_second_handover_changes_nothing(target: Target) -> None:
    for source in others(target):
        once = target.take(dialogue(source))

        twice = target.take(once.messages)

        assert (source.name, twice.losses) == (source.name, [])
        assert all(left is right for left, right in zip(twice.messages, once.messages, strict=True))


@TO_EACH
def test_what_only_its_provider_understands_reaches_no_other(target: Target) -> None:
    for source in others(target):
        wire = b"".join(target.turns(target.take(dialogue(source)).messages))

        leaked = [secret for secret in SECRETS.get(source.name, ()) if secret in wire]

        assert (source.name, leaked) == (source.name, [])


@TO_EACH
def test_the_encoder_leaves_out_what_the_handover_does(target: Target) -> None:
    """Where nothing has to be put elsewhere, the history can be sent as it is."""
    for source in others(target):
        messages = dialogue(source)
        if target.name in NO_DOCUMENTS:
            del messages[1].content[2]  # type: ignore[union-attr]
        if source.name == "gemini":
            del messages[4].content[1]  # type: ignore[union-attr]

        converted = target.take(messages)

        assert (source.name, target.turns(messages)) == (source.name, target.turns(converted.messages))


@pytest.mark.parametrize("source", TARGETS.values(), ids=list(TARGETS))
def test_the_first_provider_gets_its_own_back_byte_for_byte(source: Target) -> None:
    begun = dialogue(source)
    before = source.turns(source.take(begun).messages)
    assert all(secret in b"".join(before) for secret in SECRETS.get(source.name, ()))

    for target in others(source):
        answered = target.answer()
        results = results_for(answered, ["seen", Image(data=PNG)], "drawn")
        history = [
            *begun,
            answered,
            ToolMessage(content=results),
            target.answer("cited"),
            UserMessage(content="Thanks."),
        ]
        target.wire(target.take(history).messages)

        back = source.take(reloaded(history))

        after = source.turns(back.messages)
        source.wire(back.messages)
        assert (target.name, after[: len(before)]) == (target.name, before)
        assert len(after) > len(before)


def test_ids_of_calls_are_written_in_the_form_of_the_target_and_stay_in_the_history() -> None:
    ids = ["toolu_01A", "call/with:odd.signs", "x" * 46, "Xy12Zab34"]
    calls = [FunctionCall(id=call_id, name="f", arguments="{}") for call_id in ids]
    results = [ToolResult(call_id=call_id, content="1") for call_id in ids]
    messages: list[Message] = [
        UserMessage(content="Go."),
        msgspec.convert({"role": "assistant", "content": calls}, Message, from_attributes=True),
        ToolMessage(content=results),
    ]

    for target in TARGETS.values():
        converted = target.take(messages)

        assert converted.losses == []
        assert [call.id for call in converted.messages[1].content] == ids  # type: ignore[union-attr]
        target.wire(converted.messages)
