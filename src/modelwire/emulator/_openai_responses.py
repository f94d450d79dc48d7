"""Answers of OpenAI's Responses API.

https://platform.openai.com/docs/api-reference/responses/object and
https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from modelwire.emulator._dialect import (
    EVENT_STREAM,
    cannot_say,
    event,
    fragments,
    given,
    only_one,
    own_of,
    picked,
    words,
)
from modelwire.emulator._openai_chat import told
from modelwire.providers._openai_responses import ResponsesCodec
from modelwire.providers._openai_responses.decode import KEPT
from modelwire.providers._openai_responses.items import taken_message
from modelwire.types import FunctionCall, ProviderPart, Reasoning, Refusal, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from modelwire.emulator._dialect import Asked, Json, Verb
    from modelwire.errors import ModelClientError
    from modelwire.types import ChatRequest, Citation, CreateResult, Part, Usage

    Emit = Callable[..., bytes]

_INCOMPLETE = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
    "pause": "max_messages",
    "error": "error",
    "unknown": "unknown",
}
"""Why a response is incomplete. A response that failed has no content: an error is scripted for it instead."""
_STATUSES = ("completed", "complete", "incomplete", "cancelled", "in_progress", "queued")


class OpenAIResponses:
    """See `Dialect`."""

    name: ClassVar[str] = "openai-responses"
    statuses: ClassVar[Mapping[type[ModelClientError], int]] = {}

    def verb(self, path: str) -> Verb | None:
        """Any path to it, such as those of Azure."""
        path = path.partition("?")[0]
        if path.endswith("/responses/input_tokens"):
            return "count"
        return "answer" if path.endswith("/responses") else None

    def read(self, body: bytes, path: str) -> ChatRequest:
        """The request."""
        del path
        return ResponsesCodec("").decode_request(body)

    def media_type(self, asked: Asked) -> str:
        """Events."""
        del asked
        return EVENT_STREAM

    def answer(self, result: CreateResult, asked: Asked) -> Json:
        """A whole answer."""
        only_one(result, self.name)
        origin = f"{result.provider or 'openai'}-responses"
        why = result.raw_finish_reason or _INCOMPLETE.get(result.finish_reason)
        incomplete = why is not None and why not in _STATUSES
        status = "incomplete" if incomplete else why or "completed"
        return given(
            {
                "id": result.id or f"resp_emulated_{asked.number}",
                "object": "response",
                "model": result.model or f"{asked.request.model}-emulated",
                "status": status,
                "error": None,
                "incomplete_details": {"reason": why} if incomplete else None,
                "output": _Items(origin, asked.number, by_hand=result.provider is None).written(result),
                "usage": None if result.usage is None else _usage(result.usage),
                **picked(own_of(result, origin), KEPT),
            }
        )

    def pieces(self, answer: Json, asked: Asked) -> list[bytes]:
        """The events of a stream."""
        del asked
        numbers = count()

        def emit(kind: str, **members: Any) -> bytes:
            return event({"type": kind, "sequence_number": next(numbers), **members}, kind)

        begun = {name: value for name, value in answer.items() if name not in ("usage", "incomplete_details")}
        begun |= {"status": "in_progress", "output": []}
        events = [emit("response.created", response=begun), emit("response.in_progress", response=begun)]
        for index, item in enumerate(answer["output"]):
            events += _item_events(emit, index, item)
        end = answer["status"] if answer["status"] in ("incomplete", "cancelled") else "completed"
        return [*events, emit(f"response.{end}", response=answer)]

    def count(self, tokens: int) -> Json:
        """Of `POST /responses/input_tokens`."""
        return {"object": "response.input_tokens", "input_tokens": tokens}

    def error(self, error: ModelClientError, status: int) -> Json:
        """An error answer."""
        return {"error": told(error, status)}

    def error_piece(self, error: ModelClientError, status: int) -> bytes:
        """The event `error`."""
        return event({**told(error, status), "type": "error"}, "error")


# ---------------------------------------------------------------------- items


class _Items:
    """Writes the parts of an answer as items: the inverse of `ItemReader`."""

    def __init__(self, origin: str, number: int, *, by_hand: bool) -> None:
        """`by_hand` says that the result is nobody's answer, so that its items get what the API's always have."""
        self._origin = origin
        self._number = number
        self._by_hand = by_hand
        self._items: list[Any] = []
        self._content: list[Json] | None = None
        """Of the message that the next part may belong to."""

    def written(self, result: CreateResult) -> list[Any]:
        tokens = result.logprobs
        for part in result.answer_parts:
            match part:
                case Text():
                    logprobs = {"logprobs": msgspec.to_builtins(tokens)} if tokens else {}
                    tokens = None  # all of them stand with the first text
                    self._say({"type": "output_text", "text": part.text, **self._cited(part), **logprobs}, part)
                case Refusal():
                    self._say({"type": "refusal", "refusal": part.text}, part)
                case Reasoning():
                    self._put(self._reasoning(part))
                case FunctionCall():
                    self._put(self._call(part))
                case ProviderPart() if part.provider == self._origin:
                    self._put(part.data)
                case _:
                    raise cannot_say(part, OpenAIResponses.name)
        return self._items

    def _put(self, item: Any) -> None:
        self._content = None
        self._items.append(item)

    def _own(self, part: Part | Citation) -> Json:
        return dict(own_of(part, self._origin))

    def _made_up(self, prefix: str) -> Json:
        """`id` and `status` of an item that has none."""
        if not self._by_hand:
            return {}
        return {"id": f"{prefix}_emulated_{self._number}_{len(self._items)}", "status": "completed"}

    def _say(self, content: Json, part: Text | Refusal) -> None:
        """A part of the message before, or the first of its own."""
        own = self._own(part)
        follows = own.pop("content_index", None) is not None
        message = taken_message(own)
        content |= own
        if follows and self._content is not None:
            self._content.append(content)
            return
        said = [content]
        self._put({"type": "message", "role": "assistant", "content": said, **self._made_up("msg"), **message})
        self._content = said

    def _cited(self, part: Text) -> Json:
        return {"annotations": [self._annotation(citation) for citation in part.citations or ()]}

    def _annotation(self, citation: Citation) -> Any:
        own = self._own(citation)
        if "annotation" in own:
            return own["annotation"]
        if citation.url is None:
            return given(
                {"type": "file_citation", "file_id": citation.source_id, "filename": citation.title, "index": 0}
            )
        members = {name: getattr(citation, name) for name in ("url", "title", "start_index", "end_index")}
        return {"type": "url_citation", **given(members)}

    def _reasoning(self, part: Reasoning) -> Json:
        own = self._own(part)
        shown = (
            [{"type": "summary_text", "text": part.text}]
            if part.text and not own.keys() & {"content", "summary"}
            else []
        )
        item: Json = {"type": "reasoning", "id": part.id, "summary": shown, "encrypted_content": part.signature, **own}
        return {**self._made_up("rs"), **given(item)}

    def _call(self, call: FunctionCall) -> Json:
        kind, content = ("custom_tool_call", "input") if call.custom else ("function_call", "arguments")
        item = {"type": kind, "call_id": call.id, "name": call.name, content: call.arguments}
        return {**item, **self._made_up("fc"), **self._own(call)}


def _usage(usage: Usage) -> Json:
    read = {"cached_tokens": usage.cached_tokens, "cache_write_tokens": usage.cache_write_tokens}
    return given(
        {
            "input_tokens": usage.prompt_tokens,
            "input_tokens_details": given(read) or None,
            "output_tokens": usage.completion_tokens,
            "output_tokens_details": given({"reasoning_tokens": usage.reasoning_tokens}) or None,
            "total_tokens": usage.total_tokens,
            "cost": usage.cost,
        }
    )


# ---------------------------------------------------------------------- the same in events


def _item_events(emit: Emit, index: int, item: Any) -> Iterator[bytes]:
    """An item is announced, filled, and repeated as a whole."""
    known = item if isinstance(item, dict) else {}
    kind = known.get("type")
    place: Json = given({"output_index": index, "item_id": known.get("id")})
    yield emit("response.output_item.added", output_index=index, item=_begun(item))
    match kind:
        case "message":
            for number, content in enumerate(known["content"]):
                yield from _content_events(emit, {**place, "content_index": number}, content)
        case "reasoning":
            summary = known["summary"] if isinstance(known["summary"], list) else ()
            for number, piece in enumerate(summary):
                yield from _summary_events(emit, {**place, "summary_index": number}, piece)
        case "function_call" | "custom_tool_call":
            name, content = (
                ("function_call_arguments", "arguments")
                if kind == "function_call"
                else ("custom_tool_call_input", "input")
            )
            for piece in fragments(known[content]):
                yield emit(f"response.{name}.delta", **place, delta=piece)
            yield emit(f"response.{name}.done", **place, **{content: known[content]})
        case _:
            pass
    yield emit("response.output_item.done", output_index=index, item=item)


def _begun(item: Any) -> Any:
    """The item before anything is in it; one of the provider's own is shown whole."""
    if not isinstance(item, dict):
        return item
    empty = {"content": [], "summary": [], "arguments": "", "input": ""}
    begun = {name: empty.get(name, value) for name, value in item.items() if name != "encrypted_content"}
    return {**begun, "status": "in_progress"}


def _content_events(emit: Emit, place: Json, content: Json) -> Iterator[bytes]:
    kind, name = content["type"], "text" if content["type"] == "output_text" else "refusal"
    yield emit("response.content_part.added", **place, part={**content, name: "", "annotations": []})
    for piece in words(content[name]):
        yield emit(f"response.{kind}.delta", **place, delta=piece)
    for number, annotation in enumerate(content.get("annotations", ())):
        yield emit("response.output_text.annotation.added", **place, annotation_index=number, annotation=annotation)
    yield emit(f"response.{kind}.done", **place, **{name: content[name]})
    yield emit("response.content_part.done", **place, part=content)


def _summary_events(emit: Emit, place: Json, piece: Json) -> Iterator[bytes]:
    yield emit("response.reasoning_summary_part.added", **place, part={**piece, "text": ""})
    for word in words(piece["text"]):
        yield emit("response.reasoning_summary_text.delta", **place, delta=word)
    yield emit("response.reasoning_summary_text.done", **place, text=piece["text"])
    yield emit("response.reasoning_summary_part.done", **place, part=piece)
