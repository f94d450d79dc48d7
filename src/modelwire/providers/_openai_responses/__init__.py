"""The codec of OpenAI's Responses API, which Azure and some compatible servers speak too.

`encode.py` writes requests, with `history.py` for their messages; `decode.py` and `stream.py` read answers, with
`items.py` for what they consist of and `slots.py` for parts that come in pieces; `read.py` reads requests back.

`accepts.py` says what it takes in a conversation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelwire import _http
from modelwire._option_table import WIRE
from modelwire.protocols import HttpFacts, HttpRequest, HttpResponse
from modelwire.providers import _endpoint
from modelwire.providers._openai_chat import refused_while_reasoning
from modelwire.providers._openai_chat.errors import error_from_response
from modelwire.providers._openai_responses import decode, encode
from modelwire.providers._openai_responses.stream import ResponsesStreamDecoder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelwire.errors import ModelClientError
    from modelwire.options import ModelInfo
    from modelwire.protocols import Accepts
    from modelwire.types import ChatRequest, CreateResult

__all__ = ["ResponsesCodec"]

_HEADERS = ((b"content-type", b"application/json"), (b"accept", b"application/json"))
_STREAM_HEADERS = ((b"content-type", b"application/json"), (b"accept", b"text/event-stream"))
_CHAT_ONLY = {
    name: "the Responses API does not have it; Chat Completions does: pass api='chat'"
    for name in WIRE["openai-chat"]
    if name not in WIRE["openai-responses"]
}


class ResponsesCodec:
    """The Responses API of one server; see `protocols.Codec`."""

    dialect = "openai-responses"
    spellings: Mapping[str, str] = {}

    def __init__(self, url: str, provider: str = "openai", headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        """`url` is that of the endpoint itself; `headers` are sent with every request and are no secrets."""
        self.provider = provider
        self.origin = f"{provider}-responses"
        self._names = decode.Names(provider, self.origin)
        self._url = url
        self._headers = _HEADERS + headers
        self._stream_headers = _STREAM_HEADERS + headers

    def refused(self, request: ChatRequest, info: ModelInfo) -> Mapping[str, str]:
        """Options that this API does not have or the model answers with an error."""
        lacking = {name: _CHAT_ONLY[name] for name in request.options or () if name in _CHAT_ONLY}
        return refused_while_reasoning(request, info) | lacking

    def encode(self, request: ChatRequest, info: ModelInfo) -> HttpRequest:
        """The HTTP request."""
        headers = self._stream_headers if request.stream else self._headers
        return HttpRequest(self._url, headers, encode.encode(request, info, self.origin))

    def decode(self, body: bytes) -> CreateResult:
        """A whole answer."""
        return decode.decode(body, self._names)

    def encode_count(self, request: ChatRequest, info: ModelInfo) -> HttpRequest:
        """The HTTP request that asks how many tokens the prompt of `request` has, without running it."""
        url = _endpoint.endpoint(self._url, "/input_tokens")
        return HttpRequest(url, self._headers, encode.encode_count(request, info, self.origin))

    def decode_count(self, body: bytes) -> int:
        """The number of tokens, from the answer to that."""
        return decode.decode_count(body, self._names)

    def stream_decoder(self) -> ResponsesStreamDecoder:
        """A decoder for one streamed answer."""
        return ResponsesStreamDecoder(self._names)

    def is_stream(self, content_type: bytes) -> bool:
        """Whether this is a stream: servers without streaming answer with plain JSON."""
        return not content_type.startswith((b"application/json", b"text/html"))

    def facts(self, headers: Mapping[bytes, bytes]) -> HttpFacts:
        """Request id, limits and retry advice."""
        return _http.common_facts(headers, b"apim-request-id", b"x-request-id", b"cf-ray")

    def decode_error(self, response: HttpResponse) -> ModelClientError:
        """The error that an answer with this status stands for."""
        return error_from_response(response, self.facts(response.headers), self.provider)

    def decode_request(self, body: bytes) -> ChatRequest:
        """A request as another client would send it."""
        from modelwire.providers._openai_responses import read  # noqa: PLC0415  # clients never need it

        return read.decode_request(body, self.origin)

    def accepts(self, model: str, info: ModelInfo) -> Accepts:
        """What this model takes in a conversation."""
        from modelwire.providers._openai_responses import accepts  # noqa: PLC0415  # only a handover asks

        return accepts.accepts(model, info, self.origin)
