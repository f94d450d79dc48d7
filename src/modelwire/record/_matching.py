"""Which recorded exchange answers a request, and what to say when none does. Pure."""

from __future__ import annotations

from collections import defaultdict, deque
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from modelwire.record._cassette import Exchange, Request

Match: TypeAlias = Literal["strict", "sequential"]

_SHOWN = 10
"""Differences that a message lists."""
_FAR = 1_000_000
"""More than any two bodies differ: another URL is another question."""
_LENGTH = 120
"""Characters of a value that a message shows."""
_ABSENT = object()


class Shelf:
    """The exchanges of a cassette, each of which answers one request."""

    def __init__(self, exchanges: Sequence[Exchange], match: Match) -> None:
        self.exchanges = exchanges
        self._match = match
        self.rewind()

    def rewind(self) -> None:
        """All are there again."""
        self._played: set[int] = set()
        self._in_order = deque(range(len(self.exchanges)))
        self._by_key: defaultdict[tuple[str, str, bytes], deque[int]] = defaultdict(deque)
        if self._match == "strict":
            for place, exchange in enumerate(self.exchanges):
                self._by_key[_key(exchange.request)].append(place)

    @property
    def left(self) -> int:
        """How many were not played."""
        return len(self.exchanges) - len(self._played)

    def take(self, request: Request) -> Exchange | None:
        """The exchange that answers this request; `None` for none."""
        if self._match == "strict":
            places = self._by_key.get(_key(request))
            place = places.popleft() if places else None
        else:
            place = self._next_in_order(request)
        if place is None:
            return None
        self._played.add(place)
        return self.exchanges[place]

    def _next_in_order(self, request: Request) -> int | None:
        if not self._in_order:
            return None
        recorded = self.exchanges[self._in_order[0]].request
        if (recorded.method, recorded.url) != (request.method, request.url):
            return None
        return self._in_order.popleft()

    def why_not(self, request: Request) -> str:
        """What tells this request from those on record, for people."""
        if not self.exchanges:
            return "there is nothing on record"
        if self._match == "sequential":
            if not self._in_order:
                return f"all {len(self.exchanges)} exchanges were played"
            place, found = self._in_order[0], None
        else:
            found, _, place = min(
                (self._distance(place, request), place in self._played, place) for place in range(len(self.exchanges))
            )
        recorded = self.exchanges[place]
        if found == 0:
            times = sum(_key(exchange.request) == _key(request) for exchange in self.exchanges)
            return f"it was recorded {times} time{'' if times == 1 else 's'}, and that was played already"
        which = "the next" if self._match == "sequential" else "the nearest"
        played = ", played already" if place in self._played else ""
        lines = [
            f"{where}: recorded {_shown(before)}, now {_shown(after)}"
            for where, before, after in islice(_differences(recorded.request, request), _SHOWN + 1)
        ]
        if len(lines) > _SHOWN:
            lines[_SHOWN:] = ["..."]
        return "\n  ".join([f"{which} on record, number {recorded.number}{played}, differs:", *lines])

    def _distance(self, place: int, request: Request) -> int:
        recorded = self.exchanges[place].request
        found = sum(max(_size(before), _size(after)) for _, before, after in _differences(recorded, request))
        return found + _FAR * ((recorded.method, recorded.url) != (request.method, request.url))


def _key(request: Request) -> tuple[str, str, bytes]:
    return request.method, request.url, _canonical(request.body.content())


def _canonical(content: bytes) -> bytes:
    """Equal for bodies that are the same JSON; other bodies as they are."""
    try:
        return msgspec.json.encode(msgspec.json.decode(content), order="sorted")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return content


def _differences(recorded: Request, now: Request) -> Iterator[tuple[str, Any, Any]]:
    """Where they differ: the place, what is on record, and what is there now."""
    for name in ("method", "url"):
        before, after = getattr(recorded, name), getattr(now, name)
        if before != after:
            yield name, before, after
    yield from _differing(_value(recorded.body.content()), _value(now.body.content()), "$")


def _value(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return content.decode(errors="replace")


def _differing(before: Any, after: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted({*before, *after}):
            inner = f"{path}.{name}" if name.isidentifier() else f"{path}[{name!r}]"
            yield from _differing(before.get(name, _ABSENT), after.get(name, _ABSENT), inner)
    elif isinstance(before, list) and isinstance(after, list):
        for place, (old, new) in enumerate(zip_longest(before, after, fillvalue=_ABSENT)):
            yield from _differing(old, new, f"{path}[{place}]")
    elif _shown(before, None) != _shown(after, None):
        yield path, before, after


def _size(value: Any) -> int:
    """How much there is to a value."""
    if isinstance(value, dict):
        value = list(value.values())
    return sum(map(_size, value)) if isinstance(value, list) else 1


def _shown(value: Any, length: int | None = _LENGTH) -> str:
    if value is _ABSENT:
        return "absent"
    text = msgspec.json.encode(value, order="sorted").decode()
    return text if length is None or len(text) <= length else f"{text[:length]}..."
