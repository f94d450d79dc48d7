"""The codec of Gemini's `generateContent`, which Vertex AI speaks too.

`encode.py` writes requests and `contents.py` their messages; `decode.py` and `stream.py` read answers, with `parts.py`
for what they consist of and `grounding.py` for their sources; `read.py` reads requests back, `errors.py` tells errors
apart, and `facts.py` knows what differs from model to model.

`lowering.py` fits JSON Schemas to what it takes, and `accepts.py` says what it takes in a conversation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from modelwire import _http
from modelwire._fold import fold
from modelwire.protocols import HttpFacts, HttpRequest, HttpResponse
from modelwire.providers._gemini import decode, encode, errors, facts
from modelwire.providers._gemini.stream import GeminiStreamDecoder, events_of_list

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelwire.errors import ModelClientError
    from modelwire.options import ModelInfo
    from modelwire.protocols import Accepts
    from modelwire.types import ChatRequest, CreateResult

__all__ = ["GeminiCodec"]

_HEADERS = ((b"content-type", b"application/json"), (b"accept", b"application/json"))
_STREAM_HEADERS = ((b"content-type", b"application/json"), (b"accept", b"text/event-stream"))


class GeminiCodec:
    """See `protocols.Codec`."""

    dialect = "gemini"
    provider = facts.ORIGIN
    origin = facts.ORIGIN
    spellings: Mapping[str, str] = {}

    def __init__(self, url: str) -> None:
        """`url` is that of the API with its version, such as `https://generativelanguage.googleapis.com/v1beta`."""
        self._url, _, self._query = url.partition("?")

    def refused(self, request: ChatRequest, info: ModelInfo) -> Mapping[str, str]:
        """What the model is known to lack."""
        wanted = request.response_format
        formatted = wanted is not None and wanted.type != "text"
        options = request.options or {}
        return facts.refused(request.model, info, options, tools=bool(request.tools), formatted=formatted)

    def encode(self, request: ChatRequest, info: ModelInfo) -> HttpRequest:
        """The HTTP request; the model, and whether to stream, stand in its URL."""
        body = encode.encode(request, info)
        if request.stream:
            return HttpRequest(self._endpoint(request.model, "streamGenerateContent", "alt=sse"), _STREAM_HEADERS, body)
        return HttpRequest(self._endpoint(request.model, "generateContent"), _HEADERS, body)

    def encode_count(self, request: ChatRequest, info: ModelInfo) -> HttpRequest:
        """The request that counts the tokens of this one: https://ai.google.dev/api/tokens."""
        body = encode.encode_count(request, info, whole="/publishers/" not in self._url)
        return HttpRequest(self._endpoint(request.model, "countTokens"), _HEADERS, body)

    def _endpoint(self, model: str, verb: str, query: str = "") -> str:
        path = quote(encode.resource(model), safe="/")
        queries = "&".join(each for each in (self._query, query) if each)
        return f"{self._url.rstrip('/')}/{path}:{verb}" + (f"?{queries}" if queries else "")

    def decode(self, body: bytes) -> CreateResult:
        """A whole answer, or a whole stream that came as a list."""
        return fold(events_of_list(body)) if body.lstrip()[:1] == b"[" else decode.decode(body)

    def decode_count(self, body: bytes) -> int:
        """The answer to `encode_count`."""
        return decode.decode_count(body)

    def stream_decoder(self) -> GeminiStreamDecoder:
        """A decoder for one streamed answer."""
        return GeminiStreamDecoder()

    def is_stream(self, content_type: bytes) -> bool:
        """Whether this is a stream of events: without `alt=sse` it is one JSON list."""
        return not content_type.startswith((b"application/json", b"text/html"))

    def facts(self, headers: Mapping[bytes, bytes]) -> HttpFacts:
        """What a proxy may add: Google's own answers have their id in the body, and no limits."""
        return _http.common_facts(headers)

    def decode_error(self, response: HttpResponse) -> ModelClientError:
        """The error that an answer with this status stands for."""
        return errors.error_from_response(response, self.facts(response.headers))

    def decode_request(self, body: bytes, url: str = "") -> ChatRequest:
        """A request as another client would send it; `url` says the model, and whether to stream."""
        from modelwire.providers._gemini import read  # noqa: PLC0415  # clients never need it

        return read.decode_request(body, url)

    def accepts(self, model: str, info: ModelInfo) -> Accepts:
        """What this model takes in a conversation."""
        from modelwire.providers._gemini import accepts  # noqa: PLC0415  # only a handover asks

        del model, info
        return accepts.accepts()
