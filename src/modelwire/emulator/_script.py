"""What an emulator answers: what a test scripts, and what it says by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

import msgspec

from modelwire import tokens
from modelwire.emulator._example import example
from modelwire.errors import BadRequestError, ModelClientError
from modelwire.types import (
    AssistantMessage,
    ChatRequest,
    CreateResult,
    FunctionCall,
    Part,
    Reasoning,
    Text,
    Tool,
    ToolChoice,
    ToolMessage,
    Usage,
)

NO_HEADERS: Mapping[str, str] = {}


class Reply(msgspec.Struct, frozen=True):
    """An answer, and how it comes over the wire."""

    answer: str | CreateResult | ModelClientError | int
    """See `Answer`."""
    delay: float = 0.0
    """Seconds before the answer begins; `math.inf` for one that never comes."""
    pause: float = 0.0
    """Seconds between the pieces of a streamed answer."""
    cut_after: int | None = None
    """Pieces of a streamed answer after which the connection is closed in its middle; a whole answer is then cut in
    the middle of its body. `None` for an answer that is complete."""
    error: ModelClientError | None = None
    """An error inside a streamed answer, after `cut_after` pieces or after half of them, by which it ends in good order;
    a whole answer is that error alone. `None` for none."""
    headers: Mapping[str, str] = NO_HEADERS
    """Headers beside the emulator's own, such as `x-ratelimit-remaining-requests`."""


Answer: TypeAlias = str | CreateResult | ModelClientError | int | Reply | Callable[[ChatRequest], "Answer"]
"""What can be scripted:

- a `str`: the text of the answer, with an estimate of its usage;
- a `CreateResult`: the answer with everything that it has, and nothing else but a model and an id where it has none.
  What the wire format cannot say is refused with a 400;
- a `ModelClientError`: what makes a client raise that error. Its class, `status_code`, `code`, `retry_after` and
  message are said in the provider's words. Without a status, a `ConnectionFailedError` breaks the connection, a
  `ModelTimeoutError` never answers, a `ProtocolError` is garbage, and a `StreamInterruptedError` cuts the answer
  `partial`;
- an `int`: an error with this HTTP status;
- a `Reply` with one of these;
- a function of the request that gives one of these.
"""


def resolved(answer: Answer, request: ChatRequest) -> Reply:
    """The reply that an answer stands for.

    Raises `BadRequestError` for a function that fails and for what is no answer, so that the test sees why.
    """
    for _ in range(8):  # functions may give functions, but not for ever
        if isinstance(answer, Reply) or not callable(answer):
            break
        try:
            answer = answer(request)
        except Exception as error:
            raise BadRequestError(f"the emulator's script failed: {type(error).__name__}: {error}") from error
    reply = answer if isinstance(answer, Reply) else Reply(cast("str", answer))
    given = cast("object", reply.answer)  # nothing checks what a test writes
    if not isinstance(given, (str, CreateResult, ModelClientError, int)):
        raise BadRequestError(f"the emulator's script gave a {type(given).__name__}, which is no answer")
    if isinstance(given, int) and not 400 <= given < 600:
        raise BadRequestError(f"the emulator's script gave {given}, which is no HTTP status of an error")
    return reply


def to_result(answer: str | CreateResult, request: ChatRequest) -> CreateResult:
    """A text as a result, with its usage."""
    if isinstance(answer, CreateResult):
        return answer
    return _counted([Text(text=answer)], request)


# ---------------------------------------------------------------------- answers that nobody scripted


def echo(request: ChatRequest) -> CreateResult:
    """What an emulator answers by itself: always the same to the same request, and proof that it was read.

    Where there are tools and no result yet, a call of the tool that is asked for, or of the first one, with arguments
    that fit its parameters; where there is a schema, JSON that fits it; else a text that says how many messages there
    were and what the last one said. Where reasoning is asked for, some of that too.
    """
    parts: list[Part] = []
    if _thoughts_are_asked_for(request.options or {}):
        parts.append(Reasoning(text="Emulated reasoning: no model thought about this."))
    call = _call(request)
    if call is not None:
        return _counted([*parts, call], request)
    schema = request.response_format
    if schema is not None and schema.type != "text":
        said = msgspec.json.encode(example(schema.schema or {"type": "object"})).decode()
    else:
        count = len(request.messages)
        said = (
            f"Emulated answer, by no model: read {count} message{'s' * (count != 1)}, the last says {_last(request)!r}."
        )
    return _counted([*parts, Text(text=said)], request)


def _thoughts_are_asked_for(options: Mapping[str, Any]) -> bool:
    """In the portable way, or in those of the formats that have their own."""
    config, thinking = options.get("thinking_config"), options.get("thinking")
    return (
        options.get("reasoning_effort") not in (None, "none")
        or bool(options.get("think"))
        or (isinstance(config, dict) and bool(config.get("includeThoughts")))
        or (isinstance(thinking, dict) and thinking.get("type") != "disabled")
    )


def _call(request: ChatRequest) -> FunctionCall | None:
    choice = request.tool_choice
    functions = [tool for tool in request.tools or () if isinstance(tool, Tool)]
    if isinstance(choice, ToolChoice):
        if choice.mode == "none":
            return None
        functions = [tool for tool in functions if choice.tools is None or tool.name in choice.tools]
    forced = isinstance(choice, ToolChoice) and choice.mode == "required"
    if not functions or (not forced and isinstance(request.messages[-1], (ToolMessage, AssistantMessage))):
        return None
    tool = functions[0]
    arguments = msgspec.json.encode(example(tool.parameters or {"type": "object"})).decode()
    # Not to be mistaken for an id of an earlier turn.
    return FunctionCall(id=f"call_emulated_{len(request.messages)}", name=tool.name, arguments=arguments)


def _last(request: ChatRequest) -> str:
    """The words of the last message, or the beginning of them."""
    found = [text for turn in tokens.turns(request.messages[-1:]) for text in turn.texts]
    said = " ".join(found)
    return said if len(said) <= 200 else f"{said[:200]}..."


def _counted(parts: list[Part], request: ChatRequest) -> CreateResult:
    calls = any(isinstance(part, FunctionCall) for part in parts)
    return CreateResult(
        parts=parts,
        finish_reason="function_calls" if calls else "stop",
        usage=Usage(
            prompt_tokens=int(tokens.estimate(request.messages, request.tools or ())),
            completion_tokens=int(tokens.estimate([AssistantMessage(content=parts)])),
        ),
    )
