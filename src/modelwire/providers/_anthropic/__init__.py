"""The codec of Anthropic's Messages API, which other hosts of Claude and some compatible servers speak too.

`encode.py` and `messages.py` write requests, `decode.py`, `stream.py` and `blocks.py` read answers, `parts.py` content
blocks, `read.py` reads requests back, `reasoning.py` maps how much to think, `refused.py` lists what models lack, and
`errors.py` tells errors apart.

`lowering.py` fits JSON Schemas to what it takes, and `accepts.py` says what it takes in a conversation.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from modelwire import _http
from modelwire.protocols import HttpFacts, HttpRequest, HttpResponse
from modelwire.providers._anthropic import decode, encode, errors
from modelwire.providers._anthropic.parts import ORIGIN
from modelwire.providers._anthropic.refused import NEW_VERSION, OLD_VERSION, refused
from modelwire.providers._anthropic.stream import AnthropicStreamDecoder
from modelwire.types import RateLimit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelwire.errors import ModelClientError
    from modelwire.options import ModelInfo
    from modelwire.protocols import Accepts
    from modelwire.types import ChatRequest, CreateResult

__all__ = ["NEW_VERSION", "OLD_VERSION", "AnthropicCodec"]

_JSON = (b"content-type", b"application/json")
_LIMITS = tuple(
    (
        name.replace("-", "_"),
        tuple(f"anthropic-ratelimit-{name}-{what}".encode() for what in ("limit", "remaining", "reset")),
    )
    for name in ("requests", "tokens", "input-tokens", "output-tokens")
)
"""Fields of `RateLimit`, each with the headers that tell of it."""


class AnthropicCodec:
    """The Messages API of one server; see `protocols.Codec`."""

    dialect = "anthropic"
    provider = ORIGIN
    origin = ORIGIN
    spellings: Mapping[str, str] = {}  # read only

    def __init__(self, url: str, version: str | None = None) -> None:
        """`url` is that of the endpoint itself, and `version` the `anthropic-version`.

        Without a version it is the newest that takes the options that the model takes.
        """
        self._url = url
        self._version = version

    def version(self, info: ModelInfo) -> str:
        """The `anthropic-version` for this model: only the old one takes sampling options."""
        return self._version or (NEW_VERSION if info.get("sampling") == "never" else OLD_VERSION)

    def refused(self, request: ChatRequest, info: ModelInfo) -> Mapping[str, str]:
        """Options that this model or version answers with an error."""
        return refused(request, info, self.version(info))

    def encode(self, request: ChatRequest, info: ModelInfo) -> HttpRequest:
        """The HTTP request."""
        accept = b"text/event-stream" if request.stream else b"application/json"
        return HttpRequest(self._url, self._headers(request, info, accept), encode.encode(request, info))

    def encode_count(self, request: ChatRequest, info: ModelInfo) -> HttpRequest:
        """The HTTP request that asks how many tokens the prompt of `request` has; `decode_count` reads the answer."""
        path, mark, query = self._url.partition("?")
        url = f"{path}/count_tokens{mark}{query}"
        return HttpRequest(url, self._headers(request, info, b"application/json"), encode.encode_count(request, info))

    def _headers(self, request: ChatRequest, info: ModelInfo, accept: bytes) -> tuple[tuple[bytes, bytes], ...]:
        headers = (_JSON, (b"accept", accept), (b"anthropic-version", self.version(info).encode()))
        betas = encode.betas(request)
        return headers if betas is None else (*headers, (b"anthropic-beta", betas))

    def decode(self, body: bytes) -> CreateResult:
        """A whole answer."""
        return decode.decode(body)

    def decode_count(self, body: bytes) -> int:
        """The number of tokens that the server counted."""
        return decode.decode_count(body)

    def stream_decoder(self) -> AnthropicStreamDecoder:
        """A decoder for one streamed answer."""
        return AnthropicStreamDecoder()

    def is_stream(self, content_type: bytes) -> bool:
        """Whether this is a stream: a plain JSON answer is not."""
        return not content_type.startswith((b"application/json", b"text/html"))

    def facts(self, headers: Mapping[bytes, bytes]) -> HttpFacts:
        """Request id, limits and retry advice."""
        return HttpFacts(
            _http.text(headers, b"request-id", b"x-request-id"),
            _http.retry_after(headers),
            _http.should_retry(headers),
            _rate_limit(headers),
        )

    def decode_error(self, response: HttpResponse) -> ModelClientError:
        """The error that an answer with this status stands for."""
        return errors.error_from_response(response, self.facts(response.headers))

    def decode_request(self, body: bytes) -> ChatRequest:
        """A request as another client would send it."""
        from modelwire.providers._anthropic import read  # noqa: PLC0415  # clients never need it

        return read.decode_request(body)

    def accepts(self, model: str, info: ModelInfo) -> Accepts:
        """What this model takes in a conversation."""
        from modelwire.providers._anthropic import accepts  # noqa: PLC0415  # only a handover asks

        return accepts.accepts(model, info)


def _rate_limit(headers: Mapping[bytes, bytes]) -> RateLimit | None:
    """`anthropic-ratelimit-*`: https://platform.claude.com/docs/en/api/rate-limits, "response headers"."""
    given = {name: [headers.get(header) for header in names] for name, names in _LIMITS}
    if not any(map(any, given.values())):
        return None
    now = _http.date(_http.text(headers, b"date"))  # their clock, read once: it takes as long as all the rest
    found = {
        name: window
        for name, (limit, remaining, reset) in given.items()
        if (window := _http.window(limit, remaining, _seconds_until(reset, now))) is not None
    }
    return RateLimit(**found) if found else None


def _seconds_until(reset: bytes | None, now: datetime | None) -> float | None:
    """Seconds from `now` to a time of RFC 3339; `None` where one of them is not known."""
    if not reset or now is None:
        return None
    try:
        until = datetime.fromisoformat(reset.decode("latin-1").strip())
    except ValueError:
        return None
    if until.tzinfo is None or now.tzinfo is None:
        return None
    return max(0.0, (until - now).total_seconds())
