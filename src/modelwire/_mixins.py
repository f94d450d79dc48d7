"""Hand-written behaviour of the generated structs of `types.py`.

A struct whose definition in the schema says `x-mixin: ImageMixin` inherits from `ImageMixin` here. Rules for a mixin:
`__slots__ = ()`, no state, and the fields that it reads are declared under `TYPE_CHECKING` exactly as generated.
`types.py` imports this module, so `types` is imported inside functions only.
"""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from modelwire import _media

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from typing import Self

    from modelwire.types import AssistantMessage, FunctionCall, Part

T = TypeVar("T")

_set: Any = msgspec.structs.force_setattr

DERIVED: Any = None
"""Default of a field that `__post_init__` fills: never seen as `None`, so not typed as optional."""


class MediaMixin:
    """Content that is given as a URL, as base64 data, or as a file id."""

    __slots__ = ()

    _KIND = ""

    if TYPE_CHECKING:
        url: str | None
        data: str | None
        file_id: str | None
        media_type: str | None

        def __init__(
            self,
            *,
            url: str | None = None,
            data: str | None = None,
            file_id: str | None = None,
            media_type: str | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        """Refuse a part that says nothing about where its content is, or says two things."""
        if (self.url is not None) + (self.data is not None) + (self.file_id is not None) != 1:
            # A ValueError, which msgspec turns into its ValidationError where JSON is decoded.
            raise ValueError(f"{type(self).__name__}: give exactly one of url=, data= and file_id=")

    @classmethod
    def from_url(cls, url: str, media_type: str | None = None) -> Self:
        """Content that the provider fetches from `url`; a `data:` URL is decoded here.

        Raises `BadRequestError` for a malformed `data:` URL.
        """
        if url.startswith("data:"):
            return cls._made(_media.from_data_url(url, cls._KIND))
        return cls(url=url, media_type=media_type)

    @classmethod
    def from_uri(cls, uri: str) -> Self:
        """The same as `from_url`, under AutoGen's name."""
        return cls.from_url(uri)

    @classmethod
    def from_file(cls, path: str | Path, media_type: str | None = None) -> Self:
        """Content of a file, read at once (in async code, call it in a worker thread when the file is large).

        Raises `BadRequestError` when the file cannot be read, is empty, or holds something else.
        """
        return cls._made(_media.from_file(path, cls._KIND, media_type))

    @classmethod
    def from_bytes(cls, content: bytes, media_type: str | None = None) -> Self:
        """Content in memory; `media_type` is sniffed when not given.

        Raises `BadRequestError` when it is empty or something else.
        """
        return cls._made(_media.from_bytes(content, cls._KIND, media_type))

    @classmethod
    def from_base64(cls, data: str, media_type: str | None = None) -> Self:
        """Content as base64 text; `media_type` is sniffed when not given.

        Raises `BadRequestError` when it is not base64 or something else.
        """
        return cls._made(_media.from_base64(data, cls._KIND, media_type))

    @classmethod
    def _made(cls, media: _media.Media) -> Self:
        return cls(data=media.data, media_type=media.media_type)

    def to_bytes(self) -> bytes:
        """The content itself.

        Raises `ValueError` when the part only points to it.
        """
        if self.data is None:
            raise ValueError(f"this {type(self).__name__} only points to its content (url or file_id)")
        return base64.b64decode(self.data)


class ImageMixin(MediaMixin):
    """Behaviour of `Image`."""

    __slots__ = ()
    _KIND = "image"

    @classmethod
    def from_pil(cls, pil_image: Any) -> Self:
        """A picture of Pillow's, as PNG; AutoGen's word. What is in a file or in memory need not be Pillow's first."""
        buffer = io.BytesIO()
        pil_image.save(buffer, format="PNG")
        return cls.from_bytes(buffer.getvalue())


class VideoMixin(MediaMixin):
    """Behaviour of `Video`."""

    __slots__ = ()
    _KIND = "video"


class AudioMixin(MediaMixin):
    """Behaviour of `Audio`."""

    __slots__ = ()
    _KIND = "audio"

    if TYPE_CHECKING:
        id: str | None

    def __post_init__(self) -> None:
        """A spoken answer may be given by its id, with or without its data."""
        if self.id is None:
            super().__post_init__()


class DocumentMixin(MediaMixin):
    """Behaviour of `Document`."""

    __slots__ = ()
    _KIND = "document"

    if TYPE_CHECKING:
        text: str | None

        def __init__(
            self,
            *,
            url: str | None = None,
            data: str | None = None,
            file_id: str | None = None,
            media_type: str | None = None,
            filename: str | None = None,
        ) -> None: ...

    @classmethod
    def from_file(cls, path: str | Path, media_type: str | None = None) -> Self:
        """Content of a file, with the file's name, read at once (in async code, call it in a worker thread).

        Raises `BadRequestError` when the file cannot be read or is empty.
        """
        from pathlib import Path  # noqa: PLC0415  # few have files

        media = _media.from_file(path, cls._KIND, media_type)
        return cls(data=media.data, media_type=media.media_type, filename=Path(path).name)

    def __post_init__(self) -> None:
        """The content of a plain-text document may be given as `text`."""
        if self.text is None:
            super().__post_init__()
        elif self.url or self.data or self.file_id:
            raise ValueError("Document: give exactly one of url=, data=, file_id= and text=")


class FunctionCallMixin:
    """Behaviour of `FunctionCall`."""

    __slots__ = ()

    if TYPE_CHECKING:
        name: str
        arguments: str

    def parsed_arguments(self) -> dict[str, Any]:
        """The arguments as a `dict`; empty text means none.

        Raises `ValueError` when the model wrote something that is not a JSON object, or was cut on the way.
        """
        try:
            value = msgspec.json.decode(self.arguments.strip() or "{}")
        except (ValueError, RecursionError) as error:  # not JSON, not Unicode, or nested too deeply
            raise ValueError(f"arguments of {self.name} are not JSON ({error}): {self.arguments[:200]!r}") from None
        if not isinstance(value, dict):
            raise ValueError(f"arguments of {self.name} are not a JSON object: {self.arguments[:200]!r}")
        return cast("dict[str, Any]", value)


class UsageMixin:
    """Behaviour of `Usage`."""

    __slots__ = ()

    if TYPE_CHECKING:
        prompt_tokens: int
        completion_tokens: int
        total_tokens: int

    def __post_init__(self) -> None:
        """Fill in the total where the provider reported none."""
        if self.total_tokens is None:  # pyright: ignore[reportUnnecessaryComparison]  # until now
            _set(self, "total_tokens", self.prompt_tokens + self.completion_tokens)

    def __add__(self, other: Self) -> Self:
        """The sum of two calls, field by field; what neither reported stays `None`."""
        if not isinstance(other, type(self)):
            return NotImplemented
        return self.sum_of((self, other))

    @classmethod
    def sum_of(cls, usages: Iterable[Self]) -> Self:
        """The sum of several, as of adding one to the next, in a fifth of the time."""
        columns = zip(*map(msgspec.structs.astuple, cast("Iterable[Any]", usages)), strict=True)
        known = ([value for value in column if value is not None] for column in columns)
        sums = [sum(column) if column else None for column in known]
        return cls(**dict(zip(cast("Any", cls).__struct_fields__, sums, strict=True)))


class AnswerMixin:
    """What can be read off an answer's parts."""

    __slots__ = ()

    if TYPE_CHECKING:
        parts: Any

    @property
    def answer_parts(self) -> list[Part]:
        """The answer's parts in order, also for a result that was built from `content` alone."""
        return cast("list[Part]", self.parts)

    @property
    def text(self) -> str:
        """The answer's text alone: without reasoning, refusal or calls; empty when there is none."""
        parts = self.answer_parts
        only = parts[0] if len(parts) == 1 else None
        if only is not None and only.type == "text":  # nearly all answers
            return only.text
        return "".join([part.text for part in parts if part.type == "text"])

    @property
    def thought(self) -> str | None:
        """The model's reasoning as text; `None` when it showed none."""
        return "".join(part.text for part in self.answer_parts if part.type == "reasoning") or None

    @property
    def refusal(self) -> str | None:
        """The words by which the model declined; `None` when it did not."""
        refusals = [part.text for part in self.answer_parts if part.type == "refusal"]
        return "".join(refusals) if refusals else None

    @property
    def tool_calls(self) -> list[FunctionCall]:
        """The function calls in order; empty when there are none."""
        return [part for part in self.answer_parts if part.type == "function_call"]

    @property
    def message(self) -> AssistantMessage:
        """The answer as a message that loses nothing: append it to the history."""
        from modelwire.types import AssistantMessage  # noqa: PLC0415  # types imports this module

        return AssistantMessage(content=list(self.answer_parts))


class CreateResultMixin(AnswerMixin):
    """Behaviour of `CreateResult`."""

    __slots__ = ()

    if TYPE_CHECKING:
        content: str | list[FunctionCall]
        parts: list[Part] | None

    def __post_init__(self) -> None:
        """Let `content` follow from `parts` where those are given."""
        parts = self.parts
        if parts is None:
            if self.content is None:  # pyright: ignore[reportUnnecessaryComparison]  # until now
                _set(self, "content", "")
            return
        only = parts[0] if len(parts) == 1 else None
        if only is not None and only.type == "text":  # nearly all answers
            content: object = only.text
        else:
            content = self.tool_calls or self.text
        _set(self, "content", content)

    @property
    def answer_parts(self) -> list[Part]:
        """The answer's parts in order, also for a result that was built from `content` alone."""
        if self.parts is not None:
            return self.parts
        if not isinstance(self.content, str):
            return list(self.content)
        from modelwire.types import Text  # noqa: PLC0415  # types imports this module

        return [Text(text=self.content)] if self.content else []

    def parse(self, target: type[T]) -> T:
        """The answer's text as a `target`: the type that was given as `response_format`, or another that fits.

        Raises `OutputValidationError`, with the text and the place, when it does not fit.
        """
        from modelwire.output import parse_output  # noqa: PLC0415  # only needed here

        return parse_output(self.text, target)


class AssistantMessageMixin:
    """Behaviour of `AssistantMessage`."""

    __slots__ = ()

    if TYPE_CHECKING:
        content: str | Sequence[str | Part]

    @property
    def text(self) -> str:
        """The message's text alone: without reasoning, refusal or calls."""
        if isinstance(self.content, str):
            return self.content
        texts = (part if isinstance(part, str) else part.text if part.type == "text" else "" for part in self.content)
        return "".join(texts)

    @property
    def tool_calls(self) -> list[FunctionCall]:
        """The function calls in order; empty when there are none."""
        if isinstance(self.content, str):
            return []
        return [part for part in self.content if not isinstance(part, str) and part.type == "function_call"]
