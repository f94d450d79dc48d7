"""The codec of Ollama's own API, `/api/chat`: `encode.py` writes, `decode.py` reads answers, `read.py` requests.

`accepts.py` says what it takes in a conversation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelwire.protocols import HttpFacts, HttpRequest, HttpResponse
from modelwire.providers._ollama import decode, encode
from modelwire.providers._ollama.stream import OllamaStreamDecoder
from modelwire.types import ToolChoice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelwire.errors import ModelClientError
    from modelwire.options import ModelInfo
    from modelwire.protocols import Accepts
    from modelwire.types import ChatRequest, CreateResult

__all__ = ["OllamaCodec"]

_HEADERS = ((b"content-type", b"application/json"), (b"accept", b"application/json"))
_STREAM_HEADERS = ((b"content-type", b"application/json"), (b"accept", b"application/x-ndjson"))


class OllamaCodec:
    """See `protocols.Codec`."""

    dialect = "ollama"
    provider = encode.ORIGIN
    origin = encode.ORIGIN
    spellings: Mapping[str, str] = {}  # read only

    def __init__(self, url: str) -> None:
        self._url = url

    def refused(self, request: ChatRequest, info: ModelInfo) -> Mapping[str, str]:
        """What this API lacks; models differ, and the server judges."""
        del info
        choice = request.tool_choice
        if choice is not None and (not isinstance(choice, ToolChoice) or choice.mode == "required" or choice.tools):
            return {"tool_choice": "Ollama cannot force a call; say in the prompt which tool to use"}
        return {}

    def encode(self, request: ChatRequest, info: ModelInfo) -> HttpRequest:
        """The HTTP request."""
        del info
        return HttpRequest(self._url, _STREAM_HEADERS if request.stream else _HEADERS, encode.encode(request))

    def decode(self, body: bytes) -> CreateResult:
        """A whole answer."""
        return decode.decode(body)

    def stream_decoder(self) -> OllamaStreamDecoder:
        """A decoder for one streamed answer."""
        return OllamaStreamDecoder()

    def is_stream(self, content_type: bytes) -> bool:
        """Whether this is a stream: a plain JSON answer is not."""
        return not content_type.startswith((b"application/json", b"text/html"))

    def facts(self, headers: Mapping[bytes, bytes]) -> HttpFacts:
        """The server sends neither ids nor limits."""
        del headers
        return HttpFacts()

    def decode_error(self, response: HttpResponse) -> ModelClientError:
        """The error that an answer with this status stands for."""
        return decode.error_from_response(response, None)

    def decode_request(self, body: bytes) -> ChatRequest:
        """A request as another client would send it."""
        from modelwire.providers._ollama import read  # noqa: PLC0415  # clients never need it

        return read.decode_request(body)

    def accepts(self, model: str, info: ModelInfo) -> Accepts:
        """What this model takes in a conversation."""
        from modelwire.providers._ollama import accepts  # noqa: PLC0415  # only a handover asks

        del model, info
        return accepts.accepts()
