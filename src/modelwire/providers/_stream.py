"""What the stream decoders of all dialects do alike.

Nearly all events of a stream are more of a part that is open: text, mostly. A dialect has a second, narrow decoder for
those: it reads that and nothing else, and refuses an event with anything more in it, which then goes the usual way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import msgspec

from modelwire.errors import ModelClientError
from modelwire.providers._json import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from modelwire.types import StreamEvent

    Narrow = Callable[[Any, bytes, list[StreamEvent]], bool]
    """A method of a decoder that adds the event of a frame which is no more than more of the open part.

    `False`, or one of `UNREADABLE`, where it is anything else; then nothing may have changed.
    """

_REFUSALS = 8
"""Events refused by the narrow decoder after which a stream does without: it pays where they are the exception."""


class Framer(Protocol):
    """Bytes cut anywhere to frames."""

    @property
    def stray(self) -> Sequence[bytes]:
        """Lines that belong to no frame."""
        ...

    def feed(self, chunk: bytes) -> list[bytes]:
        """The frames that `chunk` completes."""
        ...


F = TypeVar("F", bound=Framer)


class FrameDecoder(Generic[F]):
    """Bytes of one streamed answer to events; see `protocols.StreamDecoder`.

    A dialect defines `_on_frame` and `close`.
    """

    __slots__ = ("_done", "_framer", "_frames", "_narrow", "_refused", "error")

    def __init__(self, framer: F) -> None:
        self._framer = framer
        self._frames: list[bytes] = []
        """Those of the `feed` that is under way."""
        self._done = False
        """Whether the last event has come."""
        self._narrow: Narrow | None = None
        """For frames such as the last, if that was more of a part: the next may well be too."""
        self._refused = 0
        self.error: ModelClientError | None = None

    def feed(self, data: bytes) -> list[StreamEvent]:
        """The events that these bytes complete."""
        if self.error is not None:
            raise self.error
        return self._events_of(self._framer.feed(data))

    def _events_of(self, frames: list[bytes]) -> list[StreamEvent]:
        """The events of these frames. An error among them waits until those before it were delivered."""
        events: list[StreamEvent] = []
        self._frames = frames
        try:
            for frame in self._between_stray(frames) if self._framer.stray else frames:
                narrow = self._narrow
                if narrow is not None:
                    try:
                        if narrow(self, frame, events):
                            continue
                    except UNREADABLE:
                        pass
                    self._narrow = None
                    self._refused += 1
                if self._done:
                    break
                self._on_frame(frame, events)
        except ModelClientError as error:
            self._raise_after(events, error)
        return events

    def _raise_after(self, events: list[StreamEvent], error: ModelClientError) -> None:
        """Raise the error, or keep it for the next call where there are events to deliver first."""
        if not events:
            raise error
        self.error = error

    def _on_frame(self, frame: bytes, events: list[StreamEvent]) -> None:
        """Add the events of a frame; calls `_expect` where it was more of a part."""
        raise NotImplementedError

    def _between_stray(self, frames: list[bytes]) -> Iterator[bytes]:
        """The frames; what stands before each and belongs to none is looked at when its turn comes."""
        for index, frame in enumerate(frames):
            if not self._done:
                self._on_stray(index)
            yield frame
        if not self._done:
            self._on_stray(len(frames))

    def _on_stray(self, index: int) -> None:
        """Look at the lines before the frame of this index that belong to none, unless that is done at the end."""

    def _expect(self, narrow: Narrow) -> None:
        """The next frame may be more of the same part, which `narrow` reads: of the class, since a bound one is a cycle."""
        self._narrow = narrow if self._refused < _REFUSALS else None


def only(kind: type[msgspec.Struct], /, *ignored: str, **wanted: Any) -> Any:
    """A struct type for what has these members of `kind` and of its others none but null.

    Decoding anything else to it raises `msgspec.ValidationError`; `ignored` members may be anything. A wanted member is
    a type, or a type and its default where it may be missing.
    """
    named = {field.name: field.encode_name for field in msgspec.structs.fields(kind)}
    nothing = [(name, None, None) for name in named if name not in wanted and name not in ignored]
    needed = [(name, *want) if isinstance(want, tuple) else (name, want) for name, want in wanted.items()]
    return msgspec.defstruct(f"Only{kind.__name__}", [*needed, *nothing], rename=named, kw_only=True, gc=False)
