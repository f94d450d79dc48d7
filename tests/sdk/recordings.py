"""Every recorded answer, as the bytes that a client reads, with modelwire's own reading of it."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, NamedTuple

from modelwire._fold import fold
from modelwire.providers._anthropic import AnthropicCodec
from modelwire.providers._gemini import GeminiCodec
from modelwire.providers._ollama import OllamaCodec
from modelwire.providers._openai_chat import OPENAI, ChatCodec, Quirks
from modelwire.providers._openai_responses import ResponsesCodec
from modelwire.providers.azure import QUIRKS as AZURE
from modelwire.providers.compatible import PRESETS
from modelwire.types import CreateResult
from tests.corpus import find_corpus

URL = "https://api.example.com/v1"
CHAT, RESPONSES, ANTHROPIC, GEMINI, OLLAMA = "openai-chat", "openai-responses", "anthropic", "gemini", "ollama"
_DIALECTS = {
    "chat": CHAT,
    "responses": RESPONSES,
    "responses-get": RESPONSES,
    "messages": ANTHROPIC,
    "generateContent": GEMINI,
    "ollama-chat": OLLAMA,
}
"""The API of a recording to its wire format; counts and compactions are no answers of a model."""
_COUNTS = {"messages-count-tokens": ANTHROPIC, "countTokens": GEMINI, "responses-input-tokens": RESPONSES}
_QUIRKS = {"openai-chat": OPENAI, "azure-openai": AZURE}
_MEDIA = {"sse": "text/event-stream", "ndjson": "application/x-ndjson"}


class Recording(NamedTuple):
    """One exchange."""

    id: str
    provider: str
    dialect: str
    url: str
    status: int
    streams: bool
    counts: bool
    """Whether it asks for a count of tokens."""
    media: str
    """Type of the answer."""
    body: bytes
    request: dict[str, Any] | None

    @property
    def codec(self) -> Any:
        """modelwire's codec of this server."""
        name = self.provider.rpartition(":")[2]
        match self.dialect:
            case "openai-chat":
                preset = PRESETS.get({"llama-cpp": "llama.cpp", "llamacpp": "llama.cpp"}.get(name, name))
                quirks = _QUIRKS.get(self.provider) or (preset.quirks if preset else Quirks(provider=name))
                return ChatCodec(f"{URL}/chat/completions", quirks)
            case "openai-responses":
                return ResponsesCodec(f"{URL}/responses", {"openai-responses": "openai"}.get(name, name))
            case "anthropic":
                return AnthropicCodec(f"{URL}/messages")
            case "gemini":
                return GeminiCodec("https://api.example.com/v1beta")
            case _:
                return OllamaCodec("https://api.example.com/api/chat")

    def ours(self) -> CreateResult:
        """What modelwire makes of the answer."""
        if not self.streams:
            return self.codec.decode(self.body)
        decoder = self.codec.stream_decoder()
        return fold([*decoder.feed(self.body), *decoder.close()])


@cache
def recordings() -> list[Recording]:
    """All exchanges whose API modelwire speaks, by id; none where there is no corpus."""
    root = find_corpus()
    files = [] if root is None else [*root.glob("*/*.json"), *root.glob("*/*/*.json")]
    found = [json.loads(file.read_bytes()) for file in files]
    known = [_recording(case) for case in found if case["api"] in _DIALECTS or case["api"] in _COUNTS]
    return sorted(known, key=lambda each: (each.dialect, each.provider, each.id))


def _recording(case: dict[str, Any]) -> Recording:
    dialect = _DIALECTS.get(case["api"]) or _COUNTS[case["api"]]
    framing, body = case["body_framing"], case["response_body"].encode()
    if framing == "data-lines":
        framing, body = "sse", b"".join(_event(line, dialect) for line in body.splitlines() if line)
    return Recording(
        case["id"],
        case["provider"],
        dialect,
        case["url"],
        case["status"],
        framing in _MEDIA,
        case["api"] in _COUNTS,
        _MEDIA.get(framing, "application/json"),
        body,
        case["request_body"],
    )


def _event(line: bytes, dialect: str) -> bytes:
    """A server-sent event whose frame the recorder dropped."""
    if dialect not in (ANTHROPIC, RESPONSES):
        return b"data: %b\n\n" % line
    return b"event: %b\ndata: %b\n\n" % (json.loads(line)["type"].encode(), line)
