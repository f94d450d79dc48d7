"""The narrow seams of modelwire: what a codec, a transport, a cache store and a clock must do, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import msgspec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Any, Literal, Self

    from modelwire.errors import ModelClientError
    from modelwire.options import ModelInfo
    from modelwire.types import Attempt, ChatRequest, CreateResult, RateLimit, Reasoning, StreamEvent


class HttpRequest(msgspec.Struct, frozen=True):
    """One HTTP request, complete but for its credentials."""

    url: str
    """Absolute, with its query."""
    headers: Sequence[tuple[bytes, bytes]]
    """Names in lower case. Without `host` and `content-length`, which the transport adds."""
    body: bytes
    method: str = "POST"

    def __repr__(self) -> str:
        # Tracebacks show arguments, and headers and query may hold credentials.
        url = self.url.partition("?")[0]
        return f"HttpRequest({self.method} {url}, {len(self.headers)} headers, {len(self.body)} bytes)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # What the library rich shows in its tracebacks; a struct would give it every field.
        return [("method", self.method), ("url", self.url.partition("?")[0])]


class HttpResponse(msgspec.Struct, frozen=True):
    """A whole answer."""

    status: int
    headers: Mapping[bytes, bytes]
    """Names in lower case; of a repeated header, the last."""
    body: bytes
    earlier: Sequence[Attempt] = ()
    """Requests that the transport sent before this one, for nothing: they met a kept connection that the server had
    closed. Their `started` counts from the call of the transport."""


class HttpFacts(msgspec.Struct, frozen=True):
    """What an answer's headers say about the call rather than the content."""

    request_id: str | None = None
    retry_after: float | None = None
    """Seconds."""
    should_retry: bool | None = None
    """What the server itself advises; `None` when it does not."""
    rate_limit: RateLimit | None = None


class Timeouts(NamedTuple):
    """Time limits in seconds; `None` is no limit."""

    connect: float | None = 5.0
    """For a free connection of the pool, and for making a new one."""
    first_byte: float | None = 600.0
    """From the sent request to the answer's headers."""
    read: float | None = 600.0
    """Between two pieces of the answer."""
    write: float | None = 60.0
    """Between two pieces of the request."""


class Forms(NamedTuple):
    """In which forms a wire format takes one kind of media; by default in none."""

    url: bool = False
    """Whether by its address, from where the provider fetches it."""
    data: Sequence[str] = ()
    """Beginnings of the media types that it takes as data: `("image/",)` is any image, `("",)` is anything."""
    file_id: str | None = None
    """Pattern of the provider's own file ids; `None` where it has none."""
    spoken: bool = False
    """Whether a spoken answer goes back by its id."""


class Accepts(NamedTuple):
    """What a model takes in a conversation that others had a part in; see `handover`."""

    recognises: Callable[[Reasoning], bool]
    """Whether reasoning goes back to this model: it is valid only where it came from."""
    shown: Mapping[str, Forms]
    """Media that a user may show, by the `type` of the part."""
    returned: Mapping[str, Forms]
    """Media that a tool may return."""
    answered: Mapping[str, Forms] = {}
    """Media that may stand in an assistant's message."""
    system: Literal["anywhere", "after_user", "first"] = "anywhere"
    """Where system messages may stand besides the beginning: anywhere, between a user's and an assistant's message, or
    nowhere."""
    user_first: bool = False
    """Whether the first message after the system's must be a user's."""
    blank_text: bool = True
    """Whether a message may say nothing but white space."""
    refusals: bool = False
    """Whether an assistant's message may say that it is a refusal."""
    citations: bool = False
    """Whether citations go back to the provider that made them."""
    custom_calls: bool = True
    """Whether calls of free-text tools can be told from those of functions, or need not be."""
    unique_ids: bool = False
    """Whether no two calls of a conversation may have the same id."""
    tool_name: str = ".+"
    """Pattern of the names that called functions may have."""


class StreamDecoder(Protocol):
    """Bytes of one streamed answer to events. Pure: no I/O, no clock."""

    error: ModelClientError | None
    """An error that follows the events just given, and that the next call raises: there is no need to wait for bytes."""

    def feed(self, data: bytes) -> list[StreamEvent]:
        """The events that these bytes complete; the last of all is a `Finish`, after which nothing is fed.

        Raises what `Codec.decode_error` gives for an error inside the stream, and `ProtocolError` for garbage.
        """
        ...

    def close(self) -> list[StreamEvent]:
        """The events that the end of the bytes completes; called once, unless a `Finish` came before.

        Raises `StreamInterruptedError` when the answer is not complete.
        """
        ...


class Codec(Protocol):
    """Translates between modelwire's types and one wire format. Pure: no I/O, no clock."""

    dialect: str
    """Name of the wire format: the column of the option table that it reads."""
    provider: str
    """Name of the provider that answers, as `CreateResult.provider` has it."""
    origin: str
    """Key of `provider_data` that this codec reads and writes."""
    spellings: Mapping[str, str]
    """Options that this server has beside those that its dialect has in the option table: portable name to wire name."""

    def refused(self, request: ChatRequest, info: ModelInfo) -> Mapping[str, str]:
        """Options among those of `request` that the API or the model lacks, each with the reason for the user."""
        ...

    def encode(self, request: ChatRequest, info: ModelInfo) -> HttpRequest:
        """The HTTP request, streamed or not as `request.stream` says.

        Raises `BadRequestError` for what cannot be said in this format.
        """
        ...

    def decode(self, body: bytes) -> CreateResult:
        """A whole answer, as a result that nobody else has: the client completes it in place.

        Raises what `decode_error` gives for an error inside a 200 answer, and `ProtocolError` for garbage.
        """
        ...

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one streamed answer."""
        ...

    def is_stream(self, content_type: bytes) -> bool:
        """Whether an answer of this media type is a stream of this format, and not one whole answer."""
        ...

    def facts(self, headers: Mapping[bytes, bytes]) -> HttpFacts:
        """What the answer's headers say."""
        ...

    def decode_error(self, response: HttpResponse) -> ModelClientError:
        """The error that an answer with a status of 300 or more stands for."""
        ...

    def decode_request(self, body: bytes) -> ChatRequest:
        """A request body of this format, as another client would send it.

        Raises `BadRequestError` when it is none.
        """
        ...

    def accepts(self, model: str, info: ModelInfo) -> Accepts:
        """What this model takes in a conversation: of the rest, `encode` leaves out or refuses what it cannot say."""
        ...


@runtime_checkable
class CountingCodec(Protocol):
    """What a codec has beside `Codec` where the API has an endpoint that counts the tokens of a prompt."""

    def encode_count(self, request: ChatRequest, info: ModelInfo) -> HttpRequest:
        """The HTTP request that asks how many tokens the prompt of `request` has, without running it.

        Raises as `Codec.encode` does.
        """
        ...

    def decode_count(self, body: bytes) -> int:
        """The number of tokens in the answer to that; raises as `Codec.decode` does."""
        ...


class HttpStream(Protocol):
    """A streamed answer: its head, and its body as it arrives.

    It may have `earlier`, as `HttpResponse` does.
    """

    status: int
    headers: Mapping[bytes, bytes]

    def __aiter__(self) -> Self: ...

    def __anext__(self) -> Awaitable[bytes]:
        """The next piece of the body, decompressed.

        Raises `ConnectionFailedError` when the body breaks off, and `ModelTimeoutError`.
        """
        ...

    async def read(self) -> bytes:
        """The rest of the body; then the connection is free again."""
        ...

    async def drain(self, grace: float) -> None:
        """Read and drop what is left, for at most `grace` seconds, then `aclose`: for an answer whose end was seen.

        So its connection can be used again. Raises no error of the transport.
        """
        ...

    async def aclose(self) -> None:
        """Give the connection back, whatever was read; repeatable, and safe under cancellation."""
        ...

    def abandon(self) -> None:
        """The same for a stream that nobody will close: no event loop is touched; the transport closes it later."""
        ...


class Transport(Protocol):
    """Moves bytes. No exception of an HTTP library leaves it.

    Both verbs raise `ConnectionFailedError`, `ModelTimeoutError`, and `ProtocolError` for an answer that is not HTTP
    or larger than the transport's bound; with `earlier` as a response has it.
    """

    async def send(self, request: HttpRequest, timeouts: Timeouts) -> HttpResponse:
        """Send a request and read the whole answer."""
        ...

    async def stream(self, request: HttpRequest, timeouts: Timeouts) -> HttpStream:
        """Send a request and return at the answer's headers."""
        ...

    async def aclose(self) -> None:
        """Close what this transport made, streams that were dropped included; repeatable."""
        ...


class OuterTransport(Transport, Protocol):
    """A transport around another one, such as a recorder."""

    def bound(self, build: Callable[[Transport | str | None], Transport]) -> Transport:
        """The transport of one client: `build` makes the one beneath from that client's settings, or from an object."""
        ...


class Clock(Protocol):
    """Time and chance, so that every policy can be tested in virtual time."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait."""
        ...

    def random(self) -> float:
        """A number in [0, 1)."""
        ...


class Gate(Protocol):
    """Runs before every request that goes over the wire, retries included."""

    def __call__(self, attempt: int) -> Awaitable[None]:
        """Wait, or raise, before attempt number `attempt` (from 1 on)."""
        ...


class CacheStore(Protocol):
    """Keeps bytes by name, for a while; a subclass defines the first four.

    A store may forget whatever it likes, but what it gives is what was stored under this very name. What it raises
    reaches the caller of the model.
    """

    async def get(self, key: str) -> bytes | None:
        """What is stored under this name; `None` when nothing is, or its time is over."""
        ...

    async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        """Store it over what is there, for `ttl` seconds; `None` for the store's own default."""
        ...

    async def delete(self, key: str) -> None:
        """Forget this one; no error when there is none."""
        ...

    async def clear(self) -> None:
        """Forget everything that this store keeps."""
        ...

    async def aclose(self) -> None:
        """Give back what the store holds open; repeatable."""
        return  # nothing, for a store that does not say otherwise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class LockingCacheStore(CacheStore, Protocol):
    """A store that can also say which of many processes asks the model, so that the others wait for its answer."""

    async def lock(self, key: str, owner: str, *, ttl: float) -> bool:
        """Take the lock of this name for `owner`, for at most `ttl` seconds; `False` when another one has it."""
        ...

    async def unlock(self, key: str, owner: str) -> None:
        """Give the lock back; nothing happens when `owner` does not have it."""
        ...
