"""Every recorded request, handed over to every provider."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from modelwire._conversion import Conversion
from modelwire.providers._anthropic import AnthropicCodec
from modelwire.providers._gemini import GeminiCodec
from modelwire.providers._ollama import OllamaCodec
from modelwire.providers._openai_chat import OPENAI, ChatCodec, Quirks
from modelwire.providers._openai_responses import ResponsesCodec
from modelwire.providers.azure import QUIRKS as AZURE
from modelwire.providers.compatible import PRESETS
from modelwire.types import AssistantMessage, SystemMessage, UserMessage
from tests.conversations import OLDER, TARGETS, URL, Target
from tests.corpus import corpus

if TYPE_CHECKING:
    from typing import Any

    from modelwire.protocols import Codec
    from modelwire.types import ChatRequest

ROOT = corpus()
APIS = ("chat", "responses", "messages", "generateContent", "ollama-chat")
NO_REQUEST = {"fantasy-148650fd9b6c", "fantasy-c4ec6ddda917"}
"""Bodies for another surface, which has the model in its URL."""


def codec_of(recorded: dict[str, Any]) -> Codec:
    provider, api = recorded["provider"], recorded["api"]
    azure = provider == "azure-openai"
    if api == "chat":
        name = provider.rpartition(":")[2]
        known = {"openai-chat": OPENAI, "azure-openai": AZURE}.get(name)
        return ChatCodec(URL, known or (PRESETS[name].quirks if name in PRESETS else Quirks(provider=name)))
    if api == "responses":
        return ResponsesCodec(URL, "azure" if azure else "openai")
    return {"messages": AnthropicCodec, "generateContent": GeminiCodec, "ollama-chat": OllamaCodec}[api](URL)


def load() -> dict[str, tuple[Codec, ChatRequest]]:
    found = {}
    for file in sorted(ROOT.rglob("*.json")):
        recorded = json.loads(file.read_bytes())
        if recorded.get("request_body") and recorded["api"] in APIS and recorded["id"] not in NO_REQUEST:
            codec = codec_of(recorded)
            body = json.dumps(recorded["request_body"]).encode()
            url = (recorded["url"],) if isinstance(codec, GeminiCodec) else ()
            found[recorded["id"]] = codec, codec.decode_request(body, *url)
    return found


REQUESTS = load()


def says_nothing(request: ChatRequest) -> bool:
    """Whether all is blank, for which some providers have no valid request."""
    return all(isinstance(message.content, str) and not message.content.strip() for message in request.messages[-1:])


@pytest.mark.parametrize("target", [*TARGETS.values(), *OLDER.values()], ids=[*TARGETS, *OLDER])
def test_every_recorded_conversation_can_be_handed_over(target: Target) -> None:
    count = 0
    for case, (codec, request) in REQUESTS.items():
        messages = list(request.messages)
        if isinstance(messages[-1], (AssistantMessage, SystemMessage)) or says_nothing(request):
            messages.append(UserMessage(content="Go on."))  # most models do not go on with their own words

        converted = target.take(messages)

        try:
            # Somebody's own requests hold more than the rules know of.
            target.wire(converted.messages, check=codec.dialect != target.codec.dialect)
            again = target.take(converted.messages)
            assert (again.losses, again.messages) == ([], converted.messages)
        except Exception as error:
            error.add_note(f"{case}: {converted.losses}")
            raise
        count += 1
    assert count > 500


def test_a_recorded_conversation_stays_as_it_is_for_its_own_provider() -> None:
    lost = {}
    for case, (codec, request) in REQUESTS.items():
        conversion = Conversion(codec, request.model, {"mid_conversation_system": True})  # type: ignore[typeddict-unknown-key]
        conversion.run(request.messages)
        if conversion.losses:
            lost[case] = {(loss.what, loss.action) for loss in conversion.losses}
        else:
            assert all(left is right for left, right in zip(conversion.messages, request.messages, strict=True)), case

    assert lost == {
        "rig-ca4d6d9c0b1a": {("document", "dropped")},  # which was answered with a 400
        # Of stored answers: without encrypted content, the reasoning is found there alone.
        "mirascope-230e2fd33a3e": {("reasoning", "dropped")},
        "mirascope-368f4a6eae14": {("reasoning", "dropped")},
        "rig-6e73fca952e6": {("reasoning", "dropped")},
    }
