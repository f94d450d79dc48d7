"""The file of recorded exchanges: JSON Lines, first a head, then one line for each exchange, written when it is over.

`schema/cassette.schema.json` describes it. It holds no headers but those that are known to be harmless, and no values of
query parameters that may be keys; see `Mask`.
"""

from __future__ import annotations

import base64
import json
import os
import re
import threading
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from modelwire import _http, errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from modelwire.protocols import HttpRequest

SCHEMA = "urn:modelwire:cassette:1"
"""Of the first line; the same for all files that this version reads and writes."""

MASK = b"***"

_HARMLESS = re.compile(
    rb"accept|content-type|date|retry-after|retry-after-ms|x-should-retry|cf-ray"
    rb"|(.*-)?request-id|.*-version|.*-beta|.*ratelimit.*|.*-processing-ms"
)
"""The headers that are kept; no other is written, whatever it is called."""

_USER = re.compile(r"(?<=://)[^/?#@]*@")
_PARAMETER = re.compile(r"(?<=[?&])([^=&#]*)=([^&#]*)")
_OF_KEY = re.compile(r"auth|credential|key|pass|secret|sig|token|\bcode\b", re.IGNORECASE)
"""In the name of a query parameter that may hold a credential."""


class Body(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Bytes in the most readable form that keeps them: JSON as it stands, text, or base64."""

    json: Raw | UnsetType = UNSET
    text: str | UnsetType = UNSET
    base64: str | UnsetType = UNSET

    def content(self) -> bytes:
        """The bytes."""
        return _content(self.text, self.base64) if self.json is UNSET else bytes(self.json)


class Piece(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A piece of an answer, as it came: text or base64."""

    at: float
    """Seconds from the sending of the request."""
    text: str | UnsetType = UNSET
    base64: str | UnsetType = UNSET

    def content(self) -> bytes:
        """The bytes."""
        return _content(self.text, self.base64)


def _content(text: str | UnsetType, in_base64: str | UnsetType) -> bytes:
    return base64.b64decode(in_base64 or "") if text is UNSET else text.encode()


class Request(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A request, masked."""

    method: str
    url: str
    headers: dict[str, str]
    body: Body


class Answer(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An answer, masked."""

    status: int
    at: float
    """Seconds from the sending of the request to the headers."""
    headers: dict[str, str]
    pieces: list[Piece]
    closed_early: bool = False
    """Whether the client had enough before the end; there is no more on record than it had read."""


class Failure(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The error of the transport that an exchange ended with."""

    type: str
    """Name of its class in `modelwire.errors`."""
    message: str
    at: float
    """Seconds from the sending of the request."""
    retryable: bool
    status_code: int = 0

    def error(self) -> errors.ModelClientError:
        """The error itself, new each time."""
        kind = getattr(errors, self.type, None)
        if not isinstance(kind, type) or not issubclass(kind, errors.ModelClientError):
            kind = errors.ModelClientError
        return kind(self.message, status_code=self.status_code, retryable=self.retryable)


class Exchange(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One line: a request, and what came of it."""

    number: int
    """Place among the exchanges of the file by the time of their beginning, from 1 on."""
    request: Request
    answer: Answer | None = None
    """`None` where there was none."""
    failure: Failure | None = None
    """`None` where the answer came to its end, or was closed early."""


class _Head(Struct, frozen=True, kw_only=True):
    schema: str = field(name="$schema")


_HEAD = msgspec.json.Decoder(_Head)
_EXCHANGE = msgspec.json.Decoder(Exchange)
_ENCODER = msgspec.json.Encoder()


# What is written --------------------------------------------------------------------------------------------------------


class Mask:
    """Keeps out of the file what does not belong there.

    Headers are kept by name, from a short list; of the URL go user, password, and the values of parameters whose names
    sound like a key; and the credentials of a request, should they stand in a body too. What else is in bodies stays,
    but for what `redact` finds: texts, or regular expressions, which see the bytes as they stand.
    """

    def __init__(self, redact: Iterable[str | re.Pattern[str]] = (), secrets: Iterable[bytes] = ()) -> None:
        if isinstance(redact, (str, re.Pattern)):
            raise TypeError("redact is a list of texts and regular expressions, not a single one")
        self._redact = tuple(redact)
        self._patterns = [_compiled(pattern) for pattern in self._redact]
        self._patterns += [re.compile(re.escape(secret)) for secret in secrets]

    def of(self, request: HttpRequest) -> Mask:
        """A mask that hides the credentials of this request too."""
        secrets = {*_http.secrets(request.headers)}
        for name, value in _PARAMETER.findall(request.url):
            if _OF_KEY.search(name) and len(value) >= _http.SHORTEST_SECRET:
                secrets.add(value.encode())
        return Mask(self._redact, secrets)

    def request(self, request: HttpRequest) -> Request:
        """The request as it is written."""
        return Request(
            method=request.method,
            url=self._url(request.url),
            headers=self.headers(dict(request.headers)),
            body=_body(self._hidden(request.body)),
        )

    def headers(self, headers: Mapping[bytes, bytes]) -> dict[str, str]:
        """The harmless ones."""
        return {
            name.decode("latin-1"): self._hidden(value).decode("latin-1")
            for name, value in headers.items()
            if _HARMLESS.fullmatch(name)
        }

    def text(self, text: str) -> str:
        """Of an error."""
        return self._hidden(text.encode()).decode()

    def pieces(self, pieces: Sequence[tuple[float, bytes]]) -> list[Piece]:
        """The pieces of an answer. What is hidden keeps its length, and may begin in one piece and end in another."""
        whole = b"".join(content for _, content in pieces)
        for pattern in self._patterns:
            whole = pattern.sub(lambda found: b"*" * len(found[0]), whole)
        made: list[Piece] = []
        start = 0
        for at, content in pieces:
            shown = whole[start : start + len(content)]
            start += len(content)
            try:
                made.append(Piece(at=round(at, 6), text=shown.decode()))
            except UnicodeDecodeError:
                made.append(Piece(at=round(at, 6), base64=base64.b64encode(shown).decode()))
        return made

    def _url(self, url: str) -> str:
        url = _USER.sub("***@", url)
        url = _PARAMETER.sub(lambda found: f"{found[1]}=***" if _OF_KEY.search(found[1]) else found[0], url)
        return self._hidden(url.encode()).decode()

    def _hidden(self, content: bytes) -> bytes:
        for pattern in self._patterns:
            content = pattern.sub(MASK, content)
        return content


def _compiled(pattern: str | re.Pattern[str]) -> re.Pattern[bytes]:
    if isinstance(pattern, str):
        if not pattern:
            raise ValueError("redact: an empty text would hide everything")
        # As it stands in text, and in both ways in which JSON may write it.
        forms = {pattern.encode(), msgspec.json.encode(pattern)[1:-1], json.dumps(pattern).encode()[1:-1]}
        return re.compile(b"|".join(map(re.escape, forms)))
    return re.compile(pattern.pattern.encode(), pattern.flags & ~re.UNICODE)


def _body(content: bytes) -> Body:
    if content and b"\n" not in content:  # a line of the file has none
        try:
            msgspec.json.decode(content)
            return Body(json=Raw(content))
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            pass
    try:
        return Body(text=content.decode())
    except UnicodeDecodeError:
        return Body(base64=base64.b64encode(content).decode())


class Tape:
    """A file that is written to: from its beginning, or on from its end.

    It is made with the first exchange, in the place of what is there, and whole lines are added to it, so that there is
    never a broken one. Raises `RuntimeError` where someone else puts another file in its place meanwhile.
    """

    def __init__(self, path: Path, *, extend: bool) -> None:
        self._path = path
        self._extend = extend
        self._made: int | None = None  # inode of the file that this tape made, or goes on with
        self._numbers = 0
        self._lock = threading.Lock()

    def number(self) -> int:
        """The number of an exchange that begins now."""
        with self._lock:
            if self._extend and self._made is None:
                self._go_on()
            self._numbers += 1
            return self._numbers

    def write(self, exchange: Exchange) -> None:
        """Add an exchange.

        Raises `OSError` when that fails.
        """
        line = _ENCODER.encode(exchange) + b"\n"
        with self._lock:
            if self._made is None:
                _put(self._path, _ENCODER.encode({"$schema": SCHEMA}) + b"\n" + line)
                self._made = _inode(self._path)
                return
            if _inode(self._path) != self._made:
                raise RuntimeError(
                    f"{self._path} was removed, or made anew by another recorder, while this one wrote to it: give one "
                    "Recorder to all clients whose exchanges go into the same file"
                )
            with self._path.open("ab") as file:
                file.write(line)

    def _go_on(self) -> None:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return
        self._numbers = max((exchange.number for exchange in parse(content, self._path)), default=0)
        end = content.rfind(b"\n") + 1
        if end < len(content):  # the rest of a write that was cut
            os.truncate(self._path, end)
        self._made = _inode(self._path)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


# What is read -----------------------------------------------------------------------------------------------------------


def parse(content: bytes, path: Path) -> list[Exchange]:
    """The exchanges of a file, in order; the rest of a write that was cut, at its end, is left out.

    Raises `ValueError` for what is no cassette, with the line.
    """
    lines = content.split(b"\n")[:-1]
    if not lines:
        raise ValueError(f"{path}: an empty file, not a cassette")
    try:
        schema = _HEAD.decode(lines[0]).schema
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ValueError(f'{path}: not a cassette: its first line is not {{"$schema": "{SCHEMA}"}}') from None
    if schema != SCHEMA:
        raise ValueError(f"{path}: written in the format {schema!r}; this version of modelwire reads {SCHEMA!r}")
    exchanges: list[Exchange] = []
    for number, line in enumerate(lines[1:], 2):
        try:
            exchanges.append(_EXCHANGE.decode(line))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
    return sorted(exchanges, key=lambda exchange: exchange.number)
