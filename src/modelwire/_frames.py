"""Bytes to frames: server-sent events and newline-delimited JSON.

Both framers take bytes cut anywhere and give the complete frames. They hold no more than one unfinished frame, and
refuse one that grows beyond a bound.
"""

from __future__ import annotations

from bisect import bisect_right

from modelwire.errors import ProtocolError

MAX_FRAME = 64 * 1024 * 1024
"""Bytes in one frame: a generated image or a long document in base64 fits, a runaway server does not."""

_LINE = 40
"""Bytes that a line costs beside its own: an object that is kept. Without them the bound would be a twentieth of the
memory that lines of two bytes take."""

_CR, _LF = b"\r\n"
"""Numbers, because `in` takes a tenth of the time that it takes with `bytes`."""
_BOM = b"\xef\xbb\xbf"
_STRAY = b'{}[]<> \t"'
"""First bytes of lines that belong to JSON or to a web page; a field of an event begins with a letter."""
_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")


def _too_large(bound: int) -> ProtocolError:
    return ProtocolError(f"one frame of the stream is larger than {bound} bytes; the server does not end its frames")


def _with(data: list[bytes], only: bytes | None, line: bytes) -> list[bytes]:
    """The lines of an event's data with another one."""
    if only is not None:
        return [only, line]
    data.append(line)
    return data


class SseFramer:
    """`data` of server-sent events, by the algorithm of https://html.spec.whatwg.org/multipage/server-sent-events.html.

    Event names, ids and comments are skipped: every dialect here repeats its event's name inside the data. Lines may
    end in LF, CR or CRLF, also mixed. An event that no empty line ends is discarded, as the standard says; what the
    decoder makes of that is its own matter. `stray` are the lines of JSON or HTML that are no fields of an event: some
    servers write a bare JSON error into the stream.
    """

    __slots__ = (
        "_bound",
        "_counted",
        "_cr",
        "_data",
        "_data_size",
        "_earlier",
        "_first",
        "_parts",
        "_parts_size",
        "_pending",
        "_places",
        "_stray_size",
        "stray",
    )

    def __init__(self, bound: int = MAX_FRAME) -> None:
        self._bound = bound
        self._data: list[bytes] = []
        self._data_size = 0
        self._counted = 0
        self._parts: list[bytes] = []
        self._parts_size = 0
        self._cr = False
        self._first: bytes | None = b""
        self._pending = True
        """Whether anything of what came may matter to what is next: part of a line or of an event, or stray lines."""
        self.stray: list[bytes] = []
        self._stray_size = 0
        self._places: list[int] = []
        self._earlier = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that `chunk` completes.

        Raises `ProtocolError` for an event that is too large.
        """
        if not self._pending:
            # One event with one line of data, and its name or not: what a server writes, if nothing between gathers it.
            start, end = 6, chunk.find(b"\n")
            if chunk[:6] == b"event:":
                start, end = end + 7, chunk.find(b"\n", end + 1)
            if chunk[start - 6 : start] == b"data: ":
                if end == len(chunk) - 2 and chunk[-1] == _LF and _CR not in chunk:
                    return [chunk[start:-2]]
                if end == len(chunk) - 3 and chunk[-4:] == b"\r\n\r\n" and chunk.find(_CR) == end - 1:
                    return [chunk[start:-4]]
        return self._events(chunk)

    def _events(self, chunk: bytes) -> list[bytes]:
        """The same for a chunk of any kind."""
        if self._first is not None:
            chunk = self._skip_bom(chunk)
        if self.stray:
            self._earlier = len(self.stray)
        if self._cr or _CR in chunk:
            lines, rest = self._lines(chunk)
        else:
            lines = chunk.split(b"\n")
            rest = lines.pop()
        self._pending = True
        if not lines:
            if rest:
                self._keep(rest)
            return []
        if self._parts:
            lines[0] = b"".join((*self._parts, lines[0]))
            self._parts = []
            self._parts_size = 0
        events: list[bytes] = []
        data = self._data
        only: bytes | None = None  # the event's data while it is one line, as nearly always
        for line in lines:
            if not line:
                if only is not None:
                    events.append(only)
                    only = None
                elif data:
                    events.append(b"\n".join(data))
                    data = []
            elif line[:6] == b"data: ":
                if only is None and not data:
                    only = line[6:]
                else:
                    data, only = _with(data, only, line[6:]), None
            elif line[:6] == b"event:":
                pass
            elif line[:5] == b"data:" or line == b"data":
                data, only = _with(data, only, line[5:]), None
            elif line[0] in _STRAY:
                self._note_stray(line, len(events))
        if only is not None:
            data = [only]
        if data:
            self._note_data(data)
        elif self._data:
            self._data = data
            self._counted = self._data_size = 0
        if rest:
            self._keep(rest)
        elif not data and not self._cr and not self.stray:
            self._pending = False
        return events

    def rest(self) -> bytes:
        """What no line end has completed: the last line of a body that is no event stream."""
        return b"".join(self._parts)

    def outside(self) -> list[bytes]:
        """All that belongs to no event: the stray lines, and the rest unless it is a field that was cut."""
        rest = self.rest()
        cut = rest.startswith(_FIELDS) or any(field.startswith(rest) for field in _FIELDS)
        return self.stray if cut else [*self.stray, rest]

    def unfinished(self) -> bytes:
        """The data of an event that no empty line ends: nothing that counts, but perhaps the reason of the end."""
        last = self.rest()
        return b"\n".join([*self._data, last[5:].removeprefix(b" ")] if last[:5] == b"data:" else self._data)

    def stray_before(self, index: int) -> list[bytes]:
        """The stray lines that came before the event of this index in what the last `feed` gave."""
        return self.stray[: self.count_before(index)]

    def count_before(self, index: int) -> int:
        """How many stray lines came before it."""
        if self._earlier == len(self.stray):
            return self._earlier
        return self._earlier + bisect_right(self._places, index)

    def _note_data(self, data: list[bytes]) -> None:
        """Count the lines of the unfinished event that are new."""
        if data is not self._data:
            self._data, self._data_size, self._counted = data, 0, 0
        new = data[self._counted :] if self._counted else data
        self._data_size += sum(map(len, new)) + (len(new) * _LINE if len(data) > 1 else 1)
        self._counted = len(data)
        self._check_size()

    def _keep(self, rest: bytes) -> None:
        self._parts.append(rest)
        self._parts_size += len(rest)
        self._check_size()

    def _check_size(self) -> None:
        if self._data_size + self._parts_size > self._bound:
            raise _too_large(self._bound)

    def _note_stray(self, line: bytes, place: int) -> None:
        if len(self.stray) == self._earlier:
            self._places = []
        self.stray.append(line)
        self._places.append(place)
        self._stray_size += len(line) + _LINE
        if self._stray_size > self._bound:
            raise _too_large(self._bound)

    def _skip_bom(self, chunk: bytes) -> bytes:
        head = (self._first or b"") + chunk
        if len(head) < len(_BOM) and _BOM.startswith(head):
            self._first = head
            return b""
        self._first = None
        return head.removeprefix(_BOM)

    def _lines(self, chunk: bytes) -> tuple[list[bytes], bytes]:
        """The lines that end in `chunk` however lines end here, and the beginning of the next."""
        if self._cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._cr = False
        lines = chunk.splitlines()  # of bytes: at LF, CR and CRLF, and nothing else
        if chunk.endswith(b"\r"):
            self._cr = True
        elif chunk and not chunk.endswith(b"\n"):
            return lines, lines.pop()
        return lines, b""


class NdjsonFramer:
    """Lines of newline-delimited JSON; empty lines are skipped."""

    __slots__ = ("_bound", "_parts", "_size")

    stray: tuple[bytes, ...] = ()
    """Every line is a frame."""

    def __init__(self, bound: int = MAX_FRAME) -> None:
        self._bound = bound
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that `chunk` completes.

        Raises `ProtocolError` for a line that is too long.
        """
        lines = chunk.split(b"\n")
        rest = lines.pop()
        if lines and self._parts:
            lines[0] = b"".join((*self._parts, lines[0]))
            self._parts = []
            self._size = 0
        if rest:
            self._parts.append(rest)
            self._size += len(rest)
            if self._size > self._bound:
                raise _too_large(self._bound)
        return [line for line in lines if line and not line.isspace()]

    def close(self) -> list[bytes]:
        """The last line, which need not end in a line end."""
        rest = b"".join(self._parts)
        self._parts = []
        return [rest] if rest.strip() else []
