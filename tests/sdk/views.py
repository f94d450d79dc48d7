"""What a caller sees of an answer: by the vendor's own SDK, and by modelwire.

The SDK reads the recorded bytes through its own client, by a transport that answers with them, and puts streams together
by its own accumulator where it has one (OpenAI, Anthropic); where it only gives chunks (Google, Ollama), they are joined
here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import anthropic
import httpx
import httpx2
import ollama
import openai
from google import genai

from tests.sdk.recordings import ANTHROPIC, CHAT, GEMINI, OLLAMA, RESPONSES, Recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_LAST = ("response.completed", "response.incomplete", "response.failed")
ASK: list[Any] = [{"role": "user", "content": "?"}]


class Tokens(NamedTuple):
    """Counts by modelwire's meaning: cached tokens are among the prompt's, reasoning among the completion's."""

    prompt: int
    completion: int
    cached: int
    reasoning: int


class View(NamedTuple):
    """An answer."""

    text: str
    reasoning: str
    calls: list[tuple[str | None, str, Any]]
    """Id, name and parsed arguments."""
    finish: str | None
    """The provider's own word."""
    usage: Tokens | None


def by_modelwire(recording: Recording) -> View:
    """What modelwire shows."""
    result = recording.ours()
    usage = result.usage and Tokens(
        result.usage.prompt_tokens,
        result.usage.completion_tokens,
        result.usage.cached_tokens or 0,
        result.usage.reasoning_tokens or 0,
    )
    calls = [(call.id, call.name, parsed(call.arguments)) for call in result.tool_calls]
    return View(result.text, result.thought or "", calls, result.raw_finish_reason, usage)


def by_sdk(recording: Recording) -> View:
    """What the vendor's SDK shows."""
    return _READERS[recording.dialect](recording)


def parsed(arguments: str) -> Any:
    """The JSON of a call's arguments, or the text of those that are none."""
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments


def _number(value: Any) -> int:
    return value or 0


def _answering(recording: Recording, library: Any) -> Any:
    """A client of an HTTP library that gets the recorded answer, whatever it asks for."""

    def answer(_: Any) -> Any:
        return library.Response(recording.status, headers={"content-type": recording.media}, content=recording.body)

    return library.Client(transport=library.MockTransport(answer))


# ---------------------------------------------------------------------- OpenAI


def _openai(recording: Recording) -> openai.OpenAI:
    return openai.OpenAI(
        api_key="k", base_url="https://api.example.com/v1", http_client=_answering(recording, httpx2), max_retries=0
    )


def _chat(recording: Recording) -> View:
    completions = _openai(recording).chat.completions
    if recording.streams:
        with completions.stream(model="m", messages=ASK) as stream:
            answer = _finished(stream)
    else:
        answer = completions.create(model="m", messages=ASK)
    choice = answer.choices[0]
    message = choice.message
    usage: Any = answer.usage
    return View(
        message.content or "",
        _first(message, "reasoning", "reasoning_content"),
        [_openai_call(call) for call in message.tool_calls or ()] + _legacy_call(message),
        choice.finish_reason,
        usage
        and Tokens(
            usage.prompt_tokens,
            usage.completion_tokens,
            _number(getattr(usage.prompt_tokens_details, "cached_tokens", 0)),
            _number(getattr(usage.completion_tokens_details, "reasoning_tokens", 0)),
        ),
    )


def _finished(stream: Any) -> Any:
    """The whole of a stream; one that ended at the length limit is in the error that the SDK makes of it."""
    try:
        return stream.until_done().get_final_completion()
    except openai.LengthFinishReasonError as error:
        return error.completion


def _first(message: Any, *names: str) -> str:
    found = (getattr(message, name, None) for name in names)
    return next((text for text in found if isinstance(text, str) and text), "")


def _openai_call(call: Any) -> tuple[str | None, str, Any]:
    if call.type == "custom":
        return call.id, call.custom.name, call.custom.input
    return call.id, call.function.name, parsed(call.function.arguments)


def _legacy_call(message: Any) -> list[tuple[str | None, str, Any]]:
    """The form of 2023, one call without an id."""
    call = message.function_call
    return [(None, call.name, parsed(call.arguments))] if call else []


def _responses(recording: Recording) -> View:
    responses = _openai(recording).responses
    if recording.streams:
        with responses.stream(model="m", input="?") as stream:
            # `get_final_response` knows completed answers only; the last event has every one.
            answer: Any = [event for event in stream if event.type in _LAST][-1].response
    else:
        answer = responses.create(model="m", input="?")
    thoughts: list[str] = []
    calls: list[tuple[str | None, str, Any]] = []
    for item in answer.output:
        if item.type == "reasoning":
            thoughts += [part.text for part in item.summary] or [part.text for part in item.content or ()]
        elif item.type == "function_call":
            calls.append((item.call_id, item.name, parsed(item.arguments)))
        elif item.type == "custom_tool_call":
            calls.append((item.call_id, item.name, item.input))
    usage = answer.usage
    return View(
        answer.output_text,
        "\n\n".join(thoughts),
        calls,
        answer.incomplete_details.reason if answer.incomplete_details else answer.status,
        usage
        and Tokens(
            usage.input_tokens,
            usage.output_tokens,
            _number(usage.input_tokens_details and usage.input_tokens_details.cached_tokens),
            _number(usage.output_tokens_details and usage.output_tokens_details.reasoning_tokens),
        ),
    )


# ---------------------------------------------------------------------- Anthropic


def _anthropic(recording: Recording) -> View:
    client = anthropic.Anthropic(
        api_key="k", base_url="https://api.example.com", http_client=_answering(recording, httpx2), max_retries=0
    )
    if recording.streams:
        with client.beta.messages.stream(model="m", max_tokens=9, messages=ASK) as stream:
            answer: Any = stream.get_final_message()
    else:
        answer = client.beta.messages.create(model="m", max_tokens=9, messages=ASK)
    blocks = answer.content
    details = getattr(answer.usage, "output_tokens_details", None)
    usage = answer.usage
    cached = _number(usage.cache_read_input_tokens)
    return View(
        "".join(block.text for block in blocks if block.type == "text"),
        "".join(block.thinking for block in blocks if block.type == "thinking"),
        [(block.id, block.name, block.input) for block in blocks if block.type == "tool_use"],
        answer.stop_reason,
        Tokens(
            usage.input_tokens + cached + _number(usage.cache_creation_input_tokens),
            usage.output_tokens,
            cached,
            _number(details and details.thinking_tokens),
        ),
    )


# ---------------------------------------------------------------------- Google


def _gemini(recording: Recording) -> View:
    client = genai.Client(api_key="k", http_options=genai.types.HttpOptions(httpx_client=_answering(recording, httpx2)))
    if recording.streams:
        chunks = list(client.models.generate_content_stream(model="m", contents="?"))
    else:
        chunks = [client.models.generate_content(model="m", contents="?")]
    candidates = [chunk.candidates[0] for chunk in chunks if chunk.candidates]
    parts = [part for each in candidates for part in (each.content and each.content.parts) or ()]
    usage: Any = next((chunk.usage_metadata for chunk in reversed(chunks) if chunk.usage_metadata), None)
    reasons = [each.finish_reason for each in candidates if each.finish_reason]
    blocked = [chunk.prompt_feedback.block_reason for chunk in chunks if chunk.prompt_feedback]
    calls = [part.function_call for part in parts if part.function_call]
    last = [*blocked, *reasons]
    return View(
        "".join(part.text or "" for part in parts if not part.thought),
        "".join(part.text or "" for part in parts if part.thought),
        [(call.id, call.name or "", call.args or {}) for call in calls],
        last[-1].value if last and last[-1] else None,
        usage
        and Tokens(
            _number(usage.prompt_token_count) + _number(usage.tool_use_prompt_token_count),
            _number(usage.candidates_token_count) + _number(usage.thoughts_token_count),
            _number(usage.cached_content_token_count),
            _number(usage.thoughts_token_count),
        ),
    )


# ---------------------------------------------------------------------- Ollama


def _ollama(recording: Recording) -> View:
    client = ollama.Client()
    client._client = _answering(recording, httpx)
    client._client.base_url = "https://api.example.com"
    answer: Any = client.chat(model="m", messages=ASK, stream=recording.streams)
    chunks: Sequence[ollama.ChatResponse] = list(answer) if recording.streams else [answer]
    last = chunks[-1]
    calls = [call.function for chunk in chunks for call in chunk.message.tool_calls or ()]
    return View(
        _joined(chunk.message.content for chunk in chunks),
        _joined(chunk.message.thinking for chunk in chunks),
        [(None, call.name, dict(call.arguments)) for call in calls],
        last.done_reason,
        Tokens(_number(last.prompt_eval_count), _number(last.eval_count), 0, 0),
    )


def _joined(texts: Iterable[str | None]) -> str:
    return "".join(text for text in texts if text)


_READERS: dict[str, Callable[[Recording], View]] = {
    CHAT: _chat,
    RESPONSES: _responses,
    ANTHROPIC: _anthropic,
    GEMINI: _gemini,
    OLLAMA: _ollama,
}
