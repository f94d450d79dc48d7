"""The codec of OpenAI's Chat Completions, which Azure and the compatible servers speak too.

`encode.py` writes requests and `read.py` reads them back. `decode.py` reads whole answers and `stream.py` streamed
ones, with `choice.py` for each answer in them, `wire.py` for their shape, `tidy.py` for those that have another, and
`inline.py` for reasoning inside the text. `errors.py` tells errors apart, `quirks.py` lists what differs from server to
server.

`accepts.py` says what it takes in a conversation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelwire import _http
from modelwire.errors import UnsupportedOptionError
from modelwire.protocols import HttpFacts, HttpRequest, HttpResponse
from modelwire.providers._openai_chat import decode, encode, errors
from modelwire.providers._openai_chat.quirks import OPENAI, Quirks
from modelwire.providers._openai_chat.stream import ChatStreamDecoder
from modelwire.types import Tool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelwire.errors import ModelClientError
    from modelwire.options import ModelInfo
    from modelwire.protocols import Accepts
    from modelwire.types import ChatRequest, CreateResult

__all__ = ["OPENAI", "ChatCodec", "Quirks"]

_HEADERS = ((b"content-type", b"application/json"), (b"accept", b"application/json"))
_STREAM_HEADERS = ((b"content-type", b"application/json"), (b"accept", b"text/event-stream"))


class ChatCodec:
    """Chat Completions of one server; see `protocols.Codec`."""

    dialect = "openai-chat"

    def __init__(self, url: str, quirks: Quirks = OPENAI, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        """`url` is that of the endpoint itself; `headers` are sent with every request and are no secrets."""
        self.provider = self.origin = quirks.provider
        self.spellings = quirks.wire
        self.message_names = quirks.message_names
        self.uncounted = "Chat Completions has no endpoint that counts tokens"
        if "instructions" in quirks.refused:  # the server has the Responses API beside it
            self.uncounted += ", the Responses API has one: pass api='responses'"
        self._url = url
        self._quirks = quirks
        self._headers = _HEADERS + headers
        self._stream_headers = _STREAM_HEADERS + headers

    def refused(self, request: ChatRequest, info: ModelInfo) -> Mapping[str, str]:
        """Options that this server or model answers with an error."""
        options = request.options
        if not options:
            return {}
        reasons = {name: reason for name, reason in self._quirks.refused.items() if name in options}
        return reasons | refused_while_reasoning(request, info)

    def encode(self, request: ChatRequest, info: ModelInfo) -> HttpRequest:
        """The HTTP request."""
        _check_tools(request, info)
        headers = self._stream_headers if request.stream else self._headers
        return HttpRequest(self._url, headers, encode.encode(request, self._quirks))

    def decode(self, body: bytes) -> CreateResult:
        """A whole answer."""
        return decode.decode(body, self._quirks)

    def stream_decoder(self) -> ChatStreamDecoder:
        """A decoder for one streamed answer."""
        return ChatStreamDecoder(self._quirks)

    def is_stream(self, content_type: bytes) -> bool:
        """Whether this is a stream: servers without streaming answer with plain JSON."""
        return not content_type.lower().startswith((b"application/json", b"text/html"))

    def facts(self, headers: Mapping[bytes, bytes]) -> HttpFacts:
        """Request id, limits and retry advice."""
        return _http.common_facts(headers, b"apim-request-id", b"x-request-id", b"cf-ray")

    def decode_error(self, response: HttpResponse) -> ModelClientError:
        """The error that an answer with this status stands for."""
        return errors.error_from_response(response, self.facts(response.headers), self.provider)

    def decode_request(self, body: bytes) -> ChatRequest:
        """A request as another client would send it."""
        from modelwire.providers._openai_chat import read  # noqa: PLC0415  # clients never need it

        return read.decode_request(body, self._quirks)

    def accepts(self, model: str, info: ModelInfo) -> Accepts:
        """What this server takes in a conversation."""
        from modelwire.providers._openai_chat import accepts  # noqa: PLC0415  # only a handover asks

        del info
        return accepts.accepts(self._quirks, model)


_SAMPLING = ("temperature", "top_p", "logprobs", "top_logprobs")
_NEVER_WITH_REASONING_MODELS = ("frequency_penalty", "presence_penalty", "logit_bias", "stop")


def refused_while_reasoning(request: ChatRequest, info: ModelInfo) -> dict[str, str]:
    """Reasoning models take sampling options only while they do not reason.

    https://platform.openai.com/docs/guides/latest-model, "parameter compatibility"
    """
    if not info.get("reasoning") or info.get("sampling", "always") == "always":
        return {}
    options = request.options or {}
    model = request.model
    effort = options.get("reasoning_effort") or info.get("default_reasoning_effort")
    reasons = {
        name: f"{model} is a reasoning model and does not take it"
        for name in _NEVER_WITH_REASONING_MODELS
        if name in options
    }
    can_stop = "none" in info.get("reasoning_efforts", ()) and info.get("sampling") != "never"
    if effort != "none" or not can_stop:
        remedy = "; it does with reasoning_effort='none'" if can_stop else ""
        reasons |= {name: f"{model} does not take it while it reasons{remedy}" for name in _SAMPLING if name in options}
    efforts = info.get("reasoning_efforts")
    if efforts and options.get("reasoning_effort") not in (None, *efforts):
        reasons["reasoning_effort"] = f"{model} knows the levels {', '.join(efforts)}"
    return reasons


def _check_tools(request: ChatRequest, info: ModelInfo) -> None:
    """Refuse functions where the model cannot have them.

    "Function tools with reasoning_effort are not supported for <model> in /v1/chat/completions. To use function tools,
    use /v1/responses or set reasoning_effort to 'none'." It counts as well when the effort is the model's default.
    """
    if not request.tools or info.get("chat_tools_while_reasoning", True):
        return
    efforts = info.get("reasoning_efforts", ())
    can_stop = "none" in efforts
    effort = (request.options or {}).get("reasoning_effort") or info.get("default_reasoning_effort")
    reasons = effort != "none" if effort else bool(efforts) and not can_stop
    if not reasons or not any(isinstance(tool, Tool) for tool in request.tools):
        return
    remedy = ", or pass reasoning_effort='none'" if can_stop else ""
    raise UnsupportedOptionError(
        f"{request.model} calls no functions in Chat Completions while it reasons; pass api='responses'{remedy}",
        option="tools",
    )
