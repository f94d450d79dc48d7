"""A conversation in the form that another model can go on with, and what gets lost on the way. Pure; knows no provider.

What a model takes is its codec's `Accepts`. Ids of calls and opaque `provider_data` stay as they are: the codecs write ids
in their provider's form, the same for a call and its result, and send opaque data to its owner alone.
"""

from __future__ import annotations

import base64
import re
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, cast

import msgspec
from msgspec.structs import replace

from modelwire import _media
from modelwire.errors import BadRequestError
from modelwire.protocols import Forms
from modelwire.types import (
    AssistantMessage,
    Audio,
    Document,
    FunctionCall,
    Image,
    ProviderPart,
    Reasoning,
    Refusal,
    SystemMessage,
    Text,
    ToolMessage,
    ToolResult,
    UserMessage,
    Video,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelwire.options import ModelInfo
    from modelwire.protocols import Codec
    from modelwire.types import InputPart, Message, Part

    Media: TypeAlias = Image | Audio | Document | Video
    Place: TypeAlias = tuple[int, int | None, int | None]
    """Index of a message, of a part in it, and of a part in that one."""

Action: TypeAlias = Literal["dropped", "as_text", "as_user", "renamed", "added"]

_DONE = {
    "dropped": "left out",
    "as_text": "put into words",
    "as_user": "said by the user instead",
    "renamed": "renamed",
    "added": "added",
}
_NOTHING = Forms()
_NO_RESULT = "There is no result: the call was not carried out."
_BEGINNING = "(The conversation begins with the assistant.)"
_READABLE = ("application/json", "application/xml", "application/yaml")
"""Media types beside `text/` that are text."""


class Loss(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something in a conversation that the other model is not told, or not told as it was."""

    what: str
    """The `type` of the part: `reasoning`, `image`, `provider`, `function_call`, ...; `citation` for the sources of a
    text; or the `role` of a message: `system`, `user`."""
    action: Action
    """`dropped`; `as_text`: its words stand in its place; `as_user`: the user says it instead; `renamed`; or `added`: it
    was not there, and the conversation is not valid without it."""
    reason: str
    """Why, for people to read."""
    message: int
    """Index of the message among those that were given."""
    part: int | None = None
    """Index of the part in the message's content; `None` for the message as a whole."""
    inner: int | None = None
    """Index of the part in the content of that tool result; `None` for no such part."""

    @property
    def place(self) -> str:
        """Where it stood, such as `messages[2].content[0].content[1]`."""
        steps = [f"messages[{self.message}]", *(f"content[{at}]" for at in (self.part, self.inner) if at is not None)]
        return ".".join(steps)

    def __str__(self) -> str:
        return f"{self.place}: {self.what} {_DONE[self.action]}: {self.reason}"


class Fetched(NamedTuple):
    """What an address held."""

    content: bytes
    media_type: str | None = None
    """What the server calls it; `None` when it does not say."""


class Conversion:
    """One conversation on its way to one model."""

    def __init__(
        self,
        codec: Codec,
        model: str,
        info: ModelInfo,
        *,
        reasoning: Literal["drop", "text"] = "drop",
        fetched: Mapping[str, Fetched | str] | None = None,
    ) -> None:
        """`fetched` has what addresses held, or why that is not known."""
        self.messages: list[Message] = []
        self.losses: list[Loss] = []
        self.wanted: dict[str, None] = {}
        """Addresses, in order, whose content would have to be fetched, and is not in `fetched`."""
        self._accepts = codec.accepts(model, info)
        self._provider = codec.provider
        self._origin = codec.origin
        self._sees = info.get("vision") is not False
        self._reasoning = reasoning
        self._fetched = fetched or {}
        self._begun = False
        """Whether anybody but the application has spoken."""
        self._turn: int | None = None
        """Index of the assistant's message that the next results answer."""
        self._calls: dict[Call, FunctionCall] = {}
        """Those of that message as they are sent, by where they were."""
        self._seen: set[str] = set()
        """Ids of calls so far."""
        self._waiting: list[tuple[int, SystemMessage]] = []
        """System messages amid the conversation, with their indices, until it is known what follows them."""
        self._later: list[Message] = []
        """What comes after the results of this turn."""
        self._drawn: list[str | InputPart] = []
        """Media in the assistant's message that only a user may show."""

    def run(self, messages: Sequence[Message]) -> None:
        """Convert all messages. Called once."""
        self._given = messages
        self._pairs = _pairs(messages)
        for index, message in enumerate(messages):
            if not isinstance(message, ToolMessage):
                self._end_turn()
            match message:
                case SystemMessage():
                    self._system(index, message)
                case UserMessage():
                    self._user(index, message)
                case AssistantMessage():
                    self._assistant(index, message)
                case ToolMessage():
                    self._results(index, message)
        self._end_turn()
        if self._drawn:
            self._add(UserMessage(content=self._drawn))
        if self._accepts.user_first and not self._begun and self.messages:
            self._waiting.append((len(messages) - 1, cast("SystemMessage", self.messages.pop())))
        if self._waiting:
            self._place_system(None)
        self.losses.sort(key=lambda loss: (loss.message, _rank(loss.part), _rank(loss.inner)))

    def _add(self, message: Message) -> None:
        content = [message.content] if isinstance(message.content, str) else message.content
        if not self._accepts.blank_text and not any(map(self._says_something, content)):
            return
        if self._waiting:
            self._place_system(message)
        self._begun = True
        self.messages.append(message)

    def _lose(self, what: str, action: Action, place: Place, reason: str) -> None:
        message, part, inner = place
        self.losses.append(Loss(what=what, action=action, reason=reason, message=message, part=part, inner=inner))

    def _is_own(self, provider_data: Mapping[str, Any] | None) -> bool:
        return bool(provider_data and provider_data.get(self._origin))

    # ------------------------------------------------------------------ what the application and the user say

    def _system(self, index: int, message: SystemMessage) -> None:
        if not self._begun or self._accepts.system == "anywhere":
            self.messages.append(message)
        else:
            self._waiting.append((index, message))

    def _place_system(self, after: Message | None) -> None:
        """Put system messages amid the conversation where they may stand as such, or let the user say them."""
        waiting, self._waiting = self._waiting, []
        before = self.messages[-1] if self.messages else None
        paused = isinstance(before, AssistantMessage) and isinstance(before.content[-1], ProviderPart)
        follows = paused or isinstance(before, (UserMessage, ToolMessage))
        fits = self._accepts.system == "after_user" and follows and isinstance(after, (AssistantMessage, NoneType))
        for index, message in waiting:
            if fits:
                self.messages.append(message)
                continue
            reason = f"{self._provider} takes no system message in this place"
            self._lose("system", "as_user", (index, None, None), reason)
            self._add(UserMessage(content=message.content, source=message.source))

    def _user(self, index: int, message: UserMessage) -> None:
        content = message.content
        if not isinstance(content, str):
            content = _unless_same(
                content,
                [self._input(part, self._accepts.shown, (index, at, None), "") for at, part in enumerate(content)],
            )
        if self._drawn:
            content = [*self._drawn, *([content] if isinstance(content, str) else content)]
            self._drawn = []
        self._add(message if content is message.content else replace(message, content=content))

    def _input(self, part: str | InputPart, forms: Mapping[str, Forms], place: Place, source: str) -> str | InputPart:
        """A part that a user or a tool shows; words in its place where it cannot be."""
        match part:
            case str() | Text():
                return part
            case ProviderPart():
                if part.provider == self._origin:
                    return part
                self._lose("provider", "dropped", place, f"only {part.provider} understands a {part.kind or 'part'}")
                return Text(text=f"[{part.kind or 'part'} left out]")
            case Image() | Audio() | Document() | Video():
                made, reason = self._media(part, forms, source)
                if made is not None:
                    return made
                if isinstance(part, Audio) and part.transcript:
                    self._lose("audio", "as_text", place, reason)
                    return Text(text=part.transcript)
                self._lose(part.type, "dropped", place, reason)
                name = part.title or part.filename if isinstance(part, Document) else None
                return Text(text=f"[{part.type} left out{f': {name}' if name else ''}]")

    # ------------------------------------------------------------------ media

    def _media(self, part: Media, all_forms: Mapping[str, Forms], source: str) -> tuple[Media | None, str]:
        """The part in a form that can be sent, or the reason why there is none."""
        if isinstance(part, Image) and not self._sees:
            return None, "the model sees no images"
        forms = all_forms.get(part.type, _NOTHING)
        if _fits(part, forms):
            return part, ""
        if part.url is not None and (forms.data or isinstance(part, Document)):
            found = self._found(part, part.url)
            return (None, found) if isinstance(found, str) else self._media(found, all_forms, source)
        if isinstance(part, Document) and part.data is not None:
            words = _words(part.data, part.media_type)
            if words is not None:
                return replace(part, data=None, media_type=None, text=words), ""
        if part.file_id is not None and forms.file_id is not None:
            return None, f"{part.file_id} is no file id of {self._provider}"
        if part.data is not None and forms.data:
            return None, f"{self._provider} takes no {part.media_type or _media.sniff_base64(part.data)}{source}"
        return None, f"{self._provider} takes no {part.type}{source}{' by reference' if forms.data else ''}"

    def _found(self, part: Media, url: str) -> Media | str:
        """The part with the content of its address, or the reason why it cannot be had."""
        found = self._fetched.get(url)
        if found is None:
            self.wanted[url] = None
            return f"{self._provider} does not fetch it from its address; pass fetch=True"
        if isinstance(found, str):
            return f"it could not be fetched: {found}"
        known = _media.sniff(found.content[:16]) or found.media_type or part.media_type
        try:
            media = _media.from_bytes(found.content, part.type, known)
        except BadRequestError as error:
            return f"what was fetched is no {part.type}: {error.message}"
        return replace(part, url=None, data=media.data, media_type=media.media_type)

    # ------------------------------------------------------------------ what the model said before

    def _assistant(self, index: int, message: AssistantMessage) -> None:
        if self._drawn:
            self._add(UserMessage(content=self._drawn))
            self._drawn = []
        self._turn, self._calls = index, {}
        content, thought = message.content, message.thought
        made: list[str | Part] = []
        if thought:
            made += self._thought(Reasoning(text=thought), (index, None, None))
        for at, part in enumerate([content] if isinstance(content, str) else content):
            made += self._said(part, (index, at, None))
        if not any(map(self._says_something, made)):
            return  # some refuse an empty answer, and none makes anything of it
        if self._accepts.user_first and not self._begun:
            self._lose("user", "added", (index, None, None), f"{self._provider} wants the user to begin")
            self._add(UserMessage(content=_BEGINNING))
        kept = _unless_same(content, made)
        self._add(message if kept is content and not thought else replace(message, content=kept, thought=None))

    def _says_something(self, part: str | Part | ToolResult) -> bool:
        """Whether a part is more than empty text, or blank text where that may not be."""
        if not isinstance(part, (str, Text)):
            return True
        text = part if isinstance(part, str) else part.text
        own = not isinstance(part, str) and self._is_own(part.provider_data)
        return bool(text if self._accepts.blank_text else text.strip()) or own

    def _said(self, part: str | Part, place: Place) -> list[str | Part]:
        match part:
            case str():
                return [part]
            case Text():
                if not part.text and part.provider_data and not self._is_own(part.provider_data):
                    return []  # the bearer of another provider's signature
                return [self._text(part, place)]
            case Reasoning():
                return [part] if self._accepts.recognises(part) else self._thought(part, place)
            case FunctionCall():
                return [self._call(part, place)]
            case Refusal():
                return self._refusal(part, place)
            case ProviderPart():
                if part.provider == self._origin:
                    return [part]
                self._lose("provider", "dropped", place, f"only {part.provider} understands a {part.kind or 'part'}")
            case ToolResult():
                self._lose("tool_result", "dropped", place, "a result stands in a tool's message")
            case Image() | Audio() | Document() | Video():
                return self._made(part, place)
        return []

    def _text(self, part: Text, place: Place) -> Text:
        cited = part.citations or ()
        kept = [each for each in cited if self._accepts.citations and self._is_own(each.provider_data)]
        if len(kept) == len(cited):
            return part
        self._lose("citation", "dropped", place, f"{self._provider} takes back only citations of its own, if any")
        return replace(part, citations=kept or None)

    def _thought(self, part: Reasoning, place: Place) -> list[str | Part]:
        """Reasoning that this model does not recognise."""
        reason = f"only {part.model or part.provider or 'its model'} recognises it"
        if part.provider == self._origin:
            reason = f"{self._provider} takes it back only signed, and for the model that made it"
        if self._reasoning == "text" and part.text.strip():
            self._lose("reasoning", "as_text", place, reason)
            return [Text(text=f"<thinking>\n{part.text}\n</thinking>\n\n")]
        self._lose("reasoning", "dropped", place, reason)
        return []

    def _refusal(self, part: Refusal, place: Place) -> list[str | Part]:
        if self._accepts.refusals or self._is_own(part.provider_data):
            return [part]
        reason = f"{self._provider} has no mark for a refusal"
        self._lose("refusal", "as_text" if part.text else "dropped", place, reason)
        return [Text(text=part.text)] if part.text else []

    def _made(self, part: Media, place: Place) -> list[str | Part]:
        """What the model drew or said aloud: in its place, in words, or else shown by the user."""
        made, reason = self._media(part, self._accepts.answered, " in answers")
        if made is not None and made.type in self._accepts.answered:
            return [made]
        words = part.transcript if isinstance(part, Audio) else _titled(made) if isinstance(made, Document) else None
        if words:
            self._lose(part.type, "as_text", place, reason or f"{self._provider} takes no document in answers")
            return [Text(text=words)]
        made, reason = self._media(part, self._accepts.shown, "")
        if made is None:
            self._lose(part.type, "dropped", place, reason)
            return []
        self._lose(part.type, "as_user", place, f"{self._provider} takes no {part.type} in answers")
        self._drawn += [Text(text=f"[{part.type} that the assistant made]"), made]
        return []

    def _call(self, call: FunctionCall, place: Place) -> FunctionCall:
        """A call with a name that the provider takes, and an id that no other has where that matters."""
        changes: dict[str, Any] = {}
        name = self._name(call.name)
        if name != call.name:
            self._lose("function_call", "renamed", place, f"{self._provider} takes no name such as {call.name}")
            changes["name"] = name
        if call.custom and not self._accepts.custom_calls:
            changes |= {"custom": False, "arguments": msgspec.json.encode({"input": call.arguments}).decode()}
        if self._accepts.unique_ids and call.id in self._seen:
            changes["id"] = next(new for n in range(2, 10**6) if (new := f"{call.id}_{n}") not in self._seen)
        sent = replace(call, **changes) if changes else call
        self._seen.add(sent.id)
        self._calls[place[0], cast("int", place[1])] = sent
        return sent

    def _name(self, name: str) -> str:
        if re.fullmatch(self._accepts.tool_name, name):
            return name
        plain = re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:64]
        return plain if re.fullmatch(self._accepts.tool_name, plain) else f"_{plain}"[:64]

    # ------------------------------------------------------------------ results

    def _results(self, index: int, message: ToolMessage) -> None:
        """The results that answer the calls of this turn; others have their place elsewhere."""
        kept: list[ToolResult] = []
        for at, result in enumerate(message.content):
            call = self._pairs.get((index, at))
            if call is None:
                self._unasked(result, (index, at, None))
            elif call[0] == self._turn:
                kept.append(self._result(result, call, (index, at)))
        if kept:
            content = _unless_same(message.content, kept)
            self._add(message if content is message.content else replace(message, content=content))

    def _result(self, result: ToolResult, call: Call, where: tuple[int, int]) -> ToolResult:
        sent = self._calls.pop(call)
        changes: dict[str, Any] = {}
        if sent.id != result.call_id:
            changes["call_id"] = sent.id
        if result.custom and not self._accepts.custom_calls:
            changes["custom"] = False
        if result.name is not None and result.name != sent.name:
            changes["name"] = sent.name
        if not isinstance(result.content, str):
            made = [
                self._input(part, self._accepts.returned, (*where, at), " from tools")
                for at, part in enumerate(result.content)
            ]
            content = _unless_same(result.content, made)
            if content is not result.content:
                changes["content"] = content
        return replace(result, **changes) if changes else result

    def _unasked(self, result: ToolResult, place: Place) -> None:
        """A result whose call is not there, as what the user says."""
        self._lose("tool_result", "as_user", place, f"it answers no call before it ({result.call_id})")
        made: list[str | InputPart] = [f"{'Error' if result.is_error else 'Result'} of {result.name or 'a function'}:"]
        if isinstance(result.content, str):
            made.append(result.content)
        else:
            where = cast("tuple[int, int]", place[:2])
            made += [self._input(part, self._accepts.shown, (*where, at), "") for at, part in enumerate(result.content)]
        self._later.append(UserMessage(content=made))

    def _end_turn(self) -> None:
        """Answer the calls that still wait, by results that come later or else by an error."""
        if self._calls:
            late = {call: where for where, call in self._pairs.items() if call in self._calls}
            self._add(ToolMessage(content=[self._late(call, late.get(call)) for call in list(self._calls)]))
        self._turn = None
        for message in self._later:
            self._add(message)
        self._later = []

    def _late(self, call: Call, where: tuple[int, int] | None) -> ToolResult:
        if where is not None:
            message = cast("ToolMessage", self._given[where[0]])
            return self._result(message.content[where[1]], call, where)
        sent = self._calls.pop(call)
        self._lose("tool_result", "added", (*call, None), f"the call of {sent.name} has no result; it gets an error")
        return ToolResult(call_id=sent.id, name=sent.name, content=_NO_RESULT, is_error=True, custom=sent.custom)


Call: TypeAlias = tuple[int, int]
"""Where a call stands: index of its message, and in it."""


def _pairs(messages: Sequence[Message]) -> dict[tuple[int, int], Call]:
    """For each result, by its place, the call that it answers: the last one before it with its id, and no other's."""
    waiting: dict[str, list[Call]] = {}
    pairs: dict[tuple[int, int], Call] = {}
    for index, message in enumerate(messages):
        if isinstance(message, AssistantMessage) and not isinstance(message.content, str):
            fresh: dict[str, list[Call]] = {}
            for at, part in enumerate(message.content):
                if isinstance(part, FunctionCall):
                    fresh.setdefault(part.id, []).append((index, at))
            waiting |= fresh
        elif isinstance(message, ToolMessage):
            for at, result in enumerate(message.content):
                if waiting.get(result.call_id):
                    pairs[index, at] = waiting[result.call_id].pop(0)
    return pairs


def _unless_same(given: Any, made: list[Any]) -> Any:
    """`made`, or what was given where that is the same: a message that needs no change stays the object that it was."""
    parts = [given] if isinstance(given, str) else given
    return given if len(parts) == len(made) and all(map(_is, parts, made)) else made


def _is(left: object, right: object) -> bool:
    return left is right


def _rank(index: int | None) -> int:
    return -1 if index is None else index


def _fits(part: Media, forms: Forms) -> bool:
    """Whether a part can be sent as it is."""
    if isinstance(part, Document) and part.text is not None:
        return True
    if isinstance(part, Audio) and part.id is not None and (forms.spoken or part.data is None):
        return forms.spoken
    if part.data is not None:
        kind = part.media_type or _media.sniff_base64(part.data)
        return bool(forms.data) if kind is None else kind.startswith(tuple(forms.data))
    if part.url is not None:
        return forms.url
    return forms.file_id is not None and re.fullmatch(forms.file_id, part.file_id or "") is not None


def _titled(part: Document) -> str | None:
    """A text document as words."""
    title = part.title or part.filename
    return f"{title}\n\n{part.text}" if title and part.text else part.text


def _words(data: str, media_type: str | None) -> str | None:
    """The text of a document that is nothing else; `None` for any other."""
    if media_type is None or not (media_type.startswith("text/") or media_type.partition(";")[0] in _READABLE):
        return None
    try:
        return base64.b64decode(data).decode("utf-8-sig")
    except ValueError:
        return None
