"""What the emulated wire formats have in common. Each is the inverse of its codec's `decode`, in a file of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, TypeAlias

import msgspec

from modelwire import errors
from modelwire.errors import BadRequestError
from modelwire.providers._body import own_data

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from modelwire.errors import ModelClientError
    from modelwire.types import ChatRequest, CreateResult, FunctionCall, Part

    Json = dict[str, Any]

Verb: TypeAlias = Literal["answer", "count"]
EVENT_STREAM = "text/event-stream"
_PIECE = re.compile(r"\s*\S+|\s+$")
_FRAGMENT = 12
"""Characters of a call's arguments in one piece."""

STATUS: dict[type[errors.ModelClientError], int] = {
    errors.AuthenticationError: 401,
    errors.PermissionDeniedError: 403,
    errors.NotFoundError: 404,
    errors.ModelTimeoutError: 408,
    errors.QuotaExceededError: 429,
    errors.RateLimitError: 429,
    errors.OverloadedError: 503,
    errors.ServerError: 500,
    errors.ContextLengthError: 400,
    errors.UnsupportedOptionError: 400,
    errors.ContentFilterError: 400,
    errors.BadRequestError: 400,
}
"""HTTP status of an error that names none, by its class."""
_KIND = {status: kind for kind, status in STATUS.items()} | {
    402: errors.QuotaExceededError,
    429: errors.RateLimitError,
    529: errors.OverloadedError,
}


class Asked(NamedTuple):
    """A request as an emulated format has read it."""

    request: ChatRequest
    path: str
    """With its query."""
    body: bytes
    number: int
    """Which request this is, from 1 on; ids are made from it, so that each run gives the same."""


class Dialect(Protocol):
    """One wire format of answers."""

    name: ClassVar[str]
    """Name of the format, as that of its codec."""
    statuses: ClassVar[Mapping[type[ModelClientError], int]]
    """HTTP statuses of errors that name none, where they are not those of `STATUS`."""

    def verb(self, path: str) -> Verb | None:
        """What a request to this path asks for; `None` where this format has no such path."""
        ...

    def read(self, body: bytes, path: str) -> ChatRequest:
        """The request.

        Raises `BadRequestError` when it is none.
        """
        ...

    def media_type(self, asked: Asked) -> str:
        """Of a streamed answer."""
        ...

    def answer(self, result: CreateResult, asked: Asked) -> Json:
        """A whole answer.

        Raises `BadRequestError` for what this format cannot say.
        """
        ...

    def pieces(self, answer: Json, asked: Asked) -> list[bytes]:
        """The same answer as a stream."""
        ...

    def count(self, tokens: int) -> Json:
        """The answer to a request for a count."""
        ...

    def error(self, error: ModelClientError, status: int) -> Json:
        """An error answer."""
        ...

    def error_piece(self, error: ModelClientError, status: int) -> bytes:
        """An error inside a stream."""
        ...


def status_of(error: ModelClientError, dialect: Dialect) -> int:
    """The HTTP status of an error answer."""
    known = {**STATUS, **dialect.statuses}
    return error.status_code or next((known[kind] for kind in type(error).__mro__ if kind in known), 500)


def kind_of(error: ModelClientError, status: int) -> type[ModelClientError]:
    """The class that says what went wrong; by the status where the error itself is of no particular kind."""
    if type(error) in STATUS:
        return type(error)
    return _KIND.get(status, errors.ServerError if status >= 500 else errors.BadRequestError)


# ---------------------------------------------------------------------- writing


def encoded(value: Any) -> bytes:
    """JSON."""
    return msgspec.json.encode(value)


def event(data: Any, name: str | None = None) -> bytes:
    """A server-sent event; the provider's own JSON may have line ends in it, and each begins a line of data."""
    head = b"" if name is None else b"event: %b\n" % name.encode()
    return b"%bdata: %b\n\n" % (head, encoded(data).replace(b"\n", b"\ndata: "))


def words(text: str) -> list[str]:
    """Text as a model would stream it: word by word, each with the space before it."""
    return _PIECE.findall(text)


def fragments(arguments: str) -> list[str]:
    """The arguments of a call in pieces."""
    return [arguments[start : start + _FRAGMENT] for start in range(0, len(arguments), _FRAGMENT)]


def arguments_object(call: FunctionCall) -> msgspec.Raw:
    """The arguments of a call as the object that some formats have.

    Raises `BadRequestError` where they are none.
    """
    try:
        msgspec.json.decode(call.arguments or "{}", type=dict[str, msgspec.Raw])
    except msgspec.MsgspecError as error:
        raise BadRequestError(
            f"the call of {call.name} has arguments that are no JSON object, which this format cannot say: {error}"
        ) from None
    return msgspec.Raw((call.arguments or "{}").encode())


def given(members: Mapping[str, Any]) -> Json:
    """The members that are not `None`."""
    return {name: value for name, value in members.items() if value is not None}


def picked(own: Mapping[str, Any], names: Iterable[str]) -> Json:
    """Those of the provider's own members that belong in one place of the answer."""
    return {name: own[name] for name in names if name in own}


def own_of(what: Any, origin: str) -> Json:
    """The members of a part, or of an answer, that only this provider has."""
    return own_data(what.provider_data, origin)


def raw_reason(result: Any, provider: str | None, origin: str) -> str | None:
    """The provider's own word for why the model stopped, where it is this provider's."""
    return result.raw_finish_reason if provider in (None, origin) else None


def cannot_say(part: Part, dialect: str) -> BadRequestError:
    """The error for a part that this format has no form for."""
    kind = getattr(part, "kind", None)
    what = f"{type(part).__name__} ({kind} of {getattr(part, 'provider', '')})" if kind else type(part).__name__
    return BadRequestError(f"the emulator's script holds a {what}, which {dialect} cannot say in an answer")


def only_one(result: CreateResult, dialect: str) -> None:
    """Raise `BadRequestError` for several answers where this format has one."""
    if result.alternatives:
        raise BadRequestError(f"the emulator's script holds several answers, and {dialect} has but one")


def flat(streams: Sequence[Sequence[bytes]]) -> list[bytes]:
    """All of these pieces, one after the other."""
    return [piece for stream in streams for piece in stream]
